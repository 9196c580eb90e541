//! Clocks that are wrong for a while: nothing is lost by it, what they made is told, and once they are right all goes on.

use std::{sync::Arc, time::Duration};

use sealpost_agent::{Event, LocalState, SendOutcome};
use sealpost_api::v1;
use sealpost_protocol::{ErrorCode, MessageId};
use sealpost_tests::{HandClock, ScriptedRelay, SdkAgent, TestRelay, plain::PlainAgent, within};

use super::assert_accepted;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn sync(agent: &SdkAgent) {
    within("a round", agent.sync(Duration::ZERO)).await.unwrap();
}

async fn events(agent: &SdkAgent) -> Vec<Event> {
    let noted = agent.events(10).await.unwrap();
    agent.take_events(&noted).await.unwrap();
    noted.into_iter().map(|noted| noted.event).collect()
}

async fn local(agent: &SdkAgent, id: MessageId) -> LocalState {
    within("a status", agent.status(id)).await.unwrap().local
}

/// Two agents at a relay, the first by a clock that is turned by hand, and right to begin with.
async fn alice_and_bob() -> (TestRelay, Arc<HandClock>, [SdkAgent; 2]) {
    let (relay, clock) = (TestRelay::start().await, HandClock::now());
    let alice = SdkAgent::by_clock(&relay.origin(), &clock).await;
    let bob = SdkAgent::new(&relay.origin()).await;
    (relay, clock, [alice, bob])
}

/// Sends, and returns the message that waits for its clock, and in which words.
async fn kept_for_its_clock(alice: &SdkAgent, bob: &SdkAgent, words: &str) -> (MessageId, String) {
    let sent = alice.send_text(bob.id(), words).await;
    let SendOutcome::Kept(error) = &sent.outcome else { panic!("{sent:?}") };
    assert_eq!(error.code(), "clock-skew", "{error}");
    (sent.id, error.to_string())
}

#[tokio::test]
async fn what_a_clock_far_behind_has_composed_expires_once_it_is_right_and_holds_nobody_up() {
    let (_relay, clock, [alice, bob]) = alice_and_bob().await;
    clock.turn_back(40 * DAY);
    let (behind, words) = kept_for_its_clock(&alice, &bob, "from long ago").await;
    assert!(words.contains("the clock here is 40 days behind the relay's"), "{words}");
    sync(&alice).await;
    assert_eq!(local(&alice, behind).await, LocalState::Kept, "whose clock is wrong is not known yet");

    clock.advance(40 * DAY);
    let after = alice.send_text(bob.id(), "and now").await;
    assert_accepted(&after);
    assert_eq!(local(&alice, behind).await, LocalState::Unsent("expired".to_owned()));
    assert_eq!(events(&alice).await, [Event::Unsent { message: behind, code: "expired".to_owned() }]);
    assert_eq!(alice.waiting().await.unwrap(), []);
    sync(&alice).await;
    assert_eq!(events(&alice).await, [], "it is told once");
    assert_eq!(bob.take_texts().await, ["and now"]);
}

#[tokio::test]
async fn what_was_sealed_by_a_clock_that_is_behind_expires_too() {
    let ((relay, relays_clock), clock) = (ScriptedRelay::with_clock().await, HandClock::now());
    let (alice, bob) = (SdkAgent::by_clock(relay.origin(), &clock).await, PlainAgent::new());
    relay.script().bundle = Some(v1::PrekeyBundle { manifest: bob.prekeys().manifest, ..Default::default() });
    clock.turn_back(20 * DAY);
    relay.script().refuses_messages = Some(ErrorCode::Unavailable);
    let sent = alice.send_text(bob.id(), "sealed").await;
    assert_eq!(relay.script().sends, 1, "{sent:?}");
    relays_clock.advance(15 * DAY);
    clock.advance(15 * DAY);
    relay.script().refuses_messages = Some(ErrorCode::ClockSkew);
    sync(&alice).await;
    assert_eq!(local(&alice, sent.id).await, LocalState::Kept);

    clock.advance(20 * DAY);
    let alice = alice.reopen(relay.origin()).await;
    sync(&alice).await;
    assert_eq!(local(&alice, sent.id).await, LocalState::Unsent("expired".to_owned()));
    assert_eq!(events(&alice).await, [Event::Unsent { message: sent.id, code: "expired".to_owned() }]);
    assert_eq!(alice.waiting().await.unwrap(), []);
}

#[tokio::test]
async fn a_clock_two_years_ahead_that_is_set_right_has_cost_nothing() {
    let (relay, clock, [alice, bob]) = alice_and_bob().await;
    let before = alice.send_text(bob.id(), "before").await;
    assert_eq!(bob.take_texts().await, ["before"]);
    assert_accepted(&bob.send_text(alice.id(), "meanwhile").await);

    let two_years = 730 * DAY + DAY / 2;
    clock.advance(two_years);
    let (ahead, words) = kept_for_its_clock(&alice, &bob, "from the future").await;
    assert!(words.contains("the clock here is 730 days ahead of the relay's"), "{words}");
    for _ in 0..3 {
        sync(&alice).await;
    }
    assert_eq!(events(&alice).await, [], "no key was replaced, and nothing was lost");

    clock.turn_back(two_years);
    assert_accepted(&bob.send_text(alice.id(), "afterwards").await);
    let alice = alice.reopen(&relay.origin()).await;
    assert_eq!(alice.take_texts().await, ["meanwhile", "afterwards"]);
    assert_accepted(&alice.send_text(bob.id(), "after").await);
    assert_eq!(bob.take_texts().await, ["after"]);
    sync(&alice).await;
    assert_eq!(events(&alice).await, [Event::Unsent { message: ahead, code: "clock-skew".to_owned() }]);
    assert!(matches!(local(&alice, before.id).await, LocalState::Accepted(_)), "it is not forgotten");
    let prekeys = within("prekeys", alice.prekey_status()).await.unwrap();
    assert_eq!((prekeys.version, prekeys.refused), (1, None));
}

#[tokio::test]
async fn a_clock_that_is_set_right_while_the_agent_is_open_is_noticed_at_once() {
    let (_relay, clock, [alice, bob]) = alice_and_bob().await;
    assert_accepted(&alice.send_text(bob.id(), "before").await);
    clock.advance(2 * DAY);
    let (ahead, _) = kept_for_its_clock(&alice, &bob, "by a clock that is ahead").await;
    clock.turn_back(2 * DAY);
    assert_accepted(&alice.send_text(bob.id(), "by one that is right").await);
    assert_eq!(local(&alice, ahead).await, LocalState::Unsent("clock-skew".to_owned()));
    clock.turn_back(40 * DAY);
    assert_accepted(&alice.send_text(bob.id(), "dated after the last").await);
    assert_eq!(bob.take_texts().await, ["before", "by one that is right", "dated after the last"]);
}
