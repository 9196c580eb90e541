//! What is inside the seal: the content, and the metadata that the relay is not to see.
//!
//! A plaintext is an encoding, which says itself where it ends, and zeros up to a Padmé length, so that a ciphertext
//! tells the class of its length and no more. Whatever reads it has authenticated it before; it is parsed strictly all
//! the same.

mod body_key;
mod content;
mod control;
mod group;

use std::fmt;

use sealpost_protocol::{
    MessageRef, MessageType, ThreadId,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

pub use self::{
    body_key::BodyKey,
    content::{Content, ContentKind, FileName, PayloadError},
    control::{Control, Mark},
    group::{EndedMembership, GroupName, GroupNotice, HandOver, Member, Roster, RosterError},
};
use crate::{
    body::Prelude,
    limits,
    padding::padme,
    secret::{SecretBytes, encode_secret},
};

const FORMAT: u8 = 1;

/// The payload carries a message. Other kinds are what only runtimes say to each other: [`Control`] and [`GroupNotice`].
const MESSAGE: u8 = 0;

/// The payload leads to a message that travels as a body: [`BodyKey`].
const BODY_KEY: u8 = 2;

/// The flag that asks the peer's runtime for a ratchet step; it stands under headers of ordinary messages alone.
const ASKS_FOR_STEP: u8 = 1;

/// The other bits of the flags count the control messages that were sealed directly before in the session.
const CONTROLS_BEFORE: u8 = !ASKS_FOR_STEP;

/// Where the flags stand, after format and kind.
const FLAGS: usize = 2;

/// A message, as its recipient will read it. All of its parts are within their limits, and so is it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What it is, to the application.
    pub message_type: Option<MessageType>,
    /// The conversation.
    pub thread: Option<ThreadId>,
    /// The message it answers.
    pub reply_to: Option<MessageRef>,
    /// What to call the content, if it is a file.
    pub file_name: Option<FileName>,
    /// The content.
    pub content: Content,
}

/// What stands under a header of an ordinary message.
#[derive(Debug)]
pub enum Ordinary {
    /// For the agent.
    Message(Payload),
    /// For its runtime: what must arrive all the same.
    Group(GroupNotice),
}

/// The padded encoding of a payload or control; wiped when dropped.
pub struct Plaintext {
    bytes: SecretBytes,
    missing_before: u32,
}

impl Payload {
    /// Nothing but a content.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self { message_type: None, thread: None, reply_to: None, file_name: None, content }
    }

    /// What goes with the content, as it stands before a content that travels as a body.
    #[must_use]
    pub fn prelude(&self) -> Prelude {
        Prelude {
            message_type: self.message_type.clone(),
            thread: self.thread,
            reply_to: self.reply_to,
            file_name: self.file_name.clone(),
            kind: self.content.kind(),
            content_length: self.content.as_bytes().len() as u64,
            compressed_length: None,
        }
    }

    /// The padded encoding, to be sealed: once for each recipient, if there are many.
    #[must_use]
    pub fn to_plaintext(&self) -> Plaintext {
        let mut bytes = encode_secret(padded_length(self.content.as_bytes().len() + limits::METADATA), |writer| {
            writer.value(self);
        });
        let padded = padded_length(bytes.len());
        bytes.pad_to(padded);
        Plaintext::new(bytes)
    }
}

impl Ordinary {
    /// The padded encoding, to be sealed.
    #[must_use]
    pub fn to_plaintext(&self) -> Plaintext {
        match self {
            Self::Message(payload) => payload.to_plaintext(),
            Self::Group(notice) => notice.to_plaintext(),
        }
    }
}

impl Plaintext {
    fn new(bytes: SecretBytes) -> Self {
        Self { bytes, missing_before: 0 }
    }

    /// What a tag has vouched for, and how many sealed ones that stand directly before it in its session have not come. The
    /// last of them were control messages, as many as it says.
    pub(crate) fn authenticated(bytes: SecretBytes, overtaken: u32) -> Self {
        let mut opened = Self::new(bytes);
        opened.missing_before = overtaken.saturating_sub(opened.controls_before().into());
        opened
    }

    /// How many messages of the session were sealed before this one and after all that had been opened: they are lost, or
    /// late. Told of an opened one, once for each. Control messages are none, but for those directly before a message that is
    /// lost: it alone has counted them, so of more than one it is the most that there can be.
    #[must_use]
    pub fn missing_before(&self) -> u32 {
        self.missing_before
    }

    /// The bytes, padding included.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes it has, padding included: as many as its ciphertext.
    #[must_use]
    pub fn padded_length(&self) -> usize {
        self.bytes.len()
    }

