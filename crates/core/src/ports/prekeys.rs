//! Published prekeys: manifests to be read by all, one-time keys to be handed out once.

use std::time::Duration;

use async_trait::async_trait;
use sealpost_protocol::{
    AgentId, Bundle, ClaimId, CurveKey, KemKey, KeyId, OneTimePrekey, PrekeyKind, SignedManifest, Timestamp,
};
use thiserror::Error;

use super::BackendError;
use crate::limits;

/// What an agent publishes; signatures and sizes have been checked.
#[derive(Debug, Clone)]
pub struct PrekeyUpload {
    /// Its manifest.
    pub manifest: SignedManifest,
    /// New one-time curve keys.
    pub one_time_curve: Vec<OneTimePrekey<CurveKey>>,
    /// New one-time KEM keys.
    pub one_time_kem: Vec<OneTimePrekey<KemKey>>,
    /// Whether every other unused one-time key of the agent is forgotten.
    pub forget_unused: bool,
}

/// Unused one-time keys of an agent: published, not handed out, and not expired.
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

/// Why a bundle was not handed out; nothing has changed then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClaimKeysError {
    /// The requester has claimed too many bundles.
    #[error("too many bundles were claimed: try again in {} s", retry_after.as_secs().max(1))]
    TooMany {
        /// When the next one may be claimed.
        retry_after: Duration,
    },
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// What one requester, or everyone, has claimed within [`crate::limits::CLAIM_WINDOW`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecentClaims {
    /// How many.
    pub count: usize,
    /// When the first of them was made.
    pub first: Timestamp,
}

impl Claim {
    /// The time after which claims count against it.
    #[must_use]
    pub fn window_begins(&self) -> Timestamp {
        self.at.saturating_sub(limits::CLAIM_WINDOW)
    }

    /// Whether it may be made beside what the requester has claimed of all targets, and of this one.
    ///
    /// # Errors
    /// [`ClaimKeysError::TooMany`].
    pub fn check(&self, by_requester: RecentClaims, of_target: RecentClaims) -> Result<(), ClaimKeysError> {
        let full = [(by_requester, limits::CLAIMS_PER_REQUESTER), (of_target, limits::CLAIMS_PER_PAIR)];
        let wait = |recent: RecentClaims| recent.first.saturating_add(limits::CLAIM_WINDOW).since(self.at);
        let waits = full.into_iter().filter(|(recent, limit)| recent.count >= *limit).map(|(recent, _)| wait(recent));
        waits.max().map_or(Ok(()), |retry_after| Err(ClaimKeysError::TooMany { retry_after }))
    }
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
    #[error("the id of the {kind} prekey {} was used before, for another", id.0)]
    KeyIdReused {
        /// The key's kind.
        kind: PrekeyKind,
        /// Its id.
        id: KeyId,
    },
    /// The agent would have more unused one-time keys of a kind than allowed.
    #[error("too many unused one-time prekeys")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl StoreManifestError {
    /// Whether a manifest of the version `offered` may follow the `stored` one: the same again, or a newer one.
    ///
    /// # Errors
    /// [`StoreManifestError::Stale`].
    pub fn unless_follows(stored: u64, offered: u64, is_the_same: bool) -> Result<(), Self> {
        if is_the_same || offered > stored { Ok(()) } else { Err(Self::Stale { stored }) }
    }

    /// Whether a one-time key may be uploaded under an id that is in use: for the same key only.
    ///
    /// # Errors
    /// [`StoreManifestError::KeyIdReused`].
    pub fn unless_same_key(kind: PrekeyKind, id: KeyId, is_the_same: bool) -> Result<(), Self> {
        if is_the_same { Ok(()) } else { Err(Self::KeyIdReused { kind, id }) }
    }

    /// Whether an agent may have so many unused one-time keys.
    ///
    /// # Errors
    /// [`StoreManifestError::TooMany`].
    pub fn unless_few(counts: PrekeyCounts) -> Result<PrekeyCounts, Self> {
        let most = counts.one_time_curve.max(counts.one_time_kem);
        if most > limits::ONE_TIME_PREKEYS as u64 { Err(Self::TooMany) } else { Ok(counts) }
    }
}

/// The published prekeys.
#[async_trait]
pub trait Prekeys: Send + Sync {
    /// Stores an upload. The same manifest and keys again change nothing and are no error. With
    /// [`PrekeyUpload::forget_unused`] the agent's unused one-time keys are those of this upload afterwards, as far as they
    /// were not handed out or forgotten before; the ids of the others stay used, and claims that were given one keep it.
    async fn publish(&self, upload: PrekeyUpload, now: Timestamp) -> Result<PrekeyCounts, StoreManifestError>;

    /// The agent's manifest.
    async fn manifest(&self, agent: AgentId) -> Result<Option<SignedManifest>, BackendError>;

    /// Hands out the target's manifest and one unused key of each kind, the one that expires first, each to this claim
    /// alone, passing over keys that have expired. The same claim again returns the same bundle. `None` if the target
    /// has published nothing. A new claim is counted and must pass [`Claim::check`]; when the target's one-time keys have
    /// gone out [`crate::limits::ONE_TIME_CLAIMS_PER_TARGET`] times within the window, it gets the manifest alone.
    async fn claim(&self, claim: Claim) -> Result<Option<Bundle>, ClaimKeysError>;

    /// How many one-time keys are left.
    async fn counts(&self, agent: AgentId, now: Timestamp) -> Result<PrekeyCounts, BackendError>;

    /// The first of `agents` that has published nothing.
    async fn first_unknown(&self, agents: &[AgentId]) -> Result<Option<AgentId>, BackendError>;

    /// Forgets claims made before `before`, and one-time keys that were handed out or expired before it. Up to `rows`
    /// of each; returns how many in all. A forgotten key's id stays used: the same key again is no error and changes
    /// nothing, another under its id is refused.
    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError>;

    /// Forgets the ids of forgotten keys that expired before `before`: up to `rows`; returns how many.
    async fn forget_ids(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError>;
}
