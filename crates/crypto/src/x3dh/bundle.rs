//! What an initiator checks before it uses anything that a relay hands out.

use sealpost_protocol::{
    AgentId, Bundle, CurveKey, IdentityKey, KemPrekey, KemPrekeyKind, ManifestFields, ManifestHash, Prekey, PrekeyKind,
    SignedManifest, Suite, SuiteId, Timestamp, encoding::DecodeError,
};
use thiserror::Error;

/// What the initiator knows of the peer, and wants.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedBundle<'a> {
    /// Whose bundle it must be.
    pub agent: AgentId,
    /// The manifest with the highest version that was seen of that agent: a lower one is an old manifest played again,
    /// another one of the same version is a second truth.
    pub seen: Option<SeenManifest>,
    /// The handshakes the initiator takes part in, best first.
    pub suites: &'a [Suite],
}

/// A manifest that was seen, as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenManifest {
    /// Its version.
    pub version: u64,
    /// Its hash.
    pub hash: ManifestHash,
}

impl SeenManifest {
    /// What to remember of a manifest.
    #[must_use]
    pub fn of(manifest: &SignedManifest) -> Self {
        Self { version: manifest.fields().version, hash: manifest.hash() }
    }
}

/// A bundle that has passed every check: its keys are of the expected agent, of now, and enough for its suite.
///
/// It opens one session, for its one-time keys are good for one.
#[derive(Debug)]
pub struct VerifiedBundle {
    pub(super) identity: IdentityKey,
    pub(super) suite: Suite,
    pub(super) signed_prekey: Prekey<CurveKey>,
    pub(super) one_time_curve: Option<Prekey<CurveKey>>,
    pub(super) kem: Option<KemPrekey>,
    seen: SeenManifest,
}

/// Why a bundle must not be used. Whoever handed it out is broken or lying, except for what has expired.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It, or a signature in it, is not what its form demands.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// It is of another agent.
    #[error("the bundle is another agent's")]
    OtherAgent,
    /// A newer manifest of the agent has been seen.
    #[error("the manifest has version {found}, and version {lowest} has been seen")]
    OldManifest {
        /// Its version.
        found: u64,
        /// The lowest that would do.
        lowest: u64,
    },
    /// The agent has signed two manifests under one version: its state was copied, or its key is in other hands.
    #[error("another manifest of version {version} has been seen")]
    OtherManifest {
        /// The version of both.
        version: u64,
    },
    /// The manifest has expired.
    #[error("the manifest has expired")]
    ManifestExpired,
    /// A key has expired.
    #[error("the {0} prekey has expired")]
    KeyExpired(PrekeyKind),
    /// The agent did not sign this one-time key.
    #[error("the signature of the {0} prekey does not verify")]
    ForgedKey(PrekeyKind),
    /// The suite needs a KEM key, and there is none.
    #[error("the manifest promises a KEM key, and there is none")]
    MissingKemKey,
    /// The agent takes part in none of the handshakes.
    #[error("there is no common suite")]
    NoCommonSuite,
}

