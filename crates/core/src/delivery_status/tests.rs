//! The status machine, move by move.

use sealpost_protocol::{
    MessageId, MessageRef, ReceiptHead, ReceiptLeaf, RefusalReason, Signature, SignedReceiptHead, merkle::InclusionPath,
};

use super::*;

const RECIPIENT: AgentId = AgentId::from_array([2; 32]);
const HEADER: HeaderHash = HeaderHash([3; 32]);
const PART: PartHash = PartHash([4; 32]);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn queued() -> DeliveryRecord {
    DeliveryRecord::queued(RECIPIENT, HEADER, PART, at(1), 1)
}

fn receipt(attempt: u16, verdict: Verdict) -> ReceiptProof {
    let message = MessageRef { sender: AgentId::from_array([1; 32]), id: MessageId::new(at(1), [0; 10]) };
    let attempt = Attempt::new(attempt).unwrap();
    let leaf = ReceiptLeaf { message, attempt, header: HEADER, part: PART, verdict, at: at(5), blind: [0; 16] };
    let head = ReceiptHead { recipient: RECIPIENT, number: 1, previous_root: [0; 32], root: [0; 32] };
    let path = InclusionPath { index: 0, count: 1, siblings: Vec::new() };
    ReceiptProof { leaf, path, signed: SignedReceiptHead { head, signature: Signature([0; 64]) } }
}

#[test]
fn a_message_goes_from_pending_through_transit_to_delivered_and_acknowledged() {
    let mut record = queued();
    assert!(record.hand_over(at(2), 2));
    assert_eq!((record.status.state, record.status.handed_over_at), (DeliveryState::InTransit, Some(at(2))));
    assert!(!record.hand_over(at(3), 3), "handed over twice is told once");
    assert_eq!(record.apply_receipt(receipt(1, Verdict::Stored), at(4), 4), Ok(true));
    assert_eq!((record.status.state, record.status.delivered_at), (DeliveryState::Delivered, Some(at(4))));
    assert_eq!(record.apply_receipt(receipt(1, Verdict::Acknowledged), at(5), 5), Ok(true));
    assert_eq!((record.status.acknowledged_at, record.status.change_seq), (Some(at(5)), 5));
    assert!(!record.hand_over(at(6), 6) && !record.expire(6), "delivered is final");
}

#[test]
fn an_acknowledgement_alone_says_stored_too() {
    let mut record = queued();
    assert_eq!(record.apply_receipt(receipt(1, Verdict::Acknowledged), at(4), 4), Ok(true));
    assert_eq!(record.status.state, DeliveryState::Delivered);
    assert_eq!((record.status.delivered_at, record.status.acknowledged_at), (Some(at(4)), Some(at(4))));
}

#[test]
fn the_same_word_twice_changes_nothing() {
    for verdict in [Verdict::Stored, Verdict::Acknowledged, Verdict::Refused(RefusalReason::Replay)] {
        let mut record = queued();
        record.apply_receipt(receipt(1, verdict), at(4), 4).unwrap();
        let before = record.clone();
        assert_eq!(record.apply_receipt(receipt(1, verdict), at(5), 5), Ok(false));
        assert_eq!(record, before);
    }
}

#[test]
fn the_recipient_cannot_say_otherwise_later() {
    let refused = Verdict::Refused(RefusalReason::Undecryptable);
    let cases = [
        (Verdict::Stored, refused),
        (Verdict::Acknowledged, refused),
        (refused, Verdict::Stored),
        (refused, Verdict::Refused(RefusalReason::Policy)),
    ];
    for (said, then) in cases {
        let mut record = queued();
        record.apply_receipt(receipt(1, said), at(4), 4).unwrap();
        let before = record.clone();
        assert_eq!(record.apply_receipt(receipt(1, then), at(5), 5), Err(ReceiptConflict::Contradiction));
        assert_eq!(record, before);
    }
}

#[test]
fn a_late_receipt_corrects_expiry_and_is_marked() {
    let mut record = queued();
    assert!(record.expire(2));
    assert_eq!(record.status.state, DeliveryState::Failed(FailureReason::Expired));
    assert_eq!(record.apply_receipt(receipt(1, Verdict::Stored), at(9), 9), Ok(true));
    assert_eq!((record.status.state, record.status.late), (DeliveryState::Delivered, true));
}

#[test]
fn a_receipt_for_other_bytes_changes_nothing() {
    let mut record = queued();
    let before = record.clone();
    let mut other_part = receipt(1, Verdict::Stored);
    other_part.leaf.part = PartHash([9; 32]);
    let mut other_header = receipt(1, Verdict::Stored);
    other_header.leaf.header = HeaderHash([9; 32]);
    for wrong in [other_part, other_header, receipt(2, Verdict::Stored)] {
        assert_eq!(record.apply_receipt(wrong, at(4), 4), Err(ReceiptConflict::OtherContent));
    }
    assert_eq!(record, before);
}

#[test]
fn only_a_failure_opens_the_next_attempt_and_only_the_next() {
    let mut record = queued();
    let (other, second) = (PartHash([9; 32]), Attempt::FIRST.next().unwrap());
    assert_eq!(record.decide(Attempt::FIRST, PART), PartDecision::Duplicate);
    assert_eq!(record.decide(Attempt::FIRST, other), PartDecision::Conflict);
    assert_eq!(record.decide(second, PART), PartDecision::Conflict, "nothing has failed yet");
    record.expire(2);
    assert_eq!(record.decide(second, PART), PartDecision::NextAttempt, "as it was");
    assert_eq!(record.decide(second, other), PartDecision::NextAttempt, "or sealed anew");
    assert_eq!(record.decide(second.next().unwrap(), PART), PartDecision::Conflict);
    record.requeue(second, other, at(7), 7);
    assert_eq!((record.status.state, record.status.attempt, record.part), (DeliveryState::Pending, second, other));
    assert_eq!(record.apply_receipt(receipt(1, Verdict::Stored), at(8), 8), Err(ReceiptConflict::OtherContent));
}

#[test]
fn a_lost_message_fails_and_its_receipt_makes_up_for_it() {
    for handed_over in [false, true] {
        let mut record = queued();
        if handed_over {
            record.hand_over(at(2), 2);
        }
        assert!(record.lose(3));
        assert_eq!(record.status.state, DeliveryState::Failed(FailureReason::Lost));
        assert!(!record.lose(4), "told once");
        assert_eq!(record.decide(Attempt::new(2).unwrap(), PART), PartDecision::NextAttempt);
        assert_eq!(record.apply_receipt(receipt(1, Verdict::Stored), at(5), 5), Ok(true));
        assert_eq!((record.status.state, record.status.late), (DeliveryState::Delivered, true));
        assert!(!record.lose(6), "what has arrived is not lost");
    }
}
