//! Contents without a place of their own: the handle *is* the content.
//!
//! The ledger stores handles in the transaction that records their message. A handle that carries the bytes puts them
//! on the disk once, with that commit and its one flush; stored beside it, they would need a flush before it, and a
//! sweep for those whose message was then refused. The price: what the ledger returns of a handle is the content
//! itself. The block store takes this place when it is there, since large bodies do not belong into a database's pages.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use sealpost_core::ports::{BackendError, Contents, Handle};

/// Bytes of the disk that stay free of new messages: the log, which a checkpoint leaves at 16 MiB and a slow reader lets
/// grow, and the receipts and deletes of a full store. Higher wastes a small disk; lower, and the store fails in what makes
/// room.
const RESERVE: u64 = 256 << 20;

/// Contents that travel in their handles; durable when the ledger has the handle.
#[derive(Debug)]
pub(super) struct InlineContents {
    /// Where the ledger is.
    pub(super) data_directory: PathBuf,
}

#[async_trait]
impl Contents for InlineContents {
    async fn has_room(&self) -> Result<bool, BackendError> {
        Ok(free_bytes(&self.data_directory).map_err(BackendError::new)? >= RESERVE)
    }

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

/// What the file system would still give to this process.
#[cfg(unix)]
fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Not known: the store says so itself when it is full.
#[cfg(not(unix))]
fn free_bytes(_: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_that_of_the_directory_s_file_system() {
        let directory = tempfile::tempdir().unwrap();
        let free = free_bytes(directory.path()).unwrap();
        assert!(free > 0 && free < u64::MAX);
        assert!(free_bytes(&directory.path().join("missing")).is_err());
        if cfg!(target_os = "linux") {
            assert_eq!(free_bytes(Path::new("/proc")).unwrap(), 0, "a file system that holds nothing");
        }
    }
}
