//! The background sweep: what it ends, what it forgets, and what it leaves.

use sealpost_core::limits;
use sealpost_protocol::{ClaimId, ErrorCode, FailureReason, limits as wire};

use super::*;

#[tokio::test]
async fn a_message_nobody_fetched_expires_and_its_contents_go() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    relay.send(&alice, &letter).await.unwrap();
    assert_eq!(relay.sweep().await, ExpirySweep::default());
    relay.clock.advance(wire::MESSAGE_LIFE);
    let swept = relay.sweep().await;
    assert!(swept.notified > 0);
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Failed(FailureReason::Expired));
    assert_eq!(relay.contents.count(), 0);
}

#[tokio::test]
async fn a_message_is_remembered_for_a_while_and_then_forgotten() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    relay.say(&bob, &letter, Verdict::Stored).await;
    relay.clock.advance(wire::REMEMBERED);
    relay.sweep().await;
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Delivered);
    relay.clock.advance(Duration::from_millis(1));
    assert!(relay.sweep().await.forgotten > 0);
    let gone = relay.services.message_query.status(&principal(&alice), letter.message()).await;
    assert!(gone.is_err());
    let replayed = relay.send(&alice, &letter).await.expect_err("its id could be replayed");
    assert_eq!(replayed.code(), ErrorCode::ClockSkew);
}

#[tokio::test]
async fn a_claim_is_remembered_for_a_while_and_then_forgotten() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let claim = async || {
        let key_agreement = &relay.services.key_agreement;
        key_agreement.claim(&principal(&alice), ClaimId([1; 16]), bob.id()).await.unwrap()
    };
    let first = claim().await;
    relay.clock.advance(limits::CLAIM_REMEMBERED);
    relay.sweep().await;
    assert_eq!(claim().await, first);
    relay.clock.advance(Duration::from_millis(1));
    assert_eq!(relay.sweep().await.forgotten, 3, "the claim and its keys");
    assert_ne!(claim().await, first);
}

#[tokio::test]
async fn the_ids_of_one_time_keys_are_remembered_for_as_long_as_a_message_may_name_them() {
    const A_WEEK: Duration = Duration::from_secs(7 * 86_400); // the life of the keys
    let relay = Relay::of(&[&Agent::bob()]).await;
    let a_moment = Duration::from_millis(1);
    relay.clock.advance(A_WEEK + limits::CLAIM_REMEMBERED + a_moment);
    assert_eq!(relay.sweep().await.forgotten, 10, "the keys");
    relay.clock.advance(limits::KEY_ID_REMEMBERED - limits::CLAIM_REMEMBERED - a_moment);
    assert_eq!(relay.sweep().await.forgotten, 0);
    relay.clock.advance(a_moment);
    assert_eq!(relay.sweep().await.forgotten, 10, "their ids");
}

#[tokio::test]
async fn a_wall_clock_that_has_jumped_ends_nothing() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    relay.sweep().await;
    let sweep = async || relay.services.expiry.sweep().await.unwrap();
    relay.clock.advance(Duration::from_secs(60));
    relay.clock.set(NOW.saturating_add(2 * wire::REMEMBERED));
    assert_eq!(sweep().await, None);
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
    relay.clock.advance(Duration::from_secs(60));
    relay.clock.set(NOW.saturating_add(Duration::from_secs(120)));
    assert_eq!(sweep().await, Some(ExpirySweep::default()));
    assert_eq!(relay.receive(&bob).await.entries.len(), 1);
}

#[tokio::test]
async fn a_clock_that_jumped_while_the_relay_was_down_ends_nothing_at_its_start() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    relay.sweep().await;
    let relay = relay.restarted();
    relay.clock.set(NOW.saturating_add(2 * wire::REMEMBERED));
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending, "also before the first sweep");
    assert_eq!(relay.services.expiry.sweep().await.unwrap(), None);
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
    relay.clock.advance(limits::CLOCK_DOUBT);
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending, "only a sweep finds that a time has lasted");
    assert!(relay.services.expiry.sweep().await.unwrap().is_some(), "a time that lasts is the time");
}
