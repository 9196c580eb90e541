//! The background sweep: what it ends, what it forgets, and what it leaves.

use sealpost_core::{ExpirySweep, limits};
use sealpost_protocol::{ClaimId, ErrorCode, FailureReason, limits as wire};

use super::*;

#[tokio::test]
async fn a_message_nobody_fetched_expires_and_its_contents_go() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    relay.send(&alice, &letter).await.unwrap();
    assert_eq!(relay.services.expiry.sweep().await.unwrap(), ExpirySweep::default());
    relay.clock.advance(wire::MESSAGE_LIFE);
    let swept = relay.services.expiry.sweep().await.unwrap();
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
    relay.clock.advance(limits::REMEMBERED);
    relay.services.expiry.sweep().await.unwrap();
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Delivered);
    relay.clock.advance(Duration::from_millis(1));
    assert!(relay.services.expiry.sweep().await.unwrap().forgotten > 0);
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
    relay.services.expiry.sweep().await.unwrap();
    assert_eq!(claim().await, first);
    relay.clock.advance(Duration::from_millis(1));
    assert_eq!(relay.services.expiry.sweep().await.unwrap().forgotten, 3, "the claim and its keys");
    assert_ne!(claim().await, first);
}
