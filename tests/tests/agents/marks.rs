//! Read and typing marks between two agents: shown, superseded, and at rest.

use std::{sync::Arc, time::Duration};

use sealpost_agent::{Event, Mark, Marked, NotTold, SendError, SessionSummary};
use sealpost_protocol::{AgentId, MessageId};
use sealpost_tests::{HandClock, SdkAgent, TestRelay, within};

use super::assert_accepted;

const MINUTE: Duration = Duration::from_secs(60);
const TYPING: Mark = Mark { read: None, typing: true };

/// The area of control messages that have not left, as `crates/agent` numbers it.
const CONTROL: u8 = 40;

fn read(message: MessageId) -> Mark {
    Mark { read: Some(message), typing: false }
}

async fn agents() -> (TestRelay, Arc<HandClock>, [SdkAgent; 2]) {
    let (relay, clock) = (TestRelay::start().await, HandClock::now());
    clock.turn_back(60 * MINUTE);
    let alice = SdkAgent::by_clock(&relay.origin(), &clock).await;
    let bob = SdkAgent::by_clock(&relay.origin(), &clock).await;
    (relay, clock, [alice, bob])
}

/// Alice writes, Bob takes it; what she wrote, in her order.
async fn written(alice: &SdkAgent, bob: &SdkAgent, count: usize) -> Vec<MessageId> {
    let mut written = Vec::new();
    for number in 0..count {
        let sent = alice.send_text(bob.id(), &number.to_string()).await;
        assert_accepted(&sent);
        written.push(sent.id);
    }
    assert_eq!(bob.take_texts().await.len(), count);
    written
}

async fn mark(agent: &SdkAgent, peer: AgentId, mark: Mark) -> Marked {
    within("a mark", agent.mark(peer, mark)).await.unwrap()
}

async fn sessions(agent: &SdkAgent, peer: AgentId) -> Vec<SessionSummary> {
    agent.sessions(peer).await.unwrap()
}

/// What the next round tells, and takes note of.
async fn told(agent: &SdkAgent) -> Vec<Event> {
    assert_eq!(within("a round", agent.sync(Duration::ZERO)).await.unwrap().received, 0);
    let events = agent.events(10).await.unwrap();
    agent.take_events(&events).await.unwrap();
    // What one mark says is noted at one time, in no order.
    let mut told: Vec<Event> = events.into_iter().map(|noted| noted.event).collect();
    told.sort_by_key(|event| matches!(event, Event::Typing { .. }));
    told
}

#[tokio::test]
async fn a_peer_is_shown_how_far_was_read_and_that_something_is_written() {
    let (_relay, _clock, [alice, bob]) = agents().await;
    let sent = written(&alice, &bob, 3).await;
    let reader = bob.id();
    assert!(matches!(mark(&bob, alice.id(), read(sent[1])).await, Marked::Told));
    assert_eq!(told(&alice).await, [Event::Read { reader, up_to: sent[1] }]);
    assert_eq!(alice.read_by(reader).await.unwrap(), Some(sent[1]));
    for earlier in [sent[0], sent[1]] {
        assert!(matches!(mark(&bob, alice.id(), read(earlier)).await, Marked::Known));
    }
    assert!(matches!(mark(&bob, alice.id(), TYPING).await, Marked::Told));
    assert!(matches!(mark(&bob, alice.id(), TYPING).await, Marked::Known), "again at once");
    assert_eq!(told(&alice).await, [Event::Typing { peer: reader }]);
    assert!(matches!(mark(&bob, alice.id(), Mark { typing: true, ..read(sent[2]) }).await, Marked::Told));
    assert_eq!(told(&alice).await, [Event::Read { reader, up_to: sent[2] }, Event::Typing { peer: reader }]);
    assert_eq!(told(&alice).await, []);
}

