//! The two key derivations of the Double Ratchet: the root steps with every Diffie-Hellman agreement, a chain with
//! every message.

use sealpost_protocol::encoding::{Decode, DecodeError, Encode, Reader, Writer};
use thiserror::Error;

use crate::{
    hkdf,
    primitives::PrimitivesError,
    secret::{ChainKey, MessageKey, RootKey, SharedSecret},
};

const ROOT_INFO: &[u8] = b"sealpost/v1/ratchet";
const CHAIN_INFO: &[u8] = b"message_key";

impl RootKey {
    /// Mixes an agreement in: HKDF-SHA256 with the root key as salt, 64 bytes = next root key ‖ first key of a chain.
    ///
    /// # Errors
    /// [`PrimitivesError::Library`].
    pub(crate) fn step(&self, agreement: &SharedSecret) -> Result<(RootKey, KdfChain), PrimitivesError> {
        let [root, chain] = &*hkdf::derive(self.expose(), agreement.expose(), &[ROOT_INFO])?;
        Ok((RootKey::copy_of(root), KdfChain { key: ChainKey::copy_of(chain), next: 0 }))
    }
}

/// A chain of message keys, standing before the key with number `next`.
pub(crate) struct KdfChain {
    key: ChainKey,
    pub(crate) next: u32,
}

/// Why a chain gives no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ChainError {
    /// Its numbers are used up; every limit ends a chain long before.
    #[error("the chain has ended")]
    Ended,
    /// The derivation failed.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
}

/// One turn of a chain.
pub(crate) struct Link {
    /// The number of the message that `key` is for.
    pub(crate) number: u32,
    /// The key of that message.
    pub(crate) key: MessageKey,
    /// The chain after it.
    pub(crate) rest: KdfChain,
}

impl KdfChain {
    /// Takes the next key: HKDF-SHA256 with empty salt, 64 bytes = next chain key ‖ message key. The chain itself stays
    /// as it is: whoever takes the key replaces it with the rest.
    ///
    /// # Errors
    /// [`ChainError`].
    pub(crate) fn link(&self) -> Result<Link, ChainError> {
        let next = self.next.checked_add(1).ok_or(ChainError::Ended)?;
        let [chain, message] = &*hkdf::derive(&[], self.key.expose(), &[CHAIN_INFO])?;
        Ok(Link {
            number: self.next,
            key: MessageKey::copy_of(message),
            rest: KdfChain { key: ChainKey::copy_of(chain), next },
        })
    }
}

impl Encode for KdfChain {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.key).u32(self.next);
    }
}

impl Decode for KdfChain {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { key: ChainKey::decode(reader)?, next: reader.u32()? })
    }
}

#[cfg(test)]
mod tests;
