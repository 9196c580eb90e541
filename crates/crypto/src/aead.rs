//! ChaCha20-Poly1305 (RFC 8439), with the tag apart from the ciphertext.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;

use crate::{primitives::PrimitivesError, secret::SecretBytes};

/// Bytes of a nonce.
pub(crate) const NONCE: usize = 12;

/// Bytes of a tag.
pub(crate) const TAG: usize = 16;

/// Why nothing was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum OpenFailure {
    /// Key, nonce, associated data, ciphertext or tag do not belong together.
    #[error("the tag does not verify")]
    Tag,
    /// The library failed before it could tell.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
}

/// Writes the ciphertext of `plaintext`, which has the same length, and gives the tag. No pair of key and nonce may be
/// used twice.
///
/// # Errors
/// [`PrimitivesError::Library`], also for lengths that differ.
pub(crate) fn seal(
    key: &[u8; 32],
    nonce: [u8; NONCE],
    associated_data: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> Result<[u8; TAG], PrimitivesError> {
    let mut tag = [0; TAG];
    bind(key)?
        .seal_out_of_place_scatter(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated_data),
            plaintext,
            ciphertext,
            &[],
            &mut tag,
        )
        .map_err(|_| PrimitivesError::Library)?;
    Ok(tag)
}

/// The plaintext of `ciphertext`, after its tag has verified.
///
/// # Errors
/// [`OpenFailure`].
pub(crate) fn open(
    key: &[u8; 32],
    nonce: [u8; NONCE],
    associated_data: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG],
) -> Result<SecretBytes, OpenFailure> {
    let mut plaintext = SecretBytes::zeros(ciphertext.len());
    bind(key)?
        .open_separate_gather(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated_data),
            ciphertext,
            tag,
            plaintext.as_mut_slice(),
        )
        .map_err(|_| OpenFailure::Tag)?;
    Ok(plaintext)
}

fn bind(key: &[u8; 32]) -> Result<LessSafeKey, PrimitivesError> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new).map_err(|_| PrimitivesError::Library)
}

#[cfg(test)]
mod tests;
