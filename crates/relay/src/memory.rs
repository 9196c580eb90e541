//! What requests and answers take of memory while they pass through, bounded over all connections and for each agent.
//!
//! A request's share grows with what has been read of it, and by what its answer may take before that is read from the
//! store. It is given back when the answer has been taken, and no earlier than the work that the request began is done.
//! Each piece of an answer has a share of its own until the client's connection has taken it: a client that does not read
//! keeps what it was sent, and no more.
//!
//! What large bodies have beyond their beginnings counts apart: whoever holds them up has nothing that small requests and
//! answers need.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use sealpost_core::{NoRoom, Room};
use sealpost_protocol::AgentId;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::limits;

/// The memory that all share.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// For answers and for the beginnings of bodies.
    requests: Semaphore,
    /// For the rest of bodies.
    bodies: Semaphore,
    of_one_agent: usize,
    held: Mutex<HashMap<AgentId, usize>>,
}

/// Bytes of each part, and of what one agent may hold of both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) requests: usize,
    pub(crate) bodies: usize,
    pub(crate) of_one_agent: usize,
}

/// Bytes that are in use; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Memory,
    agent: Option<AgentId>,
    requests: AtomicUsize,
    bodies: AtomicUsize,
    /// Bytes of the request's body so far, also those that were given back.
    read: AtomicUsize,
    broken_off: OnceLock<BrokenOff>,
}

/// Why a request does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BrokenOff {
    /// Others use the memory.
    #[error("too much is on its way at once")]
    MemoryShort,
    /// The agent's other requests use its part.
    #[error("too much of this agent's own is on its way at once: at most {} bytes", limits::AGENT_MEMORY)]
    AgentsMemoryShort,
    /// A client takes too long to send its request.
    #[error(
        "the request did not come in time: at least {} bytes, or its end, in {} s",
        limits::BODY_PACE,
        limits::BODY_PACE_TIME.as_secs()
    )]
    TooSlow,
}

impl Memory {
    /// Memory of so many bytes.
    pub(crate) fn new(bounds: Bounds) -> Self {
        let Bounds { requests, bodies, of_one_agent } = bounds;
        let (requests, bodies) = (Semaphore::new(requests), Semaphore::new(bodies));
        Self(Arc::new(Parts { requests, bodies, of_one_agent, held: Mutex::default() }))
    }

    /// A share of nothing yet, which no agent answers for.
    pub(crate) fn share(&self) -> Share {
        self.share_of(None)
    }

    /// A share of nothing yet, which counts as this agent's.
    pub(crate) fn share_of(&self, agent: Option<AgentId>) -> Share {
        Share {
            memory: self.clone(),
            agent,
            requests: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            broken_off: OnceLock::new(),
        }
    }

    /// Whether so many bytes are free now for requests and answers.
    pub(crate) fn has_free(&self, bytes: usize) -> bool {
        self.0.requests.available_permits() >= bytes
    }

    fn charge(&self, agent: AgentId, bytes: usize) -> Result<(), BrokenOff> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.get(&agent).copied().unwrap_or_default();
        let after = before.saturating_add(bytes);
        if after > self.0.of_one_agent {
            return Err(BrokenOff::AgentsMemoryShort);
        }
        if after > 0 {
            held.insert(agent, after);
        }
        Ok(())
    }

    fn credit(&self, agent: AgentId, bytes: usize) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_agent) = held.get_mut(&agent) else { return };
        *of_agent = of_agent.saturating_sub(bytes);
        if *of_agent == 0 {
            held.remove(&agent);
        }
    }
}

impl Share {
    /// Takes `bytes` more, for an answer.
    pub(crate) fn grow(&self, bytes: usize) -> Result<(), BrokenOff> {
        self.take_from(&self.memory.0.requests, &self.requests, bytes)
    }

    /// Takes `bytes` more, that came of the request's body. What an agent's body has beyond its beginning counts apart.
    pub(crate) fn grow_by_body(&self, bytes: usize) -> Result<(), BrokenOff> {
        let before = self.read.fetch_add(bytes, Ordering::Relaxed);
        let beginning = match self.agent {
            Some(_) => limits::BODY_BEGINNING.saturating_sub(before).min(bytes),
            None => bytes,
        };
        self.grow(beginning)?;
        self.take_from(&self.memory.0.bodies, &self.bodies, bytes - beginning)
    }

    /// Gives back up to `bytes` of what the body has beyond its beginning: they were worked off.
    pub(crate) fn shrink_by_body(&self, bytes: usize) {
        self.give_back_to(&self.memory.0.bodies, &self.bodies, bytes);
    }

    /// Another share of the same memory and agent, of nothing yet.
    pub(crate) fn beside(&self) -> Self {
        self.memory.share_of(self.agent)
    }

