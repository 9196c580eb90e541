//! Conversions between what travels and what is valid.

use sealpost_protocol::{
    AgentId, Attempt, Bundle, ChallengeAnswer, DeliveryState, DeliveryStatus, IdParseError, InvalidMessageId, LedgerId,
    MessageRef, ReceiptProof, Signature, SignedManifest, Timestamp,
    encoding::{Decode, DecodeError, Encode},
};
use thiserror::Error;

use crate::v1;

/// A field that is not what the interface says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FieldError {
    /// Canonical bytes that are none.
    #[error("{field}: {source}")]
    Encoding {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: DecodeError,
    },
    /// One of several, which is no such bytes.
    #[error("{field}[{place}]: {source}")]
    Element {
        /// The field.
        field: &'static str,
        /// Its place in it, from 0.
        place: usize,
        /// What is wrong.
        source: DecodeError,
    },
    /// No agent id.
    #[error("{field}: {source}")]
    AgentId {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: IdParseError,
    },
    /// No node id.
    #[error("node_id: {0}")]
    NodeId(#[source] IdParseError),
    /// No message id.
    #[error("message_id: {0}")]
    MessageId(#[from] InvalidMessageId),
    /// Bytes of another length than the field has.
    #[error("{field}: expected {expected} bytes, found {found}")]
    Length {
        /// The field.
        field: &'static str,
        /// The length it has.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A value outside its range.
    #[error("{field}: {reason}")]
    Value {
        /// The field.
        field: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Reads canonical bytes.
///
/// # Errors
/// [`FieldError::Encoding`].
pub fn decode<T: Decode>(field: &'static str, bytes: &[u8]) -> Result<T, FieldError> {
    T::from_bytes(bytes).map_err(|source| FieldError::Encoding { field, source })
}

/// Reads a list of canonical bytes.
///
/// # Errors
/// [`FieldError::Element`].
pub fn decode_all<T: Decode>(field: &'static str, items: &[Vec<u8>]) -> Result<Vec<T>, FieldError> {
    let decode = |(place, bytes): (usize, &Vec<u8>)| {
        T::from_bytes(bytes).map_err(|source| FieldError::Element { field, place, source })
    };
    items.iter().enumerate().map(decode).collect()
}

/// Reads canonical bytes where empty stands for none.
///
/// # Errors
/// [`FieldError::Encoding`].
pub fn decode_optional<T: Decode>(field: &'static str, bytes: &[u8]) -> Result<Option<T>, FieldError> {
    if bytes.is_empty() { Ok(None) } else { decode(field, bytes).map(Some) }
}

/// Reads bytes of a fixed length.
///
/// # Errors
/// [`FieldError::Length`].
pub fn array<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], FieldError> {
    bytes.try_into().map_err(|_| FieldError::Length { field, expected: N, found: bytes.len() })
}

/// Reads an agent id.
///
/// # Errors
/// [`FieldError::AgentId`].
pub fn agent_id(field: &'static str, text: &str) -> Result<AgentId, FieldError> {
    text.parse().map_err(|source| FieldError::AgentId { field, source })
}

/// Reads a message's name; an empty sender stands for `caller`.
///
/// # Errors
/// [`FieldError::AgentId`], [`FieldError::MessageId`].
pub fn message_ref(caller: AgentId, sender: &str, id: &str) -> Result<MessageRef, FieldError> {
    let sender = if sender.is_empty() { caller } else { agent_id("sender", sender)? };
    Ok(MessageRef { sender, id: id.parse()? })
}

/// Reads the number of an attempt.
///
/// # Errors
/// [`FieldError::Value`].
pub fn attempt(number: u32) -> Result<Attempt, FieldError> {
    let attempt = u16::try_from(number).ok().and_then(Attempt::new);
    attempt.ok_or(FieldError::Value { field: "attempt", reason: "attempts count from 1 to 65,535" })
}

/// Reads a time.
///
/// # Errors
/// [`FieldError::Value`] for times before 1970.
pub fn timestamp(field: &'static str, millis: i64) -> Result<Timestamp, FieldError> {
    let millis = u64::try_from(millis).map_err(|_| FieldError::Value { field, reason: "before 1970" })?;
    Ok(Timestamp::from_millis(millis))
}

/// Writes a time; the few that exceed the range are its end.
#[must_use]
pub fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl v1::ChallengeResponse {
    /// What a node answers; the asker knows its nonce.
    #[must_use]
    pub fn from_signed(answer: ChallengeAnswer, signature: &Signature) -> Self {
        Self {
            node_id: answer.node.to_string(),
            challenge: answer.challenge,
            expires_at_ms: millis(answer.expires),
            ledger_id: answer.ledger.0.to_vec(),
            at_ms: millis(answer.at),
            signature: signature.0.to_vec(),
        }
    }

    /// What was signed, if this is the answer to `nonce`, and the signature, which is not yet checked.
    ///
    /// # Errors
    /// [`FieldError::NodeId`], [`FieldError::Length`], [`FieldError::Value`].
    pub fn into_signed(self, nonce: [u8; 32]) -> Result<(ChallengeAnswer, Signature), FieldError> {
        let answer = ChallengeAnswer {
            node: self.node_id.parse().map_err(FieldError::NodeId)?,
            ledger: LedgerId(array("ledger_id", &self.ledger_id)?),
            nonce,
            challenge: self.challenge,
            at: timestamp("at_ms", self.at_ms)?,
            expires: timestamp("expires_at_ms", self.expires_at_ms)?,
        };
        Ok((answer, Signature(array("signature", &self.signature)?)))
    }
}

impl From<&Bundle> for v1::PrekeyBundle {
    fn from(bundle: &Bundle) -> Self {
        Self {
            manifest: bundle.manifest.to_bytes(),
            one_time_curve: bundle.one_time_curve.as_ref().map(Encode::to_bytes).unwrap_or_default(),
            one_time_kem: bundle.one_time_kem.as_ref().map(Encode::to_bytes).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::PrekeyBundle> for Bundle {
    type Error = FieldError;

    fn try_from(bundle: v1::PrekeyBundle) -> Result<Self, FieldError> {
        Ok(Self {
            manifest: decode::<SignedManifest>("manifest", &bundle.manifest)?,
            one_time_curve: decode_optional("one_time_curve", &bundle.one_time_curve)?,
            one_time_kem: decode_optional("one_time_kem", &bundle.one_time_kem)?,
        })
    }
}

impl From<&DeliveryStatus> for v1::DeliveryStatus {
    fn from(status: &DeliveryStatus) -> Self {
        Self {
            recipient: status.recipient.to_string(),
            attempt: status.attempt.number().into(),
            state: status.state.as_str().to_owned(),
            reason: status.state.failure().map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
            late: status.late,
            queued_at_ms: millis(status.queued_at),
            handed_over_at_ms: status.handed_over_at.map(millis),
            delivered_at_ms: status.delivered_at.map(millis),
            acknowledged_at_ms: status.acknowledged_at.map(millis),
            change_seq: status.change_seq,
            receipt: status.receipt.as_ref().map(Encode::to_bytes).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::DeliveryStatus> for DeliveryStatus {
    type Error = FieldError;

    fn try_from(status: v1::DeliveryStatus) -> Result<Self, FieldError> {
        let optional_time = |field, millis: Option<i64>| millis.map(|millis| timestamp(field, millis)).transpose();
        let reason = (!status.reason.is_empty()).then_some(status.reason.as_str());
        Ok(Self {
            recipient: agent_id("recipient", &status.recipient)?,
            attempt: attempt(status.attempt)?,
            state: DeliveryState::from_names(&status.state, reason)
                .ok_or(FieldError::Value { field: "state", reason: "unknown state or reason" })?,
            late: status.late,
            queued_at: timestamp("queued_at_ms", status.queued_at_ms)?,
            handed_over_at: optional_time("handed_over_at_ms", status.handed_over_at_ms)?,
            delivered_at: optional_time("delivered_at_ms", status.delivered_at_ms)?,
            acknowledged_at: optional_time("acknowledged_at_ms", status.acknowledged_at_ms)?,
            change_seq: status.change_seq,
            receipt: decode_optional::<ReceiptProof>("receipt", &status.receipt)?,
        })
    }
}
