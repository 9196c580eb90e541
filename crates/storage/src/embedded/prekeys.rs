//! The published prekeys.
//!
//! Keys and manifests go through the writer as the bytes they are stored as: decoding a manifest checks its signature,
//! and that is not work for the one thread that writes.

mod claims;
mod forgetting;
mod known;
#[cfg(test)]
mod plans;
mod publishing;

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};
use sealpost_core::ports::{
    BackendError, Claim, ClaimKeysError, PrekeyCounts, PrekeyUpload, Prekeys, StoreManifestError,
};
use sealpost_protocol::{AgentId, Bundle, PrekeyKind, SignedManifest, Timestamp, encoding::Decode};

use self::known::KnownAgents;
use super::{
    Store,
    columns::{Number, Time},
    failure::{Abort, StoreError},
};

pub(super) const MANIFEST: &str = "SELECT manifest FROM agents WHERE agent = ?1";
pub(super) const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM agents WHERE agent = ?1)";
pub(super) const COUNT: &str = "SELECT count(*) FROM one_time_prekeys
     WHERE owner = (SELECT id FROM agents WHERE agent = ?1) AND kind = ?2
         AND claimed_at IS NULL AND content IS NOT NULL AND expires_at > ?3";

/// The prekeys over the shared database.
pub(super) struct EmbeddedPrekeys {
    store: Arc<Store>,
    known: Arc<KnownAgents>,
}

impl EmbeddedPrekeys {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, known: Arc::default() }
    }
}

#[async_trait]
impl Prekeys for EmbeddedPrekeys {
    async fn publish(&self, upload: PrekeyUpload, now: Timestamp) -> Result<PrekeyCounts, StoreManifestError> {
        let upload = publishing::EncodedUpload::new(&upload);
        self.store.write(move |transaction| publishing::publish(transaction, &upload, now)).await
    }

    async fn manifest(&self, agent: AgentId) -> Result<Option<SignedManifest>, BackendError> {
        let read = self.store.read(move |connection| {
            let mut statement = connection.prepare_cached(MANIFEST)?;
            Ok(statement.query_one([agent.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional()?)
        });
        read.await?.map(|bytes| decode("manifest", &bytes)).transpose().map_err(BackendError::new)
    }

    async fn claim(&self, claim: Claim) -> Result<Option<Bundle>, ClaimKeysError> {
        let claimed = self.store.write(move |transaction| claims::claim(transaction, &claim)).await?;
        Ok(claimed.map(|bundle| bundle.decode()).transpose().map_err(BackendError::new)?)
    }

    async fn counts(&self, agent: AgentId, now: Timestamp) -> Result<PrekeyCounts, BackendError> {
        self.store.read(move |connection| counts(connection, agent, now)).await
    }

    async fn first_unknown(&self, agents: &[AgentId]) -> Result<Option<AgentId>, BackendError> {
        let agents = self.known.others(agents);
        if agents.is_empty() {
            return Ok(None);
        }
        let known = Arc::clone(&self.known);
        self.store.read(move |connection| first_unknown(connection, &known, agents)).await
    }

    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError> {
        self.store.write(move |transaction| Ok(forgetting::forget(transaction, before, rows)?)).await
    }

    async fn forget_ids(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError> {
        self.store.write(move |transaction| Ok(forgetting::forget_ids(transaction, before, rows)?)).await
    }
}

fn first_unknown(
    connection: &Connection,
    known: &KnownAgents,
    agents: Vec<AgentId>,
) -> Result<Option<AgentId>, StoreError> {
    let mut statement = connection.prepare_cached(KNOWN)?;
    for agent in agents {
        if !statement.query_one([agent.as_bytes()], |row| row.get(0))? {
            return Ok(Some(agent));
        }
        known.remember(agent);
    }
    Ok(None)
}

fn counts(connection: &Connection, agent: AgentId, now: Timestamp) -> Result<PrekeyCounts, StoreError> {
    let mut statement = connection.prepare_cached(COUNT)?;
    let mut count = |kind: PrekeyKind| -> Result<u64, StoreError> {
        let Number(count) = statement.query_one((agent.as_bytes(), kind.as_str(), Time(now)), |row| row.get(0))?;
        Ok(count)
    };
    Ok(PrekeyCounts { one_time_curve: count(PrekeyKind::OneTimeCurve)?, one_time_kem: count(PrekeyKind::OneTimeKem)? })
}

/// Reads stored bytes back.
fn decode<T: Decode>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    T::from_bytes(bytes).map_err(|source| StoreError::Undecodable { what, source })
}
