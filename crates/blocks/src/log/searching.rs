//! Going through the records of all segments by what is known of them, without reading a block.

use std::{io, ops::RangeInclusive};

use super::{BlockError, Log};
use crate::{block_id::BlockId, record::Record, table::Table};

impl Log {
    /// The live record of a block. Looks at every table: for exchange between nodes, not for reading contents.
    pub(crate) fn find(&self, id: BlockId) -> io::Result<Option<Record>> {
        for number in self.numbers() {
            let Some(table) = self.records_of(number)? else { continue };
            let live = |record: &Record| !self.state().inventory.is_dead(record.address);
            if let Some(record) = table.find(id).filter(|record| record.kind.is_block() && live(record)) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Marks every record as dead that is one to bury, and ends epochs that nothing borrows from. Returns how many died.
    pub(crate) fn bury_all(&self, is_to_bury: &dyn Fn(&Record) -> bool) -> Result<u64, BlockError> {
        self.bury_within(0..=u32::MAX, is_to_bury)
    }

    /// As [`Log::bury_all`], looking at these segments only.
    pub(crate) fn bury_within(
        &self,
        segments: RangeInclusive<u32>,
        is_to_bury: &dyn Fn(&Record) -> bool,
    ) -> Result<u64, BlockError> {
        let mut buried = 0;
        for number in self.numbers().into_iter().filter(|number| segments.contains(number)) {
            let _held = self.maintenance();
            let Some(table) = self.records_of(number).map_err(BlockError::Files)? else { continue };
            let mut state = self.state();
            for placed in table.records().iter().filter(|placed| is_to_bury(&placed.record)) {
                buried += self.bury(&mut state, &placed.record) as u64;
            }
        }
        let mut state = self.state();
        let idle: Vec<u32> = state
            .inventory
            .epochs
            .iter()
            .filter(|(_, epoch)| epoch.live == 0 && epoch.borrowing == 0)
            .map(|(number, _)| *number)
            .collect();
        for number in idle {
            if let Some(epoch) = state.inventory.epochs.get_mut(&number) {
                epoch.is_open = false;
            }
            self.end_epoch(&mut state, number);
        }
        Ok(buried)
    }

    fn numbers(&self) -> Vec<u32> {
        self.state().inventory.segments.keys().copied().collect()
    }

    /// The records of a segment, from memory, its table or, if that is damaged, its file.
    pub(super) fn records_of(&self, number: u32) -> io::Result<Option<Table>> {
        let generation = {
            let state = self.state();
            if state.active.segment == number {
                return Ok(Some(Table::new(number, 0, state.active.records.clone())));
            }
            match state.inventory.segments.get(&number) {
                Some(segment) => segment.generation,
                None => return Ok(None),
            }
        };
        self.table(number, generation).or_else(|_| self.scanned(number, generation)).map(Some)
    }
}
