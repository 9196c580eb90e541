//! A message's header: all its immutable metadata, in one canonical encoding whose SHA-256 everything else binds to.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    AgentId, MessageRef, ThreadId, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer, byte_enum},
    limits,
};

const FORMAT: u8 = 1;
const HEADER_LABEL: &[u8] = b"sealpost/v1/header";

/// Bytes of an encoded header beside its recipients, for the most that has no message type.
const FIXED_CAPACITY: usize = 200;

byte_enum! {
    /// How a message's content is sealed.
    Scheme, "scheme" {
        /// Not at all: readable by the relay.
        None = 0, "none";
        /// Under a group key that the agents share.
        SharedKey = 1, "shared-key";
        /// Under a content key wrapped for each recipient.
        RecipientKeys = 2, "recipient-keys";
        /// Under a Double Ratchet with each recipient.
        Ratchet = 3, "ratchet";
    }
}

byte_enum! {
    /// How urgent the sender holds a message to be. Carried to the recipient; the relay hands out in the order of acceptance,
    /// whatever it says.
    Priority, "priority" {
        /// May be shown last.
        Low = 1, "low";
        /// The usual.
        Normal = 2, "normal";
        /// Should be shown first.
        High = 3, "high";
    }
}

byte_enum! {
    /// Whether a message is for the agent or for its runtime.
    MessageClass, "message class" {
        /// Receipted, counted, with a status per recipient.
        Ordinary = 0, "ordinary";
        /// Between runtimes: never receipted, no status, superseded by newer ones, never owing a reply.
        Control = 1, "control";
    }
}

/// The recipients of a message: 1 to 1,000, ascending, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipients(Vec<AgentId>);

impl Recipients {
    /// Sorts and deduplicates `agents`.
    ///
    /// # Errors
    /// [`HeaderError::Recipients`] for none, or more than [`limits::RECIPIENTS`].
    pub fn new(mut agents: Vec<AgentId>) -> Result<Self, HeaderError> {
        agents.sort_unstable();
        agents.dedup();
        if agents.is_empty() || agents.len() > limits::RECIPIENTS {
            return Err(HeaderError::Recipients);
        }
        Ok(Self(agents))
    }

    /// The agents, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[AgentId] {
        &self.0
    }

    /// Where `agent` stands among them.
    #[must_use]
    pub fn position(&self, agent: &AgentId) -> Option<usize> {
        self.0.binary_search(agent).ok()
    }
}

impl Encode for Recipients {
    fn encode(&self, writer: &mut Writer) {
        writer.list(&self.0);
    }
}

impl Decode for Recipients {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let agents: Vec<AgentId> = reader.list("recipients", limits::RECIPIENTS)?;
        let ascending = agents.is_sorted_by(|a, b| a < b);
        if agents.is_empty() || !ascending {
            return Err(DecodeError::Invalid { field: "recipients", reason: "empty, or not strictly ascending" });
        }
        Ok(Self(agents))
    }
}

/// An application's name for what a message is: 1 to 64 printable ASCII characters without space.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageType(String);

impl MessageType {
    /// Checks the characters.
    ///
    /// # Errors
    /// [`HeaderError::MessageType`].
    pub fn new(name: &str) -> Result<Self, HeaderError> {
        let fits = (1..=limits::MESSAGE_TYPE).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(name.to_owned())).ok_or(HeaderError::MessageType)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Encode for MessageType {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.0.as_bytes());
    }
}

impl Decode for MessageType {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.text("message type", limits::MESSAGE_TYPE)?).map_err(|_| DecodeError::Invalid {
            field: "message type",
            reason: "not 1 to 64 printable ASCII characters",
        })
    }
}

/// The body that all recipients share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyDescription {
    /// Its length as sealed, in bytes; the plaintext was padded before, so this is a class of lengths.
    pub sealed_length: u64,
    /// BLAKE3-256 of its sealed bytes.
    pub hash: [u8; 32],
}

impl BodyDescription {
    /// Describes a body by its sealed bytes.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Self {
        Self { sealed_length: sealed.len() as u64, hash: blake3::hash(sealed).into() }
    }
}

impl Encode for BodyDescription {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.sealed_length).array(&self.hash);
    }
}

impl Decode for BodyDescription {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { sealed_length: reader.u64()?, hash: reader.array()? })
    }
}

/// What a header says, before it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderFields {
    /// The message's name.
    pub message: MessageRef,
    /// Who it is for.
    pub recipients: Recipients,
    /// How it is sealed.
    pub scheme: Scheme,
    /// For the agent or for its runtime.
    pub class: MessageClass,
    /// How urgent it is.
    pub priority: Priority,
    /// What it is, where the sender lets the relay see it.
    pub message_type: Option<MessageType>,
    /// The conversation, where the sender lets the relay see it.
    pub thread: Option<ThreadId>,
    /// The message it answers, where the sender lets the relay see it.
    pub reply_to: Option<MessageRef>,
    /// The sender's clock; the id carries the same milliseconds.
    pub created: Timestamp,
    /// When its life ends; at most [`limits::MESSAGE_LIFE`] after `created`.
    pub expires: Timestamp,
    /// The shared body, if there is one.
    pub body: Option<BodyDescription>,
}

