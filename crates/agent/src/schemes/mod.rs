//! The schemes without a ratchet: how a message is to be sealed, and how one that came was.
//!
//! Under all of them the content travels as a body, and each recipient's part holds the sender's signature over the header,
//! which names the body by its hash. The runtime uses one only where it is asked for by name: none is a fallback.

mod manifests;
mod opening;
mod sealing;

use sealpost_protocol::{
    GroupId, Scheme, SharedAccess,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

/// How a message is to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutgoingScheme {
    /// In a Double Ratchet with each recipient.
    #[default]
    Ratchet,
    /// Under a key that is wrapped for each recipient's sealing key. No session is opened, and no one-time key used; there is
    /// no forward secrecy before the recipient replaces its sealing key.
    RecipientKeys,
    /// Under the key of a group that the agent belongs to, for its members: name no recipients.
    SharedKey(GroupId),
    /// Not at all: the relay, and whoever has its store, can read it.
    None,
}

/// How a message that was received was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceivedScheme {
    /// In a Double Ratchet.
    Ratchet,
    /// Under a key that was wrapped for this agent.
    RecipientKeys,
    /// Under a key of a group.
    SharedKey {
        /// The group.
        group: GroupId,
        /// Which of its keys.
        epoch: u32,
    },
    /// Not at all: what it says is public.
    None,
}

/// How a draft is to be sealed. What a group's key is made the body's with is chosen with the draft, for the body lies
/// sealed from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DraftScheme {
    Ratchet,
    RecipientKeys,
    SharedKey(SharedAccess),
    None,
}

impl OutgoingScheme {
    /// What stands in the header.
    #[must_use]
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Ratchet => Scheme::Ratchet,
            Self::RecipientKeys => Scheme::RecipientKeys,
            Self::SharedKey(_) => Scheme::SharedKey,
            Self::None => Scheme::None,
        }
    }
}

impl ReceivedScheme {
    /// What stands in the header.
    #[must_use]
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Ratchet => Scheme::Ratchet,
            Self::RecipientKeys => Scheme::RecipientKeys,
            Self::SharedKey { .. } => Scheme::SharedKey,
            Self::None => Scheme::None,
        }
    }
}

impl DraftScheme {
    pub(crate) fn scheme(self) -> Scheme {
        match self {
            Self::Ratchet => Scheme::Ratchet,
            Self::RecipientKeys => Scheme::RecipientKeys,
            Self::SharedKey(_) => Scheme::SharedKey,
            Self::None => Scheme::None,
        }
    }
}

impl Encode for ReceivedScheme {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.scheme());
        if let Self::SharedKey { group, epoch } = self {
            writer.value(group).u32(*epoch);
        }
    }
}

impl Decode for ReceivedScheme {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match Scheme::decode(reader)? {
            Scheme::Ratchet => Self::Ratchet,
            Scheme::RecipientKeys => Self::RecipientKeys,
            Scheme::SharedKey => Self::SharedKey { group: GroupId::decode(reader)?, epoch: reader.u32()? },
            Scheme::None => Self::None,
        })
    }
}

impl Encode for DraftScheme {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.scheme());
        if let Self::SharedKey(SharedAccess { group, epoch, salt }) = self {
            writer.value(group).u32(*epoch).array(salt);
        }
    }
}

impl Decode for DraftScheme {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match Scheme::decode(reader)? {
            Scheme::Ratchet => Self::Ratchet,
            Scheme::RecipientKeys => Self::RecipientKeys,
            Scheme::SharedKey => Self::SharedKey(SharedAccess {
                group: GroupId::decode(reader)?,
                epoch: reader.u32()?,
                salt: reader.array()?,
            }),
            Scheme::None => Self::None,
        })
    }
}
