//! Appending records, closing full segments, and making what was appended durable.

use std::{io, sync::PoisonError};

use super::{Active, Log, State, segment_name, table_name};
use crate::{
    address::{Address, DurableMark},
    block_id::BlockId,
    block_size::BlockSize,
    inventory::Segment,
    limits,
    record::{self, HEADER, Kind, Record, UNIT},
    table::{Placed, Table},
};

/// A record that has no place yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRecord {
    pub(crate) size: BlockSize,
    pub(crate) kind: Kind,
    pub(crate) purpose: u8,
    pub(crate) epoch: u32,
    pub(crate) counter: u32,
    pub(crate) id: BlockId,
}

impl Log {
    /// Appends a block that stands behind [`HEADER`] free bytes, which take the record's header. Not durable yet.
    pub(crate) fn append(&self, new: NewRecord, block: &mut [u8]) -> io::Result<Address> {
        self.append_to(&mut self.state(), new, block)
    }

    pub(crate) fn append_to(&self, state: &mut State, new: NewRecord, block: &mut [u8]) -> io::Result<Address> {
        if state.is_broken {
            return Err(io::Error::other("a flush has failed: the store must be opened again"));
        }
        let units = record::units(new.size);
        if state.active.end() + u64::from(units) * UNIT > limits::SEGMENT {
            self.close_segment(state)?;
        }
        let slot = (state.active.end() / UNIT) as u32;
        let address = Address { segment: state.active.segment, slot };
        let NewRecord { size, kind, purpose, epoch, counter, id } = new;
        let record = Record { address, size, kind, purpose, epoch, counter, id };
        if let Some(header) = block.first_chunk_mut::<HEADER>() {
            *header = record.encode(self.store);
        }
        if block.len() < limits::PENDING / 4 {
            state.active.pending.extend_from_slice(block);
        } else {
            self.write_pending(state)?;
            let offset = state.active.written;
            self.files.append(&segment_name(address.segment, 0), offset, block)?;
            state.active.written += block.len() as u64;
        }
        state.active.records.push(Placed { record, position: slot });
        state.inventory.add(&record);
        if state.active.pending.len() >= limits::PENDING {
            // A failure leaves the bytes pending: the next append or flush meets it again.
            let _ = self.write_pending(state);
        }
        Ok(address)
    }

    pub(super) fn write_pending(&self, state: &mut State) -> io::Result<()> {
        let active = &mut state.active;
        if !active.pending.is_empty() {
            self.files.append(&segment_name(active.segment, 0), active.written, &active.pending)?;
            active.written += active.pending.len() as u64;
            active.pending.clear();
        }
        Ok(())
    }

    /// Makes all that was appended durable, with one flush, and tells how far that is.
    pub(crate) fn sync(&self) -> io::Result<DurableMark> {
        let _held = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (segment, end, mark) = {
            let mut state = self.state();
            self.log_discards(&mut state)?;
            self.write_pending(&mut state)?;
            if state.is_broken {
                return Err(io::Error::other("a flush has failed: the store must be opened again"));
            }
            let active = &state.active;
            if active.durable == active.end() {
                return Ok(active.mark());
            }
            (active.segment, active.end(), active.mark())
        };
        let flushed = self.files.sync(&segment_name(segment, 0));
        let mut state = self.state();
        if state.active.segment != segment {
            // It was closed meanwhile, and flushed for that.
            return Ok(mark);
        }
        if let Err(error) = flushed {
            state.is_broken = true;
            return Err(error);
        }
        state.active.durable = state.active.durable.max(end);
        Ok(mark)
    }

    pub(super) fn sync_active(&self, state: &mut State) -> io::Result<()> {
        self.write_pending(state)?;
        if state.active.durable < state.active.end() {
            self.files.sync(&segment_name(state.active.segment, 0)).inspect_err(|_| state.is_broken = true)?;
            state.active.durable = state.active.end();
        }
        Ok(())
    }

    /// Closes the growing segment with its table, and begins the next.
    pub(super) fn close_segment(&self, state: &mut State) -> io::Result<()> {
        self.sync_active(state)?;
        let segment = state.active.segment;
        let table = Table::new(segment, 0, state.active.records.clone());
        self.files.replace(&table_name(segment, 0), &table.encode(self.store))?;
        let next = segment.checked_add(1).ok_or_else(|| io::Error::other("the segments' numbers are used up"))?;
        self.begin_segment(state, next);
        // The segments hold all of it; whoever writes it next makes up for a failure.
        let _ = self.write_inventory(state);
        Ok(())
    }

    pub(super) fn begin_segment(&self, state: &mut State, segment: u32) {
        let pending = record::encode_segment(self.store, segment, 0).to_vec();
        state.active = Active { segment, records: Vec::new(), written: 0, pending, durable: 0 };
        state.inventory.segments.insert(segment, Segment { length: 1, ..Segment::default() });
    }
}