/// A header whose fields agree; it keeps its encoding and hash, so that both are computed once.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    fields: HeaderFields,
    encoded: Vec<u8>,
    hash: HeaderHash,
}

/// SHA-256 over a label and a header's encoding: what every seal, signature and receipt of the message binds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeaderHash(pub [u8; 32]);

/// Why fields make no header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// No recipient, or too many.
    #[error("a message has 1 to {} recipients", limits::RECIPIENTS)]
    Recipients,
    /// The message type has other characters or another length than allowed.
    #[error("a message type is 1 to {} printable ASCII characters", limits::MESSAGE_TYPE)]
    MessageType,
    /// `created` is not the time that the id carries.
    #[error("the message's id carries another time than its header")]
    IdTime,
    /// The life is empty or longer than allowed.
    #[error("a message expires after its creation and within {} days of it", limits::MESSAGE_LIFE.as_secs() / 86_400)]
    Life,
    /// The body is empty or longer than allowed.
    #[error("a body has 1 to {} bytes", limits::BODY)]
    Body,
}

impl Header {
    /// Checks that the fields agree.
    ///
    /// # Errors
    /// [`HeaderError::IdTime`], [`HeaderError::Life`], [`HeaderError::Body`].
    pub fn new(fields: HeaderFields) -> Result<Self, HeaderError> {
        if fields.message.id.timestamp() != fields.created {
            return Err(HeaderError::IdTime);
        }
        if fields.expires <= fields.created || fields.expires.since(fields.created) > limits::MESSAGE_LIFE {
            return Err(HeaderError::Life);
        }
        if fields.body.is_some_and(|body| body.sealed_length == 0 || body.sealed_length > limits::BODY) {
            return Err(HeaderError::Body);
        }
        let mut writer = Writer::with_capacity(FIXED_CAPACITY + fields.recipients.as_slice().len() * 32);
        encode_fields(&fields, &mut writer);
        let encoded = writer.into_bytes();
        let hash = HeaderHash::of(&encoded);
        Ok(Self { fields, encoded, hash })
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &HeaderFields {
        &self.fields
    }

    /// The message's name.
    #[must_use]
    pub fn message(&self) -> MessageRef {
        self.fields.message
    }

    /// The canonical encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> HeaderHash {
        self.hash
    }

    /// The name of the message in an encoding of any format, also one that this version does not know: each begins with
    /// format, sender and id. `None` if those are not there.
    #[must_use]
    pub fn name_in(encoded: &[u8]) -> Option<MessageRef> {
        let (_format, rest) = encoded.split_first()?;
        MessageRef::from_bytes(rest.get(..MESSAGE_REF)?).ok()
    }
}

/// Bytes of a message reference.
const MESSAGE_REF: usize = 32 + 16;

impl HeaderHash {
    /// The hash of an encoded header, of whatever format.
    #[must_use]
    pub fn of(encoded: &[u8]) -> Self {
        let label_length = u32::try_from(HEADER_LABEL.len()).unwrap_or(u32::MAX).to_be_bytes();
        Self(
            Sha256::new().chain_update(label_length).chain_update(HEADER_LABEL).chain_update(encoded).finalize().into(),
        )
    }
}

impl Encode for HeaderHash {
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.0);
    }
}

impl Decode for HeaderHash {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.fmt(formatter)
    }
}

fn encode_fields(fields: &HeaderFields, writer: &mut Writer) {
    writer
        .u8(FORMAT)
        .value(&fields.message)
        .value(&fields.recipients)
        .value(&fields.scheme)
        .value(&fields.class)
        .value(&fields.priority)
        .option(fields.message_type.as_ref())
        .option(fields.thread.as_ref())
        .option(fields.reply_to.as_ref())
        .value(&fields.created)
        .value(&fields.expires)
        .option(fields.body.as_ref());
}

impl Encode for Header {
    fn to_bytes(&self) -> Vec<u8> {
        self.encoded.clone()
    }

    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.encoded);
    }
}

impl Decode for Header {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "header format", found }),
        }
        let fields = HeaderFields {
            message: MessageRef::decode(reader)?,
            recipients: Recipients::decode(reader)?,
            scheme: Scheme::decode(reader)?,
            class: MessageClass::decode(reader)?,
            priority: Priority::decode(reader)?,
            message_type: reader.option("message type")?,
            thread: reader.option("thread")?,
            reply_to: reader.option("reply-to").map_err(of_reply_to)?,
            created: Timestamp::decode(reader)?,
            expires: Timestamp::decode(reader)?,
            body: reader.option("body")?,
        };
        Self::new(fields).map_err(|error| match error {
            HeaderError::IdTime => {
                DecodeError::Invalid { field: "created", reason: "not the time that the id carries" }
            }
            HeaderError::Body => DecodeError::Invalid { field: "body", reason: "empty or too long" },
            _ => DecodeError::Invalid { field: "expires", reason: "its life is empty or too long" },
        })
    }
}

/// What is wrong with the message that is answered, not with this one.
fn of_reply_to(error: DecodeError) -> DecodeError {
    match error {
        DecodeError::Invalid { reason, .. } => DecodeError::Invalid { field: "reply-to", reason },
        error => error,
    }
}

#[cfg(test)]
mod tests;
