//! Prekeys in public and in store.

use std::collections::HashSet;

use sealpost_protocol::encoding::Decode as _;

use super::*;
use crate::{
    SystemPrimitives,
    testing::{BOTH_SUITES, FailingPrimitives, TestAgent, validity},
};

#[test]
fn a_stored_prekey_reads_back() {
    let bob = TestAgent::new(2);
    let curve = OneTimeCurvePrekey::decode(&bob.one_time_curve.encode()).unwrap();
    assert_eq!((curve.public(), curve.encode()), (bob.one_time_curve.public(), bob.one_time_curve.encode()));
    let kem = OneTimeKemPrekey::decode(&bob.one_time_kem.encode()).unwrap();
    assert_eq!((kem.public(), kem.encode()), (bob.one_time_kem.public(), bob.one_time_kem.encode()));
}

#[test]
fn a_stored_prekey_never_reads_back_as_another_kind() {
    let bob = TestAgent::new(2);
    assert!(SignedPrekey::decode(&bob.one_time_curve.encode()).is_err());
    assert!(SealingPrekey::decode(&bob.manifest.signed.encode()).is_err());
    assert!(LastResortKemPrekey::decode(&bob.one_time_kem.encode()).is_err());
}

#[test]
fn a_stored_prekey_that_was_cut_or_lengthened_does_not_read_back() {
    let stored = TestAgent::new(2).one_time_curve.encode();
    for length in 0..stored.len() {
        assert!(OneTimeCurvePrekey::decode(&stored[..length]).is_err(), "{length} bytes");
    }
    assert!(OneTimeCurvePrekey::decode(&[&stored[..], &[0]].concat()).is_err());
}

#[test]
fn many_keys_have_ids_in_a_row_and_nothing_else_in_common() {
    let keys = OneTimeCurvePrekey::generate_many(&SystemPrimitives, KeyId(40), 100, validity()).unwrap();
    assert!(keys.iter().map(|key| key.id().0).eq(40..140));
    let distinct: HashSet<[u8; 32]> = keys.iter().map(|key| *key.public().key.as_bytes()).collect();
    assert_eq!(distinct.len(), 100);
}

#[test]
fn ids_are_not_used_twice_where_they_end() {
    let keys = OneTimeCurvePrekey::generate_many(&SystemPrimitives, KeyId(u32::MAX - 1), 100, validity()).unwrap();
    assert!(keys.iter().map(|key| key.id().0).eq([u32::MAX - 1, u32::MAX]));
}

#[test]
fn a_published_manifest_reads_back_as_signed() {
    let bob = TestAgent::new(2);
    let manifest = bob.manifest.publish(&bob.identity, 9, validity()).unwrap();
    assert_eq!(
        SignedManifest::from_bytes(&sealpost_protocol::encoding::Encode::to_bytes(&manifest)),
        Ok(manifest.clone())
    );
    let fields = manifest.fields();
    assert_eq!((fields.version, manifest.agent_id()), (9, bob.identity.agent_id()));
    assert_eq!(fields.suites, BOTH_SUITES.map(SuiteId::from));
    assert_eq!(fields.signed_prekey, bob.manifest.signed.public());
    assert_eq!(fields.sealing_key, bob.manifest.sealing.public());
}

#[test]
fn without_a_kem_suite_there_is_no_kem_key() {
    let keys = ManifestPrekeys::generate(&SystemPrimitives, vec![Suite::X3dh25519], KeyId(1), validity()).unwrap();
    assert!(keys.last_resort_kem.is_none());
    assert!(keys.publish(&TestAgent::new(2).identity, 1, validity()).is_ok());
}

#[test]
fn a_set_that_lacks_randomness_for_its_last_key_is_no_set() {
    for calls in 0..3 {
        let keys =
            ManifestPrekeys::generate(&FailingPrimitives::after(calls), BOTH_SUITES.to_vec(), KeyId(1), validity());
        assert_eq!(keys.map(drop), Err(PrimitivesError::Randomness), "after {calls} calls");
    }
}

#[test]
fn a_life_has_a_length() {
    let life = Validity::lasting(Timestamp::from_millis(5), Duration::ZERO);
    assert!(life.created() < life.expires());
}
