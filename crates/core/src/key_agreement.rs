//! Key agreement: agents publish prekeys; others read manifests and claim bundles.

use std::sync::Arc;

use sealpost_protocol::{AgentId, Bundle, ClaimId, Clock, ErrorCode, SignedManifest, Timestamp, limits as wire};
use thiserror::Error;

use crate::{
    Principal,
    ports::{BackendError, Claim, ClaimKeysError, PrekeyCounts, PrekeyUpload, Prekeys, StoreManifestError},
};

/// Keeps prekeys for those who are offline.
pub struct KeyAgreement {
    pub(crate) prekeys: Arc<dyn Prekeys>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why prekeys were not published; nothing has changed then, unless it is a [`BackendError`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The manifest is another agent's.
    #[error("the manifest is not the caller's own")]
    NotTheOwner,
    /// The manifest or a key in it has expired, or was made too far in the future.
    #[error("the manifest or a key in it is not valid at the relay's time, {now}")]
    NotValidNow {
        /// The relay's clock.
        now: Timestamp,
    },
    /// A one-time key would live too long.
    #[error("a one-time prekey lives at most {} days", wire::ONE_TIME_PREKEY_LIFE.as_secs() / 86_400)]
    LivesTooLong,
    /// A one-time key's signature does not verify.
    #[error("the signature of a one-time prekey does not verify")]
    Signature,
    /// More keys than one upload may carry.
    #[error("an upload carries at most {} one-time prekeys of each kind", wire::ONE_TIME_PREKEYS_PER_UPLOAD)]
    TooManyKeys,
    /// The store refused them.
    #[error(transparent)]
    Store(#[from] StoreManifestError),
}

impl PublishError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotTheOwner => ErrorCode::Forbidden,
            Self::NotValidNow { .. } => ErrorCode::Expired,
            Self::LivesTooLong => ErrorCode::Malformed,
            Self::Signature => ErrorCode::BadSignature,
            Self::TooManyKeys | Self::Store(StoreManifestError::TooMany) => ErrorCode::TooLarge,
            Self::Store(StoreManifestError::Stale { .. }) => ErrorCode::StaleManifest,
            Self::Store(StoreManifestError::KeyIdReused) => ErrorCode::Conflict,
            Self::Store(StoreManifestError::Backend(_)) => ErrorCode::Unavailable,
        }
    }
}

/// Why there is no manifest.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestLookupError {
    /// The agent has published nothing here.
    #[error("the agent has published no prekeys at this relay")]
    UnknownAgent,
    /// The agent's manifest has expired: no session can be opened with it until it publishes another.
    #[error("the agent's manifest has expired at the relay's time, {now}")]
    Expired {
        /// The relay's clock.
        now: Timestamp,
    },
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why there is no bundle; no key was used up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// There is no manifest, or none that is valid.
    #[error(transparent)]
    Manifest(#[from] ManifestLookupError),
    /// The requester's limit, or the store.
    #[error(transparent)]
    Store(#[from] ClaimKeysError),
}

impl ClaimError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Manifest(error) => error.code(),
            Self::Store(ClaimKeysError::TooMany { .. }) => ErrorCode::RateLimited,
            Self::Store(ClaimKeysError::Backend(_)) => ErrorCode::Unavailable,
        }
    }
}

impl ManifestLookupError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownAgent => ErrorCode::UnknownRecipient,
            Self::Expired { .. } => ErrorCode::Expired,
            Self::Backend(_) => ErrorCode::Unavailable,
        }
    }
}

impl KeyAgreement {
    /// Publishes the caller's manifest and one-time keys.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, caller: &Principal, upload: PrekeyUpload) -> Result<PrekeyCounts, PublishError> {
        if upload.manifest.agent_id() != caller.agent() {
            return Err(PublishError::NotTheOwner);
        }
        let limit = wire::ONE_TIME_PREKEYS_PER_UPLOAD;
        if upload.one_time_curve.len() > limit || upload.one_time_kem.len() > limit {
            return Err(PublishError::TooManyKeys);
        }
        self.check_lives(&upload)?;
        check_signatures(&upload)?;
        Ok(self.prekeys.publish(upload, self.clock.now()).await?)
    }

    /// An agent's manifest; consumes nothing.
    ///
    /// # Errors
    /// [`ManifestLookupError`].
    pub async fn manifest(&self, agent: AgentId) -> Result<SignedManifest, ManifestLookupError> {
        self.prekeys.manifest(agent).await?.ok_or(ManifestLookupError::UnknownAgent)
    }

    /// Hands the caller a bundle to open a session with `target`; a one-time key goes out exactly once.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub async fn claim(&self, caller: &Principal, id: ClaimId, target: AgentId) -> Result<Bundle, ClaimError> {
        let now = self.clock.now();
        if self.manifest(target).await?.fields().expires <= now {
            return Err(ManifestLookupError::Expired { now }.into());
        }
        let claim = Claim { requester: caller.agent(), id, target, at: now };
        self.prekeys.claim(claim).await?.ok_or(ManifestLookupError::UnknownAgent.into())
    }

    /// The caller's unused one-time keys.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn counts(&self, caller: &Principal) -> Result<PrekeyCounts, BackendError> {
        self.prekeys.counts(caller.agent(), self.clock.now()).await
    }

    fn check_lives(&self, upload: &PrekeyUpload) -> Result<(), PublishError> {
        let now = self.clock.now();
        let latest = now.saturating_add(wire::CLOCK_AHEAD);
        let fields = upload.manifest.fields();
        let lives = [(fields.created, fields.expires), (fields.signed_prekey.created, fields.signed_prekey.expires)]
            .into_iter()
            .chain([(fields.sealing_key.created, fields.sealing_key.expires)])
            .chain(fields.last_resort_kem.iter().map(|key| (key.created, key.expires)))
            .chain(upload.one_time_curve.iter().map(|key| (key.prekey.created, key.prekey.expires)))
            .chain(upload.one_time_kem.iter().map(|key| (key.prekey.created, key.prekey.expires)));
        let one_time = upload.one_time_curve.iter().map(|key| (key.prekey.created, key.prekey.expires));
        let mut one_time =
            one_time.chain(upload.one_time_kem.iter().map(|key| (key.prekey.created, key.prekey.expires)));
        if one_time.any(|(created, expires)| expires.since(created) > wire::ONE_TIME_PREKEY_LIFE) {
            return Err(PublishError::LivesTooLong);
        }
        let mut lives = lives.into_iter();
        if lives.all(|(created, expires)| created <= latest && expires > now) {
            Ok(())
        } else {
            Err(PublishError::NotValidNow { now })
        }
    }
}

fn check_signatures(upload: &PrekeyUpload) -> Result<(), PublishError> {
    let owner = &upload.manifest.fields().identity;
    let curve = upload.one_time_curve.iter().map(|key| key.verify(owner));
    let kem = upload.one_time_kem.iter().map(|key| key.verify(owner));
    curve.chain(kem).collect::<Result<(), _>>().map_err(|_| PublishError::Signature)
}
