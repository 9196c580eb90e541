//! The vault: what an agent keeps is sealed row by row before it touches a disk.
//!
//! One random store key seals everything; it is stored sealed itself, under the master key, so that a new passphrase
//! rewrites 97 bytes and not the store. Every row has a key of its own, derived from its table, its name and its
//! version: a row that was swapped with another, or put back to an older version, does not open.
//!
//! A store key is replaced in three steps, any of which may be the last before a crash: [`Vault::rotated`] gives a vault
//! that has both keys, whose sealed form is stored; every row that is not [current](Vault::is_current) is opened and sealed
//! again; [`Vault::forget_previous`] gives up the old key, and the sealed form is stored once more. A new passphrase needs
//! nothing but [`Vault::sealed_store_key`] under the new master key.

use std::fmt;

use aws_lc_rs::hkdf::Prk;
use sealpost_protocol::{
    AgentId,
    encoding::{DecodeError, Reader, Writer},
};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    aead::{self, NONCE, OpenFailure, TAG},
    hkdf,
    primitives::{Primitives, PrimitivesError, random},
    secret::{MasterKey, SecretBytes, StoreKey, encode_secret},
};

const FORMAT: u8 = 1;

const STORE_KEY_LABEL: &[u8] = b"sealpost/v1/store-key";
const ROW_LABEL: &[u8] = b"sealpost/v1/row";

/// Bytes that a sealed row has beyond its plaintext: format, generation, nonce and tag.
pub const SEALED_ROW_OVERHEAD: usize = HEAD + NONCE + TAG;

/// Bytes of format and generation.
const HEAD: usize = 1 + 4;

/// Bytes of the value that tells a wrong master key from a damaged store key.
const COMMITMENT: usize = 32;

/// Seals and opens the rows of one agent's store.
pub struct Vault {
    agent: AgentId,
    generation: Generation,
    current: Keys,
    /// The store key before, while rows may still be sealed under it.
    previous: Option<Keys>,
}

/// A store key, and what row keys derive from.
struct Keys {
    store_key: StoreKey,
    rows: Prk,
}

impl Keys {
    fn copy_of(store_key: &[u8; 32]) -> Self {
        Self { store_key: StoreKey::copy_of(store_key), rows: hkdf::extract(&[], store_key) }
    }
}

/// Which of the agent's store keys a row is sealed under, from 1; it rises when the store key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(u32);

/// The place of a row, which is bound into its seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowAddress<'a> {
    /// The table.
    pub table: &'a str,
    /// The row's key in the table.
    pub row: &'a [u8],
    /// The row's version, which every change raises.
    pub version: u64,
}

/// Why nothing was opened or sealed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The bytes have not the form of what they should be.
    #[error("not a sealed value: {0}")]
    Format(#[from] DecodeError),
    /// The store key is sealed under another master key.
    #[error("the master key is another: a wrong passphrase or key file")]
    WrongMasterKey,
    /// The sealed store key was altered, or is another agent's.
    #[error("the sealed store key is damaged, or another agent's")]
    StoreKeyDamaged,
    /// There is no store key after the last generation, or one rotation has not ended: rows may be sealed under its old
    /// key.
    #[error("the store key cannot be replaced now")]
    RotationUnderWay,
    /// The row is sealed under a store key that this vault does not have.
    #[error("the row is sealed under generation {found} of the store key, and this is generation {ours}")]
    OtherGeneration {
        /// The row's.
        found: u32,
        /// The vault's.
        ours: u32,
    },
    /// The row was altered, or is another row, or another version of it.
    #[error("the row is damaged, or not the row and version that was asked for")]
    WrongRow,
    /// Something below failed.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
}

