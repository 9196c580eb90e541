//! Sending: what is accepted, what is refused, and what is left behind.

use sealpost_core::conformance::NOW;
use sealpost_protocol::{ErrorCode, Priority, limits as wire};

use super::*;

async fn refusal(relay: &Relay, sender: &Agent, letter: &Letter) -> ErrorCode {
    let code = relay.send(sender, letter).await.expect_err("it was accepted").code();
    assert_eq!(relay.contents.count(), 0, "a refused message leaves nothing behind");
    code
}

#[tokio::test]
async fn an_accepted_message_is_named_with_the_relay_s_time() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    relay.clock.advance(Duration::from_millis(5));
    let letter = Letter::new(&alice, &[&bob]);
    let accepted = relay.send(&alice, &letter).await.unwrap();
    assert_eq!((accepted.message, accepted.at), (letter.message(), NOW.saturating_add(Duration::from_millis(5))));
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
}

#[tokio::test]
async fn nobody_sends_in_another_s_name() {
    let (alice, bob, mallory) = (Agent::alice(), Agent::bob(), Agent::mallory());
    let relay = Relay::of(&[&alice, &bob, &mallory]).await;
    assert_eq!(refusal(&relay, &mallory, &Letter::new(&alice, &[&bob])).await, ErrorCode::Forbidden);
    assert_eq!(relay.receive(&bob).await.entries, []);
}

#[tokio::test]
async fn a_message_s_time_must_be_near_the_relay_s() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let millisecond = Duration::from_millis(1);
    let newest = NOW.saturating_add(wire::CLOCK_AHEAD);
    let oldest = NOW.saturating_sub(wire::MESSAGE_LIFE);
    let too_new = Letter::new(&alice, &[&bob]).created(newest.saturating_add(millisecond));
    assert_eq!(refusal(&relay, &alice, &too_new).await, ErrorCode::ClockSkew);
    let too_old = Letter::new(&alice, &[&bob]).created(oldest.saturating_sub(millisecond));
    assert_eq!(refusal(&relay, &alice, &too_old).await, ErrorCode::ClockSkew);
    let over = Letter::new(&alice, &[&bob]).created(oldest).expires(NOW);
    assert_eq!(refusal(&relay, &alice, &over).await, ErrorCode::Expired);
    let last_moment = over.expires(oldest.saturating_add(wire::MESSAGE_LIFE));
    assert_eq!(refusal(&relay, &alice, &last_moment).await, ErrorCode::Expired, "the longest life ends now");
    relay.clock.set(NOW.saturating_sub(millisecond));
    assert!(relay.send(&alice, &last_moment).await.is_ok(), "a millisecond ago it had not");
    relay.clock.set(NOW);
    assert!(relay.send(&alice, &Letter::new(&alice, &[&bob]).created(newest)).await.is_ok());
}

#[tokio::test]
async fn every_recipient_must_be_known_here() {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob, &carol]);
    let refused = relay.send(&alice, &letter).await.expect_err("carol is unknown");
    assert!(matches!(refused, DeliveryError::UnknownRecipient(agent) if agent == carol.id()), "{refused}");
    assert_eq!(refusal(&relay, &alice, &letter).await, ErrorCode::UnknownRecipient);
    assert_eq!(relay.receive(&bob).await.entries, [], "bob gets nothing either");
    relay.services.key_agreement.publish(&principal(&carol), carol.upload(1, [])).await.unwrap();
    assert!(relay.send(&alice, &letter).await.is_ok());
}

#[tokio::test]
async fn sending_again_is_accepted_again_and_stores_nothing_more() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    for _ in 0..3 {
        let accepted = relay.send(&alice, &letter).await.unwrap();
        assert_eq!((accepted.message, accepted.at), (letter.message(), NOW), "as the first time");
        relay.clock.advance(Duration::from_secs(1));
        assert_eq!(relay.contents.count(), 2, "a part and a body");
    }
    assert_eq!(relay.receive(&bob).await.entries.len(), 1);
}

#[tokio::test]
async fn a_used_id_for_something_else_is_a_conflict_and_leaves_the_first_whole() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    for other in [letter.clone().priority(Priority::High), letter.clone().sealed_anew(), letter.clone().attempt(2)] {
        let refused = relay.send(&alice, &other).await.expect_err("it is something else");
        assert_eq!(refused.code(), ErrorCode::Conflict);
    }
    assert_eq!(relay.contents.count(), 1);
    let entries = relay.receive(&bob).await.entries;
    assert_eq!(entries.first().unwrap().part, letter.envelope(bob.id()));
}

#[tokio::test]
async fn an_incomplete_first_submission_is_malformed() {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let relay = Relay::of(&[&bob, &carol]).await;
    let letter = Letter::new(&alice, &[&bob, &carol]).only(&[&bob]);
    assert_eq!(refusal(&relay, &alice, &letter).await, ErrorCode::Malformed);
}

#[tokio::test]
async fn when_contents_cannot_be_stored_nothing_is_accepted_and_the_answer_is_retryable() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.contents.set_broken(true);
    let code = refusal(&relay, &alice, &letter).await;
    assert_eq!((code, code.is_retryable()), (ErrorCode::Unavailable, true));
    relay.contents.set_broken(false);
    assert_eq!(relay.receive(&bob).await.entries, []);
    assert!(relay.send(&alice, &letter).await.is_ok());
}

#[tokio::test]
async fn a_message_sealed_anew_after_a_refusal_arrives_with_its_body() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    relay.send(&alice, &letter).await.unwrap();
    relay.say(&bob, &letter, Verdict::Refused(sealpost_protocol::RefusalReason::UnknownSession)).await;
    assert_eq!(relay.contents.count(), 0);
    let anew = letter.sealed_anew().attempt(2);
    relay.send(&alice, &anew).await.unwrap();
    let entries = relay.receive(&bob).await.entries;
    let entry = entries.first().unwrap();
    assert_eq!((entry.attempt.number(), &entry.part), (2, &anew.envelope(bob.id())));
    let body = relay.services.message_query.body(&principal(&bob), anew.message(), 0).await.unwrap();
    assert_eq!(body.bytes, b"body");
}

#[tokio::test]
async fn a_repetition_that_comes_after_the_message_s_life_is_what_was_accepted() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    let accepted = relay.send(&alice, &letter).await.unwrap();
    relay.clock.advance(sealpost_protocol::limits::MESSAGE_LIFE);
    assert_eq!(relay.send(&alice, &letter).await.unwrap(), accepted);
    relay.sweep().await;
    assert_eq!(relay.send(&alice, &letter).await.unwrap(), accepted, "whatever became of it");
}

#[tokio::test]
async fn what_was_not_accepted_in_time_is_refused_after_it() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    relay.clock.advance(sealpost_protocol::limits::MESSAGE_LIFE);
    for other in [letter.clone().number(2), letter.clone().sealed_anew(), letter.sealed_anew().attempt(2)] {
        assert_eq!(relay.send(&alice, &other).await.unwrap_err().code(), ErrorCode::Expired);
    }
    assert_eq!(relay.contents.count(), 1, "nothing more was stored");
}
