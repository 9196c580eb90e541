//! Revocations in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use sealpost_protocol::{AgentId, DelegationId, Timestamp};

use crate::ports::{BackendError, RecordRevocationError, Revocation, Revocations, ShownDelegation};

/// What was revoked, and when.
#[derive(Debug, Default)]
pub struct MemoryRevocations {
    revoked: Mutex<BTreeMap<(AgentId, Revoked), Timestamp>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Revoked {
    All,
    One(DelegationId),
    /// The tokens that there were.
    Tokens,
}

#[async_trait]
impl Revocations for MemoryRevocations {
    async fn revoke(&self, revocation: Revocation) -> Result<(), RecordRevocationError> {
        let mut stored = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut revoked = stored.clone();
        let Revocation { agent, delegations, certified_until, at } = revocation;
        revoked.extend(delegations.into_iter().map(|id| ((agent, Revoked::One(id)), at)));
        if let Some(until) = certified_until {
            let known = revoked.entry((agent, Revoked::All)).or_insert(until);
            *known = (*known).max(until);
            let is_covered = |(whose, what): &(AgentId, Revoked), at: &Timestamp| {
                *whose == agent && matches!(what, Revoked::One(_)) && *at <= until
            };
            revoked.retain(|name, at| !is_covered(name, at));
        }
        revoked.insert((agent, Revoked::Tokens), at);
        let is_one = |(whose, what): &&(AgentId, Revoked)| *whose == agent && matches!(what, Revoked::One(_));
        RecordRevocationError::unless_few(revoked.keys().filter(is_one).count())?;
        *stored = revoked;
        Ok(())
    }

    async fn is_revoked(&self, shown: ShownDelegation) -> Result<bool, BackendError> {
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        let all = revoked.get(&(shown.agent, Revoked::All)).is_some_and(|at| shown.certified <= *at);
        Ok(all || shown.blocks.iter().any(|id| revoked.contains_key(&(shown.agent, Revoked::One(*id)))))
    }

    async fn revoked_since(&self, after: Timestamp) -> Result<Vec<(AgentId, Timestamp)>, BackendError> {
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = revoked.iter().filter(|((_, what), at)| *what == Revoked::Tokens && **at > after);
        Ok(tokens.map(|((agent, _), at)| (*agent, *at)).collect())
    }

    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError> {
        let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        let old: Vec<_> = revoked.iter().filter(|(_, at)| **at < before).map(|(name, _)| *name).take(rows).collect();
        for name in &old {
            revoked.remove(name);
        }
        Ok(old.len())
    }
}
