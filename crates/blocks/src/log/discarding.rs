//! Letting go of blocks. Space comes back with compaction.

use std::io;

use super::{BlockError, Log, NewRecord, State};
use crate::{
    address::Address,
    block_id::BlockId,
    block_size::BlockSize,
    encoding::{Fields, Short},
    limits,
    record::{HEADER, Kind, Record},
    tuple::StoredBlock,
};

impl Log {
    /// Lets go of blocks; of those that are not there, or are others, nothing happens. Returns how many were let go of.
    pub(crate) fn discard(&self, blocks: &[StoredBlock]) -> Result<u64, BlockError> {
        let mut count = 0;
        for block in blocks {
            let record = match self.record(block.address) {
                Ok(record) => record.filter(|record| is_this(record, block)),
                Err(BlockError::Missing(_) | BlockError::Damaged(_)) => None,
                Err(error) => return Err(error),
            };
            if let Some(record) = record {
                count += self.bury(&mut self.state(), &record) as u64;
            }
        }
        Ok(count)
    }

    /// Marks a record as dead, to be written down with the next flush.
    pub(crate) fn bury(&self, state: &mut State, record: &Record) -> usize {
        let died = state.inventory.remove(record);
        let count = died.len();
        state.discards.extend(died);
        count
    }

    /// Lets go of the pool of an epoch that is over.
    pub(crate) fn end_epoch(&self, state: &mut State, epoch: u32) {
        let died = state.inventory.end_of_epoch(epoch);
        state.discards.extend(died);
    }

    /// Writes down what was let go of.
    pub(super) fn log_discards(&self, state: &mut State) -> io::Result<()> {
        while !state.discards.is_empty() {
            let now = state.discards.len().min(limits::DISCARDS);
            let mut block = vec![0; HEADER];
            block.extend((now as u32).to_be_bytes());
            for Address { segment, slot } in state.discards.iter().take(now) {
                block.extend(segment.to_be_bytes());
                block.extend(slot.to_be_bytes());
            }
            block.resize(HEADER + BlockSize::Small.bytes(), 0);
            let id = BlockId::of(block.get(HEADER..).unwrap_or_default());
            let kind = Kind::Discards;
            let new = NewRecord { size: BlockSize::Small, kind, purpose: 0, epoch: 0, counter: 0, id };
            self.append_to(state, new, &mut block)?;
            state.discards.drain(..now);
        }
        Ok(())
    }
}

/// Whether a record is the block's, or what an interrupted shredding left of it.
pub(super) fn is_this(record: &Record, block: &StoredBlock) -> bool {
    record.kind == Kind::Void || record.id == block.id && record.kind.is_block()
}

/// The addresses in the block of such a record.
pub(super) fn addresses(block: &[u8]) -> Vec<Address> {
    let mut fields = Fields(block);
    let count = fields.u32().unwrap_or(0);
    let address = |_| Ok(Address { segment: fields.u32()?, slot: fields.u32()? });
    (0..count).map(address).collect::<Result<_, Short>>().unwrap_or_default()
}
