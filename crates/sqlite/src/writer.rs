//! The one thread that changes the database.
//!
//! Kept: jobs that wait together are committed together, in the order they came; a job that fails takes back only its
//! own changes, for which the group may be run a second time; nobody is answered before the commit. The thread outlives every failure and ends only when the last
//! handle is gone and the queue is empty.

#[cfg(test)]
mod tests;

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::mpsc;

use crate::{
    job::{Changes, Job, JobError, WriteJob},
    join_on_drop::JoinOnDrop,
    limits::GROUP,
};

/// The callers' end of the writer. Dropping it lets the thread finish what is queued and waits for that.
#[derive(Debug)]
pub(crate) struct Writer {
    // Fields drop in this order: closing the queue is what the thread, joined next, waits for.
    queue: mpsc::Sender<Box<dyn Job>>,
    commits: Arc<AtomicU64>,
    _thread: JoinOnDrop,
}

impl Writer {
    /// Starts the thread; at most `queue` jobs wait for it.
    pub(crate) fn start(connection: Connection, queue: usize) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(queue);
        let commits = Arc::new(AtomicU64::new(0));
        let writing = WriterThread { connection, queue: receiver, commits: Arc::clone(&commits) };
        let thread = thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || writing.run())?;
        Ok(Self { queue: sender, commits, _thread: JoinOnDrop::new(thread) })
    }

    /// Queues a job, waiting for room, and then waits for its answer.
    pub(crate) async fn run<T, E>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JobError> + Send + 'static,
    {
        let (job, answer) = WriteJob::new(work);
        self.queue.send(Box::new(job)).await.map_err(|_| JobError::Closed)?;
        answer.await.unwrap_or_else(|_| Err(JobError::Closed.into()))
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

struct WriterThread {
    connection: Connection,
    queue: mpsc::Receiver<Box<dyn Job>>,
    commits: Arc<AtomicU64>,
}

impl WriterThread {
    fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.queue.blocking_recv_many(&mut group, GROUP) > 0 {
            let outcome = self.commit(&mut group);
            match &outcome {
                Ok(()) => _ = self.commits.fetch_add(1, Ordering::Relaxed),
                Err(error) => log_failure(group.len(), error),
            }
            for job in group.drain(..) {
                job.answer(outcome.clone());
            }
        }
        self.close();
    }

    /// Runs the jobs in one transaction; on error none of them left a trace.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), JobError> {
        let transaction = begin(&mut self.connection)?;
        if run_together(&transaction, group)? {
            return transaction.commit().map_err(JobError::transaction);
        }
        transaction.rollback().map_err(JobError::transaction)?;
        let transaction = begin(&mut self.connection)?;
        for job in group {
            run_in_savepoint(&transaction, job.as_mut())?;
        }
        transaction.commit().map_err(JobError::transaction)
    }

    /// Leaves a database that needs no recovery, unless another process still reads it: then it is left to them.
    fn close(self) {
        let checkpoint = self
            .connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = checkpoint {
            let error: &(dyn Error + 'static) = &error;
            tracing::warn!(error, "the write-ahead log stays behind; the next opening replays it");
        }
    }
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, JobError> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(JobError::transaction)
}

/// Runs the jobs without savepoints: each would copy every page that its job is the first to change. Says whether all that
/// failed had changed nothing; at the first that had it stops, and the jobs must be run anew.
fn run_together(transaction: &Transaction<'_>, group: &mut [Box<dyn Job>]) -> Result<bool, JobError> {
    for job in group {
        let before = transaction.total_changes();
        if run(transaction, job.as_mut())? == Changes::Undo && transaction.total_changes() != before {
            return Ok(false);
        }
    }
    Ok(true)
}

fn run_in_savepoint(transaction: &Transaction<'_>, job: &mut dyn Job) -> Result<(), JobError> {
    execute(transaction, "SAVEPOINT job")?;
    if run(transaction, job)? == Changes::Undo {
        execute(transaction, "ROLLBACK TO job")?;
    }
    execute(transaction, "RELEASE job")
}

fn run(transaction: &Transaction<'_>, job: &mut dyn Job) -> Result<Changes, JobError> {
    let changes = job.run(transaction);
    if transaction.is_autocommit() { Err(JobError::RolledBack) } else { Ok(changes) }
}

fn execute(transaction: &Transaction<'_>, sql: &str) -> Result<(), JobError> {
    let mut statement = transaction.prepare_cached(sql).map_err(JobError::transaction)?;
    statement.execute([]).map(drop).map_err(JobError::transaction)
}

fn log_failure(jobs: usize, error: &JobError) {
    let error: &(dyn Error + 'static) = error;
    tracing::error!(jobs, error, "a group of writes was not committed");
}
