//! What records keep of a message's content: in the row itself, or as a body, which lies sealed in the spool or at the
//! relay, while the row keeps its key. Every scheme fits in: what differs between them is who has the key.

use sealpost_crypto::{BodySeal, ContentKey};
use sealpost_protocol::{BodyDescription, UploadId};

use super::*;

/// What a message says.
#[derive(Clone)]
pub(crate) enum ContentRecord {
    /// Nothing any more: it is needed no longer, or was never taken.
    Erased,
    /// An encoded payload.
    Payload(SecretBytes),
    /// A body.
    Body(BodyRecord),
}

/// A body, and what it takes to read it.
#[derive(Clone)]
pub(crate) struct BodyRecord {
    pub(crate) description: BodyDescription,
    pub(crate) key: BodyKeyRecord,
}

/// How a body is sealed.
pub(crate) enum BodyKeyRecord {
    /// Not at all.
    Open,
    /// Under this key.
    Sealed(ContentKey),
}

/// How far the body of an outgoing message has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct UploadRecord {
    /// Its name at the relay.
    pub(crate) id: UploadId,
    /// Whether the relay had all of it when last asked.
    pub(crate) is_complete: bool,
}

impl ContentRecord {
    pub(crate) fn is_erased(&self) -> bool {
        matches!(self, Self::Erased)
    }

    pub(crate) fn body(&self) -> Option<&BodyRecord> {
        match self {
            Self::Body(body) => Some(body),
            Self::Erased | Self::Payload(_) => None,
        }
    }
}

impl BodyKeyRecord {
    pub(crate) fn seal(&self) -> BodySeal<'_> {
        match self {
            Self::Open => BodySeal::Open,
            Self::Sealed(key) => BodySeal::Sealed(key),
        }
    }
}

impl Clone for BodyKeyRecord {
    fn clone(&self) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::Sealed(key) => Self::Sealed(ContentKey::copy_of(key.expose())),
        }
    }
}

impl Encode for ContentRecord {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Erased => writer.u8(0),
            Self::Payload(payload) => writer.u8(1).bytes(payload),
            Self::Body(BodyRecord { description, key: BodyKeyRecord::Open }) => writer.u8(2).value(description),
            Self::Body(BodyRecord { description, key: BodyKeyRecord::Sealed(key) }) => {
                writer.u8(3).value(description).value(key)
            }
        };
    }
}

impl Decode for ContentRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            0 => Self::Erased,
            1 => Self::Payload(form::secret::read(reader)?),
            2 => Self::Body(BodyRecord { description: BodyDescription::decode(reader)?, key: BodyKeyRecord::Open }),
            3 => Self::Body(BodyRecord {
                description: BodyDescription::decode(reader)?,
                key: BodyKeyRecord::Sealed(ContentKey::decode(reader)?),
            }),
            found => return Err(DecodeError::UnknownValue { field: "a content", found }),
        })
    }
}

impl Encode for UploadRecord {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.id).u8(u8::from(self.is_complete));
    }
}

impl Decode for UploadRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { id: UploadId::decode(reader)?, is_complete: form::flag::read(reader)? })
    }
}
