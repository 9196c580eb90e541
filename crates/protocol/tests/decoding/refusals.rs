//! A table for each type that is decoded: every field that can be wrong, and what is said of it.

use sealpost_protocol::{
    BodyAccess, Bundle, CountersignedHead, CurveKey, Envelope, EnvelopeHeader, KemCiphertext, KemKey, OneTimePrekey,
    ReceiptProof, RefusalReason, SignedManifest, Signer, Verdict,
    encoding::{Decode, DecodeError, Encode},
    limits,
};

use super::{check, invalid, samples::*, too_long, unknown};

/// What is no key: the neutral element, and a number above the field's prime.
const NO_KEY: [u8; 32] = [0xff; 32];
const NEUTRAL: [u8; 32] = [0; 32];

fn no_identity() -> DecodeError {
    invalid("identity key", "not a canonical Ed25519 key of the prime-order subgroup")
}

/// What the library says of bytes that are no curve key.
fn no_curve_key(bytes: &[u8; 32]) -> DecodeError {
    let error = CurveKey::from_bytes(bytes).unwrap_err();
    assert!(matches!(error, DecodeError::Invalid { field: "curve key", .. }), "{error:?}");
    error
}

fn no_kem_key() -> DecodeError {
    let error = KemKey::from_bytes(&[0xff; KemKey::LENGTH]).unwrap_err();
    assert!(matches!(error, DecodeError::Invalid { field: "KEM key", .. }), "{error:?}");
    error
}

const PREKEY: usize = 4 + 8 + 8;
const BEFORE: &[u8] = &[0; 8];

fn no_expiry() -> DecodeError {
    invalid("prekey expiry", "not after its creation")
}

#[test]
fn envelopes() {
    let opening = EnvelopeHeader::LENGTH;
    let one_time = opening + 1 + 32 + 32 + 4;
    let kem = one_time + 1 + 4;
    let length = kem + 1 + 1 + 4 + KemCiphertext::LENGTH + 12;
    let table = [
        (0, [2].as_slice(), unknown("envelope format", 2)),
        (17, &NEUTRAL, no_curve_key(&NEUTRAL)),
        (17, &NO_KEY, no_curve_key(&NO_KEY)),
        (opening - 1, &[2], unknown("opening flag", 2)),
        (opening, &[9], unknown("suite", 9)),
        // X3DH uses no KEM key.
        (opening, &[1], invalid("KEM opening", "does not match the suite")),
        (opening + 1, &NO_KEY, no_identity()),
        (opening + 33, &NEUTRAL, no_curve_key(&NEUTRAL)),
        (one_time, &[2], unknown("one-time curve key id", 2)),
        (kem, &[2], unknown("KEM opening", 2)),
        (kem + 1, &[3], unknown("KEM prekey kind", 3)),
        (length, &[0xff; 4], too_long("ciphertext", 0xffff_ffff, limits::CIPHERTEXT)),
    ];
    check(&envelope(), &table);
    let mut in_session = envelope();
    (in_session.header.opens_session, in_session.opening) = (false, None);
    check(&in_session, &[]);
    let mut longest = in_session;
    longest.ciphertext = vec![0; limits::CIPHERTEXT + 1];
    let error = too_long("ciphertext", limits::CIPHERTEXT + 1, limits::CIPHERTEXT);
    assert_eq!(Envelope::from_bytes(&longest.to_bytes()), Err(error));
}

#[test]
fn manifests() {
    let (identity, suites) = (1, 1 + 32);
    let signed = suites + 2 + 2;
    let kem = signed + PREKEY + 32;
    let sealing = kem + 1 + PREKEY + KemKey::LENGTH;
    let version = sealing + PREKEY + 32;
    let (created, expires, signature) = (version + 8, version + 16, version + 24);
    let forged = DecodeError::BadSignature { field: "manifest" };
    let table = [
        (0, [2].as_slice(), unknown("manifest format", 2)),
        (identity, &NO_KEY, no_identity()),
        (suites, &[0xff, 0xff], too_long("suites", 0xffff, limits::SUITES)),
        (suites + 2, &[1, 1], invalid("manifest", "its suites are none, too many or repeated")),
        (signed + 12, BEFORE, no_expiry()),
        (signed + PREKEY, &NEUTRAL, no_curve_key(&NEUTRAL)),
        (kem, &[2], unknown("last-resort KEM key", 2)),
        (kem + 13, BEFORE, no_expiry()),
        (kem + 1 + PREKEY, &[0xff; KemKey::LENGTH], no_kem_key()),
        (sealing + 12, BEFORE, no_expiry()),
        (sealing + PREKEY, &NO_KEY, no_curve_key(&NO_KEY)),
        (created, BEFORE, invalid("manifest", "its life is empty or too long")),
        (expires, BEFORE, invalid("manifest", "its life is empty or too long")),
        // What may be so and was not signed so.
        (signed, &[9], forged.clone()),
        (version, &[9], forged.clone()),
        (signature, &[0; 64], forged),
    ];
    check(&manifest(), &table);
    let bytes = manifest().to_bytes();
    let without_kem = [&bytes[..kem], &[0], &bytes[sealing..]].concat();
    let error = invalid("manifest", "its KEM key does not match its suites");
    assert_eq!(SignedManifest::from_bytes(&without_kem), Err(error));
}

