//! How a job on the database ends without a result.

use sealpost_core::ports::BackendError;
use sealpost_protocol::encoding::DecodeError;
use sealpost_sqlite::{JobError, is_no_space};
use thiserror::Error;

/// The database did not do what it was asked.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    /// A statement failed.
    #[error("an SQLite statement failed")]
    Statement(#[source] rusqlite::Error),
    /// The job did not come to its end.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A row is not what this program wrote.
    #[error("the database holds a damaged {0}")]
    Damaged(&'static str),
    /// Stored bytes are not the encoding that this program wrote.
    #[error("the database holds a damaged {what}")]
    Undecodable {
        /// What they should be.
        what: &'static str,
        /// Where they went wrong.
        source: DecodeError,
    },
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        if is_no_space(&error) { Self::Job(JobError::NoSpace) } else { Self::Statement(error) }
    }
}

impl StoreError {
    /// Whether a row is at fault, and others may still be used.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Undecodable { .. } => true,
            Self::Statement(error) => matches!(
                error,
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
                    | rusqlite::Error::InvalidColumnType(..)
            ),
            Self::Job(_) => false,
        }
    }
}

/// Why a transaction was taken back.
#[derive(Debug)]
pub(super) enum Abort<R> {
    /// A rule of the domain says no.
    Refused(R),
    /// The store failed.
    Failed(StoreError),
}

impl<R: From<BackendError>> Abort<R> {
    /// What the port's caller hears.
    pub(super) fn into_refusal(self) -> R {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Failed(error) => BackendError::new(error).into(),
        }
    }
}

impl<R> From<StoreError> for Abort<R> {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl<R> From<rusqlite::Error> for Abort<R> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<R> From<JobError> for Abort<R> {
    fn from(error: JobError) -> Self {
        Self::Failed(error.into())
    }
}
