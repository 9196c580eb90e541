//! The scheme `recipient-keys`: a body's key, wrapped for each recipient with HPKE (RFC 9180).
//!
//! Base mode with X25519, HKDF-SHA256 and ChaCha20-Poly1305, to the sealing key of the recipient's manifest. The info
//! names the recipient, the key, and the header's hash, and with it sender, id, recipients and body: a wrap opens as a
//! part of its own message and nowhere else. There is no forward secrecy before the sealing key is erased.

use std::convert::Infallible;

use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256,
};
use rand_core::{TryCryptoRng, TryRng};
use sealpost_protocol::{
    AgentId, CurveKey, Header, HeaderHash, KeyId, Prekey, WrappedKey,
    encoding::{Encode, Writer},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    SealingPrekey,
    primitives::{Primitives, PrimitivesError, random},
    secret::{ContentKey, SecretBytes},
};

const INFO: &[u8] = b"sealpost/v1/recipient-keys";

/// Why a wrap gives no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// It is for another message, recipient or key, or was altered.
    #[error("the wrapped key does not open")]
    Unreadable,
    /// The library failed before it could tell.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
}

/// Wraps the key of `header`'s body for one of its recipients.
///
/// # Errors
/// [`PrimitivesError`].
pub fn wrap_key(
    primitives: &dyn Primitives,
    key: &ContentKey,
    header: HeaderHash,
    recipient: &AgentId,
    sealing_key: &Prekey<CurveKey>,
) -> Result<WrappedKey, PrimitivesError> {
    let to = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(sealing_key.key.as_bytes());
    let to = to.map_err(|_| PrimitivesError::Library)?;
    let mut randomness = Drawn { bytes: random(primitives)?, draws: 0 };
    let (encapsulated, sealed) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &to,
        &info(header, recipient, sealing_key.id),
        key.expose(),
        &[],
        &mut randomness,
    )
    .map_err(|_| PrimitivesError::Agreement)?;
    if randomness.draws != 1 {
        return Err(PrimitivesError::Randomness); // another draw would have repeated the first
    }
    let encapsulated = CurveKey::from_array(encapsulated.to_bytes().into()).map_err(|_| PrimitivesError::Agreement)?;
    let sealed = sealed.try_into().map_err(|_| PrimitivesError::Library)?;
    Ok(WrappedKey { sealing_key: sealing_key.id, encapsulated, sealed })
}

/// Unwraps the key of `header`'s body with the private half of the sealing key that the wrap names.
///
/// # Errors
/// [`UnwrapError`].
pub fn unwrap_key(
    private: &SealingPrekey,
    header: &Header,
    recipient: &AgentId,
    wrapped: &WrappedKey,
) -> Result<ContentKey, UnwrapError> {
    let stored = SecretBytes::from(private.private().to_bytes());
    let own = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&stored).map_err(|_| PrimitivesError::Library)?;
    let from = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(wrapped.encapsulated.as_bytes());
    let key = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &own,
        &from.map_err(|_| UnwrapError::Unreadable)?,
        &info(header.hash(), recipient, private.id()),
        &wrapped.sealed,
        &[],
    );
    let key = SecretBytes::from(key.map_err(|_| UnwrapError::Unreadable)?);
    Ok(ContentKey::copy_of(key.first_chunk().ok_or(UnwrapError::Unreadable)?))
}

fn info(header: HeaderHash, recipient: &AgentId, sealing_key: KeyId) -> Vec<u8> {
    let mut writer = Writer::with_capacity(4 + INFO.len() + 32 + 4 + 32);
    writer.bytes(INFO).value(recipient).value(&sealing_key).array(&header.0);
    writer.into_bytes()
}

/// Randomness that was drawn before, where failing was possible: enough for the one key pair of a wrap.
struct Drawn {
    bytes: Zeroizing<[u8; 32]>,
    draws: u32,
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.draws += 1;
        for (to, from) in bytes.iter_mut().zip(self.bytes.iter()) {
            *to = *from;
        }
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests;