#[test]
fn prekeys_and_bundles() {
    let curve = bundle().one_time_curve.unwrap();
    let table = [(12, BEFORE, no_expiry()), (PREKEY, NEUTRAL.as_slice(), no_curve_key(&NEUTRAL))];
    check(&curve, &table);
    let kem = bundle().one_time_kem.unwrap();
    check(&kem, &[(12, BEFORE, no_expiry()), (PREKEY, &[0xff; KemKey::LENGTH], no_kem_key())]);
    let (of_curve, of_kem) = (curve.to_bytes().len(), kem.to_bytes().len());
    let options = manifest().to_bytes().len();
    let table = [
        (0, [2].as_slice(), unknown("manifest format", 2)),
        (options, &[2], unknown("one-time curve key", 2)),
        (options + 1 + 12, BEFORE, no_expiry()),
        (options + 1 + of_curve, &[2], unknown("one-time KEM key", 2)),
        (options + 2 + of_curve + 12, BEFORE, no_expiry()),
    ];
    check(&bundle(), &table);
    check(&Bundle { one_time_curve: None, one_time_kem: None, ..bundle() }, &[]);
    assert_eq!(bundle().to_bytes().len(), options + 2 + of_curve + of_kem);
    let renamed = OneTimePrekey::<CurveKey>::from_bytes(&[&[9], &curve.to_bytes()[1..]].concat()).unwrap();
    assert!(curve.verify(&Identity::new(7).identity_key()).is_ok());
    assert!(renamed.verify(&Identity::new(7).identity_key()).is_err(), "it was signed under another id");
}

#[test]
fn receipts() {
    let (id, attempt) = (32, 32 + 16);
    let verdict = attempt + 2 + 32 + 32;
    let leaf_table = [
        (id + 6, [0x40].as_slice(), invalid("message id", "not a version 7 UUID")),
        (attempt, &[0, 0], invalid("attempt", "attempts count from 1")),
        (verdict, &[4], unknown("verdict", 4)),
    ];
    check(&leaf(Verdict::Stored), &leaf_table);
    let refused = leaf(Verdict::Refused(RefusalReason::Replay));
    check(&refused, &[(verdict + 1, &[7], unknown("refusal reason", 7))]);

    let (root, count) = (32 + 8 + 32, 32 + 8 + 32 + 32 + 64);
    let astray = || invalid("receipts", "do not lead to the signed root");
    let batch_table = [
        (root, [9].as_slice(), astray()),
        (count, &[0xff, 0xff], too_long("receipts", 0xffff, limits::RECEIPTS_PER_BATCH)),
        (count + 2 + attempt, &[0, 0], invalid("attempt", "attempts count from 1")),
        (count + 2 + verdict, &[2], astray()),
    ];
    check(&batch(), &batch_table);

    let proof = batch().proofs().remove(0);
    let path = proof.leaf.to_bytes().len();
    let proof_table = [
        (attempt, [0, 0].as_slice(), invalid("attempt", "attempts count from 1")),
        (path + 4, &[0xff, 0xff], too_long("Merkle path", 0xffff, limits::MERKLE_LEVELS)),
    ];
    check(&proof, &proof_table);
    let owner = Identity::new(7).identity_key();
    assert_eq!(proof.verify(&owner), Ok(()));
    // What every field may be, and was not when it was signed.
    for place in 0..proof.to_bytes().len() {
        let mut altered = proof.to_bytes();
        altered[place] ^= 1;
        let passes = ReceiptProof::from_bytes(&altered).is_ok_and(|altered| altered.verify(&owner).is_ok());
        assert!(!passes, "byte {place} may be altered");
    }

    let signed = *batch().signed_head();
    check(&signed, &[]);
    let countersignature = signed.head.countersign(&Identity::new(9));
    check(&CountersignedHead { signed, countersignature }, &[]);
}

#[test]
fn signed_parts() {
    let access = 1 + 1 + 32 + 64;
    let of_ratchet = invalid("part scheme", "a ratchet's part is an envelope");
    let common = [
        (0, [2].as_slice(), unknown("part format", 2)),
        (1, &[9], unknown("scheme", 9)),
        (1, &[3], of_ratchet),
        (2, &NO_KEY, no_identity()),
    ];
    check(&part(BodyAccess::Open), &common);
    check(&part(shared()), &common);
    check(&part(wrapped()), &common);
    check(&part(wrapped()), &[(access + 4, &NEUTRAL, no_curve_key(&NEUTRAL))]);
}
