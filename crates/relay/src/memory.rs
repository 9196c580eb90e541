//! What requests and answers take of memory while they pass through, bounded over all connections.
//!
//! A request's share grows with what has been read of it, and by what its answer may take before that is read from the
//! store. It is given back when the answer has been taken, and no earlier than the work that the request began is done.
//! Each piece of an answer has a share of its own until the client's connection has taken it: a client that does not read
//! keeps what it was sent, and no more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use sealpost_core::{NoRoom, Room};
use thiserror::Error;
use tokio::sync::Semaphore;

/// The memory that all share.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Semaphore>);

/// Bytes that are in use; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Memory,
    bytes: AtomicUsize,
    was_refused: AtomicBool,
}

/// Others use the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too much is on its way at once")]
pub(crate) struct MemoryShort;

impl Memory {
    /// Memory of so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { memory: self.clone(), bytes: AtomicUsize::new(0), was_refused: AtomicBool::new(false) }
    }

    /// Whether so many bytes are free now.
    pub(crate) fn has_free(&self, bytes: usize) -> bool {
        self.0.available_permits() >= bytes
    }
}

impl Share {
    /// Takes `bytes` more.
    pub(crate) fn grow(&self, bytes: usize) -> Result<(), MemoryShort> {
        let permits = u32::try_from(bytes).ok().and_then(|bytes| self.memory.0.try_acquire_many(bytes).ok());
        if let Some(permits) = permits {
            permits.forget();
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            return Ok(());
        }
        self.was_refused.store(true, Ordering::Relaxed);
        Err(MemoryShort)
    }

    /// Gives back `bytes` of what it has, at most all.
    fn shrink(&self, bytes: usize) {
        let taken = |held: usize| Some(held.saturating_sub(bytes));
        if let Ok(held) = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken) {
            self.memory.0.add_permits(bytes.min(held));
        }
    }

    /// The memory that it is a share of.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether it once could not grow.
    pub(crate) fn was_refused(&self) -> bool {
        self.was_refused.load(Ordering::Relaxed)
    }
}

impl Room for Share {
    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        self.grow(bytes).map_err(|MemoryShort| NoRoom)
    }

    fn give_back(&self, bytes: usize) {
        self.shrink(bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.0.add_permits(*self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_to_the_bound_together_and_give_back_when_dropped() {
        let memory = Memory::new(100);
        let (first, second) = (memory.share(), memory.share());
        assert_eq!((first.grow(60), second.grow(40)), (Ok(()), Ok(())));
        assert_eq!(second.grow(1), Err(MemoryShort));
        assert!(second.was_refused() && !first.was_refused() && !memory.has_free(1));
        drop(first);
        assert!(memory.has_free(60) && !memory.has_free(61));
        assert_eq!(second.grow(60), Ok(()));
        second.shrink(70);
        assert!(memory.has_free(70) && !memory.has_free(71));
        second.shrink(70);
        assert!(memory.has_free(100), "no more than it had");
        drop(second);
        assert!(memory.has_free(100) && !memory.has_free(101));
    }
}
