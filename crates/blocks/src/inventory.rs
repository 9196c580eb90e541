//! What the store has: segments with their dead records, epochs with their pools and how much borrows from them.
//!
//! It is kept in memory and written whole, from time to time, to one small file: a cache of what the segments say, and
//! the memory of what was let go of. What follows a written inventory is read from the segments themselves.

use std::collections::{BTreeMap, HashSet};

use crate::{
    address::{Address, DurableMark},
    block_size::BlockSize,
    encoding::{Fields, Short},
    record::{Kind, Record, StoreId},
    whitening::Purpose,
};

const MAGIC: [u8; 4] = *b"SPiv";
const VERSION: u16 = 1;

/// The whole of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    pub(crate) segments: BTreeMap<u32, Segment>,
    pub(crate) epochs: BTreeMap<u32, Epoch>,
    /// The highest number that an epoch ever had.
    pub(crate) last_epoch: u32,
}

/// One segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    /// How often it was rewritten; part of its file's name.
    pub(crate) generation: u32,
    /// Units of its file, as far as records reach.
    pub(crate) length: u32,
    /// Slots of records that nothing refers to any more, and are still there.
    pub(crate) dead: HashSet<u32>,
    /// Units that those records take.
    pub(crate) dead_units: u32,
}

/// One epoch of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) purpose: Purpose,
    /// The random blocks, by index.
    pub(crate) blocks: Vec<Address>,
    /// Uses that were given out.
    pub(crate) used: u32,
    /// Whitened blocks that borrow from it.
    pub(crate) live: u64,
    /// Whether more may borrow from it.
    pub(crate) is_open: bool,
    /// Blocks that borrow from it and are not appended yet; never on the disk.
    pub(crate) borrowing: u64,
}

impl Segment {
    /// Units of records that something may refer to.
    pub(crate) fn live_units(&self) -> u32 {
        self.length.saturating_sub(1).saturating_sub(self.dead_units)
    }
}

