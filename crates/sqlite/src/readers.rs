//! A bounded set of connections that can only look.
//!
//! Kept: a job sees one committed state throughout, and no more jobs run than the set has places. A connection on which
//! a job panicked is not used again.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::{sync::Semaphore, task};

use crate::{connection::open_reader, job::JobError};

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    places: Arc<Semaphore>,
    /// As many as there are places, but for those in use and those on which a job panicked.
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens them all: later the process may have no files left to open.
    pub(crate) fn open(path: PathBuf, places: NonZeroUsize) -> rusqlite::Result<Self> {
        let idle = (0..places.get()).map(|_| open_reader(&path)).collect::<Result<_, _>>()?;
        Ok(Self { path, places: Arc::new(Semaphore::new(places.get())), idle: Mutex::new(idle) })
    }

    /// Waits for a place and runs the job on one of the runtime's blocking threads.
    pub(crate) async fn run<T, E>(
        self: &Arc<Self>,
        job: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JobError> + Send + 'static,
    {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| JobError::Closed)?;
        let readers = Arc::clone(self);
        // The place goes with the job: a caller who leaves does not free it before the job is done.
        let reading = task::spawn_blocking(move || {
            let _place = place;
            readers.run_blocking(job)
        });
        reading.await.unwrap_or_else(|stopped| {
            Err(if stopped.is_panic() { JobError::Panicked } else { JobError::Closed }.into())
        })
    }

    fn run_blocking<T, E: From<JobError>>(&self, job: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.take().map_err(JobError::transaction)?;
        let snapshot = connection.transaction().map_err(JobError::transaction)?;
        let result = job(&snapshot);
        snapshot.finish().map_err(JobError::transaction)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }

    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open_reader(&self.path), Ok)
    }
}
