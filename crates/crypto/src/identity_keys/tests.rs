//! The identity's two uses: Ed25519 against its RFC and another library, and X25519.

use std::cell::RefCell;

use curve25519_dalek::{EdwardsPoint, Scalar, scalar::clamp_integer, traits::Identity};
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _, VerifyingKey};
use sealpost_protocol::SignatureMismatch;
use sha2::{Digest, Sha512};

use super::*;
use crate::{
    primitives::SystemPrimitives,
    testing::{TestAgent, hex_array},
};

#[test]
fn rfc_8032_section_7_1_agrees_on_the_public_key() {
    let seed = hex_array("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public: [u8; 32] = hex_array("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let identity = IdentityPrivateKey::from_seed(&seed).unwrap();
    assert_eq!(identity.identity_key().as_bytes(), &public);
    assert_eq!(*identity.expose_seed(), seed);
}

/// Keeps what it is asked to sign.
struct Recorder<'a>(&'a IdentityPrivateKey, RefCell<Vec<(SigningInput, Signature)>>);

impl Signer for Recorder<'_> {
    fn identity_key(&self) -> IdentityKey {
        self.0.identity_key()
    }

    fn sign(&self, input: &SigningInput) -> Signature {
        let signature = self.0.sign(input);
        self.1.borrow_mut().push((input.clone(), signature));
        signature
    }
}

#[test]
fn signatures_are_those_of_another_library_and_verify_strictly() {
    let agent = TestAgent::new(1);
    let recorder = Recorder(&agent.identity, RefCell::default());
    let _ = agent.one_time_curve.publish(&recorder);
    let _ = agent.one_time_kem.publish(&recorder);
    let other = SigningKey::from_bytes(agent.identity.expose_seed().first_chunk().unwrap());
    let signed = recorder.1.into_inner();
    assert_eq!(signed.len(), 2);
    for (input, signature) in signed {
        assert_eq!(signature.0, other.sign(input.as_bytes()).to_bytes());
        assert_eq!(agent.identity.identity_key().verify(&input, &signature), Ok(()));
    }
}

/// Whoever has a key can make a signature whose R is the neutral point. The equation of RFC 8032 holds for it, and other
/// verifiers take it; to us no signature has a point of small order in it.
#[test]
fn a_signature_that_is_right_but_for_its_point_of_small_order_does_not_verify() {
    let agent = TestAgent::new(1);
    let recorder = Recorder(&agent.identity, RefCell::default());
    let _ = agent.one_time_curve.publish(&recorder);
    let (input, right) = recorder.1.into_inner().remove(0);
    let key = agent.identity.identity_key();
    let neutral = EdwardsPoint::identity().compress().to_bytes();
    let wide = |hash: Sha512| Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let digest: [u8; 64] = Sha512::digest(&*agent.identity.expose_seed()).into();
    let private = Scalar::from_bytes_mod_order(clamp_integer(*digest.first_chunk().unwrap()));
    let challenge =
        wide(Sha512::new().chain_update(neutral).chain_update(key.as_bytes()).chain_update(input.as_bytes()));
    let mut signature = Signature([0; 64]);
    signature.0[..32].copy_from_slice(&neutral);
    signature.0[32..].copy_from_slice((challenge * private).as_bytes());

    let lax = VerifyingKey::from_bytes(key.as_bytes()).unwrap();
    let form = ed25519_dalek::Signature::from_bytes(&signature.0);
    assert!(lax.verify(input.as_bytes(), &form).is_ok(), "it satisfies the equation");
    assert_eq!(key.verify(&input, &signature), Err(SignatureMismatch));
    assert_eq!(key.verify(&input, &right), Ok(()));
}

#[test]
fn the_curve_form_of_the_public_key_belongs_to_that_of_the_private_key() {
    for _ in 0..20 {
        let identity = IdentityPrivateKey::generate(&SystemPrimitives).unwrap();
        assert_eq!(curve_form(&identity.identity_key()), Ok(identity.agreement.public_key()));
    }
}

#[test]
fn two_identities_agree() {
    let (alice, bob) = (TestAgent::new(1).identity, TestAgent::new(2).identity);
    let at_alice = alice.agree(&curve_form(&bob.identity_key()).unwrap()).unwrap();
    let at_bob = bob.agree(&curve_form(&alice.identity_key()).unwrap()).unwrap();
    assert_eq!(at_alice.expose(), at_bob.expose());
}

#[test]
fn debug_shows_the_agent_and_no_secret() {
    let agent = TestAgent::new(1);
    insta::assert_snapshot!(format!("{:?} {:?}", agent.identity, agent.one_time_curve), @"IdentityPrivateKey(agent1r6sq30788z6hgy6qx8rv67deccaekkm6894xu2tx8m7k6vfrrjwsajjpwe) PrivatePrekey { kind: OneTimeCurve, id: KeyId(11), validity: Validity { created: Timestamp(1795351365123), expires: Timestamp(1798029765123) }, .. }");
}
