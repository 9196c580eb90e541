//! Where sealed bytes lie.

use async_trait::async_trait;

use super::BackendError;

/// From what stored content is rebuilt; means something to the adapter that made it, and is kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle(pub Vec<u8>);

/// Immutable contents.
#[async_trait]
pub trait Contents: Send + Sync {
    /// Whether there is room for new messages, and enough beside it for receipts, deletes and the store's own work to go on.
    async fn has_room(&self) -> Result<bool, BackendError>;

    /// Stores each content durably and returns its handle, in order. Until a handle is in the ledger its content may be
    /// collected after a restart.
    async fn append(&self, contents: Vec<Vec<u8>>) -> Result<Vec<Handle>, BackendError>;

    /// Reads contents back, in order. `None` stands for one that is gone or damaged for good, and keeps the others from
    /// nobody; what may be there the next time is a failure of the store.
    async fn read(&self, handles: Vec<Handle>) -> Result<Vec<Option<Vec<u8>>>, BackendError>;

    /// Lets go of contents that the ledger no longer names. Unknown handles are no error.
    async fn discard(&self, handles: Vec<Handle>) -> Result<(), BackendError>;
}
