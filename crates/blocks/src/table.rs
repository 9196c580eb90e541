//! The table of a sealed segment: the headers of its records sorted by id, and where each record is now.
//!
//! It finds a block by its id, gives a compacted segment its places, and repairs a damaged record header.

use crate::{
    block_id::BlockId,
    encoding::{Fields, Short},
    record::{RECORD_FIELDS, Record, StoreId},
};

const MAGIC: [u8; 4] = *b"SPtb";
const VERSION: u16 = 1;
const HASH: usize = 32;

/// A record and its position in the file, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) record: Record,
    pub(crate) position: u32,
}

/// The records of one generation of a segment, sorted by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) segment: u32,
    pub(crate) generation: u32,
    records: Vec<Placed>,
}

/// Positions by slot: what reading needs of a table.
#[derive(Debug)]
pub(crate) struct Places(Vec<(u32, u32)>);

impl Table {
    pub(crate) fn new(segment: u32, generation: u32, mut records: Vec<Placed>) -> Self {
        records.sort_unstable_by_key(|placed| (placed.record.id, placed.record.address));
        Self { segment, generation, records }
    }

    pub(crate) fn records(&self) -> &[Placed] {
        &self.records
    }

    /// The record of the block of this id.
    pub(crate) fn find(&self, id: BlockId) -> Option<Record> {
        let first = self.records.partition_point(|placed| placed.record.id < id);
        self.records.get(first).filter(|placed| placed.record.id == id).map(|placed| placed.record)
    }

    pub(crate) fn places(&self) -> Places {
        let mut places: Vec<_> =
            self.records.iter().map(|placed| (placed.record.address.slot, placed.position)).collect();
        places.sort_unstable();
        Places(places)
    }

    pub(crate) fn encode(&self, store: StoreId) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.records.len() * (RECORD_FIELDS + 4));
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend(store.0);
        for field in [self.segment, self.generation, self.records.len() as u32] {
            bytes.extend(field.to_be_bytes());
        }
        for placed in &self.records {
            bytes.extend(placed.record.fields());
            bytes.extend(placed.position.to_be_bytes());
        }
        bytes.extend(blake3::hash(&bytes).as_bytes());
        bytes
    }

    /// The table in these bytes; `None` if they are not exactly one of this store.
    pub(crate) fn decode(store: StoreId, bytes: &[u8]) -> Option<Self> {
        let (fields, hash) = bytes.split_last_chunk::<HASH>()?;
        if blake3::hash(fields).as_bytes() != hash {
            return None;
        }
        let read = || -> Result<Option<Self>, Short> {
            let mut fields = Fields(fields);
            let is_ours = fields.array()? == MAGIC && fields.u16()? == VERSION && fields.array()? == store.0;
            let (segment, generation, count) = (fields.u32()?, fields.u32()?, fields.u32()?);
            let mut records = Vec::with_capacity(fields.0.len() / (RECORD_FIELDS + 4));
            for _ in 0..count {
                let record = Record::from_fields(fields.bytes(RECORD_FIELDS)?);
                let position = fields.u32()?;
                records.extend(record.map(|record| Placed { record, position }));
            }
            let is_whole = is_ours && fields.0.is_empty() && records.len() == count as usize;
            Ok(is_whole.then_some(Self { segment, generation, records }))
        };
        read().ok().flatten()
    }
}

impl Places {
    pub(crate) fn position(&self, slot: u32) -> Option<u32> {
        let Self(places) = self;
        let index = places.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
        places.get(index).map(|(_, position)| *position)
    }
}
