//! The handle: open a database, write to it, read from it.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::Path,
    sync::Arc,
};

use rusqlite::{Connection, Transaction};

use crate::{
    connection::{OpenDatabaseError, open_writer},
    job::JobError,
    limits::{CHECKPOINT_PAGES, QUEUE, READERS},
    readers::Readers,
    schema::Schema,
    writer::Writer,
};

/// An open database; clones share it.
///
/// Dropping the last one writes what is queued, folds the write-ahead log into the file and closes it, blocking until
/// that is done. Only a read that outlives it is not waited for.
#[derive(Clone, Debug)]
pub struct Database {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    readers: Arc<Readers>,
    writer: Writer,
}

/// What differs between the stores that use this crate.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Overwrite deleted rows with zeros in the database file. Their bytes stay in the write-ahead log until it starts
    /// over. On unless chosen otherwise; it costs writes, so a store whose rows hold nothing secret turns it off.
    pub secure_delete: bool,
    /// How many pages (of 4 KiB) the write-ahead log takes before a commit also copies them into the database file.
    /// 1,000 unless chosen otherwise. Between checkpoints a commit is quick, and the larger the log, the rarer and the
    /// longer they are. With 64 callers writing 1 KiB each at full speed: at 1,000 pages 24,000 writes a second and a
    /// 99th percentile of 16 ms; at 16,000 pages 34,000 and 4 ms, but 45 ms for one in a thousand.
    pub checkpoint_pages: NonZeroU16,
    /// How many reads run at once; the next ones wait. Four unless chosen otherwise.
    pub readers: NonZeroUsize,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { secure_delete: true, checkpoint_pages: CHECKPOINT_PAGES, readers: READERS }
    }
}

impl Database {
    /// Opens the file at `path`, creates it if missing (its folder must exist), and applies the migrations it lacks.
    /// Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`OpenDatabaseError::Foreign`] and [`OpenDatabaseError::NewerSchema`] for a file this schema may not touch,
    /// otherwise what SQLite or the operating system refused.
    pub fn open(path: &Path, schema: Schema, options: OpenOptions) -> Result<Self, OpenDatabaseError> {
        let connection = open_writer(path, schema, options)?;
        let readers = Arc::new(Readers::open(path.to_owned(), options.readers)?);
        let writer = Writer::start(connection, QUEUE).map_err(OpenDatabaseError::Thread)?;
        Ok(Self { shared: Arc::new(Shared { readers, writer }) })
    }

    /// Runs `job` in a transaction and returns once it is durable. Waits while the queue is full.
    ///
    /// Jobs that wait at the same moment share a commit, and a job sees what those before it did. If it returns an
    /// error or panics, its own changes are undone and nobody else's; for that it, and those beside it, may be run a
    /// second time, on the state that the first found. It must not end the transaction itself, nor rely on deferred
    /// constraints: those are checked when all are committed, and would fail all. What it owns lives until the commit.
    ///
    /// Dropping the future withdraws a job that is not queued yet; a queued one runs to its end.
    ///
    /// # Errors
    ///
    /// The job's own, or the [`JobError`] that kept its work out of the database.
    pub async fn write<T, E>(&self, job: impl FnMut(&Transaction<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JobError> + Send + 'static,
    {
        self.shared.writer.run(job).await
    }

    /// Runs `job` on the last committed state, which does not change under it. Waits while all readers are busy.
    ///
    /// The write-ahead log grows for as long as a job looks at an old state: read in pages.
    ///
    /// Must be called from a tokio runtime. Dropping the future does not stop a job that has begun.
    ///
    /// # Errors
    ///
    /// The job's own, or the [`JobError`] that kept it from an answer.
    pub async fn read<T, E>(&self, job: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JobError> + Send + 'static,
    {
        self.shared.readers.run(job).await
    }

    /// How many groups of writes were committed since the database was opened; over the number of writes, how well they
    /// share their flushes.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.writer.commits()
    }
}
