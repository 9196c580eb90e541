//! Where the master key comes from: a passphrase, a file, or whatever else implements [`MasterKeyProvider`].

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use sealpost_protocol::encoding::{Decode, DecodeError, Encode, Reader, Writer};
use thiserror::Error;
use zeroize::Zeroizing;

pub use crate::secret::MasterKey;
use crate::{
    limits,
    primitives::{Primitives, PrimitivesError, random},
};

const FORMAT: u8 = 1;

/// Hands out an agent's master key: 32 bytes that everything at rest is sealed under.
pub trait MasterKeyProvider: Send + Sync {
    /// The key. It may take its time: Argon2id takes a tenth of a second and more.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    fn master_key(&self) -> Result<MasterKey, MasterKeyError>;
}

/// Why there is no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// A passphrase has at least one character.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The key file holds something else.
    #[error("a key file holds 32 bytes, or 64 hexadecimal digits")]
    NotAKeyFile,
    /// Argon2id could not be computed, for want of memory.
    #[error("the passphrase could not be stretched: not enough memory")]
    OutOfMemory,
    /// A provider's device or service did not answer; it knows more.
    #[error("the master key is not to be had now")]
    Unavailable,
}

/// How a passphrase is stretched, public: it is stored beside what the key seals. Parameters that exist are neither
/// cheap to guess through nor beyond a machine's means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassphraseParameters {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; 16],
}

impl PassphraseParameters {
    /// Today's defaults, with a salt of their own.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn generate(primitives: &dyn Primitives) -> Result<Self, PrimitivesError> {
        Ok(Self {
            memory_kib: limits::ARGON2_MEMORY_KIB,
            passes: limits::ARGON2_PASSES,
            lanes: limits::ARGON2_LANES,
            salt: *random(primitives)?,
        })
    }

    fn are_sane(&self) -> bool {
        (limits::ARGON2_LEAST_MEMORY_KIB..=limits::ARGON2_MOST_MEMORY_KIB).contains(&self.memory_kib)
            && (limits::ARGON2_FEWEST_PASSES..=limits::ARGON2_MOST_PASSES).contains(&self.passes)
            && (1..=limits::ARGON2_MOST_LANES).contains(&self.lanes)
    }
}

impl Encode for PassphraseParameters {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(FORMAT).u32(self.memory_kib).u32(self.passes).u32(self.lanes).array(&self.salt);
    }
}

impl Decode for PassphraseParameters {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "passphrase format", found }),
        }
        let parameters =
            Self { memory_kib: reader.u32()?, passes: reader.u32()?, lanes: reader.u32()?, salt: reader.array()? };
        if parameters.are_sane() {
            Ok(parameters)
        } else {
            Err(DecodeError::Invalid { field: "passphrase parameters", reason: "too weak, or too much for a machine" })
        }
    }
}

/// A master key from a passphrase, by Argon2id (RFC 9106).
pub struct PassphraseProvider {
    passphrase: Zeroizing<String>,
    parameters: PassphraseParameters,
}

impl PassphraseProvider {
    /// From a passphrase and the parameters that are stored for it.
    ///
    /// # Errors
    /// [`MasterKeyError::EmptyPassphrase`].
    pub fn new(passphrase: Zeroizing<String>, parameters: PassphraseParameters) -> Result<Self, MasterKeyError> {
        if passphrase.is_empty() { Err(MasterKeyError::EmptyPassphrase) } else { Ok(Self { passphrase, parameters }) }
    }
}

impl MasterKeyProvider for PassphraseProvider {
    fn master_key(&self) -> Result<MasterKey, MasterKeyError> {
        let PassphraseParameters { memory_kib, passes, lanes, salt } = &self.parameters;
        let params = Params::new(*memory_kib, *passes, *lanes, Some(32)).map_err(|_| MasterKeyError::OutOfMemory)?;
        let mut memory = Zeroizing::new(Vec::new());
        memory.try_reserve_exact(params.block_count()).map_err(|_| MasterKeyError::OutOfMemory)?;
        memory.resize(params.block_count(), Block::default());
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(self.passphrase.as_bytes(), salt, key.as_mut(), memory.as_mut_slice())
            .map_err(|_| MasterKeyError::OutOfMemory)?;
        Ok(MasterKey::copy_of(&key))
    }
}

impl fmt::Debug for PassphraseProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PassphraseProvider").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

/// A master key from a file that the caller has read.
#[derive(Debug)]
pub struct KeyFileProvider(MasterKey);

impl KeyFileProvider {
    /// From a file's contents: 32 bytes, or 64 hexadecimal digits that a line break may follow.
    ///
    /// # Errors
    /// [`MasterKeyError::NotAKeyFile`].
    pub fn from_contents(contents: &[u8]) -> Result<Self, MasterKeyError> {
        if let Ok(key) = contents.try_into() {
            return Ok(Self(MasterKey::copy_of(key)));
        }
        let line = contents.strip_suffix(b"\n").unwrap_or(contents);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        from_hex(line).map(|key| Self(MasterKey::copy_of(&key))).ok_or(MasterKeyError::NotAKeyFile)
    }
}

impl MasterKeyProvider for KeyFileProvider {
    fn master_key(&self) -> Result<MasterKey, MasterKeyError> {
        Ok(MasterKey::copy_of(self.0.expose()))
    }
}

fn from_hex(digits: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != 32 {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, [high, low]) in key.iter_mut().zip(pairs) {
        let digit = |character: u8| char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(key)
}

#[cfg(test)]
mod tests;
