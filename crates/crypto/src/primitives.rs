//! The seam to whatever makes randomness: the operating system in production, a seed in vectors and simulations.
//!
//! Only what draws randomness is behind it. ML-KEM's key generation and encapsulation are, because `aws-lc-rs` takes no
//! seed for them; X25519 keys come from [`Primitives::fill_random`], and everything else is a function of its
//! arguments.

use aws_lc_rs::{kem, rand};
use sealpost_protocol::{KemCiphertext, KemKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{kem::KemPrivateKey, secret::SharedSecret};

/// The primitives that draw randomness.
pub trait Primitives: Send + Sync {
    /// Fills `bytes` from a cryptographically secure source.
    ///
    /// # Errors
    /// [`PrimitivesError::Randomness`]; `bytes` must not be used then.
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), PrimitivesError>;

    /// Makes an ML-KEM-768 key pair.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    fn generate_kem_key(&self) -> Result<KemPrivateKey, PrimitivesError>;

    /// Makes a secret that only the holder of `key`'s private half can draw from the ciphertext.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    fn encapsulate(&self, key: &KemKey) -> Result<(KemCiphertext, SharedSecret), PrimitivesError>;
}

/// Something below the protocol failed. It says nothing about the peer or its messages: nothing has changed, and the
/// same call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrimitivesError {
    /// There is no randomness to be had.
    #[error("the source of randomness failed")]
    Randomness,
    /// The cryptographic library refused what it should take; it is out of memory, or broken.
    #[error("the cryptographic library failed")]
    Library,
    /// A Diffie-Hellman agreement gave the all-zero secret, or did not come about.
    #[error("a key agreement failed")]
    Agreement,
}

/// The primitives of production: `aws-lc-rs`, which draws from the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemPrimitives;

impl Primitives for SystemPrimitives {
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), PrimitivesError> {
        rand::fill(bytes).map_err(|_| PrimitivesError::Randomness)
    }

    fn generate_kem_key(&self) -> Result<KemPrivateKey, PrimitivesError> {
        let key = kem::DecapsulationKey::generate(&kem::ML_KEM_768).map_err(|_| PrimitivesError::Library)?;
        let bytes = key.key_bytes().map_err(|_| PrimitivesError::Library)?;
        let bytes = bytes.as_ref().first_chunk().ok_or(PrimitivesError::Library)?;
        KemPrivateKey::copy_of(bytes).map_err(|_| PrimitivesError::Library)
    }

    fn encapsulate(&self, key: &KemKey) -> Result<(KemCiphertext, SharedSecret), PrimitivesError> {
        let key = kem::EncapsulationKey::new(&kem::ML_KEM_768, key.as_bytes()).map_err(|_| PrimitivesError::Library)?;
        let (ciphertext, secret) = key.encapsulate().map_err(|_| PrimitivesError::Library)?;
        let ciphertext = ciphertext.as_ref().first_chunk().ok_or(PrimitivesError::Library)?;
        let secret = secret.as_ref().first_chunk().ok_or(PrimitivesError::Library)?;
        Ok((KemCiphertext::from_array(*ciphertext), SharedSecret::copy_of(secret)))
    }
}

/// `N` random bytes.
pub(crate) fn random<const N: usize>(primitives: &dyn Primitives) -> Result<Zeroizing<[u8; N]>, PrimitivesError> {
    let mut bytes = Zeroizing::new([0; N]);
    primitives.fill_random(bytes.as_mut_slice())?;
    Ok(bytes)
}
