//! The handshakes: X3DH as in Signal's specification, and the same with an ML-KEM-768 secret mixed in.
//!
//! | secret | of | proves |
//! | --- | --- | --- |
//! | DH1 | initiator's identity, responder's signed prekey | the initiator |
//! | DH2 | initiator's ephemeral key, responder's identity | the responder |
//! | DH3 | initiator's ephemeral key, responder's signed prekey | freshness |
//! | DH4 | initiator's ephemeral key, responder's one-time key, if there is one | that it is the first time |
//! | KEM | the responder's KEM key, if the suite has one | nothing, but keeps out a quantum computer |
//!
//! The root key is HKDF-SHA256 of 32 × 0xFF ‖ DH1 ‖ DH2 ‖ DH3 \[‖ DH4\] \[‖ KEM\] with 32 zero bytes as salt and the
//! suite in the info. All that the parties must agree on besides is in the session's associated data (`session_ad`).

mod bundle;

use sealpost_protocol::{
    Envelope, Header, KemOpening, KemPrekey, KemPrekeyKind, KeyId, Opening, RefusalReason, Signer, Suite, Timestamp,
};
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::bundle::{BundleError, ExpectedBundle, SeenManifest, VerifiedBundle, VerifiedManifest};
use crate::{
    curve::CurvePrivateKey,
    hkdf,
    identity_keys::{IdentityPrivateKey, curve_form},
    kem::KemPrivateKey,
    payload::Plaintext,
    prekeys::{LastResortKemPrekey, OneTimeCurvePrekey, OneTimeKemPrekey, SignedPrekey},
    primitives::{Primitives, PrimitivesError},
    secret::{RootKey, SharedSecret},
    session::{Agreed, OpenError, Session, is_between},
    session_ad::SessionAd,
};

const INFO: &[u8] = b"sealpost/v1/handshake/";

/// Makes the first input to the key derivation differ from any X25519 scalar or point, as Signal's specification has
/// it.
const DISTINGUISHER: [u8; 32] = [0xff; 32];

/// Opens a session to the agent of `bundle`, whose one-time keys are used up by it.
///
/// Nothing is sent: the first message, and every one until the answer, carries the opening.
///
/// # Errors
/// [`PrimitivesError`].
pub fn initiate(
    primitives: &dyn Primitives,
    identity: &IdentityPrivateKey,
    bundle: VerifiedBundle,
    now: Timestamp,
) -> Result<Session, PrimitivesError> {
    let VerifiedBundle { identity: peer, suite, signed_prekey, one_time_curve, kem, .. } = bundle;
    let ephemeral = CurvePrivateKey::generate(primitives)?;
    let encapsulated = kem.as_ref().map(|kem| primitives.encapsulate(&kem.key)).transpose()?;
    let (ciphertext, kem_secret) = encapsulated.unzip();
    let secrets = Secrets {
        agreements: [
            identity.agree(&signed_prekey.key)?,
            ephemeral.agree(&curve_form(&peer)?)?,
            ephemeral.agree(&signed_prekey.key)?,
        ],
        one_time: one_time_curve.as_ref().map(|prekey| ephemeral.agree(&prekey.key)).transpose()?,
        kem: kem_secret,
    };
    let opening = Opening {
        suite,
        initiator: identity.identity_key(),
        ephemeral: ephemeral.public_key(),
        signed_prekey: signed_prekey.id,
        one_time_curve: one_time_curve.map(|prekey| prekey.id),
        kem: kem.as_ref().zip(ciphertext).map(|(KemPrekey { kind, id, .. }, ciphertext)| KemOpening {
            kind: *kind,
            id: *id,
            ciphertext,
        }),
    };
    let ad = SessionAd::new(&opening, &peer, kem.as_ref().map(|kem| &kem.key));
    let root = root_key(&secrets, suite)?;
    Ok(Session::initiated(Agreed { ad, root, opening: &opening }, signed_prekey.key, now))
}

/// The private prekeys that an [`Opening`] names, looked up by the caller.
#[derive(Debug, Clone, Copy)]
pub struct ResponderKeys<'a> {
    /// The handshakes that the agent takes part in.
    pub suites: &'a [Suite],
    /// The key with the id [`Opening::signed_prekey`].
    pub signed_prekey: &'a SignedPrekey,
    /// The key with the id [`Opening::one_time_curve`], if it names one.
    pub one_time_curve: Option<&'a OneTimeCurvePrekey>,
    /// The key with kind and id of [`Opening::kem`], if it names one.
    pub kem: Option<ResponderKemKey<'a>>,
}

