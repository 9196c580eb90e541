//! What the runtime asks of a store.

use std::{error::Error, fmt};

use async_trait::async_trait;
use thiserror::Error;

use super::Area;

/// One stored row.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: Vec<u8>,
    /// From 1, raised by every change.
    pub(crate) version: u64,
    pub(crate) sealed: Vec<u8>,
}

impl fmt::Debug for Row {
    /// Shows nothing of the content but its length.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Row(version {}, {} bytes)", self.version, self.sealed.len())
    }
}

/// One change. It applies only to the version it names; 0 stands for a row that is not there.
#[derive(Clone)]
pub(crate) struct Write {
    pub(crate) area: Area,
    pub(crate) key: Vec<u8>,
    pub(crate) replaces: u64,
    /// The new content, as version `replaces + 1`; `None` deletes the row.
    pub(crate) sealed: Option<Vec<u8>>,
}

/// Opens a sealed row and seals its content anew.
pub(crate) type Reseal = Box<dyn FnMut(Area, &Row) -> Result<Vec<u8>, StoreError> + Send>;

/// The store could not do what it was asked; nothing was done.
#[derive(Debug, Error)]
#[error("the local store failed: {0}")]
pub(crate) struct StoreError(#[source] pub(crate) Box<dyn Error + Send + Sync>);

/// Why changes were not saved; none of them was.
#[derive(Debug, Error)]
pub(crate) enum CommitError {
    /// A row has another version: someone else was faster.
    #[error("another process changed the store first")]
    Conflict,
    /// The store key is another by now: what is sealed under the one before must not be stored.
    #[error("the store key was replaced meanwhile: open the agent anew")]
    OtherGeneration,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sealed rows.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// The row under `key`.
    async fn row(&self, area: Area, key: Vec<u8>) -> Result<Option<Row>, StoreError>;

    /// Up to `limit` rows whose key begins with `prefix` and is greater than `after`, ascending.
    async fn rows(&self, area: Area, prefix: Vec<u8>, after: Vec<u8>, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// The generation of the store key that every row is sealed under now.
    async fn generation(&self) -> Result<u32, StoreError>;

    /// Saves all changes durably, or none. They are sealed under this generation of the store key.
    async fn commit(&self, writes: Vec<Write>, generation: u32) -> Result<(), CommitError>;

    /// Seals every row anew and saves the `head` that holds the new store key, of the generation after this one; all of it,
    /// or nothing.
    async fn reseal(&self, head: Write, generation: u32, reseal: Reseal) -> Result<(), CommitError>;
}
