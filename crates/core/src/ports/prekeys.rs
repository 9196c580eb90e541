//! Published prekeys: manifests to be read by all, one-time keys to be handed out once.

use async_trait::async_trait;
use sealpost_protocol::{AgentId, Bundle, ClaimId, CurveKey, KemKey, OneTimePrekey, SignedManifest, Timestamp};
use thiserror::Error;

use super::BackendError;

/// What an agent publishes; signatures and sizes have been checked.
#[derive(Debug, Clone)]
pub struct PrekeyUpload {
    /// Its manifest.
    pub manifest: SignedManifest,
    /// New one-time curve keys.
    pub one_time_curve: Vec<OneTimePrekey<CurveKey>>,
    /// New one-time KEM keys.
    pub one_time_kem: Vec<OneTimePrekey<KemKey>>,
}

/// Unused one-time keys of an agent: published, and neither handed out nor forgotten. A key that has expired counts
/// until [`Prekeys::forget`] takes it, since counting asks no clock: for a day or so the number may say more than can
/// be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrekeyCounts {
    /// Curve keys.
    pub one_time_curve: u64,
    /// KEM keys.
    pub one_time_kem: u64,
}

/// A requester's wish to open a session with a target.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Who asks.
    pub requester: AgentId,
    /// The requester's name for this claim.
    pub id: ClaimId,
    /// With whom.
    pub target: AgentId,
    /// The relay's clock.
    pub at: Timestamp,
}

/// Why an upload was not stored; nothing has changed then, unless it is a [`BackendError`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreManifestError {
    /// The stored manifest is newer, or of the same version and different.
    #[error("version {stored} is published already")]
    Stale {
        /// The version that is published.
        stored: u64,
    },
    /// A one-time key's id was used before for another key.
    #[error("the id of a one-time prekey was used before")]
    KeyIdReused,
    /// The agent would have more unused one-time keys of a kind than allowed.
    #[error("too many unused one-time prekeys")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// The published prekeys.
#[async_trait]
pub trait Prekeys: Send + Sync {
    /// Stores an upload. The same manifest and keys again change nothing and are no error.
    async fn publish(&self, upload: PrekeyUpload) -> Result<PrekeyCounts, StoreManifestError>;

    /// The agent's manifest.
    async fn manifest(&self, agent: AgentId) -> Result<Option<SignedManifest>, BackendError>;

    /// Hands out the target's manifest and one unused key of each kind, the one that expires first, each to this claim
    /// alone, passing over keys that have expired. The same claim again returns the same bundle. `None` if the target
    /// has published nothing.
    async fn claim(&self, claim: Claim) -> Result<Option<Bundle>, BackendError>;

    /// How many one-time keys are left.
    async fn counts(&self, agent: AgentId) -> Result<PrekeyCounts, BackendError>;

    /// The first of `agents` that has published nothing.
    async fn first_unknown(&self, agents: &[AgentId]) -> Result<Option<AgentId>, BackendError>;

    /// Forgets claims made before `before`, and one-time keys that were handed out or expired before it. Up to `rows`
    /// of each; returns how many in all. A forgotten key's id stays used: the same key again is no error and changes
    /// nothing, another under its id is refused.
    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError>;
}
