//! Giving space back: a segment of which enough is dead is written anew without it, in one step per segment.
//!
//! The new generation is whole and durable before the inventory names it, and the inventory names it before the old one
//! goes. A record keeps its slot, so no handle changes.

use std::{collections::HashSet, io, iter, ops::Range};

use super::{Log, segment_name, table_name, verification::is_live};
use crate::{
    files,
    inventory::Segment,
    limits,
    record::{self, HEADER, Kind, Record, UNIT},
    scanner::{Extent, Scanner},
    table::{Placed, Table},
};

/// What compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Segments written anew.
    pub rewritten: u64,
    /// Segments that held nothing any more.
    pub removed: u64,
    /// Bytes given back.
    pub freed: u64,
    /// Segments left as they were because a block in them is damaged: repair comes first.
    pub damaged: u64,
}

/// A new generation that is written but not in use.
struct Rewritten {
    table: Table,
    length: u32,
}

impl Log {
    /// Compacts segments of which more than `dead` of 1 is dead, the deadest first, until `count` are done; the growing one
    /// is closed for it if at least `early` bytes of it are dead.
    pub(crate) fn compact(&self, dead: f64, count: usize, early: u64) -> io::Result<Compaction> {
        let mut report = Compaction::default();
        let segments = {
            let mut state = self.state();
            let enough =
                |segment: &Segment| f64::from(segment.dead_units) > dead * f64::from(segment.length.saturating_sub(1));
            let active = state.active.segment;
            let is_worth_it = |segment: &Segment| enough(segment) && u64::from(segment.dead_units) * UNIT >= early;
            if state.inventory.segments.get(&active).is_some_and(is_worth_it) {
                self.close_segment(&mut state)?;
            }
            let active = state.active.segment;
            let segments = state.inventory.segments.iter();
            let is_due = |segment: &Segment| enough(segment) || segment.live_units() == 0;
            let segments = segments.filter(|(number, segment)| **number != active && is_due(segment));
            let mut segments: Vec<_> = segments.map(|(number, segment)| (segment.dead_units, *number)).collect();
            segments.sort_unstable_by(|one, other| other.cmp(one));
            segments
        };
        for (_, number) in segments {
            if report.rewritten + report.removed >= count as u64 {
                break;
            }
            self.compact_segment(number, &mut report)?;
        }
        Ok(report)
    }

    fn compact_segment(&self, number: u32, report: &mut Compaction) -> io::Result<()> {
        let _held = self.maintenance();
        let Some(segment) = self.state().inventory.segments.get(&number).cloned() else { return Ok(()) };
        let before = u64::from(segment.length) * UNIT;
        if segment.live_units() == 0 {
            if !self.is_all_dead(number, &segment)? {
                report.damaged += 1;
                return Ok(());
            }
            let mut state = self.state();
            state.inventory.segments.remove(&number);
            self.write_inventory(&mut state)?;
            report.removed += 1;
            report.freed += before;
        } else {
            let Some(rewritten) = self.rewrite(number, &segment)? else {
                report.damaged += 1;
                return Ok(());
            };
            report.rewritten += 1;
            report.freed += before.saturating_sub(u64::from(rewritten.length) * UNIT);
            self.switch(number, rewritten)?;
        }
        self.retire(number, segment.generation)?;
        self.files.remove(&table_name(number, segment.generation))
    }

    /// Whether each record of a segment is dead: what goes is never decided by a count alone.
    fn is_all_dead(&self, number: u32, segment: &Segment) -> io::Result<bool> {
        let table = self.table(number, segment.generation).or_else(|_| self.scanned(number, segment.generation))?;
        Ok(!table.records().iter().any(|placed| is_live(placed, segment)))
    }

