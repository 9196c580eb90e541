//! HKDF-SHA256 (RFC 5869), in blocks of 32 bytes.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use crate::primitives::PrimitivesError;

/// Extracts from `secret` under `salt` and expands under the concatenation of `info` to `BLOCKS` keys.
///
/// The library wipes `secret`'s copy and not `salt`'s. Of secret salts there is one, the root key that a step has just
/// replaced: without the Diffie-Hellman output beside it, it leads nowhere.
///
/// # Errors
/// [`PrimitivesError::Library`].
pub(crate) fn derive<const BLOCKS: usize>(
    salt: &[u8],
    secret: &[u8],
    info: &[&[u8]],
) -> Result<Zeroizing<[[u8; 32]; BLOCKS]>, PrimitivesError> {
    expand(&extract(salt, secret), info)
}

/// The first half: a key that others derive from.
pub(crate) fn extract(salt: &[u8], secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, salt).extract(secret)
}

/// The second half: `BLOCKS` keys under the concatenation of `info`.
///
/// # Errors
/// [`PrimitivesError::Library`].
pub(crate) fn expand<const BLOCKS: usize>(
    key: &Prk,
    info: &[&[u8]],
) -> Result<Zeroizing<[[u8; 32]; BLOCKS]>, PrimitivesError> {
    let mut keys = Zeroizing::new([[0; 32]; BLOCKS]);
    let output = keys.as_flattened_mut();
    key.expand(info, Length(output.len()))
        .and_then(|expanded| expanded.fill(output))
        .map_err(|_| PrimitivesError::Library)?;
    Ok(keys)
}

/// How many bytes to expand to.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests;
