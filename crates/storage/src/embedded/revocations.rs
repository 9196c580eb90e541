//! What agents have taken back of what lets others act for them.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sealpost_core::ports::{BackendError, RecordRevocationError, Revocation, Revocations, ShownDelegation};
use sealpost_protocol::{AgentId, DelegationId, Timestamp};

use super::{
    Store,
    columns::{Number, Time},
    failure::{Abort, StoreError},
};

const ONE: &str = "one";
const ALL: &str = "all";
const TOKENS: &str = "tokens";

const REVOKE: &str = "INSERT INTO revocations (agent, kind, delegation, revoked_at) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (agent, kind, delegation) DO UPDATE SET revoked_at = max(revoked_at, excluded.revoked_at)";
const FORGET_COVERED: &str = "DELETE FROM revocations WHERE agent = ?1 AND kind = 'one' AND revoked_at <= ?2";
const COUNT: &str = "SELECT count(*) FROM revocations WHERE agent = ?1 AND kind = 'one'";
const REVOKED_AT: &str = "SELECT revoked_at FROM revocations WHERE agent = ?1 AND kind = ?2 AND delegation = ?3";
const SINCE: &str = "SELECT agent, revoked_at FROM revocations WHERE kind = 'tokens' AND revoked_at > ?1";
const FORGET: &str = "DELETE FROM revocations WHERE (agent, kind, delegation) IN (
         SELECT agent, kind, delegation FROM revocations WHERE revoked_at < ?1 ORDER BY revoked_at LIMIT ?2
     )";

/// The revocations over the shared database.
pub(super) struct EmbeddedRevocations {
    store: Arc<Store>,
}

impl EmbeddedRevocations {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Revocations for EmbeddedRevocations {
    async fn revoke(&self, revocation: Revocation) -> Result<(), RecordRevocationError> {
        self.store.write(move |transaction| revoke(transaction, &revocation)).await
    }

    async fn is_revoked(&self, shown: ShownDelegation) -> Result<bool, BackendError> {
        self.store.read(move |connection| is_revoked(connection, &shown)).await
    }

    async fn revoked_since(&self, after: Timestamp) -> Result<Vec<(AgentId, Timestamp)>, BackendError> {
        self.store.read(move |connection| revoked_since(connection, after)).await
    }

    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError> {
        let forget = move |transaction: &Transaction<'_>| -> Result<usize, Abort<BackendError>> {
            Ok(transaction.prepare_cached(FORGET)?.execute(params![Time(before), Number(rows as u64)])?)
        };
        self.store.write(forget).await
    }
}

fn revoke(transaction: &Transaction<'_>, revocation: &Revocation) -> Result<(), Abort<RecordRevocationError>> {
    let agent = revocation.agent.as_bytes();
    let note = |kind: &str, delegation: &[u8], at: Timestamp| {
        transaction.prepare_cached(REVOKE)?.execute(params![agent, kind, delegation, Time(at)])
    };
    for delegation in &revocation.delegations {
        note(ONE, &delegation.0, revocation.at)?;
    }
    if let Some(until) = revocation.certified_until {
        note(ALL, &[], until)?;
        transaction.prepare_cached(FORGET_COVERED)?.execute(params![agent, Time(until)])?;
    }
    note(TOKENS, &[], revocation.at)?;
    let Number(delegations) = transaction.prepare_cached(COUNT)?.query_one([agent], |row| row.get(0))?;
    RecordRevocationError::unless_few(usize::try_from(delegations).unwrap_or(usize::MAX)).map_err(Abort::Refused)
}

fn is_revoked(connection: &Connection, shown: &ShownDelegation) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(REVOKED_AT)?;
    let mut revoked_at = |kind: &str, delegation: &[u8]| -> Result<Option<Timestamp>, StoreError> {
        let found = statement.query_one(params![shown.agent.as_bytes(), kind, delegation], |row| row.get(0));
        Ok(found.optional()?.map(|Time(at)| at))
    };
    if revoked_at(ALL, &[])?.is_some_and(|at| shown.certified <= at) {
        return Ok(true);
    }
    for DelegationId(id) in &shown.blocks {
        if revoked_at(ONE, id)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn revoked_since(connection: &Connection, after: Timestamp) -> Result<Vec<(AgentId, Timestamp)>, StoreError> {
    let mut statement = connection.prepare_cached(SINCE)?;
    let agents = statement.query_map([Time(after)], |row| {
        let (agent, Time(at)) = (row.get(0)?, row.get(1)?);
        Ok((AgentId::from_array(agent), at))
    })?;
    Ok(agents.collect::<Result<_, _>>()?)
}
