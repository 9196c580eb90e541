//! What a relay may not get away with.

use std::time::Duration;

use sealpost_protocol::{Bundle, Manifest, OneTimePrekey, PrekeyKind, SuiteId};

use super::*;
use crate::{ManifestPrekeys, PrivatePrekey, SeenManifest, Validity, VerifiedManifest, testing::validity};

fn check(bundle: Bundle, owner: &TestAgent) -> Result<VerifiedBundle, BundleError> {
    VerifiedBundle::check(bundle, &owner.expected(&BOTH_SUITES), NOW)
}

#[test]
fn an_honest_bundle_passes_and_its_one_time_keys_are_used() {
    let bob = TestAgent::new(2);
    let bundle = check(bob.bundle(OneTimeKeys::There), &bob).unwrap();
    assert_eq!((bundle.agent_id(), bundle.seen().version), (bob.identity.agent_id(), 3));
    assert_eq!(bundle.one_time_curve.as_ref(), Some(&bob.one_time_curve.public()));
    assert_eq!(bundle.kem.as_ref().map(|kem| (kem.kind, kem.id)), Some((KemPrekeyKind::OneTime, KeyId(13))));
}

#[test]
fn the_last_resort_key_serves_when_the_one_time_keys_are_out() {
    let bob = TestAgent::new(2);
    let bundle = check(bob.bundle(OneTimeKeys::Out), &bob).unwrap();
    assert_eq!(bundle.one_time_curve, None);
    assert_eq!(bundle.kem.as_ref().map(|kem| (kem.kind, kem.id)), Some((KemPrekeyKind::LastResort, KeyId(7))));
}

#[test]
fn the_initiator_s_order_decides_among_common_suites() {
    let bob = TestAgent::new(2);
    for suites in [[Suite::X3dh25519, Suite::Pqxdh25519MlKem768], BOTH_SUITES] {
        let bundle = VerifiedBundle::check(bob.bundle(OneTimeKeys::There), &bob.expected(&suites), NOW).unwrap();
        assert_eq!(bundle.suite(), suites[0]);
    }
}

#[test]
fn without_a_common_suite_there_is_no_session() {
    let bob = TestAgent::with_suites(2, &[Suite::X3dh25519]);
    let expected = bob.expected(&[Suite::Pqxdh25519MlKem768]);
    let mut bundle = bob.bundle(OneTimeKeys::There);
    bundle.one_time_kem = None;
    assert_eq!(VerifiedBundle::check(bundle, &expected, NOW).map(drop), Err(BundleError::NoCommonSuite));
}

#[test]
fn another_agent_s_bundle_is_refused() {
    let (bob, eve) = (TestAgent::new(2), TestAgent::new(3));
    assert_eq!(check(eve.bundle(OneTimeKeys::There), &bob).map(drop), Err(BundleError::OtherAgent));
}

#[test]
fn an_older_manifest_than_one_that_was_seen_is_refused() {
    let bob = TestAgent::new(2);
    let seen = |version| SeenManifest::of(&bob.manifest.publish(&bob.identity, version, validity()).unwrap());
    let expected = |version| ExpectedBundle { seen: Some(seen(version)), ..bob.expected(&BOTH_SUITES) };
    let check = |version| VerifiedBundle::check(bob.bundle(OneTimeKeys::There), &expected(version), NOW).map(drop);
    assert_eq!(check(4), Err(BundleError::OldManifest { found: 3, lowest: 4 }));
    assert_eq!((check(3), check(2)), (Ok(()), Ok(())));
}

#[test]
fn another_manifest_of_a_version_that_was_seen_is_refused() {
    let bob = TestAgent::new(2);
    let other = ManifestPrekeys::generate(&SystemPrimitives, BOTH_SUITES.to_vec(), KeyId(9), validity()).unwrap();
    let seen = |version| Some(SeenManifest::of(&other.publish(&bob.identity, version, validity()).unwrap()));
    let check = |version| {
        let expected = ExpectedBundle { seen: seen(version), ..bob.expected(&BOTH_SUITES) };
        VerifiedBundle::check(bob.bundle(OneTimeKeys::There), &expected, NOW).map(drop)
    };
    assert_eq!(check(3), Err(BundleError::OtherManifest { version: 3 }));
    assert_eq!(check(2), Ok(()), "a newer one says what it likes");
}

