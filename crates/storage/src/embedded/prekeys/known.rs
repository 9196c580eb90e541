//! Agents that are known to have published, so that a message to one of them is not a read of the database each time.
//!
//! Kept: what is in here is true, since the row of an agent never goes. What is not in here is not known.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::limits;

use sealpost_protocol::AgentId;

/// The agents that were found in the database since it was opened.
#[derive(Default)]
pub(super) struct KnownAgents {
    found: Mutex<HashSet<AgentId>>,
}

impl KnownAgents {
    /// Those of `agents` that have not been found yet, in their order.
    pub(super) fn others(&self, agents: &[AgentId]) -> Vec<AgentId> {
        let found = self.found();
        agents.iter().filter(|agent| !found.contains(agent)).copied().collect()
    }

    pub(super) fn remember(&self, agent: AgentId) {
        let mut found = self.found();
        if found.len() >= limits::KNOWN_AGENTS {
            found.clear();
        }
        found.insert(agent);
    }

    fn found(&self) -> MutexGuard<'_, HashSet<AgentId>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: usize) -> AgentId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        AgentId::from_array(bytes)
    }

    #[test]
    fn those_that_were_found_are_not_looked_up_again() {
        let known = KnownAgents::default();
        let [anna, bob, carol] = [1, 2, 3].map(agent);
        known.remember(bob);
        assert_eq!(known.others(&[carol, bob, anna]), [carol, anna]);
        assert_eq!(known.others(&[bob]), []);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let known = KnownAgents::default();
        for number in 0..=limits::KNOWN_AGENTS {
            known.remember(agent(number));
        }
        assert_eq!(known.found().len(), 1);
        assert_eq!(known.others(&[agent(limits::KNOWN_AGENTS)]), [], "the last one is");
    }
}
