//! Mending what verification finds: tables and headers from the records and from each other, blocks from another copy.

use std::{io, sync::atomic::Ordering};

use super::{Damage, DamagedPart, Log, segment_name, table_name, verification::is_live};
use crate::{
    block_id::BlockId,
    files,
    record::{self, HEADER, UNIT},
    scanner::{Extent, Scanner},
    table::{Placed, Table},
};

/// Where another copy of a block may be: another node, a backup.
pub type BlockSource<'a> = dyn FnMut(BlockId) -> Option<Vec<u8>> + 'a;

/// What repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repair {
    /// Tables and headers, and the inventory, written anew.
    pub rewritten: u64,
    /// Blocks restored from another copy.
    pub restored: u64,
    /// What could not be mended, and stays as it is.
    pub lost: Vec<Damage>,
}

impl Log {
    /// Verifies the store and mends what can be mended. Nothing is removed.
    pub(crate) fn repair(&self, source: &mut BlockSource<'_>) -> io::Result<Repair> {
        let mut report = Repair::default();
        for damage in self.verify()?.damage {
            let _held = self.maintenance();
            let mended = match damage.part {
                DamagedPart::State => self.write_inventory(&mut self.state()).map(|()| {
                    self.was_rebuilt.store(false, Ordering::SeqCst);
                    true
                }),
                DamagedPart::SegmentHeader => self.mend_segment_header(&damage.file),
                DamagedPart::Table => self.mend_table(&damage.file),
                DamagedPart::RecordHeader(address) => self.mend_header(address.segment, address.slot),
                DamagedPart::Block { .. } => {
                    let is_restored = self.restore(&damage, source)?;
                    report.restored += u64::from(is_restored);
                    if !is_restored {
                        report.lost.push(damage);
                    }
                    continue;
                }
                DamagedPart::Cut => Ok(false),
            }?;
            if mended {
                report.rewritten += 1;
            } else {
                report.lost.push(damage);
            }
        }
        Ok(report)
    }

    fn mend_segment_header(&self, name: &str) -> io::Result<bool> {
        let Some((number, generation, _)) = super::parse_name(name) else { return Ok(false) };
        self.files.overwrite(name, 0, &record::encode_segment(self.store, number, generation))?;
        self.files.sync(name)?;
        Ok(true)
    }

    /// Only if the segment's file tells of everything that lives: half a table would hide the rest.
    fn mend_table(&self, name: &str) -> io::Result<bool> {
        let Some((number, generation, _)) = super::parse_name(name) else { return Ok(false) };
        let Some(segment) = self.state().inventory.segments.get(&number).cloned() else { return Ok(false) };
        let end = u64::from(segment.length) * UNIT;
        let file = segment_name(number, generation);
        let extent = Extent { name: &file, segment: number, generation, end };
        let mut scanner = Scanner::new(&*self.files, self.store, extent);
        let (mut records, mut live) = (Vec::new(), 0);
        while let Some(placed) = scanner.next()? {
            live += if is_live(&placed, &segment) { placed.record.units() } else { 0 };
            records.push(placed);
        }
        if live != segment.live_units() {
            return Ok(false);
        }
        let table = Table::new(number, generation, records);
        self.files.replace(&table_name(number, generation), &table.encode(self.store))?;
        Ok(true)
    }

    /// Writes a record's header as the table, or memory, has it.
    fn mend_header(&self, number: u32, slot: u32) -> io::Result<bool> {
        let (generation, active) = {
            let state = self.state();
            let Some(segment) = state.inventory.segments.get(&number) else { return Ok(false) };
            (segment.generation, (state.active.segment == number).then(|| state.active.records.clone()))
        };
        let records: Vec<Placed> = match active {
            Some(records) => records,
            None => self.table(number, generation).map(|table| table.records().to_vec()).unwrap_or_default(),
        };
        let Some(placed) = records.iter().find(|placed| placed.record.address.slot == slot) else { return Ok(false) };
        let name = segment_name(number, generation);
        let header = placed.record.encode(self.store);
        self.files.overwrite(&name, u64::from(placed.position) * UNIT, &header)?;
        self.files.sync(&name)?;
        Ok(true)
    }

    fn restore(&self, damage: &Damage, source: &mut BlockSource<'_>) -> io::Result<bool> {
        let DamagedPart::Block { address, id, size } = damage.part else { return Ok(false) };
        let is_the_one = |block: &Vec<u8>| block.len() == size.bytes() && BlockId::of(block) == id;
        let Some(block) = source(id).filter(is_the_one) else { return Ok(false) };
        let position = self.position(address).map_err(io::Error::other)?;
        let Some((generation, position)) = position else { return Ok(false) };
        let name = segment_name(address.segment, generation);
        if files::length(&*self.files, &name)? < u64::from(position) * UNIT + (HEADER + block.len()) as u64 {
            return Ok(false);
        }
        self.files.overwrite(&name, u64::from(position) * UNIT + HEADER as u64, &block)?;
        self.files.sync(&name)?;
        Ok(true)
    }
}
