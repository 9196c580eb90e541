//! What is true is told when it is asked: of a life that is over, and of a body that is lost.

use sealpost_core::{QueryError, limits};
use sealpost_protocol::{ErrorCode, limits as wire};

use super::*;

const EXPIRED: DeliveryState = DeliveryState::Failed(FailureReason::Expired);
const LOST: DeliveryState = DeliveryState::Failed(FailureReason::Lost);

#[tokio::test]
async fn a_life_that_is_over_is_told_before_any_sweep_and_never_taken_back() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body").expires(NOW.saturating_add(wire::MESSAGE_LIFE));
    relay.send(&alice, &letter).await.unwrap();
    relay.sweep().await;
    relay.clock.advance(wire::MESSAGE_LIFE - Duration::from_millis(1));
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
    relay.clock.advance(Duration::from_millis(1));
    assert_eq!(relay.state(&alice, &letter).await, EXPIRED);
    assert_eq!(relay.contents.count(), 0, "it has left the mailbox");
    relay.clock.set(NOW.saturating_add(wire::MESSAGE_LIFE).saturating_sub(Duration::from_secs(60)));
    assert_eq!(relay.state(&alice, &letter).await, EXPIRED, "a clock that is set right by a minute changes no answer");
    assert_eq!(relay.receive(&bob).await.entries, []);
    let mut feed = relay.services.message_query.feed(&principal(&alice), 0);
    assert_eq!(feed.next().await.unwrap().last().unwrap().state, EXPIRED, "whoever listens hears the same");
    relay.send(&alice, &letter.clone().attempt(2)).await.expect("what has failed may go again");
}

#[tokio::test]
async fn a_body_is_read_to_the_end_of_its_message_s_life_and_no_longer() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body").expires(NOW.saturating_add(wire::MESSAGE_LIFE));
    relay.send(&alice, &letter).await.unwrap();
    relay.sweep().await;
    let read = async |reader| relay.services.message_query.body(&principal(reader), letter.message(), 0).await;
    relay.clock.advance(wire::MESSAGE_LIFE - Duration::from_millis(1));
    assert_eq!(read(&bob).await.unwrap().bytes, b"body");
    relay.clock.advance(Duration::from_millis(1));
    for reader in [&bob, &alice] {
        assert!(matches!(read(reader).await, Err(QueryError::NotFound)), "whenever the next sweep comes");
    }
    relay.clock.set(NOW.saturating_add(wire::MESSAGE_LIFE).saturating_sub(Duration::from_secs(60)));
    assert!(matches!(read(&bob).await, Err(QueryError::NotFound)), "no answer is taken back");
    assert_eq!(relay.state(&alice, &letter).await, EXPIRED);
}

#[tokio::test]
async fn a_body_is_read_while_the_clock_is_in_doubt() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    relay.send(&alice, &letter).await.unwrap();
    relay.sweep().await;
    relay.clock.set(NOW.saturating_add(2 * wire::MESSAGE_LIFE));
    let read = relay.services.message_query.body(&principal(&bob), letter.message(), 0).await;
    assert_eq!(read.unwrap().bytes, b"body");
}

#[tokio::test]
async fn while_the_clock_is_in_doubt_a_message_waits_and_is_handed_out() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    relay.sweep().await;
    relay.clock.set(NOW.saturating_add(2 * wire::MESSAGE_LIFE));
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
    assert_eq!(relay.receive(&bob).await.entries.len(), 1);
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::InTransit);
    relay.clock.set(NOW.saturating_add(limits::CLOCK_JUMP));
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::InTransit);
}

#[tokio::test]
async fn a_body_that_is_lost_fails_its_message_and_is_told_to_whoever_asks_for_it() {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let relay = Relay::of(&[&bob, &carol]).await;
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"a body of its own length");
    let other = Letter::new(&alice, &[&bob]).number(2);
    for letter in [&letter, &other] {
        relay.send(&alice, letter).await.unwrap();
    }
    relay.receive(&bob).await;
    relay.contents.damage(Damage::Gone(24));
    let read = async || relay.services.message_query.body(&principal(&bob), letter.message(), 0).await;
    let lost = read().await.unwrap_err();
    assert!(matches!(&lost, QueryError::Lost) && lost.code() == ErrorCode::Lost, "{lost:?}");
    let states = relay.statuses(&alice, &letter).await.into_iter().map(|status| status.state);
    assert_eq!(states.collect::<Vec<_>>(), [LOST, LOST], "for everyone who waited");
    assert_eq!(relay.receive(&bob).await.entries.len(), 1, "the other one waits on");
    assert!(matches!(read().await, Err(QueryError::Lost)), "whoever asks hears the same");
    assert_eq!(relay.contents.count(), 1, "nothing of it is kept");
    relay.contents.damage(Damage::Gone(0));
    relay.send(&alice, &letter.clone().attempt(2)).await.unwrap();
    assert_eq!(read().await.unwrap().bytes, b"a body of its own length", "the next attempt brings it again");
}
