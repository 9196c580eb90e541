//! Finding stored blocks in bytes, by short runs of them.

use std::collections::HashSet;

use sealpost_blocks::{BlockHandle, BlockStore, ReadError, WhiteningPolicy};

/// Bytes that a run has: enough that none is there by chance.
const RUN: usize = 16;

/// Where a block, and so each of its runs that is looked for, may begin in a file of the store: at multiples of this.
const UNIT: usize = 64;

/// Runs of stored blocks, one in every 64 bytes of each: what is left of a block is found by any of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs(HashSet<[u8; RUN]>);

impl Runs {
    pub(crate) fn of(block: &[u8]) -> Self {
        Self(block.chunks(UNIT).map(|unit| *unit.first_chunk().unwrap()).collect())
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many of them are in these files.
    pub(crate) fn found_in(&self, files: &[Vec<u8>]) -> usize {
        let units = files.iter().flat_map(|file| file.chunks(UNIT)).filter_map(|unit| unit.first_chunk::<RUN>());
        units.filter(|run| self.0.contains(*run)).collect::<HashSet<_>>().len()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, one after the other; [`Runs::from_bytes`] reads them.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().copied().collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.chunks(RUN).map(|run| run.try_into().unwrap()).collect())
    }
}

/// What a content has in the store for itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Footprint {
    /// Its blocks of data and of lists, whitened.
    pub(crate) whitened: Runs,
    /// Random blocks of its own.
    pub(crate) random: Runs,
}

impl Footprint {
    /// The blocks of a content, of at most so many tuples; nothing of tuples of two, whose whitened blocks are, where they are
    /// padded, the very random blocks that others borrow.
    pub(crate) fn of(store: &BlockStore, handle: &BlockHandle, tuples: usize) -> Result<Self, ReadError> {
        let mut footprint = Self::default();
        if handle.tuple_size().get() == 2 {
            return Ok(footprint);
        }
        let ids = store.block_ids(handle)?;
        let blocks = if handle.policy() == WhiteningPolicy::Fresh { 2 } else { 1 };
        // The last of all are those of lists.
        for (place, id) in ids.iter().enumerate().rev().take(tuples * blocks) {
            let block = store.block(*id).map_err(ReadError::Block)?.unwrap();
            let is_random = place % blocks == 1;
            if is_random { &mut footprint.random } else { &mut footprint.whitened }.extend(Runs::of(&block));
        }
        Ok(footprint)
    }

    /// All of it.
    pub(crate) fn of_all(store: &BlockStore, handle: &BlockHandle) -> Self {
        Self::of(store, handle, usize::MAX / 2).unwrap()
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.whitened.extend(other.whitened);
        self.random.extend(other.random);
    }

    pub(crate) fn found_in(&self, files: &[Vec<u8>]) -> usize {
        self.whitened.found_in(files) + self.random.found_in(files)
    }

    pub(crate) fn len(&self) -> usize {
        self.whitened.len() + self.random.len()
    }
}
