//! What a manifest may say, and that nobody can change it.

use ed25519_dalek::{Signer as _, SigningKey};

use super::*;
use crate::KeyId;

const UNKNOWN: SuiteId = SuiteId(0x7f);

struct Identity(SigningKey);

impl Signer for Identity {
    fn identity_key(&self) -> IdentityKey {
        IdentityKey::from_array(self.0.verifying_key().to_bytes()).unwrap()
    }

    fn sign(&self, input: &SigningInput) -> Signature {
        Signature(self.0.sign(input.as_bytes()).to_bytes())
    }
}

fn identity() -> Identity {
    Identity(SigningKey::from_bytes(&[7; 32]))
}

fn fields(suites: &[SuiteId], with_kem: bool) -> ManifestFields {
    let (created, expires) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
    let curve = Prekey { id: KeyId(1), created, expires, key: CurveKey::from_array([9; 32]).unwrap() };
    let kem = Prekey { id: KeyId(1), created, expires, key: KemKey::from_array([0; KemKey::LENGTH]).unwrap() };
    ManifestFields {
        identity: identity().identity_key(),
        suites: suites.to_vec(),
        signed_prekey: curve.clone(),
        last_resort_kem: with_kem.then_some(kem),
        sealing_key: curve,
        version: 1,
        created,
        expires,
    }
}

#[test]
fn an_unknown_suite_is_kept_and_the_signature_covers_it() {
    let suites = [UNKNOWN, Suite::Pqxdh25519MlKem768.into(), Suite::X3dh25519.into()];
    let manifest = Manifest::new(fields(&suites, true)).unwrap().sign(&identity()).unwrap();
    let bytes = manifest.to_bytes();
    assert_eq!(SignedManifest::from_bytes(&bytes), Ok(manifest.clone()));
    assert_eq!(manifest.fields().suites, suites);
    assert_eq!((UNKNOWN.known(), suites[1].known()), (None, Some(Suite::Pqxdh25519MlKem768)));
    let forged = Err(DecodeError::BadSignature { field: "manifest" });
    let list = 1 + 32 + 2;
    for place in list..list + 3 {
        let mut altered = bytes.clone();
        altered[place] = 0x55;
        assert_eq!(SignedManifest::from_bytes(&altered), forged, "another suite");
    }
    let mut swapped = bytes.clone();
    swapped.swap(list + 1, list + 2);
    assert_eq!(SignedManifest::from_bytes(&swapped), forged, "another order");
    let mut cut = bytes;
    cut[list - 1] = 2;
    cut.remove(list + 2);
    assert_eq!(SignedManifest::from_bytes(&cut), forged, "a suite less");
}

#[test]
fn a_kem_key_is_there_when_a_known_suite_needs_it_and_only_when_one_may() {
    let (with, without) = (Suite::Pqxdh25519MlKem768.into(), Suite::X3dh25519.into());
    let allowed = |suites: &[SuiteId], with_kem| Manifest::new(fields(suites, with_kem)).is_ok();
    assert!(allowed(&[with], true) && !allowed(&[with], false));
    assert!(allowed(&[without], false) && !allowed(&[without], true));
    assert!(allowed(&[UNKNOWN], false) && allowed(&[UNKNOWN], true));
    assert!(!allowed(&[UNKNOWN, with], false) && allowed(&[UNKNOWN, without], true));
}

#[test]
fn a_suite_is_listed_once_known_or_not() {
    for suites in [&[UNKNOWN, UNKNOWN][..], &[]] {
        assert_eq!(Manifest::new(fields(suites, false)), Err(ManifestError::Suites));
    }
}

#[test]
fn the_hash_tells_manifests_of_one_version_apart() {
    let signed = |suites: &[SuiteId]| Manifest::new(fields(suites, false)).unwrap().sign(&identity()).unwrap();
    let (one, other) = (signed(&[Suite::X3dh25519.into()]), signed(&[UNKNOWN]));
    assert_eq!(one.hash(), SignedManifest::from_bytes(&one.to_bytes()).unwrap().hash());
    assert_ne!(one.hash(), other.hash());
}
