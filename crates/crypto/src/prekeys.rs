//! Prekeys with their private halves: what an agent leaves at its relay in public, and keeps for itself.
//!
//! Each kind is a type of its own, whose byte stands in its signature and in its stored form, so that no key can be
//! used as another's kind. A private half is kept until no honest opening can name it any more, and then erased.

mod kinds;

use std::{fmt, time::Duration};

use sealpost_protocol::{
    CurveKey, KemKey, KeyId, Manifest, ManifestError, ManifestFields, OneTimePrekey, Prekey, PrekeyKind,
    SignatureMismatch, SignedManifest, Signer, Suite, SuiteId, Timestamp,
    encoding::{Decode, DecodeError, Reader},
};
use thiserror::Error;

pub use self::kinds::{Kind, LastResortKem, OneTimeCurve, OneTimeKem, PrivateKey, Sealing, Signed};
use crate::{
    primitives::{Primitives, PrimitivesError},
    secret::{SecretBytes, encode_secret},
};

const FORMAT: u8 = 1;

/// The signed prekey: X25519, in the manifest, rotated weekly; the responder's first ratchet key.
pub type SignedPrekey = PrivatePrekey<Signed>;

/// X25519, handed out once.
pub type OneTimeCurvePrekey = PrivatePrekey<OneTimeCurve>;

/// ML-KEM-768, handed out once.
pub type OneTimeKemPrekey = PrivatePrekey<OneTimeKem>;

/// ML-KEM-768, in the manifest, for when the one-time keys are out.
pub type LastResortKemPrekey = PrivatePrekey<LastResortKem>;

/// X25519, in the manifest, for sealing to the agent without a session.
pub type SealingPrekey = PrivatePrekey<Sealing>;

/// A prekey with its private half.
pub struct PrivatePrekey<K: Kind> {
    id: KeyId,
    validity: Validity,
    private: K::Private,
}

/// From when until when others may begin to use a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    created: Timestamp,
    expires: Timestamp,
}

impl Validity {
    /// From `created` on for the length of `life`, a millisecond at least.
    #[must_use]
    pub fn lasting(created: Timestamp, life: Duration) -> Self {
        Self { created, expires: created.saturating_add(life.max(Duration::from_millis(1))) }
    }

    /// When it begins.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

impl<K: Kind> PrivatePrekey<K> {
    /// A new key. `id` must never have named another of the agent's keys of this kind.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn generate(primitives: &dyn Primitives, id: KeyId, validity: Validity) -> Result<Self, PrimitivesError> {
        Ok(Self { id, validity, private: K::Private::generate(primitives)? })
    }

    /// `count` new keys, with ids from `first` on; fewer where the ids end.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn generate_many(
        primitives: &dyn Primitives,
        first: KeyId,
        count: usize,
        validity: Validity,
    ) -> Result<Vec<Self>, PrimitivesError> {
        (first.0..=u32::MAX).take(count).map(|id| Self::generate(primitives, KeyId(id), validity)).collect()
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Its life.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> Prekey<<K::Private as PrivateKey>::Public> {
        let Validity { created, expires } = self.validity;
        Prekey { id: self.id, created, expires, key: self.private.public() }
    }

    /// The private half.
    pub(crate) fn private(&self) -> &K::Private {
        &self.private
    }

    /// The stored form, in a buffer that is wiped when dropped.
    #[must_use]
    pub fn encode(&self) -> SecretBytes {
        encode_secret(1 + 1 + 4 + 8 + 8 + K::Private::ENCODED, |writer| {
            let Validity { created, expires } = &self.validity;
            writer.u8(FORMAT).value(&K::KIND).value(&self.id).value(created).value(expires).value(&self.private);
        })
    }

    /// The key whose stored form `bytes` is.
    ///
    /// # Errors
    /// [`DecodeError`], also for a key of another kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "prekey format", found }),
        }
        if PrekeyKind::decode(&mut reader)? != K::KIND {
            return Err(DecodeError::Invalid { field: "prekey kind", reason: "not the kind that was asked for" });
        }
        let id = KeyId::decode(&mut reader)?;
        let (created, expires) = (Timestamp::decode(&mut reader)?, Timestamp::decode(&mut reader)?);
        if expires <= created {
            return Err(DecodeError::Invalid { field: "prekey expiry", reason: "not after its creation" });
        }
        let private = K::Private::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { id, validity: Validity { created, expires }, private })
    }
}

impl OneTimeCurvePrekey {
    /// The public half, signed, for the relay to hand out.
    #[must_use]
    pub fn publish(&self, signer: &dyn Signer) -> OneTimePrekey<CurveKey> {
        OneTimePrekey::sign(self.public(), signer)
    }
}

impl OneTimeKemPrekey {
    /// The public half, signed, for the relay to hand out.
    #[must_use]
    pub fn publish(&self, signer: &dyn Signer) -> OneTimePrekey<KemKey> {
        OneTimePrekey::sign(self.public(), signer)
    }
}

impl<K: Kind> fmt::Debug for PrivatePrekey<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PrivatePrekey")
            .field("kind", &K::KIND)
            .field("id", &self.id)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

/// The keys that stand in one manifest, with their private halves.
#[derive(Debug)]
pub struct ManifestPrekeys {
    /// The handshakes they serve, best first.
    pub suites: Vec<Suite>,
    /// For both handshakes.
    pub signed: SignedPrekey,
    /// For the handshakes with a KEM; there if and only if one of `suites` is such.
    pub last_resort_kem: Option<LastResortKemPrekey>,
    /// For messages without a session.
    pub sealing: SealingPrekey,
}

/// Why there is no signed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignManifestError {
    /// The keys do not make a manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The signer is not who it says.
    #[error(transparent)]
    Signature(#[from] SignatureMismatch),
}

impl ManifestPrekeys {
    /// New keys for one manifest; each is named `id` among those of its kind.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn generate(
        primitives: &dyn Primitives,
        suites: Vec<Suite>,
        id: KeyId,
        validity: Validity,
    ) -> Result<Self, PrimitivesError> {
        let uses_kem = suites.iter().any(|suite| suite.uses_kem());
        let last_resort = || PrivatePrekey::generate(primitives, id, validity);
        Ok(Self {
            suites,
            signed: PrivatePrekey::generate(primitives, id, validity)?,
            last_resort_kem: uses_kem.then(last_resort).transpose()?,
            sealing: PrivatePrekey::generate(primitives, id, validity)?,
        })
    }

    /// The manifest that publishes them. `version` must exceed that of every earlier manifest of the agent.
    ///
    /// # Errors
    /// [`SignManifestError`].
    pub fn publish(
        &self,
        signer: &dyn Signer,
        version: u64,
        validity: Validity,
    ) -> Result<SignedManifest, SignManifestError> {
        let manifest = Manifest::new(ManifestFields {
            identity: signer.identity_key(),
            suites: self.suites.iter().copied().map(SuiteId::from).collect(),
            signed_prekey: self.signed.public(),
            last_resort_kem: self.last_resort_kem.as_ref().map(PrivatePrekey::public),
            sealing_key: self.sealing.public(),
            version,
            created: validity.created,
            expires: validity.expires,
        })?;
        Ok(manifest.sign(signer)?)
    }
}

#[cfg(test)]
mod tests;
