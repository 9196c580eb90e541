//! A unit of work on the writer's transaction, and the one answer its caller gets.
//!
//! Kept: what a job found or did is told only once its group is committed. That holds for refusals too: "already there"
//! may rest on a neighbour's row, and would be a lie if the two were then rolled back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rusqlite::Transaction;
use tokio::sync::oneshot;

use crate::no_space::is_no_space;

/// Why a job has no result, other than its own refusal. Nothing it did is in the database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// The disk is full, or what SQLite may use of it.
    #[error("no space is left on the disk")]
    NoSpace,
    /// A statement of the job failed.
    #[error("an SQLite statement failed")]
    Statement(#[source] Arc<rusqlite::Error>),
    /// The transaction around the job could not begin or commit. Should the machine lose power right after a commit
    /// failed in writing to the disk, the changes may yet appear; a retry must find out, not assume.
    #[error("the SQLite transaction failed")]
    Transaction(#[source] Arc<rusqlite::Error>),
    /// Another job of the same group ended the transaction: SQLite rolls all of it back when, say, the disk is full.
    #[error("the SQLite transaction was rolled back by another job in it")]
    RolledBack,
    /// The job panicked.
    #[error("a database job panicked")]
    Panicked,
    /// The database is shutting down. Only here is it unknown whether the job was committed.
    #[error("the database is closed")]
    Closed,
}

impl From<rusqlite::Error> for JobError {
    fn from(error: rusqlite::Error) -> Self {
        if is_no_space(&error) { Self::NoSpace } else { Self::Statement(Arc::new(error)) }
    }
}

impl JobError {
    pub(crate) fn transaction(error: rusqlite::Error) -> Self {
        if is_no_space(&error) { Self::NoSpace } else { Self::Transaction(Arc::new(error)) }
    }
}

/// What the writer sees of a job: it has no types, so that jobs of all kinds share a queue.
pub(crate) trait Job: Send {
    /// Does the work: once, and once more if the changes of its group were taken back.
    fn run(&mut self, transaction: &Transaction<'_>) -> Changes;

    /// Tells the caller, who hears what the job came to if the group was committed and the group's failure if not.
    fn answer(self: Box<Self>, group: Result<(), JobError>);
}

/// What should become of a job's changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    Keep,
    Undo,
}

/// A caller's closure on its way through the writer.
pub(crate) struct WriteJob<W, T, E> {
    work: W,
    result: Option<Result<T, E>>,
    /// The job failed by what ended the transaction; its own error says more than the group's.
    ended_transaction: bool,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<W, T, E> WriteJob<W, T, E>
where
    W: FnMut(&Transaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<JobError> + Send,
{
    pub(crate) fn new(work: W) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (caller, answer) = oneshot::channel();
        (Self { work, result: None, ended_transaction: false, caller }, answer)
    }
}

impl<W, T, E> Job for WriteJob<W, T, E>
where
    W: FnMut(&Transaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<JobError> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> Changes {
        // Unwind safe: of what the closure can reach, only the transaction outlives it, and that is rolled back.
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(transaction))).unwrap_or_else(|_| {
            tracing::error!("a write job panicked; its changes are rolled back");
            Err(JobError::Panicked.into())
        });
        let changes = if result.is_ok() { Changes::Keep } else { Changes::Undo };
        self.ended_transaction = result.is_err() && transaction.is_autocommit();
        self.result = Some(result);
        changes
    }

    fn answer(self: Box<Self>, group: Result<(), JobError>) {
        let Self { work, result, ended_transaction, caller } = *self;
        let answer = match (group, result) {
            (Err(_), Some(result)) if ended_transaction => result,
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(JobError::Closed.into()),
        };
        // Whoever hears of the end may count on it that nothing is held any more of what it gave.
        drop(work);
        // A caller who has gone does not want to know; the work stands.
        drop(caller.send(answer));
    }
}
