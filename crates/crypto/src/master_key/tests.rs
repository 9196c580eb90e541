//! Passphrases and key files.

use super::*;
use crate::testing::{SeededPrimitives, hex_array};

const PASSPHRASE: &str = "correct horse battery staple";

fn parameters(memory_kib: u32, passes: u32) -> PassphraseParameters {
    let salt = std::array::from_fn(|index| u8::try_from(index).unwrap());
    PassphraseParameters { memory_kib, passes, lanes: 1, salt }
}

fn key(passphrase: &str, parameters: PassphraseParameters) -> [u8; 32] {
    let provider = PassphraseProvider::new(Zeroizing::new(passphrase.to_owned()), parameters).unwrap();
    *provider.master_key().unwrap().expose()
}

#[test]
fn a_passphrase_gives_the_key_that_the_reference_implementation_gives() {
    // argon2-cffi 25.1: hash_secret_raw(PASSPHRASE, bytes(range(16)), passes, memory, 1, 32, Type.ID)
    let weakest = hex_array("818259b6310026a8e0dbac5d2e6927abcfdb07b32258fac4f61b18b80f929085");
    let default = hex_array("0d1a3c6523c8f06e4e0af9c515aa5b5448cfebd6838f2d52c3d8b6ef8ddc3c2e");
    assert_eq!(key(PASSPHRASE, parameters(19 * 1_024, 2)), weakest);
    assert_eq!(key(PASSPHRASE, parameters(64 * 1_024, 3)), default);
}

/// RFC 9106, section 5.3. It has a secret and associated data, which we do without: so it is asked of the library.
#[test]
fn the_library_agrees_with_rfc_9106() {
    let mut parameters = argon2::ParamsBuilder::new();
    parameters.m_cost(32).t_cost(3).p_cost(4).data(argon2::AssociatedData::new(&[4; 12]).unwrap());
    let parameters = parameters.build().unwrap();
    let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, parameters).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    assert_eq!(tag, hex_array("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"));
}

#[test]
fn passphrase_and_salt_both_decide_the_key() {
    let weak = parameters(19 * 1_024, 2);
    let other_salt = PassphraseParameters { salt: [9; 16], ..weak.clone() };
    assert_ne!(key("Correct horse battery staple", weak.clone()), key(PASSPHRASE, weak.clone()));
    assert_ne!(key(PASSPHRASE, other_salt), key(PASSPHRASE, weak));
}

#[test]
fn new_parameters_are_the_defaults_with_a_salt_of_their_own_and_read_back() {
    let primitives = SeededPrimitives::new(1);
    let (one, other) = (PassphraseParameters::generate(&primitives), PassphraseParameters::generate(&primitives));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.salt, other.salt);
    assert_eq!((one.memory_kib, one.passes, one.lanes), (65_536, 3, 1));
    assert_eq!(PassphraseParameters::from_bytes(&one.to_bytes()), Ok(one));
}

#[test]
fn parameters_that_are_too_weak_or_too_much_are_refused() {
    let absurd = [
        parameters(limits::ARGON2_LEAST_MEMORY_KIB - 1, 3),
        parameters(limits::ARGON2_MOST_MEMORY_KIB + 1, 3),
        parameters(65_536, limits::ARGON2_FEWEST_PASSES - 1),
        parameters(65_536, limits::ARGON2_MOST_PASSES + 1),
        PassphraseParameters { lanes: 0, ..parameters(65_536, 3) },
        PassphraseParameters { lanes: limits::ARGON2_MOST_LANES + 1, ..parameters(65_536, 3) },
    ];
    for parameters in absurd {
        assert!(PassphraseParameters::from_bytes(&parameters.to_bytes()).is_err(), "{parameters:?}");
    }
    let mut later = parameters(65_536, 3).to_bytes();
    later[0] = 2;
    assert!(PassphraseParameters::from_bytes(&later).is_err());
}

#[test]
fn an_empty_passphrase_is_refused() {
    let provider = PassphraseProvider::new(Zeroizing::default(), parameters(65_536, 3));
    assert_eq!(provider.map(drop), Err(MasterKeyError::EmptyPassphrase));
}

#[test]
fn a_key_file_holds_bytes_or_digits() {
    let bytes: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 7).unwrap());
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let forms = [bytes.to_vec(), digits.clone().into(), digits.to_uppercase().into(), format!("{digits}\n").into()];
    for contents in forms.into_iter().chain([format!("{digits}\r\n").into_bytes()]) {
        let provider = KeyFileProvider::from_contents(&contents).unwrap();
        assert_eq!(provider.master_key().unwrap().expose(), &bytes, "{contents:?}");
    }
}

#[test]
fn other_key_files_are_refused() {
    let digits = "0".repeat(64);
    let bad =
        [String::new(), "0".repeat(63), "0".repeat(65), format!("{digits}\n\n"), format!(" {digits}"), "g".repeat(64)];
    for contents in bad {
        let provider = KeyFileProvider::from_contents(contents.as_bytes());
        assert_eq!(provider.map(drop), Err(MasterKeyError::NotAKeyFile), "{contents:?}");
    }
    assert_eq!(KeyFileProvider::from_contents(&[7; 33]).map(drop), Err(MasterKeyError::NotAKeyFile));
}

#[test]
fn debug_shows_neither_passphrase_nor_key() {
    let provider = PassphraseProvider::new(Zeroizing::new(PASSPHRASE.to_owned()), parameters(65_536, 3)).unwrap();
    let file = KeyFileProvider::from_contents(&[7; 32]).unwrap();
    insta::assert_snapshot!(format!("{provider:?} {file:?}"), @"PassphraseProvider { parameters: PassphraseParameters { memory_kib: 65536, passes: 3, lanes: 1, salt: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] }, .. } KeyFileProvider(MasterKey(…))");
}
