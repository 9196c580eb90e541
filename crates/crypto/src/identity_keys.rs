//! The private half of an agent's identity: one Ed25519 seed, which signs, and agrees on X25519 secrets.
//!
//! The X25519 form is the birational image of the same key pair: SHA-512(seed)\[0..32\], clamped, is the scalar of
//! both, and [`IdentityKey::to_montgomery`] is the public half.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use sealpost_protocol::{AgentId, CurveKey, IdentityKey, Signature, Signer, SigningInput};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::{
    curve::CurvePrivateKey,
    primitives::{Primitives, PrimitivesError, random},
    secret::{IdentitySeed, SecretBytes, SharedSecret, encode_secret},
};

/// An agent's private identity. Making one from its seed takes several scalar multiplications, paid once: keep it.
pub struct IdentityPrivateKey {
    seed: IdentitySeed,
    signing: Ed25519KeyPair,
    agreement: CurvePrivateKey,
    public: IdentityKey,
    agent_id: AgentId,
}

impl IdentityPrivateKey {
    /// A new identity.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn generate(primitives: &dyn Primitives) -> Result<Self, PrimitivesError> {
        Self::from_seed(&*random(primitives)?)
    }

    /// The identity of a 32-byte seed; wiping the original is the caller's.
    ///
    /// # Errors
    /// [`PrimitivesError::Library`].
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, PrimitivesError> {
        let signing = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| PrimitivesError::Library)?;
        let public = signing.public_key().as_ref().first_chunk().ok_or(PrimitivesError::Library)?;
        let public = IdentityKey::from_array(*public).map_err(|_| PrimitivesError::Library)?;
        let agreement = CurvePrivateKey::copy_of(&scalar(seed))?;
        Ok(Self { seed: IdentitySeed::copy_of(seed), signing, agreement, public, agent_id: public.agent_id() })
    }

    /// The seed, 32 bytes, for sealing it.
    #[must_use]
    pub fn expose_seed(&self) -> SecretBytes {
        encode_secret(32, |writer| {
            writer.array(self.seed.expose());
        })
    }

    /// The id that this identity certifies.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.agent_id
    }

    /// The secret shared with the holder of `peer`'s private half.
    pub(crate) fn agree(&self, peer: &CurveKey) -> Result<SharedSecret, PrimitivesError> {
        self.agreement.agree(peer)
    }
}

impl Signer for IdentityPrivateKey {
    fn identity_key(&self) -> IdentityKey {
        self.public
    }

    fn sign(&self, input: &SigningInput) -> Signature {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.signing.sign(input.as_bytes()).as_ref());
        Signature(signature)
    }
}

impl fmt::Debug for IdentityPrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IdentityPrivateKey({})", self.agent_id)
    }
}

/// The X25519 form of a public identity.
///
/// # Errors
/// None in truth: a point of the prime-order subgroup other than the neutral element, and an [`IdentityKey`] is one,
/// has an image of the same order.
pub(crate) fn curve_form(identity: &IdentityKey) -> Result<CurveKey, PrimitivesError> {
    CurveKey::from_array(identity.to_montgomery()).map_err(|_| PrimitivesError::Agreement)
}

/// The scalar that RFC 8032 signs with, before clamping, which X25519 does itself.
fn scalar(seed: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut hash = Zeroizing::new([0; 64]);
    Sha512::new().chain_update(seed).finalize_into((&mut *hash).into());
    let mut scalar = Zeroizing::new([0; 32]);
    scalar.copy_from_slice(hash.split_at(32).0);
    scalar
}

#[cfg(test)]
mod tests;
