//! Collecting what nobody needs: what a crash left between the store and its ledger.

use std::{collections::HashSet, error::Error};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    address::{Address, DurableMark},
    handle::BlockHandle,
    limits,
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

/// What is needed of what was appended between two marks, as far as it has been told. It holds addresses of that range
/// only, whatever else there is.
#[derive(Debug)]
pub struct Needs {
    from: DurableMark,
    before: DurableMark,
    addresses: HashSet<Address>,
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
    pub fn collect(
        &self,
        needed: impl IntoIterator<Item = BlockHandle>,
        before: DurableMark,
    ) -> Result<Collection, CollectError> {
        self.collect_but(needed.into_iter().map(Ok), before)
    }

    /// As [`BlockStore::collect`], for a list that may fail to come to its end.
    ///
    /// # Errors
    /// As [`BlockStore::collect`]; [`CollectError::Needed`] with the list's first failure.
    pub fn collect_but(
        &self,
        needed: impl IntoIterator<Item = Result<BlockHandle, Box<dyn Error + Send + Sync>>>,
        before: DurableMark,
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

    /// Begins a collection of what was appended between two marks, of [`limits::COLLECTED_SEGMENTS`] segments at most.
    #[must_use]
    pub fn needs(&self, from: DurableMark, before: DurableMark) -> Needs {
        let before = self.inner().first_writer().map_or(before, |writer| writer.min(before));
        let most = DurableMark::new(from.segment().saturating_add(limits::COLLECTED_SEGMENTS), 0);
        Needs { from, before: before.min(most), addresses: HashSet::new() }
    }

    /// Tells that a content is needed. Of one that ends before the range, nothing is read.
    ///
    /// # Errors
    /// [`CollectError::Unreadable`]: the collection cannot go on then.
    pub fn need(&self, needs: &mut Needs, handle: &BlockHandle) -> Result<(), CollectError> {
        if handle.lies_before(needs.from) {
            return Ok(());
        }
        let (from, before) = (needs.from, needs.before);
        let mut take = |block: crate::StoredBlock| {
            if !from.covers(block.address) && before.covers(block.address) {
                needs.addresses.insert(block.address);
            }
        };
        self.inner().blocks_of(handle, &mut take).map_err(CollectError::Unreadable)
    }

    /// Lets go of what lies in the range and was not told to be needed. Every content that is needed must have been told:
    /// what was needed at some time since [`BlockStore::needs`], and is not now, may be missing.
    ///
    /// # Errors
    /// What the file layer reports.
    pub fn collect_within(&self, needs: &Needs) -> Result<Collection, CollectError> {
        let is_orphan = |address: Address| needs.holds(address) && !needs.addresses.contains(&address);
        let segments = needs.from.segment()..=needs.before.segment();
        let collected = self.inner().log.bury_within(segments, &|record| {
            matches!(record.kind, Kind::Whitened | Kind::Own) && is_orphan(record.address)
        })?;
        Ok(Collection { needed: needs.addresses.len() as u64, collected })
    }
}

impl Needs {
    /// Where the range ends.
    #[must_use]
    pub fn before(&self) -> DurableMark {
        self.before
    }

    /// Whether nothing lies in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before <= self.from
    }

    fn holds(&self, address: Address) -> bool {
        !self.from.covers(address) && self.before.covers(address)
    }
}
