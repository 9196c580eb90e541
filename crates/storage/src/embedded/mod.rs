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
mod named_contents;
mod prekeys;
mod restoring;
mod revocations;
mod schema;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::limits;

use rusqlite::{Connection, Transaction};
use sealpost_core::ports::{BackendError, Ledger, Prekeys, Revocations};
use sealpost_protocol::{Clock, Signer};
use sealpost_sqlite::{Database, DirectoryLock, OpenOptions};
use thiserror::Error;

pub use sealpost_sqlite::{LockError, create_file, make_private};

pub use backup::{BackupError, BackupReport, BackupStop, restore_files};
pub use contents::{
    BlocksReport, CollectionReport, ContentLocation, Damaged, EmbeddedContents, OpenContentsError, RepairReport,
    VerificationReport,
};
pub use data_directory::is_inside;
pub use identity::LedgerIdentity;
pub use ledger::verification::{FindingKind, Findings, Subject};
pub use restoring::Restoring;

use self::{
    contents::Loss,
    failure::{Abort, StoreError},
    ledger::EmbeddedLedger,
    prekeys::EmbeddedPrekeys,
    revocations::EmbeddedRevocations,
};

/// The database's name inside the data directory.
const FILE_NAME: &str = "ledger.sqlite3";

/// What stands in a data directory beside its ledger's own files: the lock, which is the first of all, and the contents; and
/// what a file system puts into its uppermost folder.
const OWN_NAMES: [&str; 3] = [DirectoryLock::FILE_NAME, contents::DIRECTORY, "lost+found"];

/// How the names of the block store's segments end.
const SEGMENT: &str = ".segment";

/// An open data directory. The adapters it gives out share it; it is free for another process when the last is dropped.
#[derive(Clone)]
pub struct Embedded {
    store: Arc<Store>,
    path: PathBuf,
}

/// Why a data directory was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenDataDirectoryError {
    /// The directory is missing and could not be made.
    #[error("cannot make the data directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is a backup, which a relay on it would change.
    #[error(
        "{} is a backup, and no relay's data folder: put it back with `sealpost restore --from {} --data-dir FOLDER`, and \
         use that folder", .0.display(), .0.display()
    )]
    Backup(PathBuf),
    /// It is a backup that was not finished.
    #[error("{} is a backup that was not finished: it is of no use; remove it", .0.display())]
    UnfinishedBackup(PathBuf),
    /// The ledger's file is there with nothing in it, and contents that only a ledger can name lie beside it.
    #[error(
        "{} is empty, though there are contents beside it: put the ledger back from a backup with `sealpost restore`, or \
         remove the file to begin anew without the messages that it held", .0.display()
    )]
    Emptied(PathBuf),
    /// Another process holds the directory, or the lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database could not be opened: it is another product's, a newer version's, or damaged.
    #[error("cannot open {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sealpost_sqlite::OpenDatabaseError,
    },
}

impl Embedded {
    /// Whether a data directory holds a ledger.
    #[must_use]
    pub fn is_in(data_directory: &Path) -> bool {
        data_directory.join(FILE_NAME).is_file()
    }

    /// What shows that a folder is no data directory, and none in the making: there is no ledger in it, and this is called
    /// otherwise than whatever a relay puts there, which calls `further` files its own. A folder that is missing or empty
    /// shows nothing of the kind, nor does one whose first start was cut short, at whatever point.
    ///
    /// # Errors
    /// What the file system says of what is there.
    pub fn foreign_in(data_directory: &Path, further: &[&str]) -> io::Result<Option<PathBuf>> {
        if Self::is_in(data_directory) {
            return Ok(None);
        }
        let is_own = |name: &str| {
            OWN_NAMES.contains(&name) || further.contains(&name) || name.starts_with(FILE_NAME) // its log may be left
        };
        data_directory::first_other(data_directory, is_own)
    }

    /// The nearest folder above `path` that holds a relay's data, or a backup of them.
    ///
    /// # Errors
    /// What the file system says of what is there.
    pub fn above(path: &Path) -> io::Result<Option<PathBuf>> {
        data_directory::above(path, Self::is_in)
    }

    /// Opens the data directory, makes it if it is missing, and brings its database up to date. Blocks on the disk.
    ///
    /// # Errors
    /// [`OpenDataDirectoryError`]. A database that this version may not touch is left as it was.
    pub fn open(data_directory: &Path) -> Result<Self, OpenDataDirectoryError> {
        check(data_directory)?;
        data_directory::create(data_directory)
            .map_err(|source| OpenDataDirectoryError::Directory { path: data_directory.to_owned(), source })?;
        let lock = DirectoryLock::acquire(data_directory)?;
        let path = data_directory.join(FILE_NAME);
        let options =
            OpenOptions { secure_delete: false, checkpoint_pages: limits::CHECKPOINT_PAGES, ..OpenOptions::default() };
        let database = Database::open(&path, schema::SCHEMA, options)
            .map_err(|source| OpenDataDirectoryError::Database { path: path.clone(), source })?;
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

    /// What agents have revoked.
    #[must_use]
    pub fn revocations(&self) -> Arc<dyn Revocations> {
        Arc::new(EmbeddedRevocations::new(Arc::clone(&self.store)))
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
        self.open_contents_with(Loss::Refused, node, clock).await
    }

    /// As [`Embedded::open_contents`], for blocks that end before what the ledger has accepted: what is left is opened, and what
    /// is not will be found lost.
    ///
    /// # Errors
    /// [`OpenContentsError`].
    pub async fn open_what_is_left(
        &self,
        node: Arc<dyn Signer + Send + Sync>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<EmbeddedContents>, OpenContentsError> {
        self.open_contents_with(Loss::Accepted, node, clock).await
    }

    async fn open_contents_with(
        &self,
        loss: Loss,
        node: Arc<dyn Signer + Send + Sync>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<EmbeddedContents>, OpenContentsError> {
        let (store, directory) = (Arc::clone(&self.store), self.data_directory().to_owned());
        EmbeddedContents::open(store, directory, node, clock, loss).await.map(Arc::new)
    }

    /// As [`Embedded::open_what_is_left`], to look at them only: what is done with them stays in memory. A ledger that is not
    /// the right one costs nothing so.
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

/// What must not be opened as a data directory; it stays as it is.
fn check(data_directory: &Path) -> Result<(), OpenDataDirectoryError> {
    if backup::is_finished_in(data_directory) {
        return Err(OpenDataDirectoryError::Backup(data_directory.to_owned()));
    }
    if backup::is_unfinished_in(data_directory) {
        return Err(OpenDataDirectoryError::UnfinishedBackup(data_directory.to_owned()));
    }
    let is_emptied = data_directory::has_emptied(data_directory, FILE_NAME);
    if is_emptied && data_directory::has_any(&data_directory.join(contents::DIRECTORY), SEGMENT) {
        return Err(OpenDataDirectoryError::Emptied(data_directory.join(FILE_NAME)));
    }
    Ok(())
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
        job: impl FnMut(&Transaction<'_>) -> Result<T, Abort<R>> + Send + 'static,
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
