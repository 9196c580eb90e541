//! Accepting that something is lost: what repair could not mend, once those have been told whom it concerns. The store is
//! then what is left, and whole.

use std::{collections::HashSet, io, sync::PoisonError};

use super::{Damage, DamagedPart, Log, State, parse_name, segment_name, table_name, verification::is_live};
use crate::{
    files,
    record::{Kind, Record, UNIT},
    table::{Placed, Table},
};

impl Log {
    /// Lets go of what is damaged. Nothing that can be read is touched.
    pub(crate) fn give_up(&self, lost: &[Damage]) -> io::Result<()> {
        for damage in lost {
            let _held = self.maintenance();
            match damage.part {
                DamagedPart::Block { address, .. } => {
                    let known = self.records_of(address.segment)?;
                    let mut found = known.iter().flat_map(Table::records);
                    if let Some(placed) = found.find(|placed| placed.record.address == address) {
                        self.lose(&mut self.state(), &placed.record);
                    }
                }
                DamagedPart::Cut | DamagedPart::Table | DamagedPart::RecordHeader(_) => {
                    if let Some((number, ..)) = parse_name(&damage.file) {
                        self.settle(number)?;
                    }
                }
                DamagedPart::SegmentHeader | DamagedPart::State => {}
            }
        }
        self.write_inventory(&mut self.state())
    }

    /// Makes of a segment what its file still holds, and writes its table anew.
    fn settle(&self, number: u32) -> io::Result<()> {
        {
            let mut state = self.state();
            self.write_pending(&mut state)?;
        }
        let Some(known) = self.records_of(number)? else { return Ok(()) };
        let mut state = self.state();
        let Some(segment) = state.inventory.segments.get(&number).cloned() else { return Ok(()) };
        let name = segment_name(number, segment.generation);
        let units = match files::length(&*self.files, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            length => (length? / UNIT) as u32,
        };
        let fits = |placed: &Placed| placed.position.saturating_add(placed.record.units()) <= units;
        let (kept, lost): (Vec<Placed>, Vec<Placed>) = known.records().iter().partition(|placed| fits(placed));
        for placed in lost.iter().filter(|placed| is_live(placed, &segment)) {
            self.lose(&mut state, &placed.record);
        }
        let slots: HashSet<u32> = kept.iter().map(|placed| placed.record.address.slot).collect();
        // Of a table that is gone nobody knows what it listed.
        state.inventory.close_epochs(|address| address.segment != number || slots.contains(&address.slot));
        if let Some(segment) = state.inventory.segments.get_mut(&number) {
            let live = kept.iter().filter(|placed| is_live(placed, segment)).map(|placed| placed.record.units());
            let live: u32 = live.sum();
            segment.length = kept.iter().map(|placed| placed.position + placed.record.units()).max().unwrap_or(1);
            segment.dead.retain(|slot| slots.contains(slot));
            segment.dead_units = (segment.length - 1).saturating_sub(live);
        }
        self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(&(number, segment.generation));
        if state.active.segment == number {
            // What comes next stands elsewhere: an address means one block for ever.
            state.active.records = kept;
            return self.close_segment(&mut state);
        }
        let table = Table::new(number, segment.generation, kept);
        self.files.replace(&table_name(number, segment.generation), &table.encode(self.store))
    }

    /// Of a pool, the others' blocks stay for those who borrowed them; nobody borrows from it any more.
    fn lose(&self, state: &mut State, record: &Record) {
        if record.kind == Kind::Pool {
            state.inventory.lose_of_pool(record);
        } else {
            self.bury(state, record);
        }
    }
}
