//! Names of messages, threads and claims.

use std::{fmt, str::FromStr};

use thiserror::Error;
use uuid::Uuid;

use crate::{
    AgentId, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

/// A message's id: a `UUIDv7` that its sender chose; its first 48 bits are the sender's clock. Unique per sender only, so
/// a message is named by a [`MessageRef`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

/// The text or the bytes are not a `UUIDv7`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a message id is a version 7 UUID")]
pub struct InvalidMessageId;

impl MessageId {
    /// An id for a message made at `now`, with 10 bytes of the caller's randomness.
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &random).into_uuid())
    }

    /// From 16 bytes.
    ///
    /// # Errors
    /// [`InvalidMessageId`] for any UUID of another version or variant.
    pub fn from_array(bytes: [u8; 16]) -> Result<Self, InvalidMessageId> {
        let uuid = Uuid::from_bytes(bytes);
        let is_v7 = uuid.get_version_num() == 7 && uuid.get_variant() == uuid::Variant::RFC4122;
        is_v7.then_some(Self(uuid)).ok_or(InvalidMessageId)
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The sender's clock when it chose the id.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        let (millis, _) = self.0.as_u64_pair();
        Timestamp::from_millis(millis >> 16)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text).map_err(|_| InvalidMessageId)?;
        Self::from_array(uuid.into_bytes())
    }
}

impl Encode for MessageId {
    fn encode(&self, writer: &mut Writer) {
        writer.array(self.as_bytes());
    }
}

impl Decode for MessageId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_array(reader.array()?)
            .map_err(|InvalidMessageId| DecodeError::Invalid { field: "message id", reason: "not a version 7 UUID" })
    }
}

/// The full name of a message: ids are unique per sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageRef {
    /// Who sent it.
    pub sender: AgentId,
    /// The sender's id for it.
    pub id: MessageId,
}

impl Encode for MessageRef {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.sender).value(&self.id);
    }
}

impl Decode for MessageRef {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { sender: AgentId::decode(reader)?, id: MessageId::decode(reader)? })
    }
}

/// Declares an opaque 16-byte name.
macro_rules! opaque_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl Encode for $name {
            fn encode(&self, writer: &mut Writer) {
                writer.array(&self.0);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array().map(Self)
            }
        }

        /// As a UUID.
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(|uuid| Self(uuid.into_bytes()))
            }
        }
    };
}

opaque_id! {
    /// Names a conversation; chosen by whoever starts it.
    ThreadId
}

opaque_id! {
    /// Names a group that shares a key: half a hash over the id of its founder and a nonce.
    GroupId
}

opaque_id! {
    /// Names one upload of a body, chosen by the sender at random, so that it can be begun again and gone on with.
    UploadId
}

opaque_id! {
    /// Names one claim of prekeys, chosen by the requester at random, so that a repeated claim consumes nothing more.
    ClaimId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_carries_its_time_and_reads_back() {
        let id = MessageId::new(Timestamp::from_millis(1_795_351_425_123), [0xff; 10]);
        assert_eq!(id.timestamp().as_millis(), 1_795_351_425_123);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(MessageId::from_bytes(id.as_bytes()), Ok(id));
    }

    #[test]
    fn other_uuid_versions_are_refused() {
        assert_eq!("0b9cbb41-3a8c-4d3c-9e53-9c1a52c3b2a1".parse::<MessageId>(), Err(InvalidMessageId));
        assert_eq!(MessageId::from_array([0; 16]), Err(InvalidMessageId));
    }
}
