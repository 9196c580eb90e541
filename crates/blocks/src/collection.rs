//! Collecting what nobody needs: what a crash left between the store and its ledger.

use std::{collections::HashSet, error::Error};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    address::{Address, Mark},
    handle::Handle,
    log::BlockError,
    reader::ReadError,
    record::Kind,
    store::BlockStore,
};

/// What a collection found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// Blocks that some handle needs.
    pub needed: u64,
    /// Blocks that none needs, and that were let go of.
    pub collected: u64,
}

/// Why nothing was collected.
#[derive(Debug, Error)]
pub enum CollectError {
    /// What a handle needs could not be told, because a CBL of it cannot be read: collecting would take blocks that a
    /// repair could still use.
    #[error("a content that is needed cannot be read")]
    Unreadable(#[source] ReadError),
    /// What is needed could not be told: the caller's own failure.
    #[error("what is needed could not be listed")]
    Needed(#[source] Box<dyn Error + Send + Sync>),
    /// The file layer failed.
    #[error(transparent)]
    Files(#[from] BlockError),
}

impl BlockStore {
    /// Lets go of every block that was appended before `before` and that none of the `needed` handles leads to.
    ///
    /// `before` is a mark that the ledger committed, and `needed` is what the ledger held at that moment or later: a
    /// handle that is neither there nor dead would be collected. Contents that are being written are spared. Takes 8 to
    /// 16 bytes of memory for each block that is needed.
    ///
    /// # Errors
    /// [`CollectError`]; nothing was collected then, or the file layer failed midway.
    pub fn collect(&self, needed: impl IntoIterator<Item = Handle>, before: Mark) -> Result<Collection, CollectError> {
        self.collect_but(needed.into_iter().map(Ok), before)
    }

    /// As [`BlockStore::collect`], for a list that may fail to come to its end.
    ///
    /// # Errors
    /// As [`BlockStore::collect`]; [`CollectError::Needed`] with the list's first failure.
    pub fn collect_but(
        &self,
        needed: impl IntoIterator<Item = Result<Handle, Box<dyn Error + Send + Sync>>>,
        before: Mark,
    ) -> Result<Collection, CollectError> {
        let inner = self.inner();
        let before = inner.first_writer().map_or(before, |writer| writer.min(before));
        let mut addresses = HashSet::new();
        for handle in needed {
            let handle = handle.map_err(CollectError::Needed)?;
            let mut take = |block: crate::StoredBlock| _ = addresses.insert(block.address);
            inner.blocks_of(&handle, &mut take).map_err(CollectError::Unreadable)?;
        }
        let is_orphan = |address: Address| before.covers(address) && !addresses.contains(&address);
        let collected = inner
            .log
            .bury_all(&|record| matches!(record.kind, Kind::Whitened | Kind::Own) && is_orphan(record.address))?;
        Ok(Collection { needed: addresses.len() as u64, collected })
    }
}
