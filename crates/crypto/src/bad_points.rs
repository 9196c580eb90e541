//! Points that are not what they seem, at every place where a key arrives: in what a relay hands out, in what a peer
//! sends, and in what lies stored.

use curve25519_dalek::{
    EdwardsPoint,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
    traits::Identity,
};
use sealpost_protocol::{
    BodyAccess, ChallengeAnswer, CurveKey, Envelope, IdentityKey, LedgerId, NodeId, OneTimePrekey, ReceiptHead,
    SenderSeal, Signature, SignedManifest, SignedPart, Suite,
    encoding::{Decode, DecodeError, Encode},
};

use crate::{
    ContentKey, CurvePrivateKey, Session, SystemPrimitives,
    testing::{NOW, OneTimeKeys, SeededPrimitives, TestAgent, plaintext},
    wrap_key,
};

const P: [u8; 32] = {
    let mut prime = [0xff; 32];
    (prime[0], prime[31]) = (0xed, 0x7f);
    prime
};

/// X25519 keys of small order in every encoding that RFC 7748 takes, and others that are not reduced.
fn bad_curve_keys() -> Vec<[u8; 32]> {
    let mut bad: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|point| point.to_montgomery().to_bytes()).collect();
    // The points of small order on the twist have no Edwards form.
    let minus_one = plus(P, -1);
    bad.extend([minus_one, P, plus(P, 1), plus(P, 9), [0xff; 32]]);
    let with_high_bit: Vec<[u8; 32]> = bad.iter().map(|key| with_top_bit(*key)).collect();
    bad.extend(with_high_bit);
    let mut base = [0; 32];
    base[0] = 9;
    bad.push(with_top_bit(base));
    bad
}

/// Ed25519 keys of small order, of mixed order, not reduced, and not on the curve.
fn bad_identities() -> Vec<[u8; 32]> {
    let mut bad: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
    let mixed = EIGHT_TORSION.iter().filter(|point| **point != EdwardsPoint::identity());
    bad.extend(mixed.map(|torsion| (ED25519_BASEPOINT_POINT + torsion).compress().to_bytes()));
    let mut one = [0; 32];
    one[0] = 1;
    bad.extend([plus(P, 1), with_top_bit(plus(P, 1)), with_top_bit(one), P, with_top_bit(P)]);
    let mut two = [0; 32];
    two[0] = 2;
    bad.push(two);
    bad
}

fn plus(mut bytes: [u8; 32], small: i8) -> [u8; 32] {
    bytes[0] = bytes[0].checked_add_signed(small).unwrap();
    bytes
}

fn with_top_bit(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[31] |= 0x80;
    bytes
}

/// Puts each bad key in the place of `good`, wherever it stands in `encoded`, and expects a refusal for that field.
fn refused_in<T: Decode>(encoded: &[u8], good: &[u8; 32], bad: &[[u8; 32]], field: &str) {
    refused_by(|bytes| T::from_bytes(bytes).map(drop), encoded, good, bad, field);
}

fn refused_by(
    decode: impl Fn(&[u8]) -> Result<(), DecodeError>,
    encoded: &[u8],
    good: &[u8; 32],
    bad: &[[u8; 32]],
    expected: &str,
) {
    decode(encoded).unwrap();
    let places: Vec<usize> = (0..encoded.len() - 31).filter(|place| encoded[*place..].starts_with(good)).collect();
    assert!(!places.is_empty(), "{expected}: the key is not there");
    for place in places {
        for key in bad {
            let mut altered = encoded.to_vec();
            altered[place..place + 32].copy_from_slice(key);
            match decode(&altered) {
                Err(DecodeError::Invalid { field, .. }) if field == expected => {}
                other => panic!("{expected} at {place}, {key:02x?}: {other:?}"),
            }
        }
    }
}

#[test]
fn no_key_that_a_relay_hands_out_is_a_bad_point() {
    let bob = TestAgent::new(2);
    let bundle = bob.bundle(OneTimeKeys::There);
    let manifest = bundle.manifest.to_bytes();
    let fields = bundle.manifest.fields();
    for key in [fields.signed_prekey.key, fields.sealing_key.key] {
        refused_in::<SignedManifest>(&manifest, key.as_bytes(), &bad_curve_keys(), "curve key");
    }
    refused_in::<SignedManifest>(&manifest, fields.identity.as_bytes(), &bad_identities(), "identity key");
    let one_time = bundle.one_time_curve.unwrap();
    let encoded = one_time.to_bytes();
    refused_in::<OneTimePrekey<CurveKey>>(&encoded, one_time.prekey.key.as_bytes(), &bad_curve_keys(), "curve key");
}