    /// The request does not go on.
    pub(crate) fn break_off(&self, why: BrokenOff) -> BrokenOff {
        *self.broken_off.get_or_init(|| why)
    }

    /// Why the request does not go on, if it once could not.
    pub(crate) fn broken_off(&self) -> Option<BrokenOff> {
        self.broken_off.get().copied()
    }

    fn take_from(&self, part: &Semaphore, taken: &AtomicUsize, bytes: usize) -> Result<(), BrokenOff> {
        if let Some(agent) = self.agent {
            self.memory.charge(agent, bytes).map_err(|why| self.break_off(why))?;
        }
        if let Some(permits) = u32::try_from(bytes).ok().and_then(|bytes| part.try_acquire_many(bytes).ok()) {
            permits.forget();
            taken.fetch_add(bytes, Ordering::Relaxed);
            return Ok(());
        }
        if let Some(agent) = self.agent {
            self.memory.credit(agent, bytes);
        }
        Err(self.break_off(BrokenOff::MemoryShort))
    }

    fn give_back_to(&self, part: &Semaphore, taken: &AtomicUsize, bytes: usize) {
        let left = |taken: usize| Some(taken.saturating_sub(bytes));
        let Ok(taken) = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left) else { return };
        let bytes = bytes.min(taken);
        part.add_permits(bytes);
        if let Some(agent) = self.agent {
            self.memory.credit(agent, bytes);
        }
    }
}

impl Room for Share {
    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        self.grow(bytes).map_err(|_| NoRoom)
    }

    fn give_back(&self, bytes: usize) {
        self.give_back_to(&self.memory.0.requests, &self.requests, bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(usize::MAX);
        self.shrink_by_body(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use sealpost_core::conformance::Agent;

    use super::*;

    impl Memory {
        /// Memory for requests and answers alone, which one agent may hold whole.
        pub(crate) fn of(bytes: usize) -> Self {
            Self::new(Bounds { requests: bytes, bodies: 0, of_one_agent: bytes })
        }
    }

    #[test]
    fn shares_grow_to_the_bound_together_and_give_back_when_dropped() {
        let memory = Memory::of(100);
        let (first, second) = (memory.share(), memory.share());
        assert_eq!((first.grow(60), second.grow(40)), (Ok(()), Ok(())));
        assert_eq!(second.grow(1), Err(BrokenOff::MemoryShort));
        assert_eq!((first.broken_off(), second.broken_off()), (None, Some(BrokenOff::MemoryShort)));
        assert!(!memory.has_free(1));
        drop(first);
        assert!(memory.has_free(60) && !memory.has_free(61));
        assert_eq!(second.grow(60), Ok(()));
        second.give_back(70);
        assert!(memory.has_free(70) && !memory.has_free(71));
        second.give_back(70);
        assert!(memory.has_free(100), "no more than it had");
        drop(second);
        assert!(memory.has_free(100) && !memory.has_free(101));
    }

    #[test]
    fn one_agent_holds_no_more_than_its_part_in_all_its_shares() {
        let memory = Memory::new(Bounds { requests: 100, bodies: 0, of_one_agent: 50 });
        let (alice, bob) = (Some(Agent::alice().id()), Some(Agent::bob().id()));
        let (first, second) = (memory.share_of(alice), memory.share_of(alice));
        assert_eq!((first.grow(30), second.grow(20)), (Ok(()), Ok(())));
        assert_eq!(first.beside().grow(1), Err(BrokenOff::AgentsMemoryShort));
        assert!(memory.has_free(50), "what is refused is not taken");
        let others = memory.share_of(bob);
        assert_eq!(others.grow(50), Ok(()));
        drop(first);
        assert_eq!(second.grow(30), Ok(()));
        drop((second, others));
        assert!(memory.0.held.lock().unwrap().is_empty(), "who holds nothing is not remembered");
    }

    #[test]
    fn what_large_bodies_hold_is_not_taken_from_small_ones() {
        let (beginning, alice) = (limits::BODY_BEGINNING, Some(Agent::alice().id()));
        let memory = Memory::new(Bounds { requests: 3 * beginning, bodies: 100, of_one_agent: usize::MAX });
        let large = memory.share_of(alice);
        assert_eq!(large.grow_by_body(beginning + 60), Ok(()));
        assert_eq!(large.grow_by_body(40), Ok(()));
        assert!(memory.has_free(2 * beginning));
        let small = memory.share_of(alice);
        assert_eq!(small.grow_by_body(beginning), Ok(()));
        assert_eq!(small.grow_by_body(1), Err(BrokenOff::MemoryShort));
        large.shrink_by_body(1);
        assert_eq!(small.grow_by_body(1), Ok(()), "it was worked off");
        drop((large, small));
        assert!(memory.has_free(3 * beginning) && memory.0.bodies.available_permits() == 100);
    }
}
