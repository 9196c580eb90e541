//! The adapters over one data directory, which one process holds: ledger and prekeys in one SQLite file,
//! `ledger.sqlite3`, contents in a block store beside it.
//!
//! Calls that arrive together share a commit (see [`sealpost_sqlite`]). Deleted rows are not overwritten: contents are not
//! in them, and the rest is the relay's own knowledge.

mod backup;
mod columns;
mod contents;
mod contents_mark;
mod data_directory;
mod failure;
mod identity;
mod ledger;
mod prekeys;
mod schema;

use std::{
    fmt, io,
    num::NonZeroU16,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{Connection, Transaction};
use sealpost_core::ports::{BackendError, Ledger, Prekeys};
use sealpost_protocol::{Clock, Signer};
use sealpost_sqlite::{Database, DirectoryLock, OpenOptions};
use thiserror::Error;

pub use sealpost_sqlite::{LockError, create_file, make_private};

pub use backup::{BackupError, BackupReport, BackupStop, restore_files};
pub use contents::{
    BlocksReport, CollectionReport, Damaged, EmbeddedContents, OpenContentsError, RepairReport, StoredContent,
    VerificationReport,
};
pub use data_directory::is_inside;
pub use identity::LedgerIdentity;
pub use ledger::verification::{FindingKind, Findings, Subject};

use self::{
    failure::{Abort, StoreError},
    ledger::EmbeddedLedger,
    prekeys::EmbeddedPrekeys,
};

/// The database's name inside the data directory.
const FILE_NAME: &str = "ledger.sqlite3";

/// Pages in the write-ahead log that call for a checkpoint: 16 MiB. An accepted message changes pages of several
/// agents' indexes; the longer the log, the more messages share a page when it is copied, and the longer a checkpoint
/// holds the writer. With 64 callers `cargo bench -p sealpost-storage --bench ledger` accepted 8,800 messages a second at SQLite's own 1,000 pages
/// (99th percentile 21 ms, 26 KB written for each), 12,700 at this (31 ms, 22 KB) and 13,100 at 16,000 (41 ms, 19 KB),
/// in one run each.
const CHECKPOINT_PAGES: NonZeroU16 = NonZeroU16::MIN.saturating_add(3_999);

/// An open data directory. The adapters it gives out share it; it is free for another process when the last is dropped.
#[derive(Clone)]
pub struct Embedded {
    store: Arc<Store>,
    path: PathBuf,
}

/// Why a data directory was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory is missing and could not be made.
    #[error("cannot make the data directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process holds the directory, or the lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database could not be opened: it is another product's, a newer version's, or damaged.
    #[error("cannot open {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sealpost_sqlite::OpenError,
    },
}

impl Embedded {
    /// Whether a data directory holds a ledger.
    #[must_use]
    pub fn is_in(data_directory: &Path) -> bool {
        data_directory.join(FILE_NAME).is_file()
    }

    /// Opens the data directory, makes it if it is missing, and brings its database up to date. Blocks on the disk.
    ///
    /// # Errors
    /// [`OpenError`]. A database that this version may not touch is left as it was.
    pub fn open(data_directory: &Path) -> Result<Self, OpenError> {
        data_directory::create(data_directory)
            .map_err(|source| OpenError::Directory { path: data_directory.to_owned(), source })?;
        let lock = DirectoryLock::acquire(data_directory)?;
        let path = data_directory.join(FILE_NAME);
        let options =
            OpenOptions { secure_delete: false, checkpoint_pages: CHECKPOINT_PAGES, ..OpenOptions::default() };
        let database = Database::open(&path, schema::SCHEMA, options)
            .map_err(|source| OpenError::Database { path: path.clone(), source })?;
        Ok(Self { store: Arc::new(Store { database, contents_are_open: AtomicBool::new(false), _lock: lock }), path })
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Messages, mailboxes, statuses and receipts.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(EmbeddedLedger::new(Arc::clone(&self.store)))
    }

    /// Manifests, one-time prekeys and claims.
    #[must_use]
    pub fn prekeys(&self) -> Arc<dyn Prekeys> {
        Arc::new(EmbeddedPrekeys::new(Arc::clone(&self.store)))
    }

    /// Contents, to be used with [`Embedded::ledger`] and opened once at a time. `node` signs the block lists, and only its
    /// own are believed; `clock` dates them.
    ///
    /// # Errors
    /// [`OpenContentsError`].
    pub async fn open_contents(
        &self,
        node: Arc<dyn Signer + Send + Sync>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<EmbeddedContents>, OpenContentsError> {
        let contents = EmbeddedContents::open(Arc::clone(&self.store), self.data_directory().to_owned(), node, clock);
        contents.await.map(Arc::new)
    }

    /// As [`Embedded::open_contents`], to look at them only: what is done with them stays in memory. A ledger that is not the
    /// right one costs nothing so.
    ///
    /// # Errors
    /// [`OpenContentsError`].
    pub async fn look_at_contents(
        &self,
        node: Arc<dyn Signer + Send + Sync>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<EmbeddedContents>, OpenContentsError> {
        let contents = EmbeddedContents::look(Arc::clone(&self.store), self.data_directory().to_owned(), node, clock);
        contents.await.map(Arc::new)
    }

    fn data_directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Embedded").finish_non_exhaustive()
    }
}

/// The database and the right to it. Dropped in this order: the directory is free when the file is closed.
struct Store {
    database: Database,
    contents_are_open: AtomicBool,
    _lock: DirectoryLock,
}

impl Store {
    /// Takes the place of whoever has the contents open; returns whether it was taken.
    fn take_contents(&self) -> bool {
        self.contents_are_open.swap(true, Ordering::AcqRel)
    }

    fn leave_contents(&self) {
        self.contents_are_open.store(false, Ordering::Release);
    }

    /// Runs `job` in a transaction of its own; if it aborts, nothing has changed.
    async fn write<T, R>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, Abort<R>> + Send + 'static,
    ) -> Result<T, R>
    where
        T: Send + 'static,
        R: From<BackendError> + Send + 'static,
    {
        self.database.write(job).await.map_err(Abort::into_refusal)
    }

    /// Runs `job` on one committed state.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, BackendError> {
        self.database.read(job).await.map_err(BackendError::new)
    }
}
