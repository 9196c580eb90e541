//! What agents have taken back of what lets others act for them.

use async_trait::async_trait;
use sealpost_protocol::{AgentId, DelegationId, Timestamp};
use thiserror::Error;

use super::BackendError;
use crate::limits;

/// What an agent takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Who.
    pub agent: AgentId,
    /// These delegations.
    pub delegations: Vec<DelegationId>,
    /// Every delegation under a key that was certified until then.
    pub certified_until: Option<Timestamp>,
    /// The relay's clock.
    pub at: Timestamp,
}

/// A delegation that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownDelegation {
    /// Whose.
    pub agent: AgentId,
    /// When its key was certified.
    pub certified: Timestamp,
    /// The names of its blocks.
    pub blocks: Vec<DelegationId>,
}

/// Why nothing was revoked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordRevocationError {
    /// The agent has revoked as many delegations one by one as are remembered.
    #[error("at most {} delegations are revoked one by one: revoke all of them", limits::REVOKED_DELEGATIONS)]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl RecordRevocationError {
    /// Whether so many delegations of an agent may be remembered.
    ///
    /// # Errors
    /// [`RecordRevocationError::TooMany`].
    pub fn unless_few(delegations: usize) -> Result<(), Self> {
        if delegations > limits::REVOKED_DELEGATIONS { Err(Self::TooMany) } else { Ok(()) }
    }
}

/// The revocations.
#[async_trait]
pub trait Revocations: Send + Sync {
    /// Records a revocation. The same again changes the time of it and is no error; a time until when all end is never moved
    /// back. What was revoked one by one until then is among them, and makes room.
    async fn revoke(&self, revocation: Revocation) -> Result<(), RecordRevocationError>;

    /// Whether a delegation, or one that it was narrowed from, was revoked.
    async fn is_revoked(&self, shown: ShownDelegation) -> Result<bool, BackendError>;

    /// The agents that have revoked anything after `after`, each with the time of the last.
    async fn revoked_since(&self, after: Timestamp) -> Result<Vec<(AgentId, Timestamp)>, BackendError>;

    /// Forgets what was revoked before `before`: up to `rows`; returns how many.
    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError>;
}