impl Vault {
    /// A vault with a new store key. Store [`Self::sealed_store_key`] before anything that it seals.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn create(primitives: &dyn Primitives, agent: AgentId) -> Result<Self, PrimitivesError> {
        let current = Keys::copy_of(&*random(primitives)?);
        Ok(Self { agent, generation: Generation(1), current, previous: None })
    }

    /// The same vault with a new store key, which also opens what is sealed under the old one. Store
    /// [`Self::sealed_store_key`] before anything that it seals.
    ///
    /// # Errors
    /// [`VaultError::RotationUnderWay`] if the old key replaced another one that is still there,
    /// [`VaultError::Primitives`]; the old vault is given up either way and must be unlocked again.
    pub fn rotated(self, primitives: &dyn Primitives) -> Result<Self, VaultError> {
        let generation = self.generation.0.checked_add(1).filter(|_| self.previous.is_none());
        let generation = Generation(generation.ok_or(VaultError::RotationUnderWay)?);
        let current = Keys::copy_of(&*random(primitives)?);
        Ok(Self { generation, current, previous: Some(self.current), ..self })
    }

    /// Whether a rotation has begun and not ended.
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        self.previous.is_some()
    }

    /// Erases the store key before: when every row is [current](Self::is_current).
    pub fn forget_previous(&mut self) {
        self.previous = None;
    }

    /// Whether a row is sealed under the newest store key; all others must be sealed again before a rotation ends.
    ///
    /// # Errors
    /// [`VaultError::Format`].
    pub fn is_current(&self, sealed: &[u8]) -> Result<bool, VaultError> {
        Ok(read_head(&mut Reader::new(sealed))? == self.generation)
    }

    /// The store key, sealed under `master`: 97 bytes; during a rotation both, 129 bytes. Sealing it again under another
    /// master key is how a passphrase changes.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn sealed_store_key(
        &self,
        primitives: &dyn Primitives,
        master: &MasterKey,
    ) -> Result<Vec<u8>, PrimitivesError> {
        let [key, commitment] = &*wrapping_keys(master)?;
        let nonce: [u8; NONCE] = *random(primitives)?;
        let keys = [Some(&self.current), self.previous.as_ref()].into_iter().flatten();
        let plaintext = encode_secret(2 * 32, |writer| {
            keys.for_each(|keys| _ = writer.array(keys.store_key.expose()));
        });
        let mut ciphertext = vec![0; plaintext.len()];
        let tag = aead::seal(key, nonce, &store_key_ad(self.generation, &self.agent), &plaintext, &mut ciphertext)?;
        let mut writer = Writer::with_capacity(HEAD + COMMITMENT + NONCE + 2 * 32 + TAG);
        writer.u8(FORMAT).u32(self.generation.0).array(commitment).array(&nonce).array(&ciphertext).array(&tag);
        Ok(writer.into_bytes())
    }

    /// The vault whose store key was sealed under `master` for `agent`.
    ///
    /// # Errors
    /// [`VaultError::WrongMasterKey`], [`VaultError::StoreKeyDamaged`], [`VaultError::Format`],
    /// [`VaultError::Primitives`].
    pub fn unlock(sealed_store_key: &[u8], agent: AgentId, master: &MasterKey) -> Result<Self, VaultError> {
        let mut reader = Reader::new(sealed_store_key);
        let generation = read_head(&mut reader)?;
        let found: [u8; COMMITMENT] = reader.array()?;
        let nonce = reader.array()?;
        let (ciphertext, tag) = reader.rest().split_last_chunk().ok_or(DecodeError::Truncated)?;
        match ciphertext.len() {
            32 | 64 => {}
            ..32 | 33..64 => return Err(DecodeError::Truncated.into()),
            longer => return Err(DecodeError::Trailing(longer - 64).into()),
        }
        let [key, commitment] = &*wrapping_keys(master)?;
        if !bool::from(found.ct_eq(commitment)) {
            return Err(VaultError::WrongMasterKey);
        }
        let store_keys = aead::open(key, nonce, &store_key_ad(generation, &agent), ciphertext, tag)
            .map_err(|failure| or_else(failure, VaultError::StoreKeyDamaged))?;
        let (current, previous) = store_keys.split_first_chunk().ok_or(VaultError::StoreKeyDamaged)?;
        let previous = previous.first_chunk().map(Keys::copy_of);
        Ok(Self { agent, generation, current: Keys::copy_of(current), previous })
    }

    /// Seals a row: format ‖ generation ‖ nonce ‖ ciphertext ‖ tag, [`SEALED_ROW_OVERHEAD`] bytes more than the
    /// plaintext.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn seal(
        &self,
        primitives: &dyn Primitives,
        address: &RowAddress<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, PrimitivesError> {
        let nonce: [u8; NONCE] = *random(primitives)?;
        let [key] = &*row_key(&self.current, address)?;
        let mut sealed = Vec::with_capacity(plaintext.len() + SEALED_ROW_OVERHEAD);
        sealed.extend_from_slice(&head(self.generation));
        sealed.extend_from_slice(&nonce);
        sealed.resize(HEAD + NONCE + plaintext.len(), 0);
        let (_, ciphertext) = sealed.split_at_mut(HEAD + NONCE);
        let tag = aead::seal(key, nonce, &head(self.generation), plaintext, ciphertext)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens a row, if it is the one at `address`.
    ///
    /// # Errors
    /// [`VaultError::WrongRow`], [`VaultError::OtherGeneration`], [`VaultError::Format`], [`VaultError::Primitives`].
    pub fn open(&self, address: &RowAddress<'_>, sealed: &[u8]) -> Result<SecretBytes, VaultError> {
        let mut reader = Reader::new(sealed);
        let generation = read_head(&mut reader)?;
        let other = VaultError::OtherGeneration { found: generation.0, ours: self.generation.0 };
        let keys = self.keys_of(generation).ok_or(other)?;
        let nonce = reader.array()?;
        let (ciphertext, tag) = reader.rest().split_last_chunk().ok_or(DecodeError::Truncated)?;
        let [key] = &*row_key(keys, address)?;
        aead::open(key, nonce, &head(generation), ciphertext, tag)
            .map_err(|failure| or_else(failure, VaultError::WrongRow))
    }

    /// Which store key this is.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    fn keys_of(&self, generation: Generation) -> Option<&Keys> {
        match &self.previous {
            _ if generation == self.generation => Some(&self.current),
            Some(previous) if generation.0.checked_add(1) == Some(self.generation.0) => Some(previous),
            _ => None,
        }
    }
}

