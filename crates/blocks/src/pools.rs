//! Epoch pools: random blocks that belong to nobody, and that whitened blocks of many contents borrow.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    block_id::BlockId,
    generator::Generator,
    limits,
    log::{BlockError, Log, NewRecord, State},
    record::{HEADER, Kind},
    tuple::StoredBlock,
    whitening::{Purpose, xor, xor_both},
};

/// The pools of one store, as far as memory holds them.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    /// The epoch that each purpose borrows from now.
    current: Mutex<HashMap<Purpose, u32>>,
    cache: Mutex<Cache>,
}

/// Pool blocks by epoch and index, verified when they were loaded. The oldest give way.
#[derive(Debug, Default)]
struct Cache {
    blocks: HashMap<(u32, u32), Arc<[u8]>>,
    order: VecDeque<(u32, u32)>,
    bytes: usize,
}

/// Uses that were given out: the epoch and the first of its uses. Ended with [`Pools::settle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Borrowed {
    pub(crate) purpose: Purpose,
    pub(crate) epoch: u32,
    pub(crate) counter: u32,
}

impl Pools {
    /// Takes the next `strips` uses of an epoch, which is made, or given the random blocks it lacks, if need be.
    pub(crate) fn borrow(
        &self,
        log: &Log,
        generator: &Mutex<Generator>,
        purpose: Purpose,
        strips: u32,
    ) -> io::Result<Borrowed> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = log.state();
        let epoch = match self.open_epoch(&mut state, log, current.get(&purpose).copied(), purpose, strips) {
            Some(epoch) => epoch,
            None => state.inventory.last_epoch + 1,
        };
        current.insert(purpose, epoch);
        let known = state.inventory.epochs.get(&epoch).map_or((0, 0), |found| (found.used, found.blocks.len() as u32));
        let (counter, have) = known;
        for index in have..purpose.blocks(counter + strips - 1) {
            self.add_block(log, &mut state, generator, Borrowed { purpose, epoch, counter: index })?;
        }
        if let Some(found) = state.inventory.epochs.get_mut(&epoch) {
            found.used += strips;
            found.borrowing += 1;
        }
        Ok(Borrowed { purpose, epoch, counter })
    }

    /// What was borrowed is used in a block that is appended, or will not be used.
    pub(crate) fn settle(log: &Log, borrowed: Borrowed) {
        let mut state = log.state();
        if let Some(epoch) = state.inventory.epochs.get_mut(&borrowed.epoch) {
            epoch.borrowing = epoch.borrowing.saturating_sub(1);
        }
        log.end_epoch(&mut state, borrowed.epoch);
    }

    /// The epoch to borrow from, unless it has too few uses left: then it takes no more.
    fn open_epoch(
        &self,
        state: &mut State,
        log: &Log,
        current: Option<u32>,
        purpose: Purpose,
        strips: u32,
    ) -> Option<u32> {
        let is_open = |state: &State, number: &u32| {
            state.inventory.epochs.get(number).is_some_and(|epoch| epoch.purpose == purpose && epoch.is_open)
        };
        let known = current.filter(|number| is_open(state, number));
        let found = known.or_else(|| {
            let mut newest = state.inventory.epochs.keys().rev().copied();
            newest.find(|number| is_open(state, number))
        })?;
        let epoch = state.inventory.epochs.get_mut(&found)?;
        if epoch.used.checked_add(strips).is_some_and(|used| used <= purpose.uses()) {
            return Some(found);
        }
        epoch.is_open = false;
        log.end_epoch(state, found);
        None
    }

    fn add_block(&self, log: &Log, state: &mut State, generator: &Mutex<Generator>, place: Borrowed) -> io::Result<()> {
        let Borrowed { purpose, epoch, counter: index } = place;
        let mut block = vec![0; HEADER + purpose.strip.bytes()];
        let (_, random) = block.split_at_mut(HEADER);
        generator.lock().unwrap_or_else(PoisonError::into_inner).fill(random)?;
        let (id, cached) = (BlockId::of(random), Arc::from(&*random));
        let (size, kind) = (purpose.strip, Kind::Pool);
        let new = NewRecord { size, kind, purpose: purpose.code(), epoch, counter: index, id };
        log.append_to(state, new, &mut block)?;
        self.cache().insert((epoch, index), cached);
        Ok(())
    }

    /// XORs what was borrowed into a block: whitens it, or takes the whitening away.
    pub(crate) fn apply(&self, log: &Log, borrowed: Borrowed, block: &mut [u8]) -> Result<(), BlockError> {
        let Borrowed { purpose, epoch, counter } = borrowed;
        let strips = (block.len() / purpose.strip.bytes()) as u32;
        let end = counter.checked_add(strips).filter(|end| *end <= purpose.uses());
        let uses = counter..end.ok_or(BlockError::NotBorrowed { epoch, counter })?;
        for (strip, counter) in block.chunks_mut(purpose.strip.bytes()).zip(uses) {
            let subset = purpose.subset(counter);
            let blocks = subset.into_iter().map(|index| self.fetch(log, Borrowed { purpose, epoch, counter }, index));
            let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
            let mut pairs = blocks.chunks_exact(2);
            for pair in &mut pairs {
                if let [one, other] = pair {
                    xor_both(strip, one, other);
                }
            }
            pairs.remainder().iter().for_each(|last| xor(strip, last));
        }
        Ok(())
    }

    /// A block of the pool that something borrowed.
    fn fetch(&self, log: &Log, borrowed: Borrowed, index: u32) -> Result<Arc<[u8]>, BlockError> {
        let Borrowed { purpose, epoch, counter } = borrowed;
        if let Some(block) = self.cache().blocks.get(&(epoch, index)) {
            return Ok(Arc::clone(block));
        }
        let address = {
            let state = log.state();
            let found = state.inventory.epochs.get(&epoch).filter(|found| found.purpose == purpose);
            let address = found.and_then(|found| found.blocks.get(index as usize));
            *address.ok_or(BlockError::NotBorrowed { epoch, counter })?
        };
        let record = log.record(address)?.ok_or(BlockError::Damaged(address))?;
        if (record.kind, record.epoch, record.counter) != (Kind::Pool, epoch, index) {
            return Err(BlockError::Damaged(address));
        }
        let mut block = Vec::new();
        log.read(&StoredBlock { address, id: record.id }, purpose.strip, &mut block)?;
        let block: Arc<[u8]> = block.into();
        self.cache().insert((epoch, index), Arc::clone(&block));
        Ok(block)
    }

    /// Forgets what memory holds, so that the next use reads and verifies it again.
    pub(crate) fn forget(&self) {
        *self.cache() = Cache::default();
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn insert(&mut self, key: (u32, u32), block: Arc<[u8]>) {
        self.bytes += block.len();
        if let Some(before) = self.blocks.insert(key, block) {
            self.bytes -= before.len();
            return;
        }
        self.order.push_back(key);
        while self.bytes > limits::POOL_CACHE {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |block| block.len());
        }
    }
}
