//! The status machine: how the status of one (message, recipient) may move, and on whose word.
//!
//! ```text
//! pending ──handed over──▶ in-transit ──receipt──▶ delivered | failed(refused)
//!    └─────── expiry or loss ───────┴──────▶ failed(expired | lost) ──late receipt──▶ delivered
//! failed ──next attempt──▶ pending
//! ```
//!
//! Adapters load a record, ask it, and store what it became; the rules stand here alone.

use sealpost_protocol::{
    AgentId, Attempt, DeliveryState, DeliveryStatus, FailureReason, HeaderHash, PartHash, ReceiptProof, Timestamp,
    Verdict,
};
use thiserror::Error;

/// Everything the relay keeps of one (message, recipient), besides the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The message's header hash, which receipts must name.
    pub header: HeaderHash,
    /// The hash of the part of the latest attempt.
    pub part: PartHash,
    /// What the sender may see.
    pub status: DeliveryStatus,
}

/// What a part means for a message that is already known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartDecision {
    /// The same transmission again: nothing to do.
    Duplicate,
    /// The next attempt after a failure.
    NextAttempt,
    /// Something else under a used id.
    Conflict,
}

/// A receipt that contradicts what is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptConflict {
    /// It names another header, part or attempt than was handed over.
    #[error("the receipt names another header, part or attempt than was handed over")]
    OtherContent,
    /// The recipient already said otherwise.
    #[error("the recipient already said otherwise")]
    Contradiction,
}

impl DeliveryRecord {
    /// A first attempt, queued `at` as change `change_seq`.
    #[must_use]
    pub fn queued(recipient: AgentId, header: HeaderHash, part: PartHash, at: Timestamp, change_seq: u64) -> Self {
        let status = DeliveryStatus {
            recipient,
            attempt: Attempt::FIRST,
            state: DeliveryState::Pending,
            late: false,
            queued_at: at,
            handed_over_at: None,
            delivered_at: None,
            acknowledged_at: None,
            change_seq,
            receipt: None,
        };
        Self { header, part, status }
    }

    /// What a part with this attempt and hash means.
    #[must_use]
    pub fn decide(&self, attempt: Attempt, part: PartHash) -> PartDecision {
        let is_failed = matches!(self.status.state, DeliveryState::Failed(_));
        if attempt == self.status.attempt && part == self.part {
            PartDecision::Duplicate
        } else if is_failed && Some(attempt) == self.status.attempt.next() {
            PartDecision::NextAttempt
        } else {
            PartDecision::Conflict
        }
    }

    /// Queues the next attempt; [`DeliveryRecord::decide`] has allowed it.
    pub fn requeue(&mut self, attempt: Attempt, part: PartHash, at: Timestamp, change_seq: u64) {
        let queued = Self::queued(self.status.recipient, self.header, part, at, change_seq);
        *self = Self { status: DeliveryStatus { attempt, ..queued.status }, ..queued };
    }

    /// Notes that the recipient's runtime was handed the message. Returns whether that is a change.
    pub fn hand_over(&mut self, at: Timestamp, change_seq: u64) -> bool {
        let is_first = self.status.state == DeliveryState::Pending;
        if is_first {
            self.status.state = DeliveryState::InTransit;
            self.status.handed_over_at = Some(at);
            self.status.change_seq = change_seq;
        }
        is_first
    }

    /// Gives up on a message that still waits and has lived long enough. Returns whether that is a change.
    pub fn expire(&mut self, change_seq: u64) -> bool {
        self.give_up(FailureReason::Expired, change_seq)
    }

    /// Gives up on a message that still waits and whose content is lost. Returns whether that is a change.
    pub fn lose(&mut self, change_seq: u64) -> bool {
        self.give_up(FailureReason::Lost, change_seq)
    }

    fn give_up(&mut self, reason: FailureReason, change_seq: u64) -> bool {
        let waits = self.status.state.is_waiting();
        if waits {
            self.status.state = DeliveryState::Failed(reason);
            self.status.change_seq = change_seq;
        }
        waits
    }

    /// Applies a recipient's signed word. Returns whether that is a change; the same word twice is none.
    ///
    /// # Errors
    /// [`ReceiptConflict`]; nothing has changed then.
    pub fn apply_receipt(
        &mut self,
        proof: ReceiptProof,
        at: Timestamp,
        change_seq: u64,
    ) -> Result<bool, ReceiptConflict> {
        let leaf = &proof.leaf;
        if (leaf.header, leaf.part, leaf.attempt) != (self.header, self.part, self.status.attempt) {
            return Err(ReceiptConflict::OtherContent);
        }
        let status = &mut self.status;
        match (status.state, leaf.verdict) {
            (DeliveryState::Delivered, Verdict::Stored) => return Ok(false),
            (DeliveryState::Delivered, Verdict::Acknowledged) if status.acknowledged_at.is_some() => return Ok(false),
            (DeliveryState::Failed(FailureReason::Refused(said)), Verdict::Refused(now)) if said == now => {
                return Ok(false);
            }
            (DeliveryState::Delivered, Verdict::Acknowledged) => {}
            (DeliveryState::Pending | DeliveryState::InTransit, Verdict::Refused(reason)) => {
                status.state = DeliveryState::Failed(FailureReason::Refused(reason));
            }
            (DeliveryState::Pending | DeliveryState::InTransit, _) => {
                status.state = DeliveryState::Delivered;
                status.delivered_at = Some(at);
            }
            (
                DeliveryState::Failed(FailureReason::Expired | FailureReason::Evicted | FailureReason::Lost),
                Verdict::Stored | Verdict::Acknowledged,
            ) => {
                status.state = DeliveryState::Delivered;
                status.delivered_at = Some(at);
                status.late = true;
            }
            (DeliveryState::Delivered | DeliveryState::Failed(_), _) => return Err(ReceiptConflict::Contradiction),
        }
        if leaf.verdict == Verdict::Acknowledged {
            status.acknowledged_at = Some(at);
        }
        status.change_seq = change_seq;
        status.receipt = Some(proof);
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