    /// What an ordinary message carries.
    ///
    /// # Errors
    /// [`DecodeError`] when a peer, whose word it is, sealed something else: its message cannot be read, and the
    /// session goes on.
    pub fn to_ordinary(&self) -> Result<Ordinary, DecodeError> {
        self.read()
    }

    /// The payload of an ordinary message for an agent.
    ///
    /// # Errors
    /// [`DecodeError`] when a peer, whose word it is, sealed something else: its message cannot be read, and the
    /// session goes on.
    pub fn to_payload(&self) -> Result<Payload, DecodeError> {
        self.read()
    }

    /// What a control message says.
    ///
    /// # Errors
    /// [`DecodeError`] when a peer, whose word it is, sealed something else.
    pub fn to_control(&self) -> Result<Control, DecodeError> {
        self.read()
    }

    fn read<T: Decode>(&self) -> Result<T, DecodeError> {
        let mut reader = Reader::new(&self.bytes);
        let read = T::decode(&mut reader)?;
        let padding = reader.rest();
        if self.bytes.len() != padded_length(self.bytes.len() - padding.len()) {
            return Err(DecodeError::Invalid { field: "padding", reason: "not of the length it should have" });
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(DecodeError::Invalid { field: "padding", reason: "not zeros" });
        }
        Ok(read)
    }

    /// The same, as it is to be sealed: with a request for a ratchet step, and the number of control messages directly
    /// before it. `None` if neither says anything.
    pub(crate) fn flagged(&self, asks_for_step: bool, controls_before: u8) -> Option<Self> {
        let flags = u8::from(asks_for_step) | controls_before.min(limits::CONTROLS_COUNTED) << 1;
        let mut flagged = (flags != 0).then(|| self.bytes.clone())?;
        *flagged.as_mut_slice().get_mut(FLAGS)? |= flags;
        Some(Self::new(flagged))
    }

    /// Whether it stands under a header of an ordinary message and asks for a ratchet step.
    pub(crate) fn asks_for_step(&self) -> bool {
        self.is_ordinary() && self.bytes.get(FLAGS).is_some_and(|flags| flags & ASKS_FOR_STEP != 0)
    }

    fn controls_before(&self) -> u8 {
        self.bytes.get(FLAGS).map_or(0, |flags| flags >> 1)
    }

    /// Whether it is of a kind that stands under a header of an ordinary message.
    pub(crate) fn is_ordinary(&self) -> bool {
        matches!(self.bytes.get(..FLAGS), Some([FORMAT, MESSAGE | BODY_KEY | group::KEY | group::END]))
    }
}

fn padded_length(length: usize) -> usize {
    padme(length).max(limits::SHORTEST_PADDED)
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Plaintext({} bytes)", self.bytes.len())
    }
}

impl Encode for Payload {
    fn encode(&self, writer: &mut Writer) {
        writer
            .u8(FORMAT)
            .u8(MESSAGE)
            .u8(0)
            .option(self.message_type.as_ref())
            .option(self.thread.as_ref())
            .option(self.reply_to.as_ref())
            .option(self.file_name.as_ref())
            .value(&self.content);
    }
}

impl Decode for Payload {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_head(reader, &[MESSAGE], ASKS_FOR_STEP | CONTROLS_BEFORE)?;
        Self::decode_fields(reader)
    }
}

impl Payload {
    /// What follows the head.
    fn decode_fields(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            message_type: reader.option("message type")?,
            thread: reader.option("thread")?,
            reply_to: reader.option("reply-to")?,
            file_name: reader.option("file name")?,
            content: Content::decode(reader)?,
        })
    }
}

impl Encode for Ordinary {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Message(payload) => payload.encode(writer),
            Self::Group(notice) => notice.encode(writer),
        }
    }
}

impl Decode for Ordinary {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match read_head(reader, &[MESSAGE, group::KEY, group::END], ASKS_FOR_STEP | CONTROLS_BEFORE)? {
            MESSAGE => Payload::decode_fields(reader).map(Self::Message),
            kind => GroupNotice::decode_fields(kind, reader).map(Self::Group),
        }
    }
}

/// Format, one of these kinds, and flags, none but the `known`. Returns the kind.
fn read_head(reader: &mut Reader<'_>, kinds: &[u8], known: u8) -> Result<u8, DecodeError> {
    match reader.u8()? {
        FORMAT => {}
        found => return Err(DecodeError::UnknownValue { field: "payload format", found }),
    }
    let kind = match reader.u8()? {
        kind if kinds.contains(&kind) => kind,
        found => return Err(DecodeError::UnknownValue { field: "payload kind", found }),
    };
    match reader.u8()? {
        flags if flags & !known == 0 => Ok(kind),
        found => Err(DecodeError::UnknownValue { field: "payload flags", found }),
    }
}

#[cfg(test)]
mod tests;
