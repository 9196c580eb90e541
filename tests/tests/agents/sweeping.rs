//! What is old goes, once a day, and what the agent has not taken stays.

use std::time::Duration;

use sealpost_agent::Event;
use sealpost_api::v1;
use sealpost_protocol::ErrorCode;
use sealpost_tests::{ScriptedRelay, SdkAgent, plain::PlainAgent, within};

use super::{
    assert_accepted,
    damage::{bundle, entry},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Areas of the store, as `crates/agent` numbers them.
const SESSIONS: u8 = 5;
const SENT: u8 = 8;
const UNSENT: u8 = 9;
const INBOX: u8 = 10;
const EVENTS: u8 = 16;
const STATUSES: u8 = 17;

/// A round looks at the rows, the next one finds that there are no more.
async fn sweep(agent: &SdkAgent) {
    for _ in 0..2 {
        within("a round", agent.sync(Duration::ZERO)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_over_is_forgotten_35_days_after_it_was_composed_and_what_was_not_taken_stays() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let alice = SdkAgent::by_clock(relay.origin(), &clock).await;
    let (mut carol, bob) = (PlainAgent::new(), PlainAgent::new());
    carol.open_session(alice.id(), bundle(&relay));
    let entries = vec![entry(1, &mut carol, &alice, "taken"), entry(2, &mut carol, &alice, "not taken")];
    relay.script().mailbox = entries;
    let inbox = alice.sync_inbox().await;
    alice.take(&[inbox[0].message]).await.unwrap();

    relay.script().bundle = Some(v1::PrekeyBundle { manifest: bob.prekeys().manifest, ..Default::default() });
    let sent = alice.send_text(bob.id(), "sent").await;
    assert_accepted(&sent);
    relay.script().statuses.insert(sent.id.to_string(), Vec::new());
    within("a status", alice.status(sent.id)).await.unwrap();
    // The second is kept, and refused for good in a round that nobody asked for: that is an event.
    relay.script().refuses_tokens = Some(ErrorCode::Unavailable);
    let alice = alice.reopen(relay.origin()).await;
    let unsent = alice.send_text(bob.id(), "unsent").await;
    relay.script().refuses_tokens = None;
    relay.script().refuses_messages = Some(ErrorCode::Malformed);
    sweep(&alice).await;
    let events: Vec<_> = alice.events(10).await.unwrap().into_iter().map(|noted| noted.event).collect();
    assert_eq!(events, [Event::Unsent { message: unsent.id, code: "malformed".to_owned() }]);

    let rows = |alice: &SdkAgent| [INBOX, SENT, STATUSES, UNSENT, EVENTS].map(|area| alice.stored(area, &[]).len());
    assert_eq!(rows(&alice), [2, 1, 1, 1, 1]);
    clock.advance(35 * DAY - MINUTE);
    sweep(&alice).await;
    assert_eq!(rows(&alice), [2, 1, 1, 1, 1], "not yet");
    clock.advance(2 * MINUTE);
    sweep(&alice).await;
    assert_eq!(rows(&alice), [2, 1, 1, 1, 1], "once a day");
    clock.advance(DAY);
    sweep(&alice).await;
    assert_eq!(rows(&alice), [1, 0, 0, 0, 0]);
    assert_eq!(alice.inbox().await.iter().map(sealpost_tests::words).collect::<Vec<_>>(), ["not taken"]);
    alice.take(&[inbox[1].message]).await.unwrap();
    clock.advance(DAY + MINUTE);
    sweep(&alice).await;
    assert_eq!(rows(&alice), [0; 5], "and goes once it is taken");
}

#[tokio::test]
async fn a_session_that_only_receives_goes_after_31_days_without_use_and_the_one_that_sends_stays() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let alice = SdkAgent::by_clock(relay.origin(), &clock).await;
    let mut carol = PlainAgent::new();
    for number in 1..=2 {
        carol.open_session(alice.id(), bundle(&relay));
        let entry = entry(number, &mut carol, &alice, "hello");
        relay.script().mailbox.push(entry);
        assert_eq!(alice.take_texts().await, ["hello"]);
    }
    let sessions = async |alice: &SdkAgent| {
        let sessions = alice.sessions(carol.id()).await.unwrap();
        (sessions.len(), sessions.iter().filter(|session| session.sends).count())
    };
    assert_eq!(sessions(&alice).await, (2, 1));
    clock.advance(31 * DAY - MINUTE);
    sweep(&alice).await;
    assert_eq!(sessions(&alice).await, (2, 1), "mail of the last day still opens");
    clock.advance(DAY);
    sweep(&alice).await;
    assert_eq!(sessions(&alice).await, (1, 1));
    assert_eq!(alice.stored(SESSIONS, carol.id().as_bytes()).len(), 1);
    clock.advance(60 * DAY);
    sweep(&alice).await;
    assert_eq!(sessions(&alice).await, (1, 1), "never for its age alone");
}
