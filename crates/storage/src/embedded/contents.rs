//! Contents without a place of their own: the handle *is* the content.
//!
//! The ledger stores handles in the transaction that records their message. A handle that carries the bytes puts them
//! on the disk once, with that commit and its one flush; stored beside it, they would need a flush before it, and a
//! sweep for those whose message was then refused. The price: what the ledger returns of a handle is the content
//! itself. The block store takes this place when it is there, since large bodies do not belong into a database's pages.

use async_trait::async_trait;
use sealpost_core::ports::{BackendError, Contents, Handle};

/// Contents that travel in their handles; durable when the ledger has the handle.
#[derive(Debug)]
pub(super) struct InlineContents;

#[async_trait]
impl Contents for InlineContents {
    async fn append(&self, contents: Vec<Vec<u8>>) -> Result<Vec<Handle>, BackendError> {
        Ok(contents.into_iter().map(Handle).collect())
    }

    /// Whether it is still what was accepted, whoever reads it tells by its hash.
    async fn read(&self, handles: Vec<Handle>) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        Ok(handles.into_iter().map(|Handle(content)| Some(content)).collect())
    }

    /// The ledger deleted the row when it let go of the handle.
    async fn discard(&self, _handles: Vec<Handle>) -> Result<(), BackendError> {
        Ok(())
    }
}
