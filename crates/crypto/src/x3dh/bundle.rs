//! What an initiator checks before it uses anything that a relay hands out.

use sealpost_protocol::{
    AgentId, Bundle, CurveKey, IdentityKey, KemPrekey, KemPrekeyKind, ManifestFields, Prekey, PrekeyKind, Suite,
    Timestamp,
};
use thiserror::Error;

/// What the initiator knows of the peer, and wants.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedBundle<'a> {
    /// Whose bundle it must be.
    pub agent: AgentId,
    /// The highest manifest version seen of that agent, 0 before the first: a lower one is an old manifest played
    /// again.
    pub lowest_version: u64,
    /// The handshakes the initiator takes part in, best first.
    pub suites: &'a [Suite],
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
    manifest_version: u64,
}

/// Why a bundle must not be used. Whoever handed it out is broken or lying, except for what has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleError {
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
        check_manifest(fields, expected, now)?;
        let identity = fields.identity;
        if let Some(one_time) = &bundle.one_time_curve {
            one_time.verify(&identity).map_err(|_| BundleError::ForgedKey(PrekeyKind::OneTimeCurve))?;
            check_life(&one_time.prekey, PrekeyKind::OneTimeCurve, now)?;
        }
        if let Some(one_time) = &bundle.one_time_kem {
            one_time.verify(&identity).map_err(|_| BundleError::ForgedKey(PrekeyKind::OneTimeKem))?;
            check_life(&one_time.prekey, PrekeyKind::OneTimeKem, now)?;
        }
        let suite = expected.suites.iter().copied().find(|suite| fields.suites.contains(suite));
        let suite = suite.ok_or(BundleError::NoCommonSuite)?;
        Ok(Self {
            identity,
            suite,
            signed_prekey: fields.signed_prekey.clone(),
            manifest_version: fields.version,
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

    /// The version to remember: no lower one may be accepted from now on.
    #[must_use]
    pub fn manifest_version(&self) -> u64 {
        self.manifest_version
    }
}

fn check_manifest(fields: &ManifestFields, expected: &ExpectedBundle<'_>, now: Timestamp) -> Result<(), BundleError> {
    if fields.identity.agent_id() != expected.agent {
        return Err(BundleError::OtherAgent);
    }
    if fields.version < expected.lowest_version {
        return Err(BundleError::OldManifest { found: fields.version, lowest: expected.lowest_version });
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