fn row_key(keys: &Keys, address: &RowAddress<'_>) -> Result<Zeroizing<[[u8; 32]; 1]>, PrimitivesError> {
    let mut info = Writer::with_capacity(64 + address.table.len() + address.row.len());
    info.bytes(ROW_LABEL).bytes(address.table.as_bytes()).bytes(address.row).u64(address.version);
    hkdf::expand(&keys.rows, &[&info.into_bytes()])
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Vault")
            .field("agent", &self.agent)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// From a master key: the key that seals the store key, and a commitment to it.
fn wrapping_keys(master: &MasterKey) -> Result<Zeroizing<[[u8; 32]; 2]>, PrimitivesError> {
    hkdf::derive(&[], master.expose(), &[STORE_KEY_LABEL])
}

fn store_key_ad(generation: Generation, agent: &AgentId) -> Vec<u8> {
    let mut writer = Writer::with_capacity(HEAD + 32);
    writer.array(&head(generation)).value(agent);
    writer.into_bytes()
}

fn head(generation: Generation) -> [u8; HEAD] {
    let [a, b, c, d] = generation.0.to_be_bytes();
    [FORMAT, a, b, c, d]
}

fn read_head(reader: &mut Reader<'_>) -> Result<Generation, DecodeError> {
    match reader.u8()? {
        FORMAT => reader.u32().map(Generation),
        found => Err(DecodeError::UnknownValue { field: "vault format", found }),
    }
}

fn or_else(failure: OpenFailure, otherwise: VaultError) -> VaultError {
    match failure {
        OpenFailure::Tag => otherwise,
        OpenFailure::Primitives(error) => error.into(),
    }
}

#[cfg(test)]
mod tests;