    /// Writes the next generation. `None` if not everything that lives could be copied.
    fn rewrite(&self, number: u32, segment: &Segment) -> io::Result<Option<Rewritten>> {
        let generation = segment.generation + 1;
        let (old, new) = (segment_name(number, segment.generation), segment_name(number, generation));
        self.retire(number, generation)?;
        let end = u64::from(segment.length) * UNIT;
        let extent = Extent { name: &old, segment: number, generation: segment.generation, end };
        let mut scanner = Scanner::new(&*self.files, self.store, extent);
        let mut pending = record::encode_segment(self.store, number, generation).to_vec();
        let (mut written, mut records, mut copied) = (0, Vec::new(), 0);
        while let Some(placed) = scanner.next()? {
            let record = placed.record;
            if segment.dead.contains(&record.address.slot) {
                continue;
            }
            if !record.kind.is_block() {
                // A shredding was interrupted here: there is nothing to copy.
                copied += record.units();
                continue;
            }
            let position = ((written + pending.len() as u64) / UNIT) as u32;
            pending.extend_from_slice(&record.encode(self.store));
            let mut hasher = blake3::Hasher::new();
            scanner.block(&placed, &mut |part| {
                hasher.update(part);
                pending.extend_from_slice(part);
                if pending.len() >= limits::SCAN {
                    self.files.append(&new, written, &pending)?;
                    written += pending.len() as u64;
                    pending.clear();
                }
                Ok(())
            })?;
            if *hasher.finalize().as_bytes() != record.id.0 {
                break;
            }
            copied += record.units();
            records.push(Placed { record, position });
        }
        if copied != segment.live_units() {
            self.retire(number, generation)?;
            return Ok(None);
        }
        self.files.append(&new, written, &pending)?;
        self.files.sync(&new)?;
        let table = Table::new(number, generation, records);
        self.files.replace(&table_name(number, generation), &table.encode(self.store))?;
        let length = ((written + pending.len() as u64) / UNIT) as u32;
        Ok(Some(Rewritten { table, length }))
    }

    /// From here on the new generation is the segment. What died meanwhile is dead in it too.
    fn switch(&self, number: u32, rewritten: Rewritten) -> io::Result<()> {
        let mut state = self.state();
        if let Some(segment) = state.inventory.segments.get_mut(&number) {
            let is_dead = |record: &Record| segment.dead.contains(&record.address.slot);
            let dead: Vec<Record> =
                rewritten.table.records().iter().map(|placed| placed.record).filter(is_dead).collect();
            *segment = Segment {
                generation: rewritten.table.generation,
                length: rewritten.length,
                dead: dead.iter().map(|record| record.address.slot).collect::<HashSet<_>>(),
                dead_units: dead.iter().map(Record::units).sum(),
            };
        }
        self.write_inventory(&mut state)
    }

    /// Removes the file of a generation that is no longer, or never became, the segment's. A content's own random blocks are
    /// overwritten first: a copy of one that the file system still held would undo a later shredding. Without its table nobody
    /// knows where they are, since a crash may have kept a block and not its header: then everything is.
    pub(super) fn retire(&self, number: u32, generation: u32) -> io::Result<()> {
        let name = segment_name(number, generation);
        let length = match files::length(&*self.files, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let own: Vec<_> = match self.table(number, generation) {
            Ok(table) => {
                table.records().iter().filter(|placed| placed.record.kind == Kind::Own).map(block_of).collect()
            }
            Err(_) => iter::once(0..length).collect(),
        };
        if !own.is_empty() {
            own.into_iter().try_for_each(|place| self.zero(&name, place))?;
            self.files.sync(&name)?;
        }
        self.files.remove(&name)
    }

    /// Writes zeros over a record's block.
    pub(super) fn overwrite_block(&self, name: &str, placed: &Placed) -> io::Result<()> {
        self.zero(name, block_of(placed))
    }

    fn zero(&self, name: &str, Range { start, end }: Range<u64>) -> io::Result<()> {
        let zeros = vec![0; limits::SCAN.min((end - start) as usize)];
        for at in (start..end).step_by(limits::SCAN) {
            let count = zeros.len().min((end - at) as usize);
            self.files.overwrite(name, at, zeros.get(..count).unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Where a record's block lies in its file.
fn block_of(placed: &Placed) -> Range<u64> {
    let start = u64::from(placed.position) * UNIT + HEADER as u64;
    start..start + placed.record.size.bytes() as u64
}
