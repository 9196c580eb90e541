//! One valid value of each type, and what signs it.

use ed25519_dalek::{Signer as _, SigningKey};
use sealpost_protocol::{
    Attempt, BodyAccess, Bundle, CurveKey, Envelope, EnvelopeHeader, GroupId, HeaderHash, IdentityKey, KemCiphertext,
    KemKey, KemOpening, KemPrekeyKind, KeyId, Manifest, ManifestFields, MessageId, MessageRef, OneTimePrekey, Opening,
    PartHash, Prekey, ReceiptBatch, ReceiptLeaf, SenderSeal, SharedAccess, Signature, SignedManifest, SignedPart,
    Signer, SigningInput, Suite, Timestamp, Verdict, WrappedKey,
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);

/// Keys and a signature by an identity.
pub(crate) struct Identity(SigningKey);

impl Identity {
    pub(crate) fn new(byte: u8) -> Self {
        Self(SigningKey::from_bytes(&[byte; 32]))
    }
}

impl Signer for Identity {
    fn identity_key(&self) -> IdentityKey {
        IdentityKey::from_array(self.0.verifying_key().to_bytes()).unwrap()
    }

    fn sign(&self, input: &SigningInput) -> Signature {
        Signature(self.0.sign(input.as_bytes()).to_bytes())
    }
}

pub(crate) fn curve_key() -> CurveKey {
    CurveKey::from_array([9; 32]).unwrap()
}

pub(crate) fn prekey<K>(id: u32, key: K) -> Prekey<K> {
    Prekey { id: KeyId(id), created: NOW, expires: NOW.saturating_add(std::time::Duration::from_secs(1)), key }
}

pub(crate) fn kem_key() -> KemKey {
    KemKey::from_array([0; KemKey::LENGTH]).unwrap()
}

pub(crate) fn manifest() -> SignedManifest {
    let identity = Identity::new(7);
    let fields = ManifestFields {
        identity: identity.identity_key(),
        suites: vec![Suite::Pqxdh25519MlKem768.into(), Suite::X3dh25519.into()],
        signed_prekey: prekey(1, curve_key()),
        last_resort_kem: Some(prekey(1, kem_key())),
        sealing_key: prekey(1, curve_key()),
        version: 1,
        created: NOW,
        expires: NOW.saturating_add(std::time::Duration::from_secs(1)),
    };
    Manifest::new(fields).unwrap().sign(&identity).unwrap()
}

pub(crate) fn bundle() -> Bundle {
    let identity = Identity::new(7);
    Bundle {
        manifest: manifest(),
        one_time_curve: Some(OneTimePrekey::sign(prekey(2, curve_key()), &identity)),
        one_time_kem: Some(OneTimePrekey::sign(prekey(2, kem_key()), &identity)),
    }
}

pub(crate) fn envelope() -> Envelope {
    Envelope {
        header: EnvelopeHeader {
            session: [1; 16],
            ratchet_key: curve_key(),
            counter: 3,
            previous_counter: 2,
            opens_session: true,
        },
        opening: Some(Opening {
            suite: Suite::Pqxdh25519MlKem768,
            initiator: Identity::new(7).identity_key(),
            ephemeral: curve_key(),
            signed_prekey: KeyId(1),
            one_time_curve: Some(KeyId(2)),
            kem: Some(KemOpening {
                kind: KemPrekeyKind::OneTime,
                id: KeyId(3),
                ciphertext: KemCiphertext::from_array([4; KemCiphertext::LENGTH]),
            }),
        }),
        nonce: [5; 12],
        ciphertext: vec![6; 8],
        tag: [7; 16],
    }
}

pub(crate) fn part(access: BodyAccess) -> SignedPart {
    SignedPart { seal: SenderSeal::sign(&Identity::new(7), HeaderHash([1; 32])), access }
}

pub(crate) fn shared() -> BodyAccess {
    let group = "0190d3a8-0000-7000-8000-000000000001".parse::<GroupId>().unwrap();
    BodyAccess::Shared(SharedAccess { group, epoch: 1, salt: [2; 32] })
}

pub(crate) fn wrapped() -> BodyAccess {
    BodyAccess::Wrapped(WrappedKey { sealing_key: KeyId(1), encapsulated: curve_key(), sealed: [3; 48] })
}

pub(crate) fn leaf(verdict: Verdict) -> ReceiptLeaf {
    let sender = Identity::new(8).identity_key().agent_id();
    ReceiptLeaf {
        message: MessageRef { sender, id: MessageId::new(NOW, [7; 10]) },
        attempt: Attempt::FIRST,
        header: HeaderHash([1; 32]),
        part: PartHash([2; 32]),
        verdict,
        at: NOW,
        blind: [3; 16],
    }
}

pub(crate) fn batch() -> ReceiptBatch {
    ReceiptBatch::sign(vec![leaf(Verdict::Stored), leaf(Verdict::Acknowledged)], 1, [0; 32], &Identity::new(7)).unwrap()
}
