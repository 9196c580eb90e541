//! Looking through everything that is stored: every header, every live block, every table, the inventory.

use std::{collections::HashMap, io, sync::atomic::Ordering};

use super::{Log, STATE, segment_name, table_name};
use crate::{
    address::Address,
    block_id::BlockId,
    block_size::BlockSize,
    files,
    inventory::{Inventory, Segment},
    record::{self, HEADER, Kind, UNIT},
    scanner::{Extent, Scanner},
    table::{Placed, Table},
};

/// What looking through the store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Live blocks that were hashed.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub bytes: u64,
    /// Everything that is not as it was written.
    pub damage: Vec<Damage>,
}

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// What of it.
    pub part: DamagedPart,
}

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamagedPart {
    /// The file is gone, or shorter than it was.
    Cut,
    /// The header of a segment.
    SegmentHeader,
    /// The header of the record at this place.
    RecordHeader(Address),
    /// A live block: what it should hash to, and its class.
    Block {
        /// Where it is.
        address: Address,
        /// What it should hash to.
        id: BlockId,
        /// Its class.
        size: BlockSize,
    },
    /// The table of a segment.
    Table,
    /// The inventory, also if it was so when the store was opened and was made anew from the segments: blocks that were let go
    /// of may be there again.
    State,
}

impl Log {
    /// Looks through the store, segment by segment, while others use it.
    pub(crate) fn verify(&self) -> io::Result<Verification> {
        let mut report = Verification::default();
        self.verify_state(&mut report)?;
        let numbers: Vec<u32> = self.state().inventory.segments.keys().copied().collect();
        for number in numbers {
            self.verify_segment(number, &mut report)?;
        }
        Ok(report)
    }

    fn verify_state(&self, report: &mut Verification) -> io::Result<()> {
        let state = self.state();
        let is_whole = match files::read_whole(&*self.files, STATE) {
            Ok(bytes) => Inventory::decode(&bytes).is_some_and(|(store, _, _)| store == self.store),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let was_rebuilt = self.was_rebuilt.load(Ordering::SeqCst);
        if was_rebuilt || (!is_whole && !state.is_behind) {
            report.damage.push(Damage { file: STATE.to_owned(), part: DamagedPart::State });
        }
        Ok(())
    }

    fn verify_segment(&self, number: u32, report: &mut Verification) -> io::Result<()> {
        let _held = self.maintenance();
        let (segment, active) = {
            let mut state = self.state();
            self.write_pending(&mut state)?;
            let Some(segment) = state.inventory.segments.get(&number).cloned() else { return Ok(()) };
            (segment, (state.active.segment == number).then(|| state.active.records.clone()))
        };
        let name = segment_name(number, segment.generation);
        let mut damage = |part| report.damage.push(Damage { file: name.clone(), part });
        let end = u64::from(segment.length) * UNIT;
        if files::length(&*self.files, &name).unwrap_or(0) < end {
            // A segment that holds nothing is whatever a crash has left of its header.
            if segment.length > 1 {
                damage(DamagedPart::Cut);
            }
            return Ok(());
        }
        let mut header = [0; HEADER];
        self.files.read(&name, 0, &mut header)?;
        if record::decode_segment(&header, number, segment.generation) != Some(self.store) {
            damage(DamagedPart::SegmentHeader);
        }
        let table = match active {
            Some(records) => Some(Table::new(number, 0, records)),
            None => self.table(number, segment.generation).ok(),
        };
        let extent = Extent { name: &name, segment: number, generation: segment.generation, end };
        let mut scanner = Scanner::new(&*self.files, self.store, extent);
        let mut found = HashMap::new();
        while let Some(placed) = scanner.next()? {
            let record = placed.record;
            found.insert(record.address.slot, placed);
            if is_live(&placed, &segment) {
                report.blocks += 1;
                report.bytes += record.size.bytes() as u64;
                let (address, id, size) = (record.address, record.id, record.size);
                if scanner.hash(&placed)? != id {
                    damage(DamagedPart::Block { address, id, size });
                }
            }
        }
        let Some(table) = table else {
            if scanner.met_garbage {
                damage(DamagedPart::RecordHeader(Address { segment: number, slot: 0 }));
            }
            let file = table_name(number, segment.generation);
            report.damage.push(Damage { file, part: DamagedPart::Table });
            return Ok(());
        };
        for placed in table.records().iter().filter(|placed| is_live(placed, &segment)) {
            let there = found.get(&placed.record.address.slot);
            // What an interrupted shredding left is no damage.
            if there != Some(placed) && there.is_none_or(|there| there.record.kind != Kind::Void) {
                damage(DamagedPart::RecordHeader(placed.record.address));
            }
        }
        Ok(())
    }

    /// The table of a segment as its file says.
    pub(super) fn scanned(&self, number: u32, generation: u32) -> io::Result<Table> {
        let name = segment_name(number, generation);
        let end = files::length(&*self.files, &name)?;
        let extent = Extent { name: &name, segment: number, generation, end };
        let mut scanner = Scanner::new(&*self.files, self.store, extent);
        let mut records = Vec::new();
        while let Some(placed) = scanner.next()? {
            records.push(placed);
        }
        Ok(Table::new(number, generation, records))
    }
}

pub(super) fn is_live(placed: &Placed, segment: &Segment) -> bool {
    placed.record.kind.is_block() && !segment.dead.contains(&placed.record.address.slot)
}
