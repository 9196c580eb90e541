//! Who is who: identity keys, the ids derived from them, and signatures under a domain.
//!
//! An [`AgentId`] is self-certifying: it is a hash of the identity key, so an id cannot change its key. An
//! [`IdentityKey`] that exists is a canonical point of the prime-order subgroup; its Diffie-Hellman form is
//! therefore safe to use.

use std::{fmt, str::FromStr};

use bech32::{Bech32m, Hrp, primitives::decode::CheckedHrpstring};
use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::encoding::{Decode, DecodeError, Encode, Reader, Writer};

const AGENT_PREFIX: &str = "agent";
const NODE_PREFIX: &str = "node";
const BLOCK_LIST_LABEL: &[u8] = b"sealpost/v1/block-list";
const AGENT_ID_LABEL: &[u8] = b"sealpost/v1/agent-id";

/// An agent's public identity: an Ed25519 key, canonical, neither small- nor mixed-order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdentityKey(VerifyingKey);

/// The 32 bytes are not a usable identity key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a canonical Ed25519 key of the prime-order subgroup")]
pub struct InvalidIdentityKey;

impl IdentityKey {
    /// From the 32-byte encoding of RFC 8032.
    ///
    /// # Errors
    /// [`InvalidIdentityKey`] when the bytes are no point, not its canonical encoding, or the point lies outside the
    /// prime-order subgroup.
    pub fn from_array(bytes: [u8; 32]) -> Result<Self, InvalidIdentityKey> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidIdentityKey)?;
        let point = key.to_edwards();
        let canonical = point.compress().to_bytes() == bytes;
        let usable = canonical && !point.is_small_order() && point.is_torsion_free();
        usable.then_some(Self(key)).ok_or(InvalidIdentityKey)
    }

    /// The 32-byte encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The id that this key certifies.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        let mut input = Writer::new();
        input.bytes(AGENT_ID_LABEL).array(self.as_bytes());
        AgentId(Sha256::digest(input.into_bytes()).into())
    }

    /// The same point on the Montgomery curve, u = (1 + y) / (1 − y): the public half for X25519.
    #[must_use]
    pub fn to_montgomery(&self) -> [u8; 32] {
        self.0.to_montgomery().to_bytes()
    }

    /// Checks a signature, strictly: one message, one valid signature form.
    ///
    /// # Errors
    /// [`SignatureMismatch`].
    pub fn verify(&self, input: &SigningInput, signature: &Signature) -> Result<(), SignatureMismatch> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(input.as_bytes(), &signature).map_err(|_| SignatureMismatch)
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IdentityKey({})", self.agent_id())
    }
}

impl Encode for IdentityKey {
    fn encode(&self, writer: &mut Writer) {
        writer.array(self.as_bytes());
    }
}

impl Decode for IdentityKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_array(reader.array()?).map_err(|InvalidIdentityKey| DecodeError::Invalid {
            field: "identity key",
            reason: "not a canonical Ed25519 key of the prime-order subgroup",
        })
    }
}

/// The signature does not belong to this key and input.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the signature does not verify")]
pub struct SignatureMismatch;

/// An Ed25519 signature, 64 bytes, not yet known to be valid.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Signature(…)")
    }
}

impl Encode for Signature {
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.0);
    }
}

impl Decode for Signature {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

/// The bytes under a signature: a label that no other use shares, then the encoding of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningInput(Vec<u8>);

impl SigningInput {
    /// `label` must be one of this crate's own, so that no signature can be taken for another's.
    pub(crate) fn new(label: &'static str, value: &impl Encode) -> Self {
        let mut writer = Writer::new();
        writer.bytes(label.as_bytes()).value(value);
        Self(writer.into_bytes())
    }

    /// What a node signs of a block list of its own store, and reads only there.
    #[must_use]
    pub fn block_list(list: &[u8]) -> Self {
        let mut writer = Writer::new();
        writer.bytes(BLOCK_LIST_LABEL).bytes(list);
        Self(writer.into_bytes())
    }

    /// What the signature function is given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Holds an Ed25519 private key somewhere and signs with it.
pub trait Signer {
    /// The public half.
    fn identity_key(&self) -> IdentityKey;

    /// Signs exactly `input`.
    fn sign(&self, input: &SigningInput) -> Signature;
}

/// The text is not such an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a valid {prefix} id: expected {prefix}1… with an intact checksum")]
pub struct IdParseError {
    prefix: &'static str,
}

/// Declares a 32-byte id written in bech32m under a prefix.
macro_rules! bech32_id {
    ($(#[$meta:meta])* $name:ident, $prefix:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The 32 bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// From 32 bytes; any value names an id, whether or not anyone holds it.
            #[must_use]
            pub const fn from_array(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let prefix = Hrp::parse($prefix).map_err(|_| fmt::Error)?;
                bech32::encode_lower_to_fmt::<Bech32m, _>(formatter, prefix, &self.0).map_err(|_| fmt::Error)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = IdParseError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let error = || IdParseError { prefix: $prefix };
                let parsed = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| error())?;
                if parsed.hrp().to_lowercase() != $prefix {
                    return Err(error());
                }
                let bytes: Vec<u8> = parsed.byte_iter().collect();
                let id = bytes.try_into().map(Self).map_err(|_| error())?;
                // The last character has bits to spare; only zeros there are the id's one text.
                if id.to_string() == text.to_lowercase() { Ok(id) } else { Err(error()) }
            }
        }

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
    };
}

bech32_id! {
    /// An agent's name for life: SHA-256 over a label and its identity key; `agent1…` in text.
    AgentId, AGENT_PREFIX
}

bech32_id! {
    /// A node's name: its Ed25519 public key; `node1…` in text.
    NodeId, NODE_PREFIX
}

impl From<IdentityKey> for NodeId {
    fn from(key: IdentityKey) -> Self {
        Self(*key.as_bytes())
    }
}

impl NodeId {
    /// The key that checks the node's signatures.
    ///
    /// # Errors
    /// [`InvalidIdentityKey`] when the id is no usable key.
    pub fn key(&self) -> Result<IdentityKey, InvalidIdentityKey> {
        IdentityKey::from_array(self.0)
    }
}

#[cfg(test)]
mod tests;
