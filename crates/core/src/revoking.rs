//! Revocation: an agent takes back what lets others act for it.

use std::sync::Arc;

use sealpost_protocol::{AgentId, Clock, DelegationId, ErrorCode, Timestamp, limits as wire};
use thiserror::Error;

use crate::{
    Principal,
    ports::{BackendError, RecordRevocationError, Revocation, Revocations, ShownDelegation},
};

/// Remembers what agents have revoked.
pub struct Revoking {
    pub(crate) revocations: Arc<dyn Revocations>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why nothing was revoked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// Nothing is named.
    #[error("name delegations, or a time until which their keys were certified")]
    Nothing,
    /// More delegations than one request may name.
    #[error("at most {} delegations at a time", wire::REVOKED_PER_REQUEST)]
    TooManyAtOnce,
    /// The store refused it.
    #[error(transparent)]
    Store(#[from] RecordRevocationError),
}

impl RevokeError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing => ErrorCode::Malformed,
            Self::TooManyAtOnce => ErrorCode::TooLarge,
            Self::Store(RecordRevocationError::TooMany) => ErrorCode::QuotaExceeded,
            Self::Store(RecordRevocationError::Backend(_)) => ErrorCode::Unavailable,
        }
    }
}

impl Revoking {
    /// Revokes delegations of the caller, these and all whose keys were certified until a time; returns when. A certificate may
    /// be dated a little ahead, and so may that time. Tokens that were issued for it until then are to end.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke(
        &self,
        caller: &Principal,
        delegations: Vec<DelegationId>,
        certified_until: Option<Timestamp>,
    ) -> Result<Timestamp, RevokeError> {
        if delegations.is_empty() && certified_until.is_none() {
            return Err(RevokeError::Nothing);
        }
        if delegations.len() > wire::REVOKED_PER_REQUEST {
            return Err(RevokeError::TooManyAtOnce);
        }
        let at = self.clock.now();
        let certified_until = certified_until.map(|until| until.min(at.saturating_add(wire::CLOCK_AHEAD)));
        let revocation = Revocation { agent: caller.agent(), delegations, certified_until, at };
        self.revocations.revoke(revocation).await?;
        Ok(at)
    }

    /// Whether a delegation is good no more.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn is_revoked(&self, shown: ShownDelegation) -> Result<bool, BackendError> {
        self.revocations.is_revoked(shown).await
    }

    /// Whose tokens of until when ended after `after`.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn since(&self, after: Timestamp) -> Result<Vec<(AgentId, Timestamp)>, BackendError> {
        self.revocations.revoked_since(after).await
    }
}
