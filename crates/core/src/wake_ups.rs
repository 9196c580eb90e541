//! Wakes those who wait for news of an agent. A wake-up carries nothing: whoever hears it reads the ledger, so a lost one
//! costs time and never a message.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use sealpost_protocol::AgentId;
use tokio::sync::{Notify, futures::OwnedNotified};

/// Who waits for whom. Holds an entry only while someone waits, so its size is bounded by the open connections.
#[derive(Debug, Clone, Default)]
pub struct WakeUps {
    bells: Arc<Mutex<HashMap<AgentId, Hung>>>,
}

/// A bell and how many wait for it.
#[derive(Debug, Default)]
struct Hung {
    bell: Arc<Notify>,
    waiting: usize,
}

/// Someone's place to wait for news of one agent. The last to leave takes the bell down.
#[derive(Debug)]
pub struct Bell {
    agent: AgentId,
    bell: Arc<Notify>,
    wake_ups: WakeUps,
}

impl WakeUps {
    /// A bell that rings when there is news of `agent`.
    pub fn bell(&self, agent: AgentId) -> Bell {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        let hung = bells.entry(agent).or_default();
        hung.waiting += 1;
        Bell { agent, bell: Arc::clone(&hung.bell), wake_ups: self.clone() }
    }

    /// Rings for everyone who waits for news of `agents`.
    pub fn ring<'a>(&self, agents: impl IntoIterator<Item = &'a AgentId>) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        for agent in agents {
            if let Some(hung) = bells.get(agent) {
                hung.bell.notify_waiters();
            }
        }
    }
}

impl Bell {
    /// Completes at the first ring after this call, whether or not it has been polled by then: call it, look for news,
    /// then await it.
    pub fn next_ring(&self) -> OwnedNotified {
        Arc::clone(&self.bell).notified_owned()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut bells = self.wake_ups.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut hung) = bells.entry(self.agent) {
            hung.get_mut().waiting -= 1;
            if hung.get().waiting == 0 {
                hung.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentId = AgentId::from_array([1; 32]);

    #[tokio::test]
    async fn a_ring_between_looking_and_waiting_is_heard() {
        let wake_ups = WakeUps::default();
        let bell = wake_ups.bell(AGENT);
        let ring = bell.next_ring();
        wake_ups.ring([&AGENT]);
        ring.await;
    }

    #[tokio::test]
    async fn nobody_waiting_leaves_no_trace() {
        let wake_ups = WakeUps::default();
        for number in 0..100 {
            drop(wake_ups.bell(AgentId::from_array([number; 32])));
        }
        assert!(wake_ups.bells.lock().unwrap().is_empty());
        let (first, second) = (wake_ups.bell(AGENT), wake_ups.bell(AGENT));
        drop(first);
        assert_eq!(wake_ups.bells.lock().unwrap().len(), 1, "someone still waits");
        drop(second);
        assert!(wake_ups.bells.lock().unwrap().is_empty());
    }
}