#[tokio::test]
async fn newer_marks_supersede_older_ones_and_none_is_missed_as_a_message() {
    let (_relay, clock, [alice, bob]) = agents().await;
    let sent = written(&alice, &bob, 3).await;
    let reader = bob.id();
    for message in &sent {
        assert!(matches!(mark(&bob, alice.id(), read(*message)).await, Marked::Told));
    }
    assert!(matches!(mark(&bob, alice.id(), TYPING).await, Marked::Told));
    // What he shows last says all of it; that he was writing is over when she looks.
    clock.advance(MINUTE);
    assert_eq!(told(&alice).await, [Event::Read { reader, up_to: sent[2] }]);
    assert_accepted(&bob.send_text(alice.id(), "an answer").await);
    assert_eq!(alice.take_texts().await, ["an answer"]);
    assert_eq!(told(&alice).await, [], "superseded marks are no messages that are missing");

    // Events that nobody takes do not pile up either.
    for _ in 0..5 {
        clock.advance(MINUTE);
        assert!(matches!(mark(&bob, alice.id(), TYPING).await, Marked::Told));
        within("a round", alice.sync(Duration::ZERO)).await.unwrap();
    }
    let events: Vec<Event> = alice.events(10).await.unwrap().into_iter().map(|noted| noted.event).collect();
    assert_eq!(events, [Event::Typing { peer: reader }]);
    assert!(matches!(mark(&bob, alice.id(), Mark::default()).await, Marked::Told));
    assert_eq!(told(&alice).await, [], "he has stopped");
}

#[tokio::test]
async fn marks_come_to_rest_and_an_answer_to_a_request_carries_how_far_was_read() {
    let (relay, clock, [alice, bob]) = agents().await;
    let sent = written(&alice, &bob, 1).await;
    let away = bob.reopen(&relay.origin()).await;
    assert!(matches!(mark(&away, alice.id(), read(sent[0])).await, Marked::Told));
    clock.advance(61 * MINUTE);
    assert_accepted(&alice.send_text(bob.id(), "asks for a step").await);
    // His answer supersedes the mark that she has not fetched, and says what it said.
    assert_eq!(bob.take_texts().await, ["asks for a step"]);
    assert_eq!(told(&alice).await, [Event::Read { reader: bob.id(), up_to: sent[0] }]);
    assert_eq!(sessions(&alice, bob.id()).await[0].unanswered, 0, "the answer is a step");
    let before = (sessions(&alice, bob.id()).await, sessions(&bob, alice.id()).await);
    for _ in 0..3 {
        for agent in [&alice, &bob] {
            assert_eq!(told(agent).await, []);
            assert_eq!(agent.stored(CONTROL, &[]), []);
        }
        clock.advance(MINUTE);
    }
    assert_eq!((sessions(&alice, bob.id()).await, sessions(&bob, alice.id()).await), before);
}

#[tokio::test]
async fn what_cannot_be_shown_is_refused_or_kept_and_nothing_is_opened_for_it() {
    let (relay, _clock, [alice, bob]) = agents().await;
    // Nothing was ever said between them: a mark opens no session.
    assert!(matches!(mark(&bob, alice.id(), TYPING).await, Marked::NotTold(NotTold::NoSession)));
    assert_eq!(bob.sessions(alice.id()).await.unwrap(), []);
    assert!(matches!(bob.mark(bob.id(), TYPING).await, Err(SendError::ToItself)));
    let sent = written(&alice, &bob, 1).await;
    assert!(matches!(alice.mark(bob.id(), read(sent[0])).await, Err(SendError::NotReceived { .. })), "her own");
    // She has heard nothing in the session that she has opened: he may not have it.
    assert!(matches!(mark(&alice, bob.id(), TYPING).await, Marked::NotTold(NotTold::NoSession)));
    // Without a relay it is kept, and goes with what is shown next.
    let cut_off = bob.reopen("http://127.0.0.1:1").await;
    assert!(matches!(mark(&cut_off, alice.id(), read(sent[0])).await, Marked::NotTold(NotTold::Relay(_))));
    assert!(matches!(mark(&bob, alice.id(), TYPING).await, Marked::Told));
    let reader = bob.id();
    assert_eq!(told(&alice).await, [Event::Read { reader, up_to: sent[0] }, Event::Typing { peer: reader }]);
    drop(relay);
}

#[tokio::test]
async fn what_the_relay_lets_go_of_is_not_said_to_be_told_and_is_told_later() {
    let (relay, clock, [alice, bob]) = agents().await;
    let sent = written(&alice, &bob, 1).await;
    clock.advance(70 * MINUTE);
    let Marked::NotTold(NotTold::Relay(refused)) = mark(&bob, alice.id(), read(sent[0])).await else {
        panic!("it is of the future")
    };
    assert_eq!(refused.code(), "clock-skew");
    assert_eq!(bob.stored(CONTROL, &[]), []);
    clock.turn_back(70 * MINUTE);
    let bob = bob.reopen(&relay.origin()).await;
    assert!(matches!(mark(&bob, alice.id(), read(sent[0])).await, Marked::Told));
    assert_eq!(told(&alice).await, [Event::Read { reader: bob.id(), up_to: sent[0] }]);
}
