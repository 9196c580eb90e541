//! Opening a store: the inventory's file tells of everything but the newest records, and those are read from their
//! segments. Without that file everything is read from them.
//!
//! What lies behind the mark that the ledger committed was never acknowledged: it is let go of. What lies before it was
//! durable before the ledger committed it, so a torn tail loses nothing that anyone was told.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use thiserror::Error;

use super::{Active, BlockError, FileKind, Log, STATE, State, discarding, parse_name, segment_name, table_name};
use crate::{
    address::{Address, DurableMark},
    files::{self, Files},
    generator::Entropy,
    inventory::{Inventory, Segment},
    record::{self, HEADER, Kind, Record, StoreId, UNIT},
    scanner::{Extent, Scanner},
    table::{Placed, Table},
};

/// What is to be believed of a store that was not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// What was appended before the mark that the ledger committed; the rest is let go of.
    Committed(DurableMark),
    /// The same, though the files may end before the mark: what lay between is lost, and nothing new takes its place.
    WhatIsLeft(DurableMark),
    /// Everything that is whole: for stores without a ledger.
    Everything,
}

/// Why a store was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// The file layer failed.
    #[error("the store's files failed")]
    Files(#[from] io::Error),
    /// The ledger acknowledged more than the files hold: they are an older copy, or were cut.
    #[error("the store ends before what its ledger has acknowledged")]
    BehindMark,
    /// It is another store than the one that was asked for.
    #[error("the files are another store's")]
    OtherStore,
    /// Files of several stores lie together.
    #[error("{0} belongs to another store")]
    Foreign(String),
    /// A block that recovery needed could not be read.
    #[error("the store's tail cannot be read")]
    Tail(#[from] BlockError),
}

/// What opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpeningReport {
    /// Whether the inventory's file was missing or damaged, and everything was read from the segments. What was let go
    /// of long ago may be there again until the next collection.
    pub is_rebuilt: bool,
    /// Segments that were read through.
    pub segments_read: u64,
    /// Blocks behind the ledger's mark, which were let go of.
    pub dropped: u64,
    /// Segments that should be there and are not.
    pub missing_segments: Vec<u32>,
    /// Whether the files end before the mark.
    pub is_short: bool,
}

/// An open log, and how it was opened.
pub(crate) struct Opened {
    pub(crate) log: Log,
    pub(crate) opening: OpeningReport,
}

/// Generations of a segment that are there, with the length of each file.
type Generations = BTreeMap<u32, u64>;

struct Recovered {
    files: Arc<dyn Files>,
    store: StoreId,
    inventory: Inventory,
    segments: BTreeMap<u32, Generations>,
    /// Addresses that records of the tail let go of.
    discards: Vec<Address>,
    /// Records of the tail that the ledger never acknowledged.
    dropped: Vec<Record>,
    /// The newest segment, if more can be appended to it.
    active: Option<Active>,
    /// The last segment in which something may have been appended, whether or not it is there.
    last_used: u32,
    opening: OpeningReport,
}

impl Log {
    pub(crate) fn open(
        files: Arc<dyn Files>,
        recovery: Recovery,
        entropy: Entropy,
        expected: Option<[u8; 16]>,
    ) -> Result<Opened, OpenStoreError> {
        let listing = files.list()?;
        let segments = generations(&listing);
        let state = match files::read_whole(&*files, STATE) {
            Ok(bytes) => Inventory::decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let is_rebuilt = state.is_none() && !segments.is_empty();
        let found = match &state {
            Some((store, ..)) => Some(*store),
            None => store_of(&*files, &segments)?,
        };
        if found.zip(expected).is_some_and(|(found, expected)| found.0 != expected) {
            return Err(OpenStoreError::OtherStore);
        }
        let (store, tail, inventory) = match state {
            Some(state) => state,
            None => (found.map_or_else(|| new_store(entropy), Ok)?, DurableMark::START, Inventory::default()),
        };
        let opening = OpeningReport { is_rebuilt, ..OpeningReport::default() };
        let (discards, dropped, active, last_used) = (Vec::new(), Vec::new(), None, 0);
        let mut recovered =
            Recovered { files, store, inventory, segments, discards, dropped, active, last_used, opening };
        recovered.choose_generations(tail)?;
        recovered.read_tail(tail, recovery)?;
        recovered.finish(&listing)
    }
}

impl Recovered {
    /// Takes the generation that the inventory names; where it names none, the newest that was finished.
    fn choose_generations(&mut self, tail: DurableMark) -> Result<(), OpenStoreError> {
        for (number, generations) in &self.segments {
            if *number >= tail.segment() && !self.inventory.segments.contains_key(number) || self.opening.is_rebuilt {
                let is_finished = |generation: &&u32| **generation == 0 || self.has_table(*number, **generation);
                let finished = generations.keys().rev().find(is_finished);
                let newest = finished.or(generations.keys().next()).copied().unwrap_or(0);
                let segment = Segment { generation: newest, length: 1, ..Segment::default() };
                self.inventory.segments.insert(*number, segment);
            }
        }
        let is_there = |number: &u32, segment: &Segment| {
            self.segments.get(number).is_some_and(|generations| generations.contains_key(&segment.generation))
        };
        let missing: Vec<u32> = self
            .inventory
            .segments
            .iter()
            .filter(|(number, segment)| !is_there(number, segment))
            .map(|(number, _)| *number)
            .collect();
        for number in missing {
            let lost = self.inventory.segments.remove(&number);
            if lost.is_some_and(|segment| segment.live_units() > 0) {
                self.opening.missing_segments.push(number);
            }
        }
        let segments: BTreeSet<u32> = self.inventory.segments.keys().copied().collect();
        self.inventory.close_epochs(|address| segments.contains(&address.segment));
        Ok(())
    }

