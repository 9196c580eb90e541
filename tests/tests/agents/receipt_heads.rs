//! Receipts go on where the relay has them, and a ledger that contradicts itself is told.

use std::time::Duration;

use sealpost_agent::{Agent, Event};
use sealpost_tests::{SdkAgent, TestRelay, within};

use super::{assert_accepted, assert_acknowledged};

/// What the agent is told, once.
async fn events(agent: &Agent) -> Vec<Event> {
    let events = agent.events(100).await.unwrap();
    agent.take_events(&events).await.unwrap();
    events.into_iter().map(|noted| noted.event).collect()
}

/// The words with which old copies are told.
fn signs(events: &[Event]) -> Vec<&str> {
    let sign = |event: &'_ Event| matches!(event, Event::RestoredCopy { .. });
    assert!(events.iter().all(|event| sign(event) || matches!(event, Event::Missing { .. })), "{events:?}");
    events
        .iter()
        .filter_map(|event| if let Event::RestoredCopy { sign } = event { Some(sign.as_str()) } else { None })
        .collect()
}

#[tokio::test]
async fn an_old_copy_of_one_who_only_receives_is_found_out_and_its_receipts_go_on() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    alice.send_text(bob.id(), "one").await;
    assert_eq!(bob.take_texts().await, ["one"]);
    let backup = bob.backup();
    for words in ["two", "three"] {
        alice.send_text(bob.id(), words).await;
        assert_eq!(bob.take_texts().await, [words]);
    }
    drop(bob);
    let sent = alice.send_text(bob_of(&backup).await, "four").await;
    let bob = SdkAgent::restored(backup, &relay.origin()).await;
    assert_eq!(bob.take_texts().await, ["four"]);
    assert_acknowledged(&alice, &[sent.id]).await;
    assert_eq!(signs(&events(&bob).await), ["the relay has 6 batches of receipts, and the store 2"]);

    let sent = alice.send_text(bob.id(), "five").await;
    let bob = bob.reopen(&relay.origin()).await;
    assert_eq!(bob.take_texts().await, ["five"]);
    assert_acknowledged(&alice, &[sent.id]).await;
    assert_eq!(events(&bob).await, [], "once");
}

async fn bob_of(backup: &tempfile::TempDir) -> sealpost_protocol::AgentId {
    Agent::identity_in(&backup.path().join("agent")).await.unwrap().agent_id()
}

#[tokio::test]
async fn an_identity_that_was_used_on_after_its_export_goes_on_elsewhere() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let converse = async |bob: &SdkAgent, words: &str| {
        let sent = alice.send_text(bob.id(), words).await;
        assert_eq!(bob.take_texts().await, [words]);
        assert_acknowledged(&alice, &[sent.id]).await;
        let answer = bob.send_text(alice.id(), words).await;
        assert_accepted(&answer);
        assert_eq!(alice.take_texts().await, [words]);
        assert_acknowledged(bob, &[answer.id]).await;
    };
    converse(&bob, "before").await;
    let file = bob.exported().await;
    for words in ["used on", "and on"] {
        converse(&bob, words).await;
    }
    drop(bob);
    let bob = SdkAgent::imported(&file, &relay.origin()).await;
    // What alice seals in the session that she knows, bob cannot open any more, and signs for that.
    let lost = alice.send_text(bob.id(), "across").await;
    assert_eq!(bob.take_texts().await, Vec::<String>::new());
    assert_eq!(signs(&events(&bob).await).len(), 1);
    let answer = bob.send_text(alice.id(), "it is me").await;
    assert_accepted(&answer);
    assert_eq!(alice.take_texts().await, ["it is me"]);
    assert_acknowledged(&bob, &[answer.id]).await;
    within("sealed anew", async {
        while bob.take_texts().await != ["across"] {
            let _status = alice.status(lost.id).await.unwrap();
        }
    })
    .await;
    converse(&bob, "elsewhere").await;
}

#[tokio::test]
async fn a_ledger_that_forgot_receipts_which_it_had_countersigned_is_told_and_mail_still_comes() {
    let mut relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let converse = async |words: &str| {
        alice.send_text(bob.id(), words).await;
        assert_eq!(bob.take_texts().await, [words]);
    };
    converse("in the copy").await;
    relay.kill().await;
    let copy = relay.copy_ledger();
    relay.restart().await;
    converse("after it").await;
    relay.kill().await;
    relay.put_back(&copy);
    relay.restart().await;
    let sent = alice.send_text(bob.id(), "to whoever keeps it").await;
    assert_accepted(&sent);
    for _ in 0..3 {
        let bob = bob.reopen(&relay.origin()).await;
        within("a sync", bob.sync(Duration::ZERO)).await.unwrap();
    }
    let told = events(&bob).await;
    let [Event::ForkedLedger { store: 4, relay: 2 }] = told.as_slice() else { panic!("{told:?}") };
    let inbox: Vec<_> = bob.inbox().await.iter().map(sealpost_tests::words).collect();
    assert_eq!(inbox, ["to whoever keeps it"]);
}
