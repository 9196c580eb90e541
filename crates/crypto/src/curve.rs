//! X25519 (RFC 7748): the private half, and the agreement.

use std::fmt;

use aws_lc_rs::agreement;
use sealpost_protocol::{
    CurveKey,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use crate::{
    primitives::{Primitives, PrimitivesError, random},
    secret::{CurveScalar, SharedSecret, secret_array},
};

/// An X25519 private key, imported and with its public half computed once.
pub struct CurvePrivateKey {
    scalar: CurveScalar,
    imported: agreement::PrivateKey,
    public: CurveKey,
}

impl CurvePrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub(crate) fn generate(primitives: &dyn Primitives) -> Result<Self, PrimitivesError> {
        Self::copy_of(&*random(primitives)?)
    }

    /// From a copy of 32 bytes; they are clamped where they are used.
    ///
    /// # Errors
    /// [`PrimitivesError::Library`].
    pub(crate) fn copy_of(scalar: &[u8; 32]) -> Result<Self, PrimitivesError> {
        let imported = agreement::PrivateKey::from_private_key(&agreement::X25519, scalar)
            .map_err(|_| PrimitivesError::Library)?;
        let public = imported.compute_public_key().map_err(|_| PrimitivesError::Library)?;
        let public = public.as_ref().first_chunk().ok_or(PrimitivesError::Library)?;
        let public = CurveKey::from_array(*public).map_err(|_| PrimitivesError::Library)?;
        Ok(Self { scalar: CurveScalar::copy_of(scalar), imported, public })
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> CurveKey {
        self.public
    }

    /// The secret shared with the holder of `peer`'s private half.
    ///
    /// # Errors
    /// [`PrimitivesError::Agreement`] for the all-zero secret, which no [`CurveKey`] should give.
    pub(crate) fn agree(&self, peer: &CurveKey) -> Result<SharedSecret, PrimitivesError> {
        self.agree_with_bytes(peer.as_bytes())
    }

    fn agree_with_bytes(&self, peer: &[u8; 32]) -> Result<SharedSecret, PrimitivesError> {
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, peer);
        agreement::agree(&self.imported, peer, PrimitivesError::Agreement, |secret| {
            secret.first_chunk().map(SharedSecret::copy_of).ok_or(PrimitivesError::Library)
        })
    }
}

impl fmt::Debug for CurvePrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CurvePrivateKey(…)")
    }
}

impl Encode for CurvePrivateKey {
    fn encode(&self, writer: &mut Writer) {
        writer.array(self.scalar.expose());
    }
}

impl Decode for CurvePrivateKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::copy_of(secret_array(reader)?)
            .map_err(|_| DecodeError::Invalid { field: "curve private key", reason: "the library refuses it" })
    }
}

#[cfg(test)]
mod tests;