impl Inventory {
    /// Takes in a record that was appended to a segment that is there.
    pub(crate) fn add(&mut self, record: &Record) {
        let Address { segment, slot } = record.address;
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.length = segment.length.max(slot + record.units());
            if !record.kind.is_block() && segment.dead.insert(slot) {
                segment.dead_units += record.units();
            }
        }
        match record.kind {
            Kind::Whitened => {
                if let Some(epoch) = self.epochs.get_mut(&record.epoch) {
                    epoch.live += 1;
                }
                self.note_use(record);
            }
            Kind::Pool => self.add_to_pool(record),
            // What was overwritten has borrowed, and nobody may borrow the same again.
            Kind::Void => self.note_use(record),
            Kind::Own | Kind::Discards => {}
        }
    }

    fn note_use(&mut self, record: &Record) {
        if let Some(epoch) = self.epochs.get_mut(&record.epoch) {
            epoch.used = epoch.used.max(record.counter.saturating_add(record.size.strips()));
        }
    }

    /// A pool's blocks come in the order of their indexes; one that is missing ends the epoch's growth.
    fn add_to_pool(&mut self, record: &Record) {
        let Some(purpose) = Purpose::from_code(record.purpose, record.size) else { return };
        let new = || Epoch { purpose, blocks: Vec::new(), used: 0, live: 0, is_open: true, borrowing: 0 };
        self.last_epoch = self.last_epoch.max(record.epoch);
        let epoch = self.epochs.entry(record.epoch).or_insert_with(new);
        match usize::try_from(record.counter) {
            Ok(index) if index == epoch.blocks.len() => epoch.blocks.push(record.address),
            _ => epoch.is_open = false,
        }
    }

    /// Marks a record as dead, and what only it needed. Returns what died; nothing if it was dead. A pool's block dies with its
    /// epoch alone: who says of one that it is dead says so of all.
    pub(crate) fn remove(&mut self, record: &Record) -> Vec<Address> {
        let mut died = Vec::new();
        if !self.bury(record.address, record.units()) {
            return died;
        }
        died.push(record.address);
        let is_borrowing = record.kind == Kind::Whitened || record.kind == Kind::Void && record.epoch > 0;
        if is_borrowing && let Some(epoch) = self.epochs.get_mut(&record.epoch) {
            epoch.live = epoch.live.saturating_sub(1);
            died.extend(self.end_of_epoch(record.epoch));
        }
        if record.kind == Kind::Pool {
            died.extend(self.bury_pool(record.epoch));
        }
        died
    }

    /// Takes note that a block of a pool is lost: nobody reads it, and nobody borrows from its epoch any more.
    pub(crate) fn lose_of_pool(&mut self, record: &Record) {
        self.bury(record.address, record.units());
        if let Some(epoch) = self.epochs.get_mut(&record.epoch) {
            epoch.is_open = false;
        }
    }

    /// Closes epochs of which a block is not there any more.
    pub(crate) fn close_epochs(&mut self, is_there: impl Fn(&Address) -> bool) {
        for epoch in self.epochs.values_mut() {
            epoch.is_open &= epoch.blocks.iter().all(&is_there);
        }
    }

    /// Lets go of an epoch's pool, once nothing borrows from it and nothing will.
    pub(crate) fn end_of_epoch(&mut self, number: u32) -> Vec<Address> {
        let is_over = |epoch: &Epoch| epoch.live == 0 && epoch.borrowing == 0 && !epoch.is_open;
        if self.epochs.get(&number).is_some_and(is_over) { self.bury_pool(number) } else { Vec::new() }
    }

    fn bury_pool(&mut self, number: u32) -> Vec<Address> {
        let Some(epoch) = self.epochs.remove(&number) else { return Vec::new() };
        let units = crate::record::units(epoch.purpose.strip);
        epoch.blocks.into_iter().filter(|address| self.bury(*address, units)).collect()
    }

    fn bury(&mut self, Address { segment, slot }: Address, units: u32) -> bool {
        let Some(segment) = self.segments.get_mut(&segment) else { return false };
        let is_new = segment.dead.insert(slot);
        if is_new {
            segment.dead_units += units;
        }
        is_new
    }

    pub(crate) fn is_dead(&self, Address { segment, slot }: Address) -> bool {
        self.segments.get(&segment).is_none_or(|segment| segment.dead.contains(&slot))
    }

    /// The inventory as a file: it covers everything before `tail`.
    pub(crate) fn encode(&self, store: StoreId, tail: DurableMark) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend(store.0);
        bytes.extend(tail.to_bytes());
        bytes.extend((self.segments.len() as u32).to_be_bytes());
        for (number, segment) in &self.segments {
            let mut dead: Vec<u32> = segment.dead.iter().copied().collect();
            dead.sort_unstable();
            let fixed = [*number, segment.generation, segment.length, segment.dead_units, dead.len() as u32];
            fixed.into_iter().chain(dead).for_each(|field| bytes.extend(field.to_be_bytes()));
        }
        bytes.extend(self.last_epoch.to_be_bytes());
        bytes.extend((self.epochs.len() as u32).to_be_bytes());
        for (number, epoch) in &self.epochs {
            bytes.extend(number.to_be_bytes());
            bytes.extend([epoch.purpose.strip.code(), epoch.purpose.code(), u8::from(epoch.is_open)]);
            bytes.extend(epoch.used.to_be_bytes());
            bytes.extend(epoch.live.to_be_bytes());
            bytes.extend((epoch.blocks.len() as u32).to_be_bytes());
            for Address { segment, slot } in &epoch.blocks {
                bytes.extend(segment.to_be_bytes());
                bytes.extend(slot.to_be_bytes());
            }
        }
        bytes.extend(blake3::hash(&bytes).as_bytes());
        bytes
    }

    /// Reads such a file; `None` if it is not exactly one of this store.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(StoreId, DurableMark, Self)> {
        let (fields, hash) = bytes.split_last_chunk::<32>()?;
        if blake3::hash(fields).as_bytes() != hash {
            return None;
        }
        let mut fields = Fields(fields);
        let read = read(&mut fields).ok().flatten();
        read.filter(|_| fields.0.is_empty())
    }
}

fn read(fields: &mut Fields<'_>) -> Result<Option<(StoreId, DurableMark, Inventory)>, Short> {
    if fields.array()? != MAGIC || fields.u16()? != VERSION {
        return Ok(None);
    }
    let (store, tail) = (StoreId(fields.array()?), DurableMark::from_bytes(fields.array()?));
    let mut inventory = Inventory::default();
    for _ in 0..fields.u32()? {
        let number = fields.u32()?;
        let (generation, length, dead_units) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let dead = (0..fields.u32()?).map(|_| fields.u32()).collect::<Result<_, _>>()?;
        inventory.segments.insert(number, Segment { generation, length, dead, dead_units });
    }
    inventory.last_epoch = fields.u32()?;
    for _ in 0..fields.u32()? {
        let number = fields.u32()?;
        let [strip, purpose, is_open] = fields.array()?;
        let (used, live) = (fields.u32()?, fields.u64()?);
        let count = fields.u32()?;
        let address = |_| Ok(Address { segment: fields.u32()?, slot: fields.u32()? });
        let blocks = (0..count).map(address).collect::<Result<_, Short>>()?;
        let purpose = BlockSize::from_code(strip).and_then(|strip| Purpose::from_code(purpose, strip));
        let Some(purpose) = purpose else { return Ok(None) };
        let epoch = Epoch { purpose, blocks, used, live, is_open: is_open == 1, borrowing: 0 };
        inventory.epochs.insert(number, epoch);
    }
    Ok(Some((store, tail, inventory)))
}