/// The private KEM key that an opening names.
#[derive(Debug, Clone, Copy)]
pub enum ResponderKemKey<'a> {
    /// One that went out once.
    OneTime(&'a OneTimeKemPrekey),
    /// One from a manifest.
    LastResort(&'a LastResortKemPrekey),
}

/// Why an envelope opens no session. Nothing has changed; above all, no one-time key is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RespondError {
    /// It carries no opening, or one that contradicts itself.
    #[error("the envelope carries no opening")]
    NoOpening,
    /// The agent does not take part in that handshake.
    #[error("the opening uses a suite that is not accepted")]
    SuiteRefused,
    /// The opening names other keys than those given.
    #[error("the opening names other prekeys")]
    OtherKeys,
    /// The message does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl RespondError {
    /// What a receipt may tell the sender; nothing while it is not the message's fault.
    #[must_use]
    pub fn refusal(&self) -> Option<RefusalReason> {
        match self {
            Self::NoOpening => Some(RefusalReason::UnknownSession),
            Self::SuiteRefused => Some(RefusalReason::Policy),
            Self::OtherKeys => Some(RefusalReason::UnknownPrekey),
            Self::Open(error) => error.refusal(),
        }
    }
}

impl From<PrimitivesError> for RespondError {
    fn from(error: PrimitivesError) -> Self {
        Self::Open(error.into())
    }
}

/// Takes part in a session that an envelope opens, if its message opens too: only then is there a session.
///
/// Store the session, the plaintext, and the loss of the one-time keys together. An opening without a one-time key can
/// be replayed: whoever remembers the [`SessionId`](crate::SessionId) for the life of the signed prekey recognises it.
///
/// # Errors
/// [`RespondError`].
pub fn respond(
    identity: &IdentityPrivateKey,
    keys: &ResponderKeys<'_>,
    header: &Header,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<(Session, Plaintext), RespondError> {
    let opening = consistent_opening(envelope).ok_or(RespondError::NoOpening)?;
    if !is_between(header, &opening.initiator.agent_id(), &identity.agent_id()) {
        return Err(OpenError::OtherParties.into());
    }
    if !keys.suites.contains(&opening.suite) {
        return Err(RespondError::SuiteRefused);
    }
    if !keys.are_named_by(opening) {
        return Err(RespondError::OtherKeys);
    }
    let kem_key = keys.kem.as_ref().map(ResponderKemKey::private);
    let ad = SessionAd::new(opening, &identity.identity_key(), kem_key.map(KemPrivateKey::public_key));
    if ad.id().0 != envelope.header.session {
        return Err(OpenError::OtherSession.into());
    }
    let root = root_key(&keys.secrets(identity, opening)?, opening.suite)?;
    let signed_prekey = keys.signed_prekey.private();
    Ok(Session::responded(Agreed { ad, root, opening }, signed_prekey, header, envelope, now)?)
}

fn consistent_opening(envelope: &Envelope) -> Option<&Opening> {
    let opening = envelope.opening.as_ref().filter(|_| envelope.header.opens_session)?;
    (opening.suite.uses_kem() == opening.kem.is_some()).then_some(opening)
}

impl ResponderKeys<'_> {
    fn are_named_by(&self, opening: &Opening) -> bool {
        self.signed_prekey.id() == opening.signed_prekey
            && self.one_time_curve.map(OneTimeCurvePrekey::id) == opening.one_time_curve
            && self.kem.as_ref().map(ResponderKemKey::name) == opening.kem.as_ref().map(|kem| (kem.kind, kem.id))
    }

    fn secrets(&self, identity: &IdentityPrivateKey, opening: &Opening) -> Result<Secrets, PrimitivesError> {
        let signed_prekey = self.signed_prekey.private();
        let one_time = self.one_time_curve.map(|prekey| prekey.private().agree(&opening.ephemeral));
        let kem = self.kem.as_ref().zip(opening.kem.as_ref());
        Ok(Secrets {
            agreements: [
                signed_prekey.agree(&curve_form(&opening.initiator)?)?,
                identity.agree(&opening.ephemeral)?,
                signed_prekey.agree(&opening.ephemeral)?,
            ],
            one_time: one_time.transpose()?,
            kem: kem.map(|(key, kem)| key.private().decapsulate(&kem.ciphertext)).transpose()?,
        })
    }
}

impl ResponderKemKey<'_> {
    fn name(&self) -> (KemPrekeyKind, KeyId) {
        match self {
            Self::OneTime(prekey) => (KemPrekeyKind::OneTime, prekey.id()),
            Self::LastResort(prekey) => (KemPrekeyKind::LastResort, prekey.id()),
        }
    }

    fn private(&self) -> &KemPrivateKey {
        match self {
            Self::OneTime(prekey) => prekey.private(),
            Self::LastResort(prekey) => prekey.private(),
        }
    }
}

/// What a session opens with, as its parties hold it.
struct Secrets {
    /// DH1, DH2 and DH3.
    agreements: [SharedSecret; 3],
    /// DH4.
    one_time: Option<SharedSecret>,
    kem: Option<SharedSecret>,
}

fn root_key(secrets: &Secrets, suite: Suite) -> Result<RootKey, PrimitivesError> {
    let optional = [&secrets.one_time, &secrets.kem];
    let all = secrets.agreements.iter().chain(optional.into_iter().flatten());
    let mut input = Zeroizing::new(Vec::with_capacity(6 * 32));
    input.extend_from_slice(&DISTINGUISHER);
    all.for_each(|secret| input.extend_from_slice(secret.expose()));
    let [root] = &*hkdf::derive(&[0; 32], &input, &[INFO, suite.as_str().as_bytes()])?;
    Ok(RootKey::copy_of(root))
}

#[cfg(test)]
mod tests;
