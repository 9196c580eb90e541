//! What the store holds, in figures.

use serde::{Deserialize, Serialize};

use crate::{record::UNIT, store::BlockStore};

/// The store in figures. Bytes are those of segment files, record headers included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Segments.
    pub segments: u64,
    /// Bytes of all segments.
    pub stored_bytes: u64,
    /// Bytes of records that are needed.
    pub live_bytes: u64,
    /// Bytes of records that nothing refers to any more; compaction gives them back.
    pub dead_bytes: u64,
    /// Epochs whose random blocks are kept.
    pub epochs: u64,
    /// Random blocks of those epochs.
    pub pool_blocks: u64,
    /// Bytes of those blocks.
    pub pool_bytes: u64,
    /// Whitened blocks that borrow from them.
    pub borrowing_blocks: u64,
}

impl BlockStore {
    /// Figures from memory; nothing is read.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = self.inner().log.state();
        let mut stats = Stats::default();
        for segment in state.inventory.segments.values() {
            stats.segments += 1;
            stats.stored_bytes += u64::from(segment.length) * UNIT;
            stats.live_bytes += u64::from(segment.live_units()) * UNIT;
            stats.dead_bytes += u64::from(segment.dead_units) * UNIT;
        }
        for epoch in state.inventory.epochs.values() {
            stats.epochs += 1;
            stats.pool_blocks += epoch.blocks.len() as u64;
            stats.pool_bytes += (epoch.blocks.len() * epoch.purpose.strip.bytes()) as u64;
            stats.borrowing_blocks += epoch.live;
        }
        stats
    }
}
