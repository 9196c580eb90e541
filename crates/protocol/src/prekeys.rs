//! Prekeys: the public keys an agent leaves at its relay so that others can write to it while it is offline.

use crate::{
    CurveKey, IdentityKey, KemKey, Signature, SignatureMismatch, SignedManifest, Signer, SigningInput, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer, byte_enum},
};

const ONE_TIME_PREKEY_LABEL: &str = "sealpost/v1/one-time-prekey";

/// Names a prekey among those of one agent and kind; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl Encode for KeyId {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.0);
    }
}

impl Decode for KeyId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u32().map(Self)
    }
}

byte_enum! {
    /// What a prekey is for. The signature over a one-time key names its kind, so that none can be taken for the other; the
    /// keys of a manifest are told apart by their places in it, under its one signature.
    PrekeyKind, "prekey kind" {
        /// X25519, in the manifest, rotated weekly.
        Signed = 1, "signed";
        /// X25519, handed out once.
        OneTimeCurve = 2, "one-time-curve";
        /// ML-KEM-768, handed out once.
        OneTimeKem = 3, "one-time-kem";
        /// ML-KEM-768, in the manifest, for when the one-time keys are out.
        LastResortKem = 4, "last-resort-kem";
        /// X25519, in the manifest, for sealing to a recipient without a session.
        Sealing = 5, "sealing";
    }
}

/// A public prekey with its name and life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prekey<K> {
    /// Its name among the agent's keys of this kind.
    pub id: KeyId,
    /// When it was made.
    pub created: Timestamp,
    /// From when on no one may begin to use it.
    pub expires: Timestamp,
    /// The public key.
    pub key: K,
}

impl<K: Encode> Encode for Prekey<K> {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.id).value(&self.created).value(&self.expires).value(&self.key);
    }
}

impl<K: Decode> Decode for Prekey<K> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (id, created, expires) = (KeyId::decode(reader)?, Timestamp::decode(reader)?, Timestamp::decode(reader)?);
        if expires <= created {
            return Err(DecodeError::Invalid { field: "prekey expiry", reason: "not after its creation" });
        }
        Ok(Self { id, created, expires, key: K::decode(reader)? })
    }
}

/// The kind of key a one-time prekey holds.
pub trait OneTimeKey: Encode + Decode + Clone {
    /// The kind that its signature names.
    const KIND: PrekeyKind;
}

impl OneTimeKey for CurveKey {
    const KIND: PrekeyKind = PrekeyKind::OneTimeCurve;
}

impl OneTimeKey for KemKey {
    const KIND: PrekeyKind = PrekeyKind::OneTimeKem;
}

/// A prekey to be handed out once, signed by its agent's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimePrekey<K> {
    /// The key.
    pub prekey: Prekey<K>,
    /// The identity's signature over kind and key.
    pub signature: Signature,
}

impl<K: OneTimeKey> OneTimePrekey<K> {
    /// Signs `prekey` as one of `signer`'s.
    pub fn sign(prekey: Prekey<K>, signer: &dyn Signer) -> Self {
        let signature = signer.sign(&Self::signing_input(&prekey));
        Self { prekey, signature }
    }

    /// Checks that `owner` signed this key for this kind.
    ///
    /// # Errors
    /// [`SignatureMismatch`].
    pub fn verify(&self, owner: &IdentityKey) -> Result<(), SignatureMismatch> {
        owner.verify(&Self::signing_input(&self.prekey), &self.signature)
    }

    fn signing_input(prekey: &Prekey<K>) -> SigningInput {
        struct Typed<'a, K>(&'a Prekey<K>);
        impl<K: OneTimeKey> Encode for Typed<'_, K> {
            fn encode(&self, writer: &mut Writer) {
                writer.value(&K::KIND).value(self.0);
            }
        }
        SigningInput::new(ONE_TIME_PREKEY_LABEL, &Typed(prekey))
    }
}

impl<K: OneTimeKey> Encode for OneTimePrekey<K> {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.prekey).value(&self.signature);
    }
}

impl<K: OneTimeKey> Decode for OneTimePrekey<K> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { prekey: Prekey::decode(reader)?, signature: Signature::decode(reader)? })
    }
}

byte_enum! {
    /// Which of an agent's KEM keys an opening used.
    KemPrekeyKind, "KEM prekey kind" {
        /// One that goes out once.
        OneTime = 1, "one-time";
        /// The manifest's own.
        LastResort = 2, "last-resort";
    }
}

/// The KEM key that a session opens with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KemPrekey {
    /// Where it comes from.
    pub kind: KemPrekeyKind,
    /// Its name.
    pub id: KeyId,
    /// The key.
    pub key: KemKey,
}

/// What a claim returns: the manifest, and the one-time keys that now belong to the requester alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The signed manifest.
    pub manifest: SignedManifest,
    /// A one-time curve key, while there are any.
    pub one_time_curve: Option<OneTimePrekey<CurveKey>>,
    /// A one-time KEM key, while there are any; else the manifest's last-resort key serves.
    pub one_time_kem: Option<OneTimePrekey<KemKey>>,
}

impl Encode for Bundle {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.manifest).option(self.one_time_curve.as_ref()).option(self.one_time_kem.as_ref());
    }
}

impl Decode for Bundle {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            manifest: SignedManifest::decode(reader)?,
            one_time_curve: reader.option("one-time curve key")?,
            one_time_kem: reader.option("one-time KEM key")?,
        })
    }
}
