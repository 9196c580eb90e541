//! The scheme `shared-key`: a body's key, derived from a key that a group shares.
//!
//! Content key = HKDF-SHA256 with a fresh salt over the group's secret, under a label, the group, its epoch, the sender
//! and the message's id. Whoever holds the secret can read; that the sender wrote is told by its signature alone.

use sealpost_protocol::{
    GroupId, MessageRef, SharedAccess,
    encoding::{Decode, DecodeError, Reader, Writer},
};
use subtle::ConstantTimeEq;

use crate::{
    hkdf,
    primitives::{Primitives, PrimitivesError, random},
    secret::{ContentKey, GroupSecret, SecretBytes, encode_secret},
};

const FORMAT: u8 = 1;
const INFO: &[u8] = b"sealpost/v1/shared-key";

/// One key of a group.
#[derive(Debug)]
pub struct GroupKey {
    /// Whose.
    pub group: GroupId,
    /// Which, from 0: removing a member begins a new one.
    pub epoch: u32,
    secret: GroupSecret,
}

impl GroupKey {
    /// A new key for an epoch.
    ///
    /// # Errors
    /// [`PrimitivesError::Randomness`].
    pub fn generate(primitives: &dyn Primitives, group: GroupId, epoch: u32) -> Result<Self, PrimitivesError> {
        Ok(Self { group, epoch, secret: GroupSecret::copy_of(&*random(primitives)?) })
    }

    /// A new content key for a message, and what leads the other members to it.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn new_content_key(
        &self,
        primitives: &dyn Primitives,
        message: &MessageRef,
    ) -> Result<(ContentKey, SharedAccess), PrimitivesError> {
        let access = SharedAccess { group: self.group, epoch: self.epoch, salt: *random(primitives)? };
        Ok((self.derive(message, &access.salt)?, access))
    }

    /// The content key that `access` leads to, if it names this key.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn content_key(
        &self,
        message: &MessageRef,
        access: &SharedAccess,
    ) -> Result<Option<ContentKey>, PrimitivesError> {
        let is_named = access.group == self.group && access.epoch == self.epoch;
        is_named.then(|| self.derive(message, &access.salt)).transpose()
    }

    fn derive(&self, message: &MessageRef, salt: &[u8; 32]) -> Result<ContentKey, PrimitivesError> {
        let mut info = Writer::new();
        info.bytes(INFO).value(&self.group).u32(self.epoch).value(message);
        let [key] = &*hkdf::derive(salt, self.secret.expose(), &[&info.into_bytes()])?;
        Ok(ContentKey::copy_of(key))
    }

    /// Whether `stored` is the stored form of this key.
    #[must_use]
    pub fn is_stored_as(&self, stored: &[u8]) -> bool {
        self.encode().ct_eq(stored).into()
    }

    /// The stored form, which is also what one member hands another inside the seal.
    #[must_use]
    pub fn encode(&self) -> SecretBytes {
        encode_secret(1 + 16 + 4 + 32, |writer| {
            writer.u8(FORMAT).value(&self.group).u32(self.epoch).value(&self.secret);
        })
    }

    /// The key whose stored form `bytes` is.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "group key format", found }),
        }
        let key = Self {
            group: GroupId::decode(&mut reader)?,
            epoch: reader.u32()?,
            secret: GroupSecret::decode(&mut reader)?,
        };
        reader.finish()?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests;
