//! Whatever is encoded comes back as it was, and bytes that decode are the only ones of their value.

use proptest::{collection::vec, option, prelude::*};
use sealpost_protocol::{
    Attempt, BodyAccess, CurveKey, Envelope, EnvelopeHeader, HeaderHash, IdentityKey, KemCiphertext, KemKey,
    KemOpening, KemPrekeyKind, KeyId, Manifest, ManifestFields, MessageId, MessageRef, OneTimePrekey, Opening,
    PartHash, Prekey, ReceiptBatch, ReceiptLeaf, RefusalReason, SenderSeal, SharedAccess, SignedManifest, SignedPart,
    Signer, Suite, SuiteId, Timestamp, Verdict, WrappedKey,
    encoding::{Decode, Encode},
    limits,
};

use super::samples::{Identity, shared};

fn curve_keys() -> impl Strategy<Value = CurveKey> {
    any::<[u8; 32]>().prop_filter_map("a key", |mut bytes| {
        bytes[31] &= 0x7f;
        CurveKey::from_array(bytes).ok()
    })
}

fn identity_keys() -> impl Strategy<Value = IdentityKey> {
    any::<u8>().prop_map(|byte| Identity::new(byte).identity_key())
}

fn times() -> impl Strategy<Value = Timestamp> {
    (0_u64..1 << 47).prop_map(Timestamp::from_millis)
}

fn kem_keys() -> impl Strategy<Value = KemKey> {
    any::<[u8; 32]>().prop_map(|seed| {
        let mut bytes = [0; KemKey::LENGTH];
        bytes[KemKey::LENGTH - 32..].copy_from_slice(&seed);
        KemKey::from_array(bytes).unwrap()
    })
}

fn prekeys<K: std::fmt::Debug>(keys: impl Strategy<Value = K>) -> impl Strategy<Value = Prekey<K>> {
    (any::<u32>(), times(), 1_u64..1 << 40, keys).prop_map(|(id, created, life, key)| {
        let expires = created.saturating_add(std::time::Duration::from_millis(life));
        Prekey { id: KeyId(id), created, expires, key }
    })
}

fn openings() -> impl Strategy<Value = Opening> {
    let kem = (any::<bool>(), any::<u32>(), any::<u8>()).prop_map(|(is_one_time, id, byte)| KemOpening {
        kind: if is_one_time { KemPrekeyKind::OneTime } else { KemPrekeyKind::LastResort },
        id: KeyId(id),
        ciphertext: KemCiphertext::from_array([byte; KemCiphertext::LENGTH]),
    });
    let keys = (identity_keys(), curve_keys(), any::<u32>(), option::of(any::<u32>().prop_map(KeyId)), option::of(kem));
    keys.prop_map(|(initiator, ephemeral, signed, one_time_curve, kem)| Opening {
        suite: if kem.is_some() { Suite::Pqxdh25519MlKem768 } else { Suite::X3dh25519 },
        initiator,
        ephemeral,
        signed_prekey: KeyId(signed),
        one_time_curve,
        kem,
    })
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    let header = (any::<[u8; 16]>(), curve_keys(), any::<u32>(), any::<u32>());
    let sealed = (any::<[u8; 12]>(), vec(any::<u8>(), 0..200), any::<[u8; 16]>());
    (header, option::of(openings()), sealed).prop_map(|(header, opening, (nonce, ciphertext, tag))| {
        let (session, ratchet_key, counter, previous_counter) = header;
        let opens_session = opening.is_some();
        let header = EnvelopeHeader { session, ratchet_key, counter, previous_counter, opens_session };
        Envelope { header, opening, nonce, ciphertext, tag }
    })
}

