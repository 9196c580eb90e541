//! Whether the relay can do its whole work now, for whoever sends it traffic.

use std::sync::Arc;

use sealpost_protocol::ErrorCode;
use thiserror::Error;

use crate::ports::{BackendError, Contents, Ledger};

/// Asks the stores.
pub struct Readiness {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) contents: Arc<dyn Contents>,
}

/// Why the relay is not ready.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotReady {
    /// It takes no new messages; what waits is handed out, and receipts are taken.
    #[error("the disk is nearly full: the relay takes no new messages; mail is handed out and receipts are taken")]
    NoRoom,
    /// A store does not answer.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl NotReady {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        ErrorCode::Unavailable
    }
}

impl Readiness {
    /// Ready means that the ledger answers, and that there is room for new messages.
    ///
    /// # Errors
    /// [`NotReady`].
    pub async fn check(&self) -> Result<(), NotReady> {
        self.ledger.swept_at().await?;
        if self.contents.has_room().await? { Ok(()) } else { Err(NotReady::NoRoom) }
    }
}
