//! The vault: what an agent keeps is sealed row by row before it touches a disk.
//!
//! One random store key seals everything; it is stored sealed itself, under the master key, so that a new passphrase
//! rewrites 97 bytes and not the store. Every row has a key of its own, derived from its table, its name and its
//! version: a row that was swapped with another, or put back to an older version, does not open.

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
    secret::{MasterKey, SecretBytes, StoreKey},
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
    store_key: StoreKey,
    rows: Prk,
}

/// Which of the agent's store keys a row is sealed under, from 1; it rises when the store key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(u32);

impl Generation {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

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
        Ok(Self::new(agent, Generation(1), &*random(primitives)?))
    }

    /// The vault that replaces this one: another store key, of the next generation. Whatever this one has sealed must be
    /// sealed anew with it before its key is stored.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn replacement(&self, primitives: &dyn Primitives) -> Result<Self, PrimitivesError> {
        Ok(Self::new(self.agent, Generation(self.generation.0.saturating_add(1)), &*random(primitives)?))
    }

    fn new(agent: AgentId, generation: Generation, store_key: &[u8; 32]) -> Self {
        Self { agent, generation, store_key: StoreKey::copy_of(store_key), rows: hkdf::extract(&[], store_key) }
    }

    /// The store key, sealed under `master`: 97 bytes. Sealing it again under another master key is how a passphrase
    /// changes.
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
        let mut ciphertext = [0; 32];
        let associated_data = store_key_ad(self.generation, &self.agent);
        let tag = aead::seal(key, nonce, &associated_data, self.store_key.expose(), &mut ciphertext)?;
        let mut writer = Writer::with_capacity(HEAD + COMMITMENT + NONCE + 32 + TAG);
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
        let (nonce, ciphertext, tag) = (reader.array()?, reader.array::<32>()?, reader.array()?);
        reader.finish()?;
        let [key, commitment] = &*wrapping_keys(master)?;
        if !bool::from(found.ct_eq(commitment)) {
            return Err(VaultError::WrongMasterKey);
        }
        let store_key = aead::open(key, nonce, &store_key_ad(generation, &agent), &ciphertext, &tag)
            .map_err(|failure| or_else(failure, VaultError::StoreKeyDamaged))?;
        let store_key = store_key.first_chunk().ok_or(VaultError::StoreKeyDamaged)?;
        Ok(Self::new(agent, generation, store_key))
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
        let [key] = &*self.row_key(address)?;
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
        if generation != self.generation {
            return Err(VaultError::OtherGeneration { found: generation.0, ours: self.generation.0 });
        }
        let nonce = reader.array()?;
        let (ciphertext, tag) = reader.rest().split_last_chunk().ok_or(DecodeError::Truncated)?;
        let [key] = &*self.row_key(address)?;
        aead::open(key, nonce, &head(generation), ciphertext, tag)
            .map_err(|failure| or_else(failure, VaultError::WrongRow))
    }

    /// Which store key this is.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    fn row_key(&self, address: &RowAddress<'_>) -> Result<Zeroizing<[[u8; 32]; 1]>, PrimitivesError> {
        let mut info = Writer::with_capacity(64 + address.table.len() + address.row.len());
        info.bytes(ROW_LABEL).bytes(address.table.as_bytes()).bytes(address.row).u64(address.version);
        hkdf::expand(&self.rows, &[&info.into_bytes()])
    }
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