#[test]
fn a_suite_that_nobody_here_knows_is_passed_over() {
    let bob = TestAgent::new(2);
    let honest = bob.bundle(OneTimeKeys::There);
    let mut fields = honest.manifest.fields().clone();
    fields.suites.insert(0, SuiteId(0x7f));
    let bundle = Bundle { manifest: Manifest::new(fields).unwrap().sign(&bob.identity).unwrap(), ..honest };
    assert_eq!(check(bundle, &bob).unwrap().suite(), BOTH_SUITES[0]);
}

#[test]
fn an_expired_manifest_is_refused_at_the_moment_it_expires() {
    let bob = TestAgent::new(2);
    let short = Validity::lasting(validity().created(), Duration::from_secs(3_600));
    let bundle = Bundle {
        manifest: bob.manifest.publish(&bob.identity, 3, short).unwrap(),
        one_time_curve: None,
        one_time_kem: None,
    };
    let check = |now| VerifiedBundle::check(bundle.clone(), &bob.expected(&BOTH_SUITES), now).map(drop);
    assert_eq!(check(short.expires()), Err(BundleError::ManifestExpired));
    assert_eq!(check(short.expires().saturating_sub(Duration::from_millis(1))), Ok(()));
}

#[test]
fn expired_keys_in_a_manifest_that_has_not_expired_are_refused() {
    let stale = Validity::lasting(validity().created(), Duration::from_secs(1));
    let mut bob = TestAgent::new(2);
    let fresh = std::mem::replace(
        &mut bob.manifest.signed,
        PrivatePrekey::generate(&SystemPrimitives, KeyId(8), stale).unwrap(),
    );
    let refused = |bob: &TestAgent| check(bob.bundle(OneTimeKeys::Out), bob).map(drop);
    assert_eq!(refused(&bob), Err(BundleError::KeyExpired(PrekeyKind::Signed)));
    bob.manifest.signed = fresh;
    bob.manifest.last_resort_kem = Some(PrivatePrekey::generate(&SystemPrimitives, KeyId(8), stale).unwrap());
    assert_eq!(refused(&bob), Err(BundleError::KeyExpired(PrekeyKind::LastResortKem)));
}

#[test]
fn a_key_is_refused_from_the_moment_it_expires() {
    let mut bob = TestAgent::new(2);
    for (life, expected) in [(60_000, Err(BundleError::KeyExpired(PrekeyKind::OneTimeCurve))), (60_001, Ok(()))] {
        let until_now = Validity::lasting(validity().created(), Duration::from_millis(life));
        bob.one_time_curve = PrivatePrekey::generate(&SystemPrimitives, KeyId(14), until_now).unwrap();
        assert_eq!(check(bob.bundle(OneTimeKeys::There), &bob).map(drop), expected);
    }
}

#[test]
fn expired_one_time_keys_are_refused() {
    let stale = Validity::lasting(validity().created(), Duration::from_secs(1));
    let mut bob = TestAgent::new(2);
    bob.one_time_kem = PrivatePrekey::generate(&SystemPrimitives, KeyId(14), stale).unwrap();
    let refused = |bob: &TestAgent| check(bob.bundle(OneTimeKeys::There), bob).map(drop);
    assert_eq!(refused(&bob), Err(BundleError::KeyExpired(PrekeyKind::OneTimeKem)));
    bob.one_time_curve = PrivatePrekey::generate(&SystemPrimitives, KeyId(14), stale).unwrap();
    assert_eq!(refused(&bob), Err(BundleError::KeyExpired(PrekeyKind::OneTimeCurve)));
}

