use std::time::Duration;

use sealpost_crypto::{IdentityPrivateKey, SystemPrimitives};
use sealpost_protocol::{
    Attempt, HeaderFields, MessageClass, MessageId, MessageRef, PartHash, Priority, ReceiptBatch, ReceiptHead,
    ReceiptLeaf, Recipients, RefusalReason, Scheme, Signer, Timestamp,
};

use super::*;
use crate::records::PartSealing;

/// A message from one agent to another, and the other's receipt for it.
struct Case {
    bob: IdentityPrivateKey,
    header: Header,
    parts: Vec<SentPartRecord>,
    leaf: ReceiptLeaf,
    status: DeliveryStatus,
}

fn header(sender: &IdentityPrivateKey, recipient: &IdentityPrivateKey, number: u8) -> Header {
    let created = Timestamp::from_millis(1_000);
    Header::new(HeaderFields {
        message: MessageRef { sender: sender.agent_id(), id: MessageId::new(created, [number; 10]) },
        recipients: Recipients::new(vec![recipient.agent_id()]).unwrap(),
        scheme: Scheme::Ratchet,
        class: MessageClass::Ordinary,
        priority: Priority::Normal,
        message_type: None,
        thread: None,
        reply_to: None,
        created,
        expires: created.saturating_add(Duration::from_secs(60)),
        body: None,
    })
    .unwrap()
}

impl Case {
    fn new(verdict: Verdict, state: DeliveryState) -> Self {
        let [alice, bob] = [(), ()].map(|()| IdentityPrivateKey::generate(&SystemPrimitives).unwrap());
        let header = header(&alice, &bob, 1);
        let part = PartHash::of(b"the envelope");
        let leaf = ReceiptLeaf {
            message: header.message(),
            attempt: Attempt::FIRST,
            header: header.hash(),
            part,
            verdict,
            at: Timestamp::from_millis(2_000),
            blind: [9; 16],
        };
        let status = DeliveryStatus {
            recipient: bob.agent_id(),
            attempt: Attempt::FIRST,
            state,
            late: false,
            queued_at: Timestamp::from_millis(1_500),
            handed_over_at: None,
            delivered_at: None,
            acknowledged_at: None,
            change_seq: 1,
            receipt: None,
        };
        let sent = SentPartRecord {
            recipient: bob.agent_id(),
            attempt: Attempt::FIRST,
            part,
            sealing: PartSealing::Session([3; 16]),
        };
        Self { bob, header, parts: vec![sent], leaf, status }
    }

    fn stored() -> Self {
        Self::new(Verdict::Stored, DeliveryState::Delivered)
    }

    /// Has `signer` sign the receipt, and checks it.
    fn check_signed_by(&self, signer: &IdentityPrivateKey) -> ReceiptCheck {
        let batch = ReceiptBatch::sign(vec![self.leaf.clone()], 1, ReceiptHead::NO_ROOT, signer).unwrap();
        let status = DeliveryStatus { receipt: batch.proofs().pop(), ..self.status.clone() };
        check_receipt(&self.header, &self.parts, &status, Some(&self.bob.identity_key()))
    }

    fn check(&self) -> ReceiptCheck {
        self.check_signed_by(&self.bob)
    }
}

#[test]
fn the_recipients_own_word_is_proof_of_each_state_that_needs_one() {
    assert_eq!(Case::stored().check(), ReceiptCheck::Verified);
    let mut taken = Case::new(Verdict::Acknowledged, DeliveryState::Delivered);
    taken.status.acknowledged_at = Some(Timestamp::from_millis(3_000));
    assert_eq!(taken.check(), ReceiptCheck::Verified);
    let reason = RefusalReason::UnknownSession;
    let refused = Case::new(Verdict::Refused(reason), DeliveryState::Failed(FailureReason::Refused(reason)));
    assert_eq!(refused.check(), ReceiptCheck::Verified);
}

#[test]
fn what_only_the_relay_can_say_needs_no_receipt() {
    for state in [DeliveryState::Pending, DeliveryState::InTransit, DeliveryState::Failed(FailureReason::Expired)] {
        assert_eq!(Case::new(Verdict::Stored, state).check(), ReceiptCheck::NotNeeded);
    }
}

