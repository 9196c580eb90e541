//! What became of a message, per recipient and attempt.

use std::fmt;

use crate::{
    AgentId, ReceiptProof, RefusalReason, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

/// Which transmission of a message to one recipient this is, from 1: a part that is sent again after a failure, as it was
/// or sealed anew, is the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(u16);

impl Attempt {
    /// The first transmission.
    pub const FIRST: Self = Self(1);

    /// From its number; 0 is none.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The attempt after this; `None` after the last there can be.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl Encode for Attempt {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.0);
    }
}

impl Decode for Attempt {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.u16()?).ok_or(DecodeError::Invalid { field: "attempt", reason: "attempts count from 1" })
    }
}

/// Where one attempt stands. Moves forward only: `pending → in-transit → delivered | failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Durable in the recipient's mailbox.
    Pending,
    /// Handed to the recipient's runtime, which has not yet said that it is stored.
    InTransit,
    /// In the recipient's durable storage, by its own signed receipt.
    Delivered,
    /// It will not arrive by this attempt.
    Failed(FailureReason),
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// Its life ended in the mailbox.
    Expired,
    /// The mailbox overflowed: a reason of the wire that a relay of ours, whose full mailboxes refuse, never gives.
    Evicted,
    /// The relay's store no longer has its content, or not as it was accepted.
    Lost,
    /// The recipient refused it, by a signed receipt.
    Refused(RefusalReason),
}

impl DeliveryState {
    /// Its name, without a reason.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InTransit => "in-transit",
            Self::Delivered => "delivered",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether the message still waits in the mailbox.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Pending | Self::InTransit)
    }

    /// The state whose name and reason these are.
    #[must_use]
    pub fn from_names(state: &str, reason: Option<&str>) -> Option<Self> {
        match (state, reason) {
            ("pending", None) => Some(Self::Pending),
            ("in-transit", None) => Some(Self::InTransit),
            ("delivered", None) => Some(Self::Delivered),
            ("failed", Some(reason)) => FailureReason::from_name(reason).map(Self::Failed),
            _ => None,
        }
    }

    /// The reason of a failure.
    #[must_use]
    pub fn failure(self) -> Option<FailureReason> {
        match self {
            Self::Failed(reason) => Some(reason),
            _ => None,
        }
    }
}

impl FailureReason {
    /// Its name in text formats.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::Lost => "lost",
            Self::Refused(reason) => match reason {
                RefusalReason::Undecryptable => "refused-undecryptable",
                RefusalReason::UnknownPrekey => "refused-unknown-prekey",
                RefusalReason::UnknownSession => "refused-unknown-session",
                RefusalReason::Replay => "refused-replay",
                RefusalReason::Policy => "refused-policy",
                RefusalReason::NotMember => "refused-not-member",
            },
        }
    }

    /// The reason whose name this is.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "expired" => Some(Self::Expired),
            "evicted" => Some(Self::Evicted),
            "lost" => Some(Self::Lost),
            _ => name.strip_prefix("refused-").and_then(RefusalReason::from_name).map(Self::Refused),
        }
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failure() {
            None => formatter.write_str(self.as_str()),
            Some(reason) => write!(formatter, "{} ({})", self.as_str(), reason.as_str()),
        }
    }
}

/// What a relay says of one recipient of a message, with the recipient's own word where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The recipient.
    pub recipient: AgentId,
    /// The latest attempt.
    pub attempt: Attempt,
    /// Where it stands.
    pub state: DeliveryState,
    /// Whether a receipt came after the relay had given the attempt up.
    pub late: bool,
    /// When the relay had it durably.
    pub queued_at: Timestamp,
    /// When the relay first offered it to the recipient; whether that took it, only a receipt tells.
    pub handed_over_at: Option<Timestamp>,
    /// When the relay had the recipient's receipt.
    pub delivered_at: Option<Timestamp>,
    /// When the relay had the agent's own acknowledgement.
    pub acknowledged_at: Option<Timestamp>,
    /// The number of this status's last change in the relay's order of all changes.
    pub change_seq: u64,
    /// The recipient's signed word for it.
    pub receipt: Option<ReceiptProof>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back_from_its_names() {
        let refusals = [
            RefusalReason::Undecryptable,
            RefusalReason::UnknownPrekey,
            RefusalReason::UnknownSession,
            RefusalReason::Replay,
            RefusalReason::Policy,
            RefusalReason::NotMember,
        ];
        let failures = refusals.map(FailureReason::Refused).into_iter().chain([
            FailureReason::Expired,
            FailureReason::Evicted,
            FailureReason::Lost,
        ]);
        let states = failures.map(DeliveryState::Failed).chain([
            DeliveryState::Pending,
            DeliveryState::InTransit,
            DeliveryState::Delivered,
        ]);
        for state in states {
            let reason = state.failure().map(FailureReason::as_str);
            assert_eq!(DeliveryState::from_names(state.as_str(), reason), Some(state));
        }
        assert_eq!(DeliveryState::from_names("failed", None), None);
        assert_eq!(DeliveryState::from_names("delivered", Some("expired")), None);
    }
}