    fn has_table(&self, segment: u32, generation: u32) -> bool {
        files::read_whole(&*self.files, &table_name(segment, generation))
            .is_ok_and(|bytes| Table::decode(self.store, &bytes).is_some())
    }

    /// Reads the segments from the inventory's end or the ledger's mark on, whichever comes first.
    fn read_tail(&mut self, tail: DurableMark, recovery: Recovery) -> Result<(), OpenStoreError> {
        let first = match recovery {
            Recovery::Committed(mark) | Recovery::WhatIsLeft(mark) => tail.segment().min(mark.segment()),
            Recovery::Everything => tail.segment(),
        };
        let numbers: Vec<u32> = self.inventory.segments.range(first..).map(|(number, _)| *number).collect();
        let recovery = match recovery {
            Recovery::Committed(mark) if mark > self.physical_end() => return Err(OpenStoreError::BehindMark),
            Recovery::WhatIsLeft(mark) => {
                if mark > self.physical_end() {
                    self.opening.is_short = true;
                    self.last_used = mark.segment();
                }
                Recovery::Committed(mark)
            }
            other => other,
        };
        for number in &numbers {
            self.read_segment(*number, tail, recovery, numbers.last() == Some(number))?;
        }
        Ok(())
    }

    /// How far the newest segment's file reaches.
    fn physical_end(&self) -> DurableMark {
        let last = self.inventory.segments.last_key_value();
        let length = |number, generation| self.segments.get(number).and_then(|files| files.get(generation)).copied();
        last.map_or(DurableMark::START, |(number, segment)| {
            DurableMark::new(*number, (length(number, &segment.generation).unwrap_or(0) / UNIT) as u32)
        })
    }

    fn read_segment(
        &mut self,
        number: u32,
        tail: DurableMark,
        recovery: Recovery,
        is_last: bool,
    ) -> Result<(), OpenStoreError> {
        self.opening.segments_read += 1;
        let generation = self.inventory.segments.get(&number).map_or(0, |segment| segment.generation);
        let end = self.segments.get(&number).and_then(|files| files.get(&generation)).copied().unwrap_or(0);
        let name = segment_name(number, generation);
        let files = Arc::clone(&self.files);
        let mut scanner = Scanner::new(&*files, self.store, Extent { name: &name, segment: number, generation, end });
        let has_header = self.has_header(&name, number, generation, end)?;
        let mut records = Vec::new();
        let mut dropped = 0;
        let mut end_of_last = 1;
        while let Some(placed) = scanner.next()? {
            let record = placed.record;
            let garbage = Address { segment: number, slot: end_of_last };
            if matches!(recovery, Recovery::Committed(mark) if !mark.covers(garbage)) && !tail.covers(garbage) {
                self.bury_garbage(garbage, placed.position);
            }
            end_of_last = placed.position + record.units();
            let is_new = !tail.covers(record.address);
            let is_committed = matches!(recovery, Recovery::Committed(mark) if mark.covers(record.address));
            // Before the mark it was flushed; behind it a header may have outlived its block.
            if is_new && !is_committed && scanner.hash(&placed)? != record.id {
                scanner.met_garbage = true;
                self.inventory.add(&Record { kind: Kind::Void, ..record });
                continue;
            }
            records.push(placed);
            if !is_new && record.kind == Kind::Void {
                // A shredding that was interrupted before it was written down.
                self.inventory.remove(&record);
            }
            if is_new {
                self.inventory.add(&record);
                self.keep_length(&placed, generation);
            }
            if is_new && record.kind == Kind::Discards {
                let mut block = Vec::new();
                scanner.block(&placed, &mut |part| {
                    block.extend_from_slice(part);
                    Ok(())
                })?;
                self.discards.extend(discarding::addresses(&block));
            }
            let is_orphan = matches!(recovery, Recovery::Committed(_)) && !is_committed;
            if is_orphan && matches!(record.kind, Kind::Whitened | Kind::Own) && !self.inventory.is_dead(record.address)
            {
                self.dropped.push(record);
                dropped += 1;
            }
        }
        let is_clean = has_header && !scanner.met_garbage && dropped == 0 && generation == 0 && !self.opening.is_short;
        if is_last && is_clean && !self.has_table(number, 0) {
            self.active = Some(Active { segment: number, records, written: end, pending: Vec::new(), durable: 0 });
        } else if generation == 0 && !self.has_table(number, 0) {
            let table = Table::new(number, 0, records);
            self.files.sync(&name)?;
            self.files.replace(&table_name(number, 0), &table.encode(self.store))?;
        }
        Ok(())
    }