impl VerifiedBundle {
    /// Checks everything that can be checked, and picks the first of the initiator's suites that the manifest lists.
    ///
    /// The manifest's own signature was checked when it was decoded.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn check(bundle: Bundle, expected: &ExpectedBundle<'_>, now: Timestamp) -> Result<Self, BundleError> {
        let fields = bundle.manifest.fields();
        let seen = SeenManifest::of(&bundle.manifest);
        check_manifest(fields, &seen, expected, now)?;
        let identity = fields.identity;
        if let Some(one_time) = &bundle.one_time_curve {
            one_time.verify(&identity).map_err(|_| BundleError::ForgedKey(PrekeyKind::OneTimeCurve))?;
            check_life(&one_time.prekey, PrekeyKind::OneTimeCurve, now)?;
        }
        if let Some(one_time) = &bundle.one_time_kem {
            one_time.verify(&identity).map_err(|_| BundleError::ForgedKey(PrekeyKind::OneTimeKem))?;
            check_life(&one_time.prekey, PrekeyKind::OneTimeKem, now)?;
        }
        let suite = expected.suites.iter().copied().find(|suite| fields.suites.contains(&SuiteId::from(*suite)));
        let suite = suite.ok_or(BundleError::NoCommonSuite)?;
        Ok(Self {
            identity,
            suite,
            signed_prekey: fields.signed_prekey.clone(),
            seen,
            kem: if suite.uses_kem() { Some(kem_key(&bundle)?) } else { None },
            one_time_curve: bundle.one_time_curve.map(|one_time| one_time.prekey),
        })
    }

    /// Whose it is.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.identity.agent_id()
    }

    /// The handshake it is for.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The manifest to remember: no older one, and no other of its version, may be accepted from now on.
    #[must_use]
    pub fn seen(&self) -> SeenManifest {
        self.seen
    }
}

/// A manifest that has passed every check, for whoever seals without a session.
#[derive(Debug)]
pub struct VerifiedManifest {
    /// The agent's identity.
    pub identity: IdentityKey,
    /// Its key for `recipient-keys`.
    pub sealing_key: Prekey<CurveKey>,
    /// The manifest to remember: no older one, and no other of its version, may be accepted from now on.
    pub seen: SeenManifest,
}

impl VerifiedManifest {
    /// Checks all of a manifest that a bundle's is checked for, and the sealing key. Nothing is used up by it.
    ///
    /// The manifest's own signature was checked when it was decoded.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn check(
        manifest: &SignedManifest,
        agent: AgentId,
        seen: Option<SeenManifest>,
        now: Timestamp,
    ) -> Result<Self, BundleError> {
        let (fields, found) = (manifest.fields(), SeenManifest::of(manifest));
        check_manifest(fields, &found, &ExpectedBundle { agent, seen, suites: &[] }, now)?;
        check_life(&fields.sealing_key, PrekeyKind::Sealing, now)?;
        Ok(Self { identity: fields.identity, sealing_key: fields.sealing_key.clone(), seen: found })
    }
}

fn check_manifest(
    fields: &ManifestFields,
    found: &SeenManifest,
    expected: &ExpectedBundle<'_>,
    now: Timestamp,
) -> Result<(), BundleError> {
    if fields.identity.agent_id() != expected.agent {
        return Err(BundleError::OtherAgent);
    }
    match expected.seen {
        Some(seen) if found.version < seen.version => {
            return Err(BundleError::OldManifest { found: found.version, lowest: seen.version });
        }
        Some(seen) if found.version == seen.version && found.hash != seen.hash => {
            return Err(BundleError::OtherManifest { version: found.version });
        }
        _ => {}
    }
    if fields.expires <= now {
        return Err(BundleError::ManifestExpired);
    }
    check_life(&fields.signed_prekey, PrekeyKind::Signed, now)?;
    fields.last_resort_kem.as_ref().map_or(Ok(()), |prekey| check_life(prekey, PrekeyKind::LastResortKem, now))
}

fn check_life<K>(prekey: &Prekey<K>, kind: PrekeyKind, now: Timestamp) -> Result<(), BundleError> {
    if prekey.expires <= now { Err(BundleError::KeyExpired(kind)) } else { Ok(()) }
}

/// The one-time KEM key, or the manifest's own.
fn kem_key(bundle: &Bundle) -> Result<KemPrekey, BundleError> {
    let one_time = bundle.one_time_kem.as_ref().map(|one_time| (KemPrekeyKind::OneTime, &one_time.prekey));
    let last_resort = bundle.manifest.fields().last_resort_kem.as_ref();
    let (kind, prekey) =
        one_time.or(last_resort.map(|prekey| (KemPrekeyKind::LastResort, prekey))).ok_or(BundleError::MissingKemKey)?;
    Ok(KemPrekey { kind, id: prekey.id, key: prekey.key.clone() })
}