fn manifests() -> impl Strategy<Value = SignedManifest> {
    let keys = (prekeys(curve_keys()), option::of(prekeys(kem_keys())), prekeys(curve_keys()));
    let life = 1_u64..=limits::MANIFEST_LIFE.as_millis().try_into().unwrap();
    (any::<u8>(), keys, any::<u64>(), times(), life, 10_u8..).prop_map(
        |(owner, keys, version, created, life, suite)| {
            let (identity, (signed_prekey, last_resort_kem, sealing_key)) = (Identity::new(owner), keys);
            let known = if last_resort_kem.is_some() { Suite::Pqxdh25519MlKem768 } else { Suite::X3dh25519 };
            let fields = ManifestFields {
                identity: identity.identity_key(),
                suites: vec![known.into(), SuiteId(suite)],
                signed_prekey,
                last_resort_kem,
                sealing_key,
                version,
                created,
                expires: created.saturating_add(std::time::Duration::from_millis(life)),
            };
            Manifest::new(fields).unwrap().sign(&identity).unwrap()
        },
    )
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Stored),
        Just(Verdict::Acknowledged),
        (1_u8..=5).prop_map(|byte| Verdict::Refused(RefusalReason::from_byte(byte).unwrap())),
    ]
}

fn leaves() -> impl Strategy<Value = ReceiptLeaf> {
    let hashes = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 16]>());
    let name = (identity_keys(), times(), any::<[u8; 10]>(), 1_u16..);
    (name, hashes, verdicts(), times()).prop_map(
        |((sender, sent, random, attempt), (header, part, blind), verdict, at)| ReceiptLeaf {
            message: MessageRef { sender: sender.agent_id(), id: MessageId::new(sent, random) },
            attempt: Attempt::new(attempt).unwrap(),
            header: HeaderHash(header),
            part: PartHash(part),
            verdict,
            at,
            blind,
        },
    )
}

fn parts() -> impl Strategy<Value = SignedPart> {
    let BodyAccess::Shared(SharedAccess { group, .. }) = shared() else { unreachable!("it is one of a group") };
    let groups = (any::<u32>(), any::<[u8; 32]>());
    let wraps = (any::<u32>(), curve_keys(), any::<[u8; 16]>());
    let access = prop_oneof![
        Just(BodyAccess::Open),
        groups.prop_map(move |(epoch, salt)| BodyAccess::Shared(SharedAccess { group, epoch, salt })),
        wraps.prop_map(|(id, encapsulated, bytes)| {
            let sealed = [bytes; 3].concat().try_into().unwrap();
            BodyAccess::Wrapped(WrappedKey { sealing_key: KeyId(id), encapsulated, sealed })
        }),
    ];
    (any::<u8>(), any::<[u8; 32]>(), access).prop_map(|(owner, header, access)| SignedPart {
        seal: SenderSeal::sign(&Identity::new(owner), HeaderHash(header)),
        access,
    })
}

fn comes_back<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T) -> Result<(), TestCaseError> {
    let read = T::from_bytes(&value.to_bytes());
    prop_assert_eq!(read.as_ref(), Ok(value));
    Ok(())
}

/// What decodes from bytes that were altered encodes to those very bytes: no value has two encodings.
fn has_one_encoding<T: Encode + Decode>(value: &T, place: usize, other: u8) -> Result<(), TestCaseError> {
    let mut bytes = value.to_bytes();
    let place = place % bytes.len();
    bytes[place] ^= other;
    if let Ok(read) = T::from_bytes(&bytes) {
        prop_assert_eq!(read.to_bytes(), bytes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn envelopes_come_back(envelope in envelopes(), place: usize, other: u8) {
        comes_back(&envelope)?;
        has_one_encoding(&envelope, place, other)?;
    }

    #[test]
    fn manifests_come_back(manifest in manifests(), place: usize, other: u8) {
        comes_back(&manifest)?;
        has_one_encoding(&manifest, place, other)?;
    }

    #[test]
    fn one_time_keys_come_back(key in prekeys(curve_keys()), owner: u8, place: usize, other: u8) {
        let signed = OneTimePrekey::sign(key, &Identity::new(owner));
        comes_back(&signed)?;
        has_one_encoding(&signed, place, other)?;
    }

    #[test]
    fn receipts_come_back(leaves in vec(leaves(), 1..6), number: u64, owner: u8, place: usize, other: u8) {
        let batch = ReceiptBatch::sign(leaves, number, [7; 32], &Identity::new(owner)).unwrap();
        comes_back(&batch)?;
        has_one_encoding(&batch, place, other)?;
        for proof in batch.proofs() {
            comes_back(&proof)?;
            has_one_encoding(&proof, place, other)?;
        }
    }

    #[test]
    fn signed_parts_come_back(part in parts(), place: usize, other: u8) {
        comes_back(&part)?;
        has_one_encoding(&part, place, other)?;
    }
}
