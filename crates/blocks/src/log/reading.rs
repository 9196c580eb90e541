//! Finding and reading one block.

use std::{
    io,
    sync::{Arc, PoisonError},
};

use thiserror::Error;

use super::{Log, segment_name};
use crate::{
    address::Address,
    block_id::BlockId,
    block_size::BlockSize,
    limits,
    record::{self, HEADER, Record, UNIT},
    table::Places,
    tuple::StoredBlock,
};

/// Why a block was not read.
#[derive(Debug, Error)]
pub enum BlockError {
    /// It was let go of, or never was here.
    #[error("there is no block at {0}")]
    Missing(Address),
    /// Its bytes are not those that were stored.
    #[error("the block at {0} is damaged")]
    Damaged(Address),
    /// The pool that it borrowed from does not have what it borrowed.
    #[error("epoch {epoch} has no use {counter}")]
    NotBorrowed {
        /// The pool's epoch.
        epoch: u32,
        /// The first of its uses.
        counter: u32,
    },
    /// The file layer failed.
    #[error("the store's files failed")]
    Files(#[source] io::Error),
}

/// Where a record is at this moment.
struct Location {
    name: String,
    /// Of the header, in bytes.
    offset: u64,
}

impl Log {
    /// Reads a block into `block`, which takes its class's length, and checks it.
    pub(crate) fn read(&self, stored: &StoredBlock, size: BlockSize, block: &mut Vec<u8>) -> Result<(), BlockError> {
        block.resize(size.bytes(), 0);
        let mut hasher = blake3::Hasher::new();
        self.at(stored.address, record::units(size), |location| {
            hasher.reset();
            let mut at = location.offset + HEADER as u64;
            for part in block.chunks_mut(BlockSize::Medium.bytes()) {
                self.files.read(&location.name, at, part)?;
                hasher.update(part);
                at += part.len() as u64;
            }
            Ok(())
        })?;
        if BlockId(*hasher.finalize().as_bytes()) == stored.id {
            return Ok(());
        }
        Err(BlockError::Damaged(stored.address))
    }

    /// The header of a record that is not dead; of a damaged one nothing is known.
    pub(crate) fn record(&self, address: Address) -> Result<Option<Record>, BlockError> {
        let mut header = [0; HEADER];
        self.at(address, 1, |location| self.files.read(&location.name, location.offset, &mut header))?;
        Ok(Record::decode(self.store, &header).filter(|record| record.address == address))
    }

    /// Does something where a record is. A segment may be rewritten and its old file removed between finding and reading
    /// it: then it is found again.
    fn at(
        &self,
        address: Address,
        units: u32,
        mut act: impl FnMut(&Location) -> io::Result<()>,
    ) -> Result<(), BlockError> {
        for _ in 0..3 {
            let location = self.locate(address, units)?;
            match act(&location) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(BlockError::Damaged(address));
                }
                other => return other.map_err(BlockError::Files),
            }
        }
        Err(BlockError::Missing(address))
    }

    fn locate(&self, address: Address, units: u32) -> Result<Location, BlockError> {
        let Address { segment, slot } = address;
        let (generation, length) = {
            let mut state = self.state();
            if state.inventory.is_dead(address) {
                return Err(BlockError::Missing(address));
            }
            let active = &state.active;
            if active.segment == segment && u64::from(slot) * UNIT >= active.written {
                self.write_pending(&mut state).map_err(BlockError::Files)?;
            }
            let found = state.inventory.segments.get(&segment).ok_or(BlockError::Missing(address))?;
            (found.generation, found.length)
        };
        let position = if generation == 0 { Some(slot) } else { self.places(segment, generation)?.position(slot) };
        let inside = |position: &u32| *position > 0 && position.checked_add(units).is_some_and(|end| end <= length);
        let position = position.filter(inside).ok_or(BlockError::Missing(address))?;
        Ok(Location { name: segment_name(segment, generation), offset: u64::from(position) * UNIT })
    }

    /// The generation that a record is in, and its position there in units. Only while nothing rewrites segments does
    /// it stay so.
    pub(super) fn position(&self, address: Address) -> Result<Option<(u32, u32)>, BlockError> {
        let found = |state: &super::State| state.inventory.segments.get(&address.segment).map(|found| found.generation);
        match found(&self.state()) {
            None => Ok(None),
            Some(0) => Ok(Some((0, address.slot))),
            Some(generation) => {
                let position = self.places(address.segment, generation)?.position(address.slot);
                Ok(position.map(|position| (generation, position)))
            }
        }
    }

    fn places(&self, segment: u32, generation: u32) -> Result<Arc<Places>, BlockError> {
        let known = || self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known().get(&(segment, generation)) {
            return Ok(Arc::clone(places));
        }
        let places = match self.table(segment, generation) {
            Ok(table) => table.places(),
            // Damaged, lost, or its segment was rewritten just now: the file itself tells.
            Err(_) => self.scanned(segment, generation).map_err(BlockError::Files)?.places(),
        };
        let places = Arc::new(places);
        let mut known = known();
        if known.len() >= limits::TABLES {
            known.clear();
        }
        known.insert((segment, generation), Arc::clone(&places));
        Ok(places)
    }
}
