//! The log of segments: one place where all blocks are appended, so that one flush makes a group of them durable.
//!
//! Kept: an address names one block for ever; what was durable at a mark is never written again, but by shredding and
//! repair; what the inventory says is either in its file or follows from the segments.

mod appending;
mod compaction;
mod discarding;
mod giving_up;
mod opening;
mod reading;
mod repair;
mod searching;
mod shredding;
mod verification;

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

pub(crate) use appending::NewRecord;
pub use compaction::Compaction;
pub(crate) use opening::Opened;
pub use opening::{OpenStoreError, OpeningReport, Recovery};
pub use reading::BlockError;
pub use repair::{BlockSource, Repair};
pub use verification::{Damage, DamagedPart, Verification};

use crate::{
    address::DurableMark,
    files::Files,
    inventory::Inventory,
    record::{StoreId, UNIT},
    table::{Placed, Places, Table},
};

/// The inventory's file.
const STATE: &str = "state";

/// Segments over a file layer.
pub(crate) struct Log {
    files: Arc<dyn Files>,
    store: StoreId,
    state: Mutex<State>,
    /// Held by what rewrites or reads through whole segments, so that none of them meets another.
    maintenance: Mutex<()>,
    /// Held by whoever makes a group durable.
    syncing: Mutex<()>,
    /// Held by whoever flushes a file; nothing else is waited for under it.
    flushing: Mutex<()>,
    /// Set once a flush has failed: nobody knows then what is durable.
    is_broken: AtomicBool,
    /// Set if the inventory was damaged or gone when the store was opened, and was made anew from the segments.
    was_rebuilt: AtomicBool,
    /// Places in compacted segments, by segment and generation.
    places: Mutex<HashMap<(u32, u32), Arc<Places>>>,
}

pub(crate) struct State {
    pub(crate) inventory: Inventory,
    active: Active,
    /// What was let go of and is not in a segment yet.
    discards: Vec<crate::address::Address>,
    /// Set while the inventory's file is older than it should be.
    is_behind: bool,
}

/// The segment that grows.
struct Active {
    segment: u32,
    records: Vec<Placed>,
    /// Bytes that its file has.
    written: u64,
    /// Bytes that follow them.
    pending: Vec<u8>,
    /// Bytes that are durable.
    durable: u64,
}

impl Active {
    fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    fn mark(&self) -> DurableMark {
        DurableMark::new(self.segment, (self.end() / UNIT) as u32)
    }
}

impl Log {
    pub(crate) fn id(&self) -> [u8; 16] {
        self.store.0
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn maintenance(&self) -> MutexGuard<'_, ()> {
        self.maintenance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the inventory's file. Everything it tells of is durable first.
    fn write_inventory(&self, state: &mut State) -> io::Result<()> {
        state.is_behind = true;
        self.sync_active(state)?;
        self.files.replace(STATE, &state.inventory.encode(self.store, state.active.mark()))?;
        state.is_behind = false;
        Ok(())
    }

    /// How far appending has come.
    pub(crate) fn end(&self) -> DurableMark {
        self.state().active.mark()
    }

    /// The table of a sealed segment. `InvalidData` if it is damaged.
    fn table(&self, segment: u32, generation: u32) -> io::Result<Table> {
        let bytes = crate::files::read_whole(&*self.files, &table_name(segment, generation))?;
        let table = Table::decode(self.store, &bytes);
        let ours = table.filter(|table| (table.segment, table.generation) == (segment, generation));
        ours.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Writes down what the next start would otherwise have to look for.
    pub(crate) fn close(&self) -> io::Result<()> {
        let mut state = self.state();
        self.log_discards(&mut state)?;
        self.write_inventory(&mut state)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Log").finish_non_exhaustive()
    }
}

fn segment_name(segment: u32, generation: u32) -> String {
    format!("{segment:08x}-{generation:08x}.segment")
}

fn table_name(segment: u32, generation: u32) -> String {
    format!("{segment:08x}-{generation:08x}.table")
}

/// Segment, generation and kind of a file of ours.
fn parse_name(name: &str) -> Option<(u32, u32, FileKind)> {
    let (numbers, kind) = name.split_once('.')?;
    let (segment, generation) = numbers.split_once('-')?;
    let number = |text: &str| u32::from_str_radix(text, 16).ok().filter(|_| text.len() == 8);
    let kind = match kind {
        "segment" => FileKind::Segment,
        "table" => FileKind::Table,
        _ => return None,
    };
    Some((number(segment)?, number(generation)?, kind))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Segment,
    Table,
}