#[test]
fn no_key_that_a_peer_sends_is_a_bad_point() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let mut session = alice.initiate(&bob, Suite::X3dh25519, OneTimeKeys::There);
    let header = alice.header_to(&bob, 1);
    let envelope = session.seal(&SystemPrimitives, &header, &plaintext("x"), NOW).unwrap();
    let opening = envelope.opening.clone().unwrap();
    let encoded = envelope.to_bytes();
    for key in [envelope.header.ratchet_key, opening.ephemeral] {
        refused_in::<Envelope>(&encoded, key.as_bytes(), &bad_curve_keys(), "curve key");
    }
    refused_in::<Envelope>(&encoded, opening.initiator.as_bytes(), &bad_identities(), "identity key");
}

#[test]
fn no_key_in_a_part_without_a_ratchet_is_a_bad_point() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let (primitives, hash) = (SeededPrimitives::new(3), alice.header_to(&bob, 1).hash());
    let key = ContentKey::generate(&primitives).unwrap();
    let to = bob.manifest.sealing.public();
    let wrapped = wrap_key(&primitives, &key, hash, &bob.identity.agent_id(), &to).unwrap();
    let seal = SenderSeal::sign(&alice.identity, hash);
    let encoded = SignedPart { seal, access: BodyAccess::Wrapped(wrapped.clone()) }.to_bytes();
    refused_in::<SignedPart>(&encoded, wrapped.encapsulated.as_bytes(), &bad_curve_keys(), "curve key");
    refused_in::<SignedPart>(&encoded, seal.sender.as_bytes(), &bad_identities(), "identity key");
    let encoded = SignedPart { seal, access: BodyAccess::Open }.to_bytes();
    refused_in::<SignedPart>(&encoded, seal.sender.as_bytes(), &bad_identities(), "identity key");
}

#[test]
fn no_public_key_that_lies_stored_is_a_bad_point() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let mut at_alice = alice.initiate(&bob, Suite::X3dh25519, OneTimeKeys::There);
    let (overtaken, header) = (alice.header_to(&bob, 1), alice.header_to(&bob, 2));
    at_alice.seal(&SystemPrimitives, &overtaken, &plaintext("x"), NOW).unwrap();
    let second = at_alice.seal(&SystemPrimitives, &header, &plaintext("x"), NOW).unwrap();
    let (at_bob, _) = bob.respond(&header, &second).unwrap();
    // Alice's stands there twice: as the newest ratchet key, and beside the key of the message that was overtaken.
    let decode = |bytes: &[u8]| Session::decode(bytes).map(drop);
    let remote = second.header.ratchet_key;
    refused_by(decode, &at_bob.encode(), remote.as_bytes(), &bad_curve_keys(), "curve key");
    let signed_prekey = bob.manifest.signed.public().key;
    refused_by(decode, &at_alice.encode(), signed_prekey.as_bytes(), &bad_curve_keys(), "curve key");
}

/// Any 32 bytes are a node id. Under a key of small order there are signatures that verify over anything: these are.
#[test]
fn no_node_that_is_a_bad_point_has_signed_anything() {
    let mut neutral = [0; 64];
    neutral[0] = 1;
    for node in bad_identities().into_iter().map(NodeId::from_array) {
        let (nonce, challenge) = ([1; 32], vec![2; 56]);
        let answer = ChallengeAnswer { node, ledger: LedgerId([3; 16]), nonce, challenge, at: NOW, expires: NOW };
        let recipient = TestAgent::new(1).identity.agent_id();
        let head = ReceiptHead { recipient, number: 1, previous_root: ReceiptHead::NO_ROOT, root: [4; 32] };
        for torsion in EIGHT_TORSION {
            let mut signature = neutral;
            signature[..32].copy_from_slice(torsion.compress().as_bytes());
            assert!(answer.verify(&Signature(signature)).is_err(), "{node}");
            assert!(head.verify_countersignature(&node, &Signature(signature)).is_err(), "{node}");
        }
    }
}

/// A component of small order in an X25519 key cannot be seen, and need not be: clamping takes it off, and the associated
/// data hold the key as it was sent.
#[test]
fn a_component_of_small_order_adds_nothing_to_an_agreement() {
    let private = CurvePrivateKey::generate(&SeededPrimitives::new(3)).unwrap();
    let point = ED25519_BASEPOINT_POINT * curve25519_dalek::Scalar::from(77_u64);
    let secret = |point: EdwardsPoint| {
        let key = CurveKey::from_array(point.to_montgomery().to_bytes()).unwrap();
        *private.agree(&key).unwrap().expose()
    };
    for torsion in EIGHT_TORSION {
        assert_eq!(secret(point + torsion), secret(point));
    }
    for key in bad_identities() {
        assert!(IdentityKey::from_array(key).is_err());
    }
}
