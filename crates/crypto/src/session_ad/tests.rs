//! What the associated data says, and that nothing can be said in two ways.

use sealpost_protocol::{CurveKey, KemCiphertext, KemOpening, Signer};

use super::*;
use crate::{
    curve::CurvePrivateKey,
    primitives::Primitives,
    testing::{SeededPrimitives, TestAgent, hex},
};

struct Parts {
    opening: Opening,
    responder: IdentityKey,
    kem_key: KemKey,
}

impl Parts {
    fn ad(&self) -> SessionAd {
        SessionAd::new(&self.opening, &self.responder, Some(&self.kem_key))
    }

    fn kem(&mut self) -> &mut KemOpening {
        self.opening.kem.as_mut().unwrap()
    }
}

type Change = fn(&mut Parts);

fn curve_key(seed: u64) -> CurveKey {
    CurvePrivateKey::generate(&SeededPrimitives::new(seed)).unwrap().public_key()
}

fn parts() -> Parts {
    let kem_key = SeededPrimitives::new(3).generate_kem_key().unwrap().public_key().clone();
    let ciphertext = KemCiphertext::from_array([5; KemCiphertext::LENGTH]);
    Parts {
        opening: Opening {
            suite: Suite::Pqxdh25519MlKem768,
            initiator: TestAgent::new(1).identity.identity_key(),
            ephemeral: curve_key(4),
            signed_prekey: KeyId(0x0708_090a),
            one_time_curve: Some(KeyId(0x1112_1314)),
            kem: Some(KemOpening { kind: KemPrekeyKind::OneTime, id: KeyId(0x2122_2324), ciphertext }),
        },
        responder: TestAgent::new(2).identity.identity_key(),
        kem_key,
    }
}

/// Each byte string with its length, as `docs/protocol.md` has it.
fn fields(values: &[&[u8]]) -> Vec<u8> {
    values.iter().flat_map(|value| [&u32::try_from(value.len()).unwrap().to_be_bytes()[..], value].concat()).collect()
}

#[test]
fn every_field_stands_in_its_place_with_its_length() {
    let parts = parts();
    let opening = &parts.opening;
    let kem_hash =
        Sha256::new().chain_update(parts.kem_key.as_bytes()).chain_update([5; KemCiphertext::LENGTH]).finalize();
    let expected = fields(&[
        b"sealpost/v1/session",
        &[2],
        opening.initiator.agent_id().as_bytes(),
        parts.responder.agent_id().as_bytes(),
        opening.initiator.as_bytes(),
        parts.responder.as_bytes(),
        &hex("0708090a"),
        &hex("0111121314"),
        &hex("010121222324"),
        opening.ephemeral.as_bytes(),
        &kem_hash,
    ]);
    let ad = parts.ad();
    assert_eq!(ad.bytes, expected);
    assert_eq!(ad.id.0, Sha256::digest(&expected)[..16]);
    assert!(ad.bytes.len() <= limits::SESSION_AD);
}

#[test]
fn absent_keys_are_said_to_be_absent() {
    let mut parts = parts();
    (parts.opening.suite, parts.opening.one_time_curve, parts.opening.kem) = (Suite::X3dh25519, None, None);
    let ad = SessionAd::new(&parts.opening, &parts.responder, None);
    assert!(ad.bytes.ends_with(&fields(&[&[0], &[0], parts.opening.ephemeral.as_bytes(), &[]])));
}

#[test]
fn a_message_s_associated_data_is_session_envelope_header_and_message_header() {
    let header = EnvelopeHeader {
        session: [1; 16],
        ratchet_key: curve_key(6),
        counter: 7,
        previous_counter: 8,
        opens_session: true,
    };
    let ad = parts().ad();
    let expected = fields(&[&ad.bytes, &header.to_bytes(), &[9; 32]]);
    assert_eq!(ad.of_message(&header, &HeaderHash([9; 32])), expected);
}

#[test]
fn a_change_of_any_part_makes_another_session() {
    let changes: [(&str, Change); 11] = [
        ("suite", |parts| parts.opening.suite = Suite::X3dh25519),
        ("initiator", |parts| parts.opening.initiator = TestAgent::new(9).identity.identity_key()),
        ("responder", |parts| parts.responder = TestAgent::new(9).identity.identity_key()),
        ("ephemeral", |parts| parts.opening.ephemeral = curve_key(9)),
        ("signed prekey", |parts| parts.opening.signed_prekey = KeyId(9)),
        ("one-time key", |parts| parts.opening.one_time_curve = Some(KeyId(9))),
        ("no one-time key", |parts| parts.opening.one_time_curve = None),
        ("KEM kind", |parts| parts.kem().kind = KemPrekeyKind::LastResort),
        ("KEM id", |parts| parts.kem().id = KeyId(9)),
        ("KEM ciphertext", |parts| parts.kem().ciphertext = KemCiphertext::from_array([6; KemCiphertext::LENGTH])),
        ("KEM key", |parts| {
            parts.kem_key = SeededPrimitives::new(9).generate_kem_key().unwrap().public_key().clone();
        }),
    ];
    let mut ids = vec![parts().ad().id];
    for (name, change) in changes {
        let mut parts = parts();
        change(&mut parts);
        let id = parts.ad().id;
        assert!(!ids.contains(&id), "{name}");
        ids.push(id);
    }
}

#[test]
fn swapping_the_roles_makes_another_session() {
    let mut swapped = parts();
    std::mem::swap(&mut swapped.opening.initiator, &mut swapped.responder);
    assert_ne!(swapped.ad().id, parts().ad().id);
}

#[test]
fn a_stored_one_reads_back_and_half_a_one_does_not() {
    let ad = parts().ad();
    let bytes = ad.to_bytes();
    let read = SessionAd::from_bytes(&bytes).unwrap();
    assert_eq!((read.bytes, read.id), (ad.bytes.clone(), ad.id));
    assert_eq!((read.suite, read.initiator, read.responder), (ad.suite, ad.initiator, ad.responder));
    let mut writer = Writer::new();
    writer.bytes(&ad.bytes[..ad.bytes.len() - 36]);
    assert!(SessionAd::from_bytes(&writer.into_bytes()).is_err());
}
