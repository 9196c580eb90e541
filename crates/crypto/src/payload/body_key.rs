//! What stands in an envelope in place of a message that travels as a body: the body's key, and which body it opens.

use sealpost_protocol::{
    BodyDescription,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};
use subtle::ConstantTimeEq;

use super::{ASKS_FOR_STEP, BODY_KEY, CONTROLS_BEFORE, FORMAT, Plaintext, padded_length, read_head};
use crate::{
    body,
    primitives::PrimitivesError,
    secret::{ContentKey, encode_secret, secret_array},
};

/// Format, kind, flags, key, commitment, length and hash.
const LENGTH: usize = 3 + 32 + 32 + 8 + 32;

/// The key of a message's body, as each recipient gets it under the ratchet.
///
/// The commitment is what the body itself begins with, and follows from the key; it stands here so that a key which is
/// not the body's is refused before anything of the body is fetched.
#[derive(Debug)]
pub struct BodyKey {
    key: ContentKey,
    commitment: [u8; 32],
    body: BodyDescription,
}

impl BodyKey {
    /// The key that sealed `body`.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn new(key: &ContentKey, body: BodyDescription) -> Result<Self, PrimitivesError> {
        Ok(Self { key: ContentKey::copy_of(key.expose()), commitment: body::commitment(key)?, body })
    }

    /// The padded encoding, to be sealed for each recipient.
    #[must_use]
    pub fn to_plaintext(&self) -> Plaintext {
        let padded = padded_length(LENGTH);
        let mut bytes = encode_secret(padded, |writer| {
            writer.value(self);
        });
        bytes.pad_to(padded);
        Plaintext::new(bytes)
    }
}

impl Plaintext {
    /// The key of `body`, which is what the message's header describes.
    ///
    /// # Errors
    /// [`DecodeError`] when a peer, whose word it is, sealed something else, or the key of another body.
    pub fn to_body_key(&self, body: &BodyDescription) -> Result<ContentKey, DecodeError> {
        let read: BodyKey = self.read()?;
        if read.body != *body {
            return Err(DecodeError::Invalid { field: "body", reason: "not the one that the header describes" });
        }
        let derived = body::commitment(&read.key);
        let misfit = DecodeError::Invalid { field: "commitment", reason: "not that of the key" };
        match derived {
            Ok(derived) if bool::from(derived.ct_eq(&read.commitment)) => Ok(read.key),
            _ => Err(misfit),
        }
    }
}

impl Encode for BodyKey {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(FORMAT).u8(BODY_KEY).u8(0).value(&self.key).array(&self.commitment).value(&self.body);
    }
}

impl Decode for BodyKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_head(reader, &[BODY_KEY], ASKS_FOR_STEP | CONTROLS_BEFORE)?;
        Ok(Self {
            key: ContentKey::copy_of(secret_array(reader)?),
            commitment: reader.array()?,
            body: BodyDescription::decode(reader)?,
        })
    }
}
