//! The failure of a store.

use std::error::Error;

use thiserror::Error;

/// A store could not do what it was asked, or could not say that it did: it is not known whether it was done, wholly or not
/// at all, and the same call again is safe. What exactly failed is for the log, not for a caller.
#[derive(Debug, Error)]
#[error("the store failed")]
pub struct BackendError(#[source] Box<dyn Error + Send + Sync>);

impl BackendError {
    /// Wraps the store's own error.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
