//! A ratchet steps though only one of the two ever writes: the other's runtime answers.

use std::{sync::Arc, time::Duration};

use sealpost_agent::SessionSummary;
use sealpost_tests::{HandClock, SdkAgent, TestRelay, within};

use super::{assert_accepted, assert_acknowledged};

const HOUR: Duration = Duration::from_secs(3600);

/// The area of control messages that have not left, as `crates/agent` numbers it.
const CONTROL: u8 = 40;

/// A relay, a clock that may be turned on by hours without passing the relay's, and two agents who go by it.
async fn writer_and_listener() -> (TestRelay, Arc<HandClock>, [SdkAgent; 2]) {
    let (relay, clock) = (TestRelay::start().await, HandClock::now());
    clock.turn_back(20 * HOUR);
    let alice = SdkAgent::by_clock(&relay.origin(), &clock).await;
    let bob = SdkAgent::by_clock(&relay.origin(), &clock).await;
    (relay, clock, [alice, bob])
}

/// The one session of `agent` with `peer`.
async fn session(agent: &SdkAgent, peer: &SdkAgent) -> SessionSummary {
    let sessions = agent.sessions(peer.id()).await.unwrap();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    sessions[0]
}

async fn sync(agent: &SdkAgent) {
    assert_eq!(within("a round", agent.sync(Duration::ZERO)).await.unwrap().received, 0);
}

#[tokio::test]
async fn after_a_hundred_messages_one_way_the_ratchet_has_stepped_and_nothing_goes_on() {
    let (_relay, clock, [alice, bob]) = writer_and_listener().await;
    let mut sent = Vec::new();
    for number in 0..101 {
        let message = alice.send_text(bob.id(), &number.to_string()).await;
        assert_accepted(&message);
        sent.push(message.id);
    }
    assert_eq!(session(&alice, &bob).await.unanswered, 101);
    assert_eq!(bob.take_texts().await.len(), 101);
    sync(&alice).await;
    assert_eq!(session(&alice, &bob).await.unanswered, 0, "bob's runtime has answered");
    assert_accepted(&alice.send_text(bob.id(), "and on").await);
    assert_eq!(bob.take_texts().await, ["and on"]);
    assert_eq!(session(&alice, &bob).await.unanswered, 1);
    assert_acknowledged(&alice, &sent).await;

    let before = (session(&alice, &bob).await, session(&bob, &alice).await);
    for _ in 0..3 {
        clock.advance(HOUR);
        for agent in [&alice, &bob] {
            sync(agent).await;
            assert_eq!(agent.stored(CONTROL, &[]), []);
            assert_eq!(agent.events(10).await.unwrap(), []);
        }
    }
    assert_eq!((session(&alice, &bob).await, session(&bob, &alice).await), before, "control messages come to rest");
}

#[tokio::test]
async fn an_hour_without_an_answer_is_long_enough() {
    let (_relay, clock, [alice, bob]) = writer_and_listener().await;
    // The message after an answer makes a step itself, and asks for none.
    for (round, unanswered) in [(0, 1), (1, 0), (2, 1), (3, 0)] {
        let words = format!("round {round}");
        assert_accepted(&alice.send_text(bob.id(), &words).await);
        assert_eq!(bob.take_texts().await, [words]);
        sync(&alice).await;
        assert_eq!(session(&alice, &bob).await.unanswered, unanswered, "round {round}");
        clock.advance(HOUR);
    }
}

#[tokio::test]
async fn answers_to_a_sleeper_supersede_each_other_and_are_not_missed() {
    let (relay, clock, [alice, bob]) = writer_and_listener().await;
    for round in 0..4 {
        assert_accepted(&alice.send_text(bob.id(), "x").await);
        let bob = bob.reopen(&relay.origin()).await;
        assert_eq!(bob.take_texts().await, ["x"], "round {round}");
        clock.advance(HOUR);
    }
    // Three times she has asked; of the three answers the last one is there.
    assert_eq!(session(&alice, &bob).await.unanswered, 4);
    sync(&alice).await;
    assert_eq!(session(&alice, &bob).await.unanswered, 0);
    assert_eq!(alice.events(10).await.unwrap(), [], "two answers never come, and are no messages");
}
