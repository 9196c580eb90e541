//! Agents made of fixed seeds: the same keys and signatures in every run.

use std::{fmt, time::Duration};

use ed25519_dalek::{Signer as _, SigningKey};
use sealpost_protocol::{
    AgentId, CurveKey, IdentityKey, KemKey, KeyId, Manifest, ManifestFields, OneTimePrekey, Prekey, Signature,
    SignedManifest, Signer, SigningInput, Suite, Timestamp,
};

use crate::ports::PrekeyUpload;

/// When the tests take place: 2026-11-22T12:43:45.123Z.
pub const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);

const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);

/// An agent whose private key is 32 times its seed.
pub struct Agent {
    seed: u8,
    key: SigningKey,
    identity: IdentityKey,
}

impl Agent {
    /// The agent of this seed.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let identity = IdentityKey::from_array(key.verifying_key().to_bytes()).unwrap();
        Self { seed, key, identity }
    }

    /// One of many: none of them is an agent of a seed.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        let mut seed = [0xff; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        let key = SigningKey::from_bytes(&seed);
        let identity = IdentityKey::from_array(key.verifying_key().to_bytes()).unwrap();
        Self { seed: 0xff, key, identity }
    }

    /// Who sends, in most tests.
    #[must_use]
    pub fn alice() -> Self {
        Self::new(0xa1)
    }

    /// Who receives, in most tests.
    #[must_use]
    pub fn bob() -> Self {
        Self::new(0xb0)
    }

    /// The other recipient.
    #[must_use]
    pub fn carol() -> Self {
        Self::new(0xca)
    }

    /// Who has no part in it.
    #[must_use]
    pub fn mallory() -> Self {
        Self::new(0x3a)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> AgentId {
        self.identity.agent_id()
    }

    /// Its manifest of this version, made [`NOW`], good for a week.
    #[must_use]
    pub fn manifest(&self, version: u64) -> SignedManifest {
        self.sign_manifest(self.manifest_fields(version))
    }

    /// What [`Agent::manifest`] says, to be changed and signed.
    #[must_use]
    pub fn manifest_fields(&self, version: u64) -> ManifestFields {
        let id = KeyId(u32::try_from(version).unwrap());
        ManifestFields {
            identity: self.identity,
            suites: vec![Suite::Pqxdh25519MlKem768.into(), Suite::X3dh25519.into()],
            signed_prekey: prekey(id, self.curve_key(id, 1)),
            last_resort_kem: Some(prekey(id, self.kem_key(id, 2))),
            sealing_key: prekey(id, self.curve_key(id, 3)),
            version,
            created: NOW,
            expires: NOW.saturating_add(WEEK),
        }
    }

    /// Signs what a manifest says.
    #[must_use]
    pub fn sign_manifest(&self, fields: ManifestFields) -> SignedManifest {
        Manifest::new(fields).unwrap().sign(self).unwrap()
    }

    /// A one-time curve key, made [`NOW`], good for a week.
    #[must_use]
    pub fn one_time_curve(&self, id: u32) -> OneTimePrekey<CurveKey> {
        self.one_time_curve_until(id, NOW.saturating_add(WEEK))
    }

    /// A one-time curve key, good until `expires`.
    #[must_use]
    pub fn one_time_curve_until(&self, id: u32, expires: Timestamp) -> OneTimePrekey<CurveKey> {
        let id = KeyId(id);
        OneTimePrekey::sign(Prekey { expires, ..prekey(id, self.curve_key(id, 4)) }, self)
    }

    /// A one-time KEM key, made [`NOW`], good for a week.
    #[must_use]
    pub fn one_time_kem(&self, id: u32) -> OneTimePrekey<KemKey> {
        self.one_time_kem_until(id, NOW.saturating_add(WEEK))
    }

    /// A one-time KEM key, good until `expires`.
    #[must_use]
    pub fn one_time_kem_until(&self, id: u32, expires: Timestamp) -> OneTimePrekey<KemKey> {
        let id = KeyId(id);
        OneTimePrekey::sign(Prekey { expires, ..prekey(id, self.kem_key(id, 5)) }, self)
    }

    /// The manifest of this version, and one-time keys of both kinds with these ids.
    #[must_use]
    pub fn upload(&self, version: u64, ids: impl IntoIterator<Item = u32> + Clone) -> PrekeyUpload {
        PrekeyUpload {
            manifest: self.manifest(version),
            one_time_curve: ids.clone().into_iter().map(|id| self.one_time_curve(id)).collect(),
            one_time_kem: ids.into_iter().map(|id| self.one_time_kem(id)).collect(),
            forget_unused: false,
        }
    }

    /// No point anyone knows the logarithm of; the relay never computes with it.
    fn curve_key(&self, id: KeyId, use_of: u8) -> CurveKey {
        let [a, b, c, d] = id.0.to_be_bytes();
        let mut bytes = [self.seed; 32];
        bytes[..5].copy_from_slice(&[use_of, a, b, c, d]);
        bytes[31] = 0x11;
        CurveKey::from_array(bytes).unwrap()
    }

    fn kem_key(&self, id: KeyId, use_of: u8) -> KemKey {
        let [a, b, c, d] = id.0.to_be_bytes();
        let mut bytes = [0; KemKey::LENGTH];
        bytes[KemKey::LENGTH - 6..].copy_from_slice(&[self.seed, use_of, a, b, c, d]);
        KemKey::from_array(bytes).unwrap()
    }
}

fn prekey<K>(id: KeyId, key: K) -> Prekey<K> {
    Prekey { id, created: NOW, expires: NOW.saturating_add(WEEK), key }
}

impl Signer for Agent {
    fn identity_key(&self) -> IdentityKey {
        self.identity
    }

    fn sign(&self, input: &SigningInput) -> Signature {
        Signature(self.key.sign(input.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Agent({:#04x})", self.seed)
    }
}
