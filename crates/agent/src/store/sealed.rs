//! Records in, sealed rows out: the one place where the runtime's state is sealed and opened.

use std::sync::Arc;

use sealpost_crypto::{Primitives, PrimitivesError, RowAddress, SecretBytes, Vault, VaultError, encode_secret};
use sealpost_protocol::encoding::{Decode, DecodeError, Encode};
use thiserror::Error;

use super::{Area, CommitError, Row, Store, StoreError, Write};

/// A type that has an area of its own.
pub(crate) trait Record: Encode + Decode {
    const AREA: Area;

    /// Bytes of its encoding.
    fn length(&self) -> usize;

    /// Its encoding, in a buffer that does not grow: there may be secrets in it.
    fn to_secret(&self) -> SecretBytes {
        encode_secret(self.length(), |writer| self.encode(writer))
    }
}

/// A record as it was read, with the version that a change must name.
#[derive(Debug, Clone)]
pub(crate) struct Versioned<T> {
    pub(crate) key: Vec<u8>,
    pub(crate) version: u64,
    pub(crate) value: T,
}

/// Records as they follow in the store; one that is damaged keeps nobody from the others.
pub(crate) struct Page<T> {
    pub(crate) rows: Vec<Versioned<T>>,
    /// The last key that was looked at; `None` at the end.
    pub(crate) last: Option<Vec<u8>>,
    /// Why the first of those that do not open does not.
    pub(crate) damaged: Option<StoreAccessError>,
}

/// Why a record cannot be read or written.
#[derive(Debug, Error)]
pub(crate) enum StoreAccessError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("a stored row does not open: {0}")]
    Vault(#[from] VaultError),
    #[error("a stored row has not the form of this version: {0}")]
    Record(#[from] DecodeError),
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
}

impl StoreAccessError {
    /// Whether the store key was replaced since the store was opened.
    pub(crate) fn is_other_generation(&self) -> bool {
        matches!(self, Self::Commit(CommitError::OtherGeneration))
    }
}

impl From<StoreError> for StoreAccessError {
    fn from(error: StoreError) -> Self {
        Self::Commit(error.into())
    }
}

/// The agent's own records.
pub(crate) struct SealedStore {
    store: Arc<dyn Store>,
    vault: Vault,
    primitives: Arc<dyn Primitives>,
}

impl SealedStore {
    pub(crate) fn new(store: Arc<dyn Store>, vault: Vault, primitives: Arc<dyn Primitives>) -> Self {
        Self { store, vault, primitives }
    }

    /// The record under `key`.
    pub(crate) async fn find<T: Record>(&self, key: &[u8]) -> Result<Option<Versioned<T>>, StoreAccessError> {
        let row = self.store.row(T::AREA, key.to_vec()).await?;
        let opened = row.map(|row| self.open(row)).transpose();
        self.of_this_generation(opened).await
    }

    /// Up to `limit` records whose key begins with `prefix` and is greater than `after`, ascending.
    pub(crate) async fn list<T: Record>(
        &self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, StoreAccessError> {
        let rows = self.store.rows(T::AREA, prefix.to_vec(), after.to_vec(), limit).await?;
        let opened = rows.into_iter().map(|row| self.open(row)).collect();
        self.of_this_generation(opened).await
    }

    /// The same, and what does not open is passed over.
    pub(crate) async fn page<T: Record>(
        &self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Page<T>, StoreAccessError> {
        let found = self.store.rows(T::AREA, prefix.to_vec(), after.to_vec(), limit).await?;
        let last = found.last().map(|row| row.key.clone());
        let mut page = Page { rows: Vec::with_capacity(found.len()), last, damaged: None };
        for row in found {
            match self.of_this_generation(self.open(row)).await {
                Err(error) if error.is_other_generation() => return Err(error),
                Ok(row) => page.rows.push(row),
                Err(error) => {
                    tracing::error!(area = T::AREA.name(), %error, "a stored row is damaged");
                    page.damaged.get_or_insert(error);
                }
            }
        }
        Ok(page)
    }

    /// What does not open may be whole, and sealed under a store key that is another by now.
    async fn of_this_generation<T>(&self, opened: Result<T, StoreAccessError>) -> Result<T, StoreAccessError> {
        if matches!(opened, Err(StoreAccessError::Vault(_)))
            && self.store.generation().await? != self.vault.generation().number()
        {
            return Err(CommitError::OtherGeneration.into());
        }
        opened
    }

    /// Saves all of `changes`, or none.
    pub(crate) async fn commit(&self, changes: Changes) -> Result<(), StoreAccessError> {
        self.commit_beside(None, changes).await
    }

    /// Saves a row as it is and all of `changes`, or none of it.
    pub(crate) async fn commit_beside(
        &self,
        unsealed: Option<Write>,
        changes: Changes,
    ) -> Result<(), StoreAccessError> {
        let sealed = changes.0.into_iter().map(|change| self.seal(change));
        let writes = unsealed.into_iter().map(Ok).chain(sealed).collect::<Result<_, StoreAccessError>>()?;
        Ok(self.store.commit(writes, self.vault.generation().number()).await?)
    }

    fn open<T: Record>(&self, row: Row) -> Result<Versioned<T>, StoreAccessError> {
        let address = RowAddress { table: T::AREA.name(), row: &row.key, version: row.version };
        let bytes = self.vault.open(&address, &row.sealed)?;
        Ok(Versioned { value: T::from_bytes(&bytes)?, version: row.version, key: row.key })
    }

    fn seal(&self, change: Change) -> Result<Write, StoreAccessError> {
        let Change { area, key, replaces, content } = change;
        let seal = |content: SecretBytes| {
            let address = RowAddress { table: area.name(), row: &key, version: replaces + 1 };
            self.vault.seal(self.primitives.as_ref(), &address, &content)
        };
        let sealed = content.map(seal).transpose()?;
        Ok(Write { area, key, replaces, sealed })
    }
}

/// A set of changes to be saved together.
#[derive(Default)]
pub(crate) struct Changes(Vec<Change>);

struct Change {
    area: Area,
    key: Vec<u8>,
    replaces: u64,
    content: Option<SecretBytes>,
}

impl Changes {
    /// Adds a record under a key that must be free.
    pub(crate) fn insert<T: Record>(&mut self, key: impl Into<Vec<u8>>, value: &T) -> &mut Self {
        self.write(key.into(), 0, Some(value))
    }

    /// Puts `value` in the place of what was read.
    pub(crate) fn replace<T: Record>(&mut self, read: &Versioned<T>, value: &T) -> &mut Self {
        self.write(read.key.clone(), read.version, Some(value))
    }

    /// Puts `value` in the place of what was read, if anything was.
    pub(crate) fn upsert<T: Record>(&mut self, key: &[u8], read: Option<&Versioned<T>>, value: &T) -> &mut Self {
        self.write(key.to_vec(), read.map_or(0, |read| read.version), Some(value))
    }

    /// Deletes what was read.
    pub(crate) fn delete<T: Record>(&mut self, read: &Versioned<T>) -> &mut Self {
        self.write::<T>(read.key.clone(), read.version, None)
    }

    fn write<T: Record>(&mut self, key: Vec<u8>, replaces: u64, value: Option<&T>) -> &mut Self {
        let content = value.map(Record::to_secret);
        self.0.push(Change { area: T::AREA, key, replaces, content });
        self
    }
}
