//! Sending again after a failure.

use std::{sync::Arc, time::Duration};

use sealpost_protocol::{Attempt, DeliveryState, FailureReason, RefusalReason};

use super::*;
use crate::{
    ReceiptConflict,
    ports::{AcceptError, ReceiptRefusal, RefusedReceipt},
};

const UNDECRYPTABLE: Verdict = Verdict::Refused(RefusalReason::Undecryptable);

/// A time at which every letter's life has ended.
fn later() -> Timestamp {
    NOW.saturating_add(sealpost_protocol::limits::MESSAGE_LIFE)
}

async fn is_conflict(ledger: &dyn Ledger, letter: &Letter) -> bool {
    matches!(ledger.accept(letter.acceptance()).await, Err(AcceptError::Conflict))
}

pub async fn an_expired_message_may_be_sent_again(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    sweep(&*ledger, later()).await;
    let second = letter.attempt(2);
    let outcome = accept(&*ledger, &second).await;
    assert_eq!((outcome.queued, outcome.unused), (vec![bob.id()], Vec::new()), "as it was");
    let waiting = waiting(&*ledger, &bob).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].attempt.number(), &waiting[0].content), (2, &second.part_handle(&bob)));
    let status = status(&*ledger, &second, &bob).await;
    assert_eq!((status.attempt.number(), status.state), (2, DeliveryState::Pending));
}

pub async fn a_refused_message_may_be_sealed_anew(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    let mut book = ReceiptBook::new(&bob);
    record(&*ledger, &mut book, vec![letter.receipt(&bob, UNDECRYPTABLE)]).await;
    let second = letter.attempt(2).sealed_anew();
    let outcome = ledger.accept(second.accepted(NOW.saturating_add(Duration::from_secs(1)))).await.unwrap();
    assert_eq!(outcome.queued, [bob.id()]);
    let pending = status(&*ledger, &second, &bob).await;
    assert_eq!(pending.queued_at, NOW.saturating_add(Duration::from_secs(1)));
    assert_eq!(
        (pending.state, pending.receipt),
        (DeliveryState::Pending, None),
        "the first attempt's refusal is history"
    );
    record(&*ledger, &mut book, vec![second.receipt(&bob, Verdict::Stored)]).await;
    assert_eq!(status(&*ledger, &second, &bob).await.state, DeliveryState::Delivered);
}

pub async fn an_attempt_is_not_repeated_before_the_last_one_failed(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    let second = letter.clone().attempt(2);
    assert!(is_conflict(&*ledger, &second).await, "pending");
    hand_over_all(&*ledger, &bob, NOW).await;
    assert!(is_conflict(&*ledger, &second).await, "in transit");
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    let before = everything(&*ledger, &[&letter]).await;
    assert!(is_conflict(&*ledger, &second).await, "delivered");
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}

pub async fn attempts_are_counted_one_by_one(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    let mut book = ReceiptBook::new(&bob);
    for number in 1..4 {
        let attempt = letter.clone().attempt(number);
        record(&*ledger, &mut book, vec![attempt.receipt(&bob, UNDECRYPTABLE)]).await;
        assert!(is_conflict(&*ledger, &letter.clone().attempt(number + 2)).await, "one is left out");
        assert_eq!(accept(&*ledger, &letter.clone().attempt(number + 1)).await.queued, [bob.id()]);
        if number > 1 {
            assert!(is_conflict(&*ledger, &letter.clone().attempt(number - 1)).await, "it goes back");
        }
    }
    assert_eq!(status(&*ledger, &letter, &bob).await.attempt.number(), 4);
}

pub async fn a_failed_attempt_again_is_a_duplicate(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    say(&*ledger, &bob, &letter, UNDECRYPTABLE).await;
    let before = everything(&*ledger, &[&letter]).await;
    let again = letter.clone().copy();
    let outcome = accept(&*ledger, &again).await;
    assert_eq!((outcome.queued, outcome.unused), (Vec::new(), vec![again.part_handle(&bob)]));
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}

pub async fn the_next_attempt_stands_at_the_end_of_the_mailbox(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (first, other) = (Letter::new(&alice, &[&bob]), Letter::new(&alice, &[&bob]).number(2));
    accept(&*ledger, &first).await;
    say(&*ledger, &bob, &first, UNDECRYPTABLE).await;
    accept(&*ledger, &other).await;
    let last = waiting(&*ledger, &bob).await[0].mailbox_seq;
    accept(&*ledger, &first.clone().attempt(2)).await;
    let query = PageQuery { recipient: bob.id(), after: last, entries: 10, bytes: u64::MAX, now: NOW };
    let page = ledger.page(query).await.unwrap();
    assert_eq!(page.len(), 1, "who has read on finds it");
    assert_eq!(page[0].header, first.header().as_bytes());
}

pub async fn the_next_attempt_brings_the_body_back(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    accept(&*ledger, &letter).await;
    let released = say(&*ledger, &bob, &letter, UNDECRYPTABLE).await.released;
    assert!(released.contains(&letter.body_handle().unwrap()), "nobody waited for it any more");
    let second = letter.attempt(2).copy();
    assert_eq!(accept(&*ledger, &second).await.unused, []);
    assert_eq!(body(&*ledger, second.message(), &bob).await, second.body_handle());
}

pub async fn the_next_attempt_leaves_a_body_that_is_there(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    accept(&*ledger, &letter).await;
    say(&*ledger, &bob, &letter, UNDECRYPTABLE).await;
    let second = letter.clone().only(&[&bob]).attempt(2).copy();
    assert_eq!(accept(&*ledger, &second).await.unused, Vec::from_iter(second.body_handle()));
    assert_eq!(body(&*ledger, letter.message(), &bob).await, letter.body_handle());
}

pub async fn a_conflict_in_one_part_stops_the_next_attempt_of_another(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    for (number, failed) in [(1, &bob), (2, &carol)] {
        let letter = Letter::new(&alice, &[&bob, &carol]).number(number);
        accept(&*ledger, &letter).await;
        say(&*ledger, failed, &letter, UNDECRYPTABLE).await;
        let before = everything(&*ledger, &[&letter]).await;
        assert!(is_conflict(&*ledger, &letter.clone().attempt(2)).await);
        assert_eq!(everything(&*ledger, &[&letter]).await, before);
        assert_eq!(accept(&*ledger, &letter.only(&[failed]).attempt(2)).await.queued, [failed.id()]);
    }
}

pub async fn a_receipt_of_an_earlier_attempt_is_a_conflict(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    sweep(&*ledger, later()).await;
    let failed = status(&*ledger, &letter, &bob).await;
    assert_eq!((failed.state, failed.attempt), (DeliveryState::Failed(FailureReason::Expired), Attempt::FIRST));
    accept(&*ledger, &letter.clone().attempt(2)).await;
    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    let recorded = ledger.record_receipts(batch, COUNTERSIGNATURE, NOW).await.unwrap();
    let reason = ReceiptRefusal::Conflict(ReceiptConflict::OtherContent);
    assert_eq!(recorded.refused, [RefusedReceipt { index: 0, reason }]);
}
