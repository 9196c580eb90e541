//! Key agreement: agents publish prekeys; others read manifests and claim bundles.

use std::{fmt, sync::Arc};

use sealpost_protocol::{
    AgentId, Bundle, ClaimId, Clock, ErrorCode, KeyId, Prekey, PrekeyKind, SignedManifest, Timestamp, limits as wire,
};
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
    /// The manifest or a key has expired, or was made too far in the future.
    #[error("{part} is not valid at the relay's time, {now}")]
    NotValidNow {
        /// Which, the first of them.
        part: UploadedPart,
        /// The relay's clock.
        now: Timestamp,
    },
    /// A one-time key would live too long.
    #[error("{0} lives longer than {days} days, as long as a one-time prekey may", days = wire::ONE_TIME_PREKEY_LIFE.as_secs() / 86_400)]
    LivesTooLong(UploadedPart),
    /// A one-time key's signature does not verify.
    #[error("the signature of {0} does not verify")]
    Signature(UploadedPart),
    /// More keys than one upload may carry.
    #[error("an upload carries at most {} one-time prekeys of each kind", wire::ONE_TIME_PREKEYS_PER_UPLOAD)]
    TooManyKeys,
    /// The store refused them.
    #[error(transparent)]
    Store(#[from] StoreManifestError),
}

/// What of an upload is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadedPart {
    /// The manifest itself.
    Manifest,
    /// A key, in the manifest or beside it.
    Prekey(PrekeyKind, KeyId),
}

impl fmt::Display for UploadedPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => formatter.write_str("the manifest"),
            Self::Prekey(kind, KeyId(id)) => write!(formatter, "the {kind} prekey {id}"),
        }
    }
}

impl PublishError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotTheOwner => ErrorCode::Forbidden,
            Self::NotValidNow { .. } => ErrorCode::Expired,
            Self::LivesTooLong(_) => ErrorCode::Malformed,
            Self::Signature(_) => ErrorCode::BadSignature,
            Self::TooManyKeys | Self::Store(StoreManifestError::TooMany) => ErrorCode::TooLarge,
            Self::Store(StoreManifestError::Stale { .. }) => ErrorCode::StaleManifest,
            Self::Store(StoreManifestError::KeyIdReused { .. }) => ErrorCode::Conflict,
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
        let one_time = one_time_lives(upload);
        let too_long = |life: &Life| life.expires.since(life.created) > wire::ONE_TIME_PREKEY_LIFE;
        if let Some(Life { part, .. }) = one_time.iter().find(|life| too_long(life)) {
            return Err(PublishError::LivesTooLong(*part));
        }
        let mut lives = manifest_lives(upload).into_iter().chain(one_time);
        match lives.find(|life| life.created > latest || life.expires <= now) {
            Some(Life { part, .. }) => Err(PublishError::NotValidNow { part, now }),
            None => Ok(()),
        }
    }
}

/// From when until when a part of an upload is valid.
struct Life {
    part: UploadedPart,
    created: Timestamp,
    expires: Timestamp,
}

impl Life {
    fn of<K>(kind: PrekeyKind, key: &Prekey<K>) -> Self {
        Self { part: UploadedPart::Prekey(kind, key.id), created: key.created, expires: key.expires }
    }
}

fn manifest_lives(upload: &PrekeyUpload) -> Vec<Life> {
    let fields = upload.manifest.fields();
    let manifest = Life { part: UploadedPart::Manifest, created: fields.created, expires: fields.expires };
    let curve = [(PrekeyKind::Signed, &fields.signed_prekey), (PrekeyKind::Sealing, &fields.sealing_key)];
    let kem = fields.last_resort_kem.iter().map(|key| Life::of(PrekeyKind::LastResortKem, key));
    [manifest].into_iter().chain(curve.map(|(kind, key)| Life::of(kind, key))).chain(kem).collect()
}

fn one_time_lives(upload: &PrekeyUpload) -> Vec<Life> {
    let curve = upload.one_time_curve.iter().map(|key| Life::of(PrekeyKind::OneTimeCurve, &key.prekey));
    let kem = upload.one_time_kem.iter().map(|key| Life::of(PrekeyKind::OneTimeKem, &key.prekey));
    curve.chain(kem).collect()
}

fn check_signatures(upload: &PrekeyUpload) -> Result<(), PublishError> {
    let owner = &upload.manifest.fields().identity;
    let forged = |kind, id| PublishError::Signature(UploadedPart::Prekey(kind, id));
    for key in &upload.one_time_curve {
        key.verify(owner).map_err(|_| forged(PrekeyKind::OneTimeCurve, key.prekey.id))?;
    }
    for key in &upload.one_time_kem {
        key.verify(owner).map_err(|_| forged(PrekeyKind::OneTimeKem, key.prekey.id))?;
    }
    Ok(())
}
