//! Fan-outs in memory: deliveries that are in no message yet.

use std::collections::BTreeMap;

use sealpost_protocol::AgentId;

use super::ledger::Delivery;
use crate::ports::{AbandonStep, AcceptError, BackendError, FanOutId};

/// Fan-outs by their ids.
#[derive(Debug, Clone, Default)]
pub(super) struct FanOutTable(BTreeMap<u64, FanOut>);

#[derive(Debug, Clone)]
struct FanOut {
    sender: AgentId,
    deliveries: BTreeMap<AgentId, Delivery>,
}

impl FanOutTable {
    pub(super) fn begin(&mut self, id: FanOutId, sender: AgentId) {
        self.0.insert(id.0, FanOut { sender, deliveries: BTreeMap::new() });
    }

    /// # Errors
    /// [`AcceptError::Backend`] if it has not begun, or has ended.
    pub(super) fn check(&self, id: FanOutId) -> Result<(), AcceptError> {
        let is_known = self.0.contains_key(&id.0);
        if is_known { Ok(()) } else { Err(BackendError::new("there is no such fan-out").into()) }
    }

    pub(super) fn add(&mut self, id: FanOutId, deliveries: BTreeMap<AgentId, Delivery>) {
        if let Some(begun) = self.0.get_mut(&id.0) {
            begun.deliveries.extend(deliveries);
        }
    }

    /// Its deliveries; it is no more.
    pub(super) fn end(&mut self, id: FanOutId) -> BTreeMap<AgentId, Delivery> {
        self.0.remove(&id.0).map(|ended| ended.deliveries).unwrap_or_default()
    }

    pub(super) fn abandon(&mut self, rows: usize) -> Option<AbandonStep> {
        let mut entry = self.0.first_entry()?;
        let FanOut { sender, deliveries } = entry.get_mut();
        let mut step = AbandonStep::default();
        while step.agents.len() < rows
            && let Some((recipient, delivery)) = deliveries.pop_last()
        {
            step.agents.push(recipient);
            step.released.extend(delivery.content);
        }
        step.agents.push(*sender);
        if deliveries.is_empty() {
            entry.remove();
        }
        Some(step)
    }

    /// The place of the first entry of a mailbox that is not seen yet.
    pub(super) fn first_entry(&self, recipient: AgentId) -> Option<u64> {
        self.entries(recipient).map(|delivery| delivery.mailbox_seq).min()
    }

    /// The number of the first change of an agent's feed that is not seen yet.
    pub(super) fn first_change(&self, agent: AgentId) -> Option<u64> {
        let sent = self.0.values().filter(|fan_out| fan_out.sender == agent).flat_map(|sent| sent.deliveries.values());
        sent.chain(self.entries(agent)).map(|delivery| delivery.mailbox_seq).min()
    }

    /// What a mailbox holds for them.
    pub(super) fn lengths(&self, recipient: AgentId) -> impl Iterator<Item = u64> {
        self.entries(recipient).map(|delivery| delivery.length)
    }

    fn entries(&self, recipient: AgentId) -> impl Iterator<Item = &Delivery> {
        self.0.values().filter_map(move |fan_out| fan_out.deliveries.get(&recipient))
    }
}
