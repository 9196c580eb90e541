//! A ledger that fails: the caller hears that it may try again, and nothing that was accepted is lost.

use sealpost_core::PageRequest;
use sealpost_protocol::ClaimId;

use super::*;

#[tokio::test]
async fn while_the_ledger_is_down_every_answer_is_retryable() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let (letter, late) = (Letter::new(&alice, &[&bob]).body(b"body"), Letter::new(&alice, &[&bob]).number(2));
    relay.send(&alice, &letter).await.unwrap();
    relay.ledger.fail_to_read(true);
    relay.ledger.fail_to_write(true);
    let services = &relay.services;
    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    let codes = [
        relay.send(&alice, &late).await.unwrap_err().code(),
        services.mailboxes.receive(&principal(&bob), PageRequest::default(), &()).await.unwrap_err().code(),
        services.receipts.record(&principal(&bob), batch).await.unwrap_err().code(),
        services.message_query.status(&principal(&alice), letter.message()).await.unwrap_err().code(),
        services.message_query.body(&principal(&alice), letter.message(), 0).await.unwrap_err().code(),
    ];
    assert!(codes.iter().all(|code| code.is_retryable()), "{codes:?}");
    assert!(services.message_query.changes(&principal(&alice), 0).await.is_err());
    relay.ledger.fail_to_read(false);
    relay.ledger.fail_to_write(false);
    assert_eq!(relay.receive(&bob).await.entries.len(), 1, "as before");
    assert!(relay.send(&alice, &late).await.is_ok());
}

#[tokio::test]
async fn a_message_whose_acceptance_was_recorded_but_not_answered_keeps_its_contents() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    relay.ledger.fail_to_answer(true);
    assert!(relay.send(&alice, &letter).await.unwrap_err().code().is_retryable());
    relay.ledger.fail_to_answer(false);
    let entries = relay.receive(&bob).await.entries;
    assert_eq!(entries.first().unwrap().part, letter.envelope(bob.id()));
    relay.send(&alice, &letter).await.unwrap();
    assert_eq!(relay.contents.count(), 2, "the repetition's own contents are given back");
}

#[tokio::test]
async fn a_page_goes_out_though_its_hand_over_cannot_be_recorded() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    relay.ledger.fail_to_write(true);
    assert_eq!(relay.receive(&bob).await.entries.len(), 1, "a full disk keeps nobody from reading");
    relay.ledger.fail_to_write(false);
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
    relay.receive(&bob).await;
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::InTransit);
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_no_new_messages_and_all_receipts() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let (letter, late) = (Letter::new(&alice, &[&bob]), Letter::new(&alice, &[&bob]).number(2));
    relay.send(&alice, &letter).await.unwrap();
    relay.contents.set_full(true);
    let refused = relay.send(&alice, &late).await.unwrap_err();
    assert!(refused.code().is_retryable(), "{refused}");
    assert_eq!(relay.contents.count(), 1, "nothing was stored");
    assert_eq!(relay.receive(&bob).await.entries.len(), 1);
    relay.say(&bob, &letter, Verdict::Stored).await;
    assert_eq!(relay.contents.count(), 0);
    relay.contents.set_full(false);
    assert!(relay.send(&alice, &late).await.is_ok());
}

#[tokio::test]
async fn a_part_of_the_sweep_that_fails_stops_no_other() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    relay.services.key_agreement.claim(&principal(&alice), ClaimId([1; 16]), bob.id()).await.unwrap();
    relay.clock.advance(2 * sealpost_core::limits::CLAIM_REMEMBERED);
    relay.ledger.fail_to_write(true);
    let swept = relay.services.expiry.sweep().await;
    assert!(swept.is_err(), "it is told");
    relay.ledger.fail_to_write(false);
    assert_eq!(relay.sweep().await.forgotten, 0, "the claim and its keys were forgotten then");
}

#[tokio::test(start_paused = true)]
async fn a_feed_whose_bell_was_lost_looks_again() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let mut feed = relay.services.message_query.feed(&principal(&alice), 0);
    let letter = Letter::new(&alice, &[&bob]);
    let next = tokio::spawn(async move { feed.next().await.unwrap() });
    settle().await;
    relay.ports.ledger.accept(letter.acceptance()).await.unwrap();
    assert_eq!(next.await.unwrap().len(), 1, "though nobody rang");
}

#[tokio::test]
async fn a_claim_on_an_expired_manifest_burns_no_keys() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    relay.clock.set(bob.manifest(1).fields().expires);
    let claimed = relay.services.key_agreement.claim(&principal(&alice), ClaimId([1; 16]), bob.id()).await;
    assert_eq!(claimed.unwrap_err().code(), sealpost_protocol::ErrorCode::Expired);
    let left = relay.ports.prekeys.counts(bob.id(), NOW).await.unwrap();
    assert_eq!((left.one_time_curve, left.one_time_kem), (5, 5));
}
