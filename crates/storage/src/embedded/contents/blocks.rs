//! The open block store, and what happens when a flush fails.
//!
//! After a failed flush nobody knows what of the unflushed bytes is on the disk. The store is then opened anew at the last
//! mark that was flushed for certain: it covers every handle that anyone was given, since handles are given out after their
//! flush, so nothing accepted can be taken for an orphan.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use sealpost_blocks::{BlockStore, DurableMark, Files, Keys, OpenStoreError, OpeningReport, Options, Recovery};
use sealpost_core::ports::ContentsMark;

use super::super::Store;

/// The store, its last flushed mark, and what was given out and is not in the ledger yet.
pub(in crate::embedded) struct Blocks {
    files: Arc<dyn Files>,
    keys: Keys,
    store: RwLock<BlockStore>,
    durable: Mutex<DurableMark>,
    is_broken: AtomicBool,
    /// Where appends began whose marks still live, by a number of their own.
    unsettled: Mutex<(u64, BTreeMap<u64, DurableMark>)>,
    /// Held by a backup against whatever takes away; by each of those for a moment against a backup.
    pub(in crate::embedded) keeping: RwLock<()>,
    /// The database and the right to the directory. Dropped last.
    pub(super) ledger: Arc<Store>,
}

/// What to do with blocks that end before what the ledger has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) enum Loss {
    /// Not to open them.
    Refused,
    /// To open what is left.
    Accepted,
}

/// Keeps what was appended since from being collected.
struct Hold {
    blocks: Arc<Blocks>,
    number: u64,
}

impl Blocks {
    /// Opens the store at the mark that the ledger has committed, if need be with `loss`.
    pub(super) fn open(
        files: Arc<dyn Files>,
        keys: Keys,
        committed: DurableMark,
        store: Option<[u8; 16]>,
        ledger: Arc<Store>,
        loss: Loss,
    ) -> Result<(Self, OpeningReport), OpenStoreError> {
        let recovery = match loss {
            Loss::Refused => Recovery::Committed(committed),
            Loss::Accepted => Recovery::WhatIsLeft(committed),
        };
        let store = store.filter(|_| loss == Loss::Refused);
        let options = Options { store, ..Options::new(recovery, keys.clone()) };
        let (store, opening) = BlockStore::open(Arc::clone(&files), options)?;
        let blocks = Self {
            files,
            keys,
            store: RwLock::new(store),
            durable: Mutex::new(committed),
            is_broken: AtomicBool::new(false),
            unsettled: Mutex::default(),
            keeping: RwLock::default(),
            ledger,
        };
        Ok((blocks, opening))
    }

    /// Does something with the store, which is opened anew first if a flush has failed.
    pub(in crate::embedded) fn with<T>(&self, act: impl FnOnce(&BlockStore) -> T) -> Result<T, OpenStoreError> {
        if self.is_broken.load(Ordering::Acquire) {
            self.open_anew()?;
        }
        Ok(act(&self.store.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn open_anew(&self) -> Result<(), OpenStoreError> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        if !self.is_broken.load(Ordering::Acquire) {
            return Ok(());
        }
        let options = Options::new(Recovery::Committed(self.durable()), self.keys.clone());
        let (opened, opening) = BlockStore::open(Arc::clone(&self.files), options)?;
        tracing::warn!(dropped = opening.dropped, "the block store was opened anew after a failed flush");
        *store = opened;
        self.is_broken.store(false, Ordering::Release);
        Ok(())
    }

    /// Makes what was appended and let go of durable.
    pub(super) fn sync(&self, store: &BlockStore) -> io::Result<DurableMark> {
        match store.sync() {
            Ok(mark) => {
                let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
                *durable = mark.max(*durable);
                Ok(mark)
            }
            Err(error) => {
                self.is_broken.store(true, Ordering::Release);
                Err(error)
            }
        }
    }

    pub(in crate::embedded) fn files(&self) -> &dyn Files {
        &*self.files
    }

    pub(super) fn durable(&self) -> DurableMark {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be taken before an append: until it is dropped, no collection takes what is appended from here on.
    pub(super) fn hold(self: &Arc<Self>) -> Arc<impl Send + Sync + 'static> {
        let mut unsettled = self.unsettled();
        unsettled.0 += 1;
        let number = unsettled.0;
        unsettled.1.insert(number, self.durable());
        Arc::new(Hold { blocks: Arc::clone(self), number })
    }

    /// Before this, whatever was appended is in the ledger, or never will be, given that the ledger has committed a mark
    /// as great.
    pub(super) fn settled(&self, committed: DurableMark) -> DurableMark {
        self.unsettled().1.values().copied().fold(committed, DurableMark::min)
    }

    fn unsettled(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, DurableMark>)> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.blocks.unsettled().1.remove(&self.number);
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        let store = self.store.get_mut().unwrap_or_else(PoisonError::into_inner).clone();
        if !*self.is_broken.get_mut()
            && let Err(error) = store.close()
        {
            tracing::warn!(%error, "the block store was not closed; the next opening reads its tail");
        }
        self.ledger.leave_contents();
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Blocks").finish_non_exhaustive()
    }
}

/// A mark as the core carries it: its eight bytes as a number, which never goes back.
pub(super) fn position(mark: DurableMark) -> u64 {
    u64::from_be_bytes(mark.to_bytes())
}

/// The mark of a number that [`position`] gave.
pub(in crate::embedded) fn mark(position: u64) -> DurableMark {
    DurableMark::from_bytes(position.to_be_bytes())
}

/// What an append gives back.
pub(super) fn contents_mark(reached: DurableMark, hold: Arc<impl Send + Sync + 'static>) -> ContentsMark {
    ContentsMark::new(position(reached), hold)
}
