//! Wakes those who wait for news of an agent. A wake-up carries nothing: whoever hears it reads the ledger, so a lost one
//! costs time and never a message.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use sealpost_protocol::AgentId;
use tokio::sync::{Notify, futures::OwnedNotified};

/// Who waits for whom. Holds an entry only while someone waits, so its size is bounded by the open connections.
#[derive(Debug, Default)]
pub struct WakeUps {
    bells: Mutex<HashMap<AgentId, Weak<Notify>>>,
}

/// Someone's place to wait for news of one agent.
#[derive(Debug)]
pub struct Bell(Arc<Notify>);

impl WakeUps {
    /// A bell that rings when there is news of `agent`.
    pub fn bell(&self, agent: AgentId) -> Bell {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(&agent).and_then(Weak::upgrade) {
            return Bell(bell);
        }
        bells.retain(|_, bell| bell.strong_count() > 0);
        let bell = Arc::new(Notify::new());
        bells.insert(agent, Arc::downgrade(&bell));
        Bell(bell)
    }

    /// Rings for everyone who waits for news of `agents`.
    pub fn ring<'a>(&self, agents: impl IntoIterator<Item = &'a AgentId>) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        for agent in agents {
            if let Some(bell) = bells.get(agent).and_then(Weak::upgrade) {
                bell.notify_waiters();
            }
        }
    }
}

impl Bell {
    /// Completes at the first ring after this call, whether or not it has been polled by then: call it, look for news,
    /// then await it.
    pub fn next_ring(&self) -> OwnedNotified {
        Arc::clone(&self.0).notified_owned()
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
        assert!(wake_ups.bells.lock().unwrap().len() <= 1);
    }
}