#[test]
fn a_status_without_a_receipt_is_unproven() {
    let case = Case::stored();
    let check = check_receipt(&case.header, &case.parts, &case.status, Some(&case.bob.identity_key()));
    assert_eq!(check, ReceiptCheck::Unproven);
}

#[test]
fn a_receipt_of_an_agent_whose_key_is_not_known_proves_nothing() {
    let case = Case::stored();
    let batch = ReceiptBatch::sign(vec![case.leaf.clone()], 1, ReceiptHead::NO_ROOT, &case.bob).unwrap();
    let status = DeliveryStatus { receipt: batch.proofs().pop(), ..case.status.clone() };
    assert_eq!(check_receipt(&case.header, &case.parts, &status, None), ReceiptCheck::Unproven);
}

#[test]
fn a_receipt_that_another_has_signed_proves_nothing() {
    let mallory = IdentityPrivateKey::generate(&SystemPrimitives).unwrap();
    assert_eq!(Case::stored().check_signed_by(&mallory), ReceiptCheck::Unproven);
}

#[test]
fn one_recipients_receipt_proves_nothing_of_anothers_delivery() {
    let mut case = Case::stored();
    let carol = IdentityPrivateKey::generate(&SystemPrimitives).unwrap();
    case.status.recipient = carol.agent_id();
    case.parts[0].recipient = carol.agent_id();
    assert_eq!(case.check(), ReceiptCheck::Unproven);
}

#[test]
fn a_receipt_for_another_message_or_header_proves_nothing() {
    let mut other_message = Case::stored();
    other_message.leaf.message.id = MessageId::new(Timestamp::from_millis(1_000), [2; 10]);
    assert_eq!(other_message.check(), ReceiptCheck::Unproven);
    let mut other_header = Case::stored();
    other_header.leaf.header = header(&other_header.bob, &other_header.bob, 1).hash();
    assert_eq!(other_header.check(), ReceiptCheck::Unproven);
}

#[test]
fn a_receipt_for_another_part_or_attempt_proves_nothing() {
    let second = Attempt::FIRST.next().unwrap();
    let mut other_part = Case::stored();
    other_part.leaf.part = PartHash::of(b"another envelope");
    assert_eq!(other_part.check(), ReceiptCheck::Unproven);
    let mut sent_as_another = Case::stored();
    sent_as_another.parts[0].attempt = second;
    assert_eq!(sent_as_another.check(), ReceiptCheck::Unproven);
    let mut of_an_earlier_attempt = Case::stored();
    of_an_earlier_attempt.status.attempt = second;
    assert_eq!(of_an_earlier_attempt.check(), ReceiptCheck::Unproven);
}

#[test]
fn a_receipt_with_another_verdict_proves_nothing() {
    let mut not_taken = Case::stored();
    not_taken.status.acknowledged_at = Some(Timestamp::from_millis(3_000));
    assert_eq!(not_taken.check(), ReceiptCheck::Unproven);
    let refused = Case::new(Verdict::Refused(RefusalReason::Policy), DeliveryState::Delivered);
    assert_eq!(refused.check(), ReceiptCheck::Unproven);
    let reasons = (RefusalReason::Policy, RefusalReason::UnknownPrekey);
    let otherwise = Case::new(Verdict::Refused(reasons.0), DeliveryState::Failed(FailureReason::Refused(reasons.1)));
    assert_eq!(otherwise.check(), ReceiptCheck::Unproven);
}

#[test]
fn a_receipt_altered_after_it_was_signed_proves_nothing() {
    let case = Case::stored();
    let batch = ReceiptBatch::sign(vec![case.leaf.clone()], 1, ReceiptHead::NO_ROOT, &case.bob).unwrap();
    let mut proof = batch.proofs().pop().unwrap();
    proof.leaf.at = Timestamp::from_millis(2_001);
    let status = DeliveryStatus { receipt: Some(proof), ..case.status.clone() };
    let check = check_receipt(&case.header, &case.parts, &status, Some(&case.bob.identity_key()));
    assert_eq!(check, ReceiptCheck::Unproven);
}
