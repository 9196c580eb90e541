//! What only an agent reads of what comes from outside, for fuzz targets: each takes any bytes and panics if something is wrong.
//!
//! The targets of formats that both sides share are in `fuzz/src`. The corpora of all are in `fuzz/corpus`, and these are replayed
//! by `tests/fuzz_corpora.rs`.

use sealpost_crypto::{IdentityPrivateKey, SecretBytes};
use sealpost_protocol::{
    AgentId, KeyId, PrekeyKind, Signer, Timestamp,
    encoding::{Decode, DecodeError, Encode},
};

use crate::{
    IdentityFile,
    agent::VaultHead,
    bodies::decompress,
    identity_file::{Content, SealedIdentity, encode_rows},
    records::{ContactRecord, NextKeyIds, PeerRecord, PrekeyRecord, ReceiptHeadRecord, VerifiedRecord, prekey_key},
};

/// A target's name, and what it does with its input.
type FuzzTarget = (&'static str, fn(&[u8]));

/// All of them.
pub const FUZZ_TARGETS: [FuzzTarget; 2] =
    [("identity_file", identity_file), ("compressed_content", compressed_content)];

/// An exported identity as the file that it is, what is in it once it is unsealed, and the one unsealed row of a store.
///
/// # Panics
/// If something is wrong.
pub fn identity_file(input: &[u8]) {
    if let Ok(sealed) = SealedIdentity::parse(input) {
        assert!(sealed.to_bytes() == input, "a file has one encoding");
    }
    if IdentityFile::parse(input).is_ok() {
        assert!(IdentityFile::parse(&[input, &[0]].concat()).is_err(), "something follows");
        let (_, rest) = input.split_last().unwrap_or((&0, &[]));
        assert!(IdentityFile::parse(rest).is_err(), "something is missing");
    }
    if let Ok(head) = VaultHead::from_bytes(input) {
        assert!(head.to_bytes() == input, "a head has one encoding");
    }
}

/// A frame of zstd for a content of so many bytes as the first two say.
///
/// # Panics
/// If something is wrong.
pub fn compressed_content(input: &[u8]) {
    let Some((length, frame)) = input.split_first_chunk() else { return };
    let length = u16::from_be_bytes(*length);
    let content = decompress(length.into(), [frame]);
    assert!(content == decompress(length.into(), frame.chunks(3)), "the same however it comes");
    assert!(content.is_none_or(|content| content.len() == usize::from(length)), "no more than was stated, and no less");
}

/// A target, the name of an input, and its bytes.
type FuzzSeed = (&'static str, &'static str, Vec<u8>);

/// The first corpora: nothing of them is left to chance.
///
/// # Errors
/// None, unless a seed makes no value.
pub fn fuzz_seeds() -> Result<Vec<FuzzSeed>, DecodeError> {
    let identity = IdentityPrivateKey::from_seed(&[7; 32])
        .map_err(|_| DecodeError::Invalid { field: "a seed", reason: "makes no key" })?;
    let peer = AgentId::from_array([5; 32]);
    let at = Timestamp::from_millis(1_795_351_425_123);
    let key = PrekeyRecord { key: SecretBytes::from(vec![3; 40]), retired: Some(at), published: true };
    let content = Content {
        seed: &[7; 32],
        manifest_version: 3,
        next_ids: NextKeyIds::FIRST,
        rows: [
            encode_rows(&[(prekey_key(PrekeyKind::Signed, KeyId(1)), key)]),
            encode_rows(&[(
                peer.as_bytes().to_vec(),
                PeerRecord { identity: identity.identity_key(), manifest: None },
            )]),
            encode_rows::<crate::records::RelayRecord>(&[]),
            encode_rows(&[(vec![9; 48], ReceiptHeadRecord { last: None, under_way: None })]),
            encode_rows(&[(b"bob".to_vec(), ContactRecord { agent: peer })]),
            encode_rows(&[(peer.as_bytes().to_vec(), VerifiedRecord { at })]),
        ],
    };
    // Memory, passes and lanes as this version sets them, and a salt.
    let parameters = [[1].as_slice(), &65_536_u32.to_be_bytes(), &[0, 0, 0, 3, 0, 0, 0, 1], &[6; 16]].concat();
    let identity_key = identity.identity_key();
    let sealed = |content: Vec<u8>| -> Result<SealedIdentity, DecodeError> {
        let parameters = sealpost_crypto::PassphraseParameters::from_bytes(&parameters)?;
        Ok(SealedIdentity { identity: identity_key, parameters, sealed_store_key: vec![4; 64], content })
    };
    let head = VaultHead {
        identity: identity_key,
        sealed_store_key: vec![4; 64],
        passphrase: Some(sealed(Vec::new())?.parameters),
    };
    Ok(vec![
        ("identity_file", "sealed", sealed(vec![2; 80])?.to_bytes()),
        ("identity_file", "content", content.encode().to_vec()),
        ("identity_file", "head", head.to_bytes()),
        ("compressed_content", "raw_block", b"\x00\x05\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello".to_vec()),
        ("compressed_content", "repeated_byte", b"\x00\xc8\x28\xb5\x2f\xfd\x20\xc8\x43\x06\x00x".to_vec()),
        ("compressed_content", "something_follows", b"\x00\x05\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello!".to_vec()),
        ("compressed_content", "more_than_stated", b"\x00\x04\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello".to_vec()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(name: &str) -> Vec<u8> {
        let mut seeds = fuzz_seeds().unwrap().into_iter();
        seeds.find(|(_, found, _)| *found == name).map(|(_, _, bytes)| bytes).unwrap()
    }

    #[test]
    fn the_seeds_are_what_they_are_called() {
        assert!(SealedIdentity::parse(&seed("sealed")).is_ok());
        assert!(IdentityFile::parse(&seed("content")).is_ok());
        assert!(VaultHead::from_bytes(&seed("head")).is_ok());
        let content = |name| {
            let bytes = seed(name);
            let (length, frame) = bytes.split_first_chunk().unwrap();
            decompress(u16::from_be_bytes(*length).into(), [frame])
        };
        assert_eq!(content("raw_block").as_deref(), Some(b"hello".as_slice()));
        assert_eq!(content("repeated_byte").as_deref(), Some([b'x'; 200].as_slice()));
        assert_eq!(content("something_follows"), None);
        assert_eq!(content("more_than_stated"), None);
    }
}
