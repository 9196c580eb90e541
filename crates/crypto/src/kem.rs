//! ML-KEM-768 (FIPS 203): the private half, and what can be done with it.

use std::fmt;

use aws_lc_rs::kem;
use sealpost_protocol::{
    KemCiphertext, KemKey,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use crate::{
    primitives::PrimitivesError,
    secret::{SharedSecret, secret_array, wipe},
};

/// An ML-KEM-768 decapsulation key with the encapsulation key that is part of it.
///
/// It is kept in FIPS 203's expanded form, 2,400 bytes: `aws-lc-rs` 1.19 neither gives nor takes the 64-byte seed.
pub struct KemPrivateKey {
    expanded: Box<[u8; Self::LENGTH]>,
    public: KemKey,
}

impl KemPrivateKey {
    /// Bytes of the expanded form: the secret vector, the encapsulation key, its hash, and the rejection seed.
    pub const LENGTH: usize = SECRET_VECTOR + KemKey::LENGTH + 32 + 32;

    /// From a copy of the expanded form; wiping the original is the caller's. That its halves belong together is for
    /// [`Self::decapsulate`] to find out.
    ///
    /// # Errors
    /// [`DecodeError`] when the encapsulation key inside is none.
    pub fn copy_of(expanded: &[u8; Self::LENGTH]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(expanded);
        reader.take(SECRET_VECTOR)?;
        let mut key = Self { public: KemKey::decode(&mut reader)?, expanded: Box::new([0; Self::LENGTH]) };
        key.expanded.copy_from_slice(expanded);
        Ok(key)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &KemKey {
        &self.public
    }

    /// The secret in `ciphertext`. One that was not made for this key gives a secret that nobody else knows (implicit
    /// rejection), and no error.
    ///
    /// # Errors
    /// [`PrimitivesError::Library`], also for a key whose halves do not belong together.
    pub fn decapsulate(&self, ciphertext: &KemCiphertext) -> Result<SharedSecret, PrimitivesError> {
        let key = kem::DecapsulationKey::new(&kem::ML_KEM_768, self.expanded.as_slice())
            .map_err(|_| PrimitivesError::Library)?;
        let ciphertext = kem::Ciphertext::from(ciphertext.as_bytes().as_slice());
        let secret = key.decapsulate(ciphertext).map_err(|_| PrimitivesError::Library)?;
        secret.as_ref().first_chunk().map(SharedSecret::copy_of).ok_or(PrimitivesError::Library)
    }
}

/// Bytes of the secret vector: three polynomials of 256 twelve-bit coefficients.
const SECRET_VECTOR: usize = 3 * 256 * 12 / 8;

const _: () = assert!(KemPrivateKey::LENGTH == 2_400, "FIPS 203, table 3");

impl Drop for KemPrivateKey {
    fn drop(&mut self) {
        wipe(self.expanded.as_mut_slice());
    }
}

impl fmt::Debug for KemPrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KemPrivateKey(…)")
    }
}

impl Encode for KemPrivateKey {
    fn encode(&self, writer: &mut Writer) {
        writer.array(self.expanded.as_slice());
    }
}

impl Decode for KemPrivateKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::copy_of(secret_array(reader)?)
    }
}

#[cfg(test)]
mod tests;
