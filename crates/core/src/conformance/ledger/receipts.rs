//! Receipts: what they change, in which sequence they come, and what becomes of those that cannot be taken.

use std::{sync::Arc, time::Duration};

use sealpost_protocol::{
    Attempt, DeliveryState, FailureReason, HeaderHash, PartHash, ReceiptBatch, ReceiptHead, RefusalReason,
    limits as wire,
};

use super::*;
use crate::{
    ReceiptConflict,
    ports::{ReceiptRefusal, RecordReceiptsError, RefusedReceipt},
};

const POLICY: Verdict = Verdict::Refused(RefusalReason::Policy);

fn later(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

/// One letter from alice to bob, accepted.
async fn letter(ledger: &dyn Ledger, number: u64) -> Letter {
    let letter = Letter::new(&Agent::alice(), &[&Agent::bob()]).number(number);
    accept(ledger, &letter).await;
    letter
}

pub async fn a_stored_receipt_delivers(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = letter(&*ledger, 1).await;
    hand_over_all(&*ledger, &bob, later(1)).await;
    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    let recorded = ledger.record_receipts(batch, COUNTERSIGNATURE, later(2)).await.unwrap();
    assert_eq!(named(recorded.senders), ids(&[&alice]));
    let status = status(&*ledger, &letter, &bob).await;
    assert_eq!((status.state, status.late), (DeliveryState::Delivered, false));
    assert_eq!((status.queued_at, status.handed_over_at), (NOW, Some(later(1))));
    assert_eq!((status.delivered_at, status.acknowledged_at), (Some(later(2)), None));
    assert_eq!(waiting(&*ledger, &bob).await, []);
}

pub async fn an_acknowledgement_follows_the_stored_receipt(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = letter(&*ledger, 1).await;
    let mut book = ReceiptBook::new(&bob);
    record(&*ledger, &mut book, vec![letter.receipt(&bob, Verdict::Stored)]).await;
    let batch = book.sign(vec![letter.receipt(&bob, Verdict::Acknowledged)]);
    let recorded = ledger.record_receipts(batch, COUNTERSIGNATURE, later(5)).await.unwrap();
    assert_eq!((named(recorded.senders), recorded.released), (ids(&[&alice]), Vec::new()));
    let status = status(&*ledger, &letter, &bob).await;
    assert_eq!((status.delivered_at, status.acknowledged_at), (Some(NOW), Some(later(5))));
    assert!(changes(&*ledger, &alice).await[0].acknowledged);
}

pub async fn one_batch_may_say_stored_and_acknowledged(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    let letter = letter(&*ledger, 1).await;
    let words = [Verdict::Stored, Verdict::Acknowledged].map(|verdict| letter.receipt(&bob, verdict));
    record(&*ledger, &mut ReceiptBook::new(&bob), words.to_vec()).await;
    let status = status(&*ledger, &letter, &bob).await;
    assert_eq!((status.state, status.acknowledged_at), (DeliveryState::Delivered, Some(NOW)));
    assert_eq!(status.receipt.unwrap().leaf.verdict, Verdict::Acknowledged, "the last word is kept");
}

pub async fn a_refusal_fails_the_attempt(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let reasons = [
        RefusalReason::Undecryptable,
        RefusalReason::UnknownPrekey,
        RefusalReason::UnknownSession,
        RefusalReason::Replay,
        RefusalReason::Policy,
        RefusalReason::NotMember,
    ];
    let mut book = ReceiptBook::new(&bob);
    for (number, reason) in (1..).zip(reasons) {
        let letter = letter(&*ledger, number).await;
        let recorded = record(&*ledger, &mut book, vec![letter.receipt(&bob, Verdict::Refused(reason))]).await;
        assert_eq!(named(recorded.senders), ids(&[&alice]));
        let status = status(&*ledger, &letter, &bob).await;
        assert_eq!(status.state, DeliveryState::Failed(FailureReason::Refused(reason)));
        assert_eq!((status.delivered_at, waiting(&*ledger, &bob).await), (None, Vec::new()));
    }
}

pub async fn a_late_receipt_corrects_expiry(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = letter(&*ledger, 1).await;
    sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    let recorded = say(&*ledger, &bob, &letter, Verdict::Stored).await;
    assert_eq!((named(recorded.senders), recorded.released), (ids(&[&alice]), Vec::new()), "it was released before");
    let status = status(&*ledger, &letter, &bob).await;
    assert_eq!((status.state, status.late, status.delivered_at), (DeliveryState::Delivered, true, Some(NOW)));
}

pub async fn the_recipient_s_signed_word_is_kept(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    let letters = [letter(&*ledger, 1).await, letter(&*ledger, 2).await, letter(&*ledger, 3).await];
    let leaves = letters.iter().map(|letter| letter.receipt(&bob, Verdict::Stored)).collect();
    let batch = ReceiptBook::new(&bob).sign(leaves);
    ledger.record_receipts(batch.clone(), COUNTERSIGNATURE, NOW).await.unwrap();
    for (letter, proof) in letters.iter().zip(batch.proofs()) {
        let kept = status(&*ledger, letter, &bob).await.receipt.unwrap();
        assert_eq!(kept, proof);
        assert_eq!(kept.verify(&bob.manifest(1).fields().identity), Ok(()));
    }
}

pub async fn batches_are_recorded_in_their_sequence_only(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    let letter = letter(&*ledger, 1).await;
    let receipt = vec![letter.receipt(&bob, Verdict::Stored)];
    let mut expected = (1_u64, ReceiptHead::NO_ROOT);
    let mut book = ReceiptBook::new(&bob);
    for _ in 0..3 {
        let (number, root) = expected;
        let others = [(number + 1, root), (number - 1, root), (number + 7, root), (number, [7; 32])];
        let before = everything(&*ledger, &[&letter]).await;
        for (number, previous_root) in others {
            let mut other = letter.receipt(&bob, Verdict::Stored);
            other.blind = [0xee; 16];
            let batch = ReceiptBatch::sign(vec![other], number, previous_root, &bob).unwrap();
            match ledger.record_receipts(batch, COUNTERSIGNATURE, NOW).await {
                Err(RecordReceiptsError::OutOfSequence { number, previous_root }) => {
                    assert_eq!((number, previous_root), expected);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(everything(&*ledger, &[&letter]).await, before);
        let batch = book.sign(receipt.clone());
        ledger.record_receipts(batch.clone(), COUNTERSIGNATURE, NOW).await.unwrap();
        book.enter(&batch);
        expected = (number + 1, batch.signed_head().head.root);
    }
}

pub async fn every_recipient_counts_its_own_batches(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]);
    accept(&*ledger, &letter).await;
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    say(&*ledger, &carol, &letter, POLICY).await;
    assert_eq!(status(&*ledger, &letter, &bob).await.state, DeliveryState::Delivered);
    assert!(matches!(status(&*ledger, &letter, &carol).await.state, DeliveryState::Failed(_)));
}

pub async fn the_last_batch_again_records_nothing(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    let letter = letter(&*ledger, 1).await;
    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    ledger.record_receipts(batch.clone(), COUNTERSIGNATURE, NOW).await.unwrap();
    let before = everything(&*ledger, &[&letter]).await;
    let again = ledger.record_receipts(batch, COUNTERSIGNATURE, later(9)).await.unwrap();
    assert_eq!(again, RecordedReceipts::default());
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}

pub async fn the_last_batch_under_another_previous_root_is_another_batch(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    let letter = letter(&*ledger, 1).await;
    let receipt = vec![letter.receipt(&bob, Verdict::Stored)];
    let mut book = ReceiptBook::new(&bob);
    record(&*ledger, &mut book, receipt.clone()).await;
    let forked = ReceiptBatch::sign(receipt, 1, [7; 32], &bob).unwrap();
    let refused = ledger.record_receipts(forked, COUNTERSIGNATURE, NOW).await;
    assert!(matches!(refused, Err(RecordReceiptsError::OutOfSequence { number: 2, .. })), "{refused:?}");
}

/// Records a batch with a good receipt before and after `bad`, and checks that it is refused alone; returns why.
async fn refused_alone(
    ledger: &dyn Ledger,
    book: &mut ReceiptBook<'_>,
    number: u64,
    bad: ReceiptLeaf,
) -> ReceiptRefusal {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letters = [letter(ledger, number).await, letter(ledger, number + 1).await];
    let [first, last] = letters.each_ref().map(|letter| letter.receipt(&bob, Verdict::Stored));
    let batch = book.sign(vec![first, bad, last]);
    let recorded = ledger.record_receipts(batch.clone(), COUNTERSIGNATURE, NOW).await.unwrap();
    book.enter(&batch);
    assert_eq!(recorded.senders, [alice.id(), alice.id()]);
    for letter in &letters {
        assert_eq!(status(ledger, letter, &bob).await.state, DeliveryState::Delivered);
    }
    let before = everything(ledger, &[]).await;
    let again = ledger.record_receipts(batch, COUNTERSIGNATURE, NOW).await.unwrap();
    assert_eq!((&again.refused, again.senders.len()), (&recorded.refused, 0), "the same answer, and no news");
    assert_eq!(everything(ledger, &[]).await, before);
    let [RefusedReceipt { index: 1, reason }] = recorded.refused.as_slice() else { panic!("{recorded:?}") };
    reason.clone()
}

pub async fn an_unknown_message_in_a_batch_is_named_and_stops_nothing_else(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    let never_sent = Letter::new(&Agent::alice(), &[&bob]).receipt(&bob, Verdict::Stored);
    let reason = refused_alone(&*ledger, &mut ReceiptBook::new(&bob), 101, never_sent).await;
    assert_eq!(reason, ReceiptRefusal::UnknownMessage);
}

pub async fn a_contradiction_in_a_batch_is_named_and_stops_nothing_else(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    let mut book = ReceiptBook::new(&bob);
    let waits = letter(&*ledger, 1).await;
    let sent = waits.receipt(&bob, Verdict::Stored);
    let others = [
        ReceiptLeaf { part: PartHash([0; 32]), ..sent.clone() },
        ReceiptLeaf { header: HeaderHash([0; 32]), ..sent.clone() },
        ReceiptLeaf { attempt: Attempt::FIRST.next().unwrap(), ..sent.clone() },
    ];
    for (place, other) in others.into_iter().enumerate() {
        let reason = refused_alone(&*ledger, &mut book, 101 + 10 * place as u64, other).await;
        assert_eq!(reason, ReceiptRefusal::Conflict(ReceiptConflict::OtherContent));
        assert_eq!(status(&*ledger, &waits, &bob).await.state, DeliveryState::Pending);
    }
    let recorded = record(&*ledger, &mut book, vec![sent.clone(), ReceiptLeaf { verdict: POLICY, ..sent }]).await;
    let reason = ReceiptRefusal::Conflict(ReceiptConflict::Contradiction);
    assert_eq!(recorded.refused, [RefusedReceipt { index: 1, reason }]);
    assert_eq!(status(&*ledger, &waits, &bob).await.state, DeliveryState::Delivered, "the first word stands");
}

pub async fn a_receipt_for_another_s_message_is_unknown(ledger: Arc<dyn Ledger>) {
    let mallory = Agent::mallory();
    let letter = letter(&*ledger, 1).await;
    let receipt = letter.receipt(&Agent::bob(), Verdict::Stored);
    let recorded = record(&*ledger, &mut ReceiptBook::new(&mallory), vec![receipt]).await;
    assert_eq!(recorded.refused, [RefusedReceipt { index: 0, reason: ReceiptRefusal::UnknownMessage }]);
    assert_eq!((recorded.senders, recorded.released), Default::default());
    assert_eq!(status(&*ledger, &letter, &Agent::bob()).await.state, DeliveryState::Pending);
}

pub async fn a_word_said_before_is_recorded_and_is_no_news(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    let letter = letter(&*ledger, 1).await;
    let mut book = ReceiptBook::new(&bob);
    record(&*ledger, &mut book, vec![letter.receipt(&bob, Verdict::Acknowledged)]).await;
    let before = everything(&*ledger, &[&letter]).await;
    for verdict in [Verdict::Stored, Verdict::Acknowledged] {
        let recorded = record(&*ledger, &mut book, vec![letter.receipt(&bob, verdict)]).await;
        assert_eq!(recorded, RecordedReceipts::default());
    }
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}
