//! The failure of a store.

use std::error::Error;

use thiserror::Error;

/// A store could not do what it was asked; nothing was done. What exactly failed is for the log, not for a caller.
#[derive(Debug, Error)]
#[error("the store failed")]
pub struct BackendError(#[source] Box<dyn Error + Send + Sync>);

impl BackendError {
    /// Wraps the store's own error.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