#[test]
fn one_time_keys_that_another_agent_signed_are_refused() {
    let (bob, eve) = (TestAgent::new(2), TestAgent::new(3));
    let mut bundle = bob.bundle(OneTimeKeys::There);
    bundle.one_time_curve = eve.bundle(OneTimeKeys::There).one_time_curve;
    assert_eq!(check(bundle, &bob).map(drop), Err(BundleError::ForgedKey(PrekeyKind::OneTimeCurve)));
    let mut bundle = bob.bundle(OneTimeKeys::There);
    bundle.one_time_kem = eve.bundle(OneTimeKeys::There).one_time_kem;
    assert_eq!(check(bundle, &bob).map(drop), Err(BundleError::ForgedKey(PrekeyKind::OneTimeKem)));
}

#[test]
fn a_signature_holds_for_its_key_id_and_life_only() {
    let bob = TestAgent::new(2);
    let alterations: [fn(&mut OneTimePrekey<CurveKey>); 4] = [
        |one_time| one_time.prekey.id = KeyId(12),
        |one_time| one_time.prekey.expires = one_time.prekey.expires.saturating_add(Duration::from_millis(1)),
        |one_time| one_time.prekey.created = one_time.prekey.created.saturating_add(Duration::from_millis(1)),
        |one_time| one_time.signature = Signature([0; 64]),
    ];
    for alter in alterations {
        let mut bundle = bob.bundle(OneTimeKeys::There);
        alter(bundle.one_time_curve.as_mut().unwrap());
        assert_eq!(check(bundle, &bob).map(drop), Err(BundleError::ForgedKey(PrekeyKind::OneTimeCurve)));
    }
}

#[test]
fn a_manifest_s_own_key_does_not_pass_as_a_one_time_key() {
    let bob = TestAgent::new(2);
    let mut bundle = bob.bundle(OneTimeKeys::There);
    bundle.one_time_kem.as_mut().unwrap().prekey = bob.manifest.last_resort_kem.as_ref().unwrap().public();
    let refused: Result<(), BundleError> = check(bundle, &bob).map(drop);
    assert_eq!(refused, Err(BundleError::ForgedKey(PrekeyKind::OneTimeKem)));
}

#[test]
fn a_manifest_cannot_promise_a_kem_suite_without_a_kem_key() {
    let bob = TestAgent::new(2);
    let promises = ManifestPrekeys { last_resort_kem: None, ..bob.manifest };
    assert!(promises.publish(&bob.identity, 3, validity()).is_err());
}

#[test]
fn a_manifest_for_sealing_is_checked_as_for_sessions() {
    let (bob, eve) = (TestAgent::new(2), TestAgent::new(3));
    let manifest = |version| bob.manifest.publish(&bob.identity, version, validity()).unwrap();
    let check = |owner: &TestAgent, version, seen: Option<u64>, now| {
        let seen = seen.map(|version| SeenManifest::of(&manifest(version)));
        VerifiedManifest::check(&manifest(version), owner.identity.agent_id(), seen, now)
    };
    let verified = check(&bob, 3, Some(3), NOW).unwrap();
    assert_eq!((verified.identity, verified.sealing_key), (bob.identity.identity_key(), bob.manifest.sealing.public()));
    assert_eq!(verified.seen, SeenManifest::of(&manifest(3)));
    assert_eq!(check(&eve, 3, None, NOW).map(drop), Err(BundleError::OtherAgent));
    assert_eq!(check(&bob, 3, Some(4), NOW).map(drop), Err(BundleError::OldManifest { found: 3, lowest: 4 }));
    let late = NOW.saturating_add(Duration::from_secs(60 * 24 * 3600));
    assert_eq!(check(&bob, 3, None, late).map(drop), Err(BundleError::ManifestExpired));
}

#[test]
fn an_expired_sealing_key_is_not_sealed_to() {
    let bob = TestAgent::new(2);
    let short = Validity::lasting(NOW.saturating_sub(Duration::from_secs(60)), Duration::from_secs(30));
    let sealing = PrivatePrekey::generate(&SystemPrimitives, KeyId(9), short).unwrap();
    let prekeys = ManifestPrekeys { sealing, ..TestAgent::new(2).manifest };
    let manifest = prekeys.publish(&bob.identity, 3, validity()).unwrap();
    let checked = VerifiedManifest::check(&manifest, bob.identity.agent_id(), None, NOW);
    assert_eq!(checked.map(drop), Err(BundleError::KeyExpired(PrekeyKind::Sealing)));
}