    /// What lies between two records behind the mark is torn, and nobody's. Before the mark it is damage, and counts as
    /// alive: compaction then leaves the segment to repair.
    fn bury_garbage(&mut self, garbage: Address, end: u32) {
        if let Some(segment) = self.inventory.segments.get_mut(&garbage.segment) {
            segment.dead_units += end.saturating_sub(garbage.slot);
        }
    }

    /// A compacted record is not where its slot says.
    fn keep_length(&mut self, placed: &Placed, generation: u32) {
        if generation > 0
            && let Some(segment) = self.inventory.segments.get_mut(&placed.record.address.segment)
        {
            segment.length = placed.position + placed.record.units();
        }
    }

    fn has_header(&self, name: &str, segment: u32, generation: u32, end: u64) -> Result<bool, OpenStoreError> {
        let mut header = [0; HEADER];
        if end < HEADER as u64 {
            return Ok(false);
        }
        self.files.read(name, 0, &mut header)?;
        match record::decode_segment(&header, segment, generation) {
            Some(store) if store != self.store => Err(OpenStoreError::Foreign(name.to_owned())),
            other => Ok(other.is_some()),
        }
    }

    /// Opens the log, applies what the tail said, and removes what a crash left over.
    fn finish(mut self, listing: &[(String, u64)]) -> Result<Opened, OpenStoreError> {
        let last = self.inventory.segments.last_key_value().map_or(0, |(number, _)| *number).max(self.last_used);
        // A crash of the very first start leaves a header at most.
        let holds_blocks = self.inventory.segments.values().any(|segment| segment.length > 1);
        let active = self.active.take();
        let is_fresh = active.is_none();
        let placeholder = Active { segment: 0, records: Vec::new(), written: 0, pending: Vec::new(), durable: 0 };
        let state = State {
            inventory: self.inventory,
            active: active.unwrap_or(placeholder),
            discards: Vec::new(),
            is_behind: true,
        };
        let log = Log {
            files: self.files,
            store: self.store,
            state: Mutex::new(state),
            maintenance: Mutex::default(),
            syncing: Mutex::default(),
            flushing: Mutex::default(),
            is_broken: AtomicBool::new(false),
            was_rebuilt: AtomicBool::new(self.opening.is_rebuilt && holds_blocks),
            places: Mutex::new(HashMap::new()),
        };
        if is_fresh {
            log.begin_segment(&mut log.state(), last + 1);
        }
        for address in self.discards {
            match log.record(address) {
                Ok(Some(record)) => _ = log.state().inventory.remove(&record),
                Ok(None) | Err(BlockError::Missing(_) | BlockError::Damaged(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for record in &self.dropped {
            self.opening.dropped += log.bury(&mut log.state(), record) as u64;
        }
        log.retire_leftovers(listing)?;
        log.log_discards(&mut log.state())?;
        log.write_inventory(&mut log.state())?;
        Ok(Opened { log, opening: self.opening })
    }
}

impl Log {
    /// Removes files of generations that are no longer, or never became, the segment's.
    fn retire_leftovers(&self, listing: &[(String, u64)]) -> io::Result<()> {
        for (name, _) in listing {
            let Some((segment, generation, kind)) = parse_name(name) else { continue };
            let current = self.state().inventory.segments.get(&segment).map(|segment| segment.generation);
            match kind {
                _ if current == Some(generation) => {}
                FileKind::Segment => self.retire(segment, generation)?,
                FileKind::Table => self.files.remove(name)?,
            }
        }
        Ok(())
    }
}

fn generations(listing: &[(String, u64)]) -> BTreeMap<u32, Generations> {
    let mut segments = BTreeMap::<u32, Generations>::new();
    for (name, length) in listing {
        if let Some((segment, generation, FileKind::Segment)) = parse_name(name) {
            segments.entry(segment).or_default().insert(generation, *length);
        }
    }
    segments
}

/// The store that most recently wrote a segment whose header is whole.
fn store_of(files: &dyn Files, segments: &BTreeMap<u32, Generations>) -> io::Result<Option<StoreId>> {
    for (number, generations) in segments.iter().rev() {
        for (generation, length) in generations.iter().rev() {
            let mut header = [0; HEADER];
            if *length >= HEADER as u64 {
                files.read(&segment_name(*number, *generation), 0, &mut header)?;
                if let Some(store) = record::decode_segment(&header, *number, *generation) {
                    return Ok(Some(store));
                }
            }
        }
    }
    Ok(None)
}

fn new_store(entropy: Entropy) -> io::Result<StoreId> {
    let mut seed = [0; 32];
    entropy(&mut seed)?;
    Ok(StoreId(seed.first_chunk().copied().unwrap_or_default()))
}
