//! Whether a recipient's own word bears out what a relay says of a message.

use sealpost_protocol::{
    DeliveryState, DeliveryStatus, FailureReason, Header, IdentityKey, Verdict, encoding::DecodeError,
};

use crate::records::SentPartRecord;

/// Whether a receipt bears a status out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptCheck {
    /// The state needs none.
    NotNeeded,
    /// The recipient signed for this state of this attempt, byte for byte.
    Verified,
    /// The relay claims what only the recipient can say, and shows no valid receipt for it.
    Unproven,
}

impl ReceiptCheck {
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::NotNeeded => 0,
            Self::Verified => 1,
            Self::Unproven => 2,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            0 => Ok(Self::NotNeeded),
            1 => Ok(Self::Verified),
            2 => Ok(Self::Unproven),
            found => Err(DecodeError::UnknownValue { field: "a receipt check", found }),
        }
    }

    /// Its name in text formats.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotNeeded => "not-needed",
            Self::Verified => "verified",
            Self::Unproven => "unproven",
        }
    }
}

/// Whether the receipt beside `status` bears it out, for a message that was sent under `header` in `parts` to a recipient
/// whose `identity` is known or not (`docs/protocol.md`, section 12).
pub(crate) fn check_receipt(
    header: &Header,
    parts: &[SentPartRecord],
    status: &DeliveryStatus,
    identity: Option<&IdentityKey>,
) -> ReceiptCheck {
    let said = match status.state {
        DeliveryState::Delivered if status.acknowledged_at.is_some() => Verdict::Acknowledged,
        DeliveryState::Delivered => Verdict::Stored,
        DeliveryState::Failed(FailureReason::Refused(reason)) => Verdict::Refused(reason),
        _ => return ReceiptCheck::NotNeeded,
    };
    let (Some(proof), Some(identity)) = (&status.receipt, identity) else { return ReceiptCheck::Unproven };
    let leaf = &proof.leaf;
    let is_our_part = parts
        .iter()
        .any(|part| (part.recipient, part.attempt, part.part) == (status.recipient, leaf.attempt, leaf.part));
    let bears_out = is_our_part
        && identity.agent_id() == status.recipient
        && leaf.message == header.message()
        && leaf.header == header.hash()
        && leaf.attempt == status.attempt
        && leaf.verdict == said
        && proof.verify(identity).is_ok();
    if bears_out { ReceiptCheck::Verified } else { ReceiptCheck::Unproven }
}

#[cfg(test)]
mod tests;
