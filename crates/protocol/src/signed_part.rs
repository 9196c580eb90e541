//! One recipient's part of a message without a ratchet: the sender's signature, and the way to the body's key.
//!
//! The signature covers the header's hash. The header describes the body by its hash, and a sealed body begins with a
//! commitment to its key; so the one signature vouches for everything that any recipient comes to read, whatever way
//! the key takes to it.

use thiserror::Error;

use crate::{
    CurveKey, GroupId, Header, HeaderHash, IdentityKey, KeyId, Scheme, Signature, Signer, SigningInput,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

const FORMAT: u8 = 1;
const MESSAGE_LABEL: &str = "sealpost/v1/message";

/// A part of a message of the schemes `none`, `shared-key` and `recipient-keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPart {
    /// Whose word it is.
    pub seal: SenderSeal,
    /// The way to the body's key.
    pub access: BodyAccess,
}

/// The sender's signature over a header, the same in every part of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderSeal {
    /// The sender's identity; the header names its id.
    pub sender: IdentityKey,
    /// Over a label and the header's hash.
    pub signature: Signature,
}

/// How a recipient comes to the body's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyAccess {
    /// Nothing is sealed.
    Open,
    /// From a key that the group has.
    Shared(SharedAccess),
    /// From a key that only this recipient has.
    Wrapped(WrappedKey),
}

/// What makes a group's key the key of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedAccess {
    /// The group.
    pub group: GroupId,
    /// Which of its keys, from 0.
    pub epoch: u32,
    /// Fresh for every message.
    pub salt: [u8; 32],
}

/// A body's key, sealed with HPKE in base mode: X25519, HKDF-SHA256, ChaCha20-Poly1305.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Which of the recipient's sealing keys.
    pub sealing_key: KeyId,
    /// The sender's key for this wrap alone.
    pub encapsulated: CurveKey,
    /// The key's ciphertext and its tag.
    pub sealed: [u8; 48],
}

/// Why a part does not belong to a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignedPartError {
    /// The header names another sender.
    #[error("the part's identity key is not the sender's")]
    Sender,
    /// The header names another scheme.
    #[error("the part is of another scheme than the header")]
    Scheme,
    /// The signature does not verify.
    #[error("the sender's signature over the header does not verify")]
    Signature,
}

impl SenderSeal {
    /// Signs a header.
    #[must_use]
    pub fn sign(signer: &dyn Signer, header: HeaderHash) -> Self {
        Self { sender: signer.identity_key(), signature: signer.sign(&signing_input(header)) }
    }
}

impl SignedPart {
    /// Checks that the sender signed `header`, and that the part is of its scheme.
    ///
    /// # Errors
    /// [`SignedPartError`].
    pub fn verify(&self, header: &Header) -> Result<(), SignedPartError> {
        if self.access.scheme() != header.fields().scheme {
            return Err(SignedPartError::Scheme);
        }
        if self.seal.sender.agent_id() != header.message().sender {
            return Err(SignedPartError::Sender);
        }
        let input = signing_input(header.hash());
        self.seal.sender.verify(&input, &self.seal.signature).map_err(|_| SignedPartError::Signature)
    }
}

impl BodyAccess {
    /// The scheme whose parts have this form.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Open => Scheme::None,
            Self::Shared(_) => Scheme::SharedKey,
            Self::Wrapped(_) => Scheme::RecipientKeys,
        }
    }
}

fn signing_input(header: HeaderHash) -> SigningInput {
    SigningInput::new(MESSAGE_LABEL, &header.0)
}

impl Encode for SignedPart {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(FORMAT).value(&self.access.scheme()).value(&self.seal.sender).value(&self.seal.signature);
        match &self.access {
            BodyAccess::Open => {}
            BodyAccess::Shared(shared) => {
                writer.value(&shared.group).u32(shared.epoch).array(&shared.salt);
            }
            BodyAccess::Wrapped(wrapped) => {
                writer.value(&wrapped.sealing_key).value(&wrapped.encapsulated).array(&wrapped.sealed);
            }
        }
    }
}

impl Decode for SignedPart {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "part format", found }),
        }
        let scheme = Scheme::decode(reader)?;
        let seal = SenderSeal { sender: IdentityKey::decode(reader)?, signature: Signature::decode(reader)? };
        let access = match scheme {
            Scheme::None => BodyAccess::Open,
            Scheme::SharedKey => BodyAccess::Shared(SharedAccess {
                group: GroupId::decode(reader)?,
                epoch: reader.u32()?,
                salt: reader.array()?,
            }),
            Scheme::RecipientKeys => BodyAccess::Wrapped(WrappedKey {
                sealing_key: KeyId::decode(reader)?,
                encapsulated: CurveKey::decode(reader)?,
                sealed: reader.array()?,
            }),
            Scheme::Ratchet => {
                return Err(DecodeError::Invalid { field: "part scheme", reason: "a ratchet's part is an envelope" });
            }
        };
        Ok(Self { seal, access })
    }
}

#[cfg(test)]
mod tests;
