use proptest::prelude::*;
use sealpost_protocol::{
    MessageType, ThreadId,
    encoding::{Decode, Encode},
};

use super::*;
use crate::{ContentKind, FileName, secret::SecretBytes, testing::SeededPrimitives};

const CHUNK: usize = limits::BODY_CHUNK;

fn prelude(content_length: usize) -> Prelude {
    Prelude {
        message_type: Some(MessageType::new("report").unwrap()),
        thread: Some(ThreadId([3; 16])),
        reply_to: None,
        file_name: Some(FileName::new("report.pdf").unwrap()),
        kind: ContentKind::Bytes,
        content_length: content_length as u64,
        compressed_length: None,
    }
}

fn key(seed: u64) -> ContentKey {
    ContentKey::generate(&SeededPrimitives::new(seed)).unwrap()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 + 1).collect()
}

fn seal(seal: &BodySeal<'_>, content: &[u8]) -> Vec<Vec<u8>> {
    let mut sealer = BodySealer::new(seal, &prelude(content.len())).unwrap();
    let (mut pieces, mut rest, length) = (Vec::new(), content, sealer.body_length());
    while let Some(room) = sealer.room() {
        let (now, later) = rest.split_at(room.len());
        room.copy_from_slice(now);
        rest = later;
        pieces.push(sealer.seal().unwrap().to_vec());
    }
    assert!(rest.is_empty() && sealer.seal().unwrap().is_empty());
    assert_eq!(pieces.concat().len() as u64, length);
    pieces
}

fn open(seal: &BodySeal<'_>, body: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut opener = BodyOpener::new(seal, body.len() as u64)?;
    let (mut content, mut rest) = (Vec::new(), body);
    while opener.needed() > 0 {
        let (piece, later) = rest.split_at(opener.needed());
        content.extend_from_slice(&opener.open(piece)?);
        rest = later;
    }
    assert_eq!(opener.prelude(), Some(&prelude(content.len())));
    assert!(rest.is_empty());
    Ok(content)
}

/// Content lengths around every edge: nothing, a chunk that the prelude fills up, padding that needs a chunk of its own.
fn edges() -> Vec<usize> {
    let prelude = prelude(0).to_bytes().len();
    let around = |length: usize| (length - prelude - 1)..=(length - prelude + 1);
    let mut lengths = vec![0, 1, 40 * CHUNK + 7];
    lengths.extend([CHUNK, 2 * CHUNK, 9 * CHUNK].into_iter().flat_map(around));
    lengths
}

#[test]
fn contents_of_every_length_come_back_under_both_seals() {
    let key = key(1);
    for length in edges() {
        let content = content(length);
        for how in [BodySeal::Open, BodySeal::Sealed(&key)] {
            let body = seal(&how, &content).concat();
            assert!(open(&how, &body).as_ref() == Ok(&content), "{length} {how:?}");
        }
    }
}

#[test]
fn contents_of_one_class_of_lengths_have_one_length() {
    let key = key(1);
    let length = |content_length: usize| {
        BodySealer::new(&BodySeal::Sealed(&key), &prelude(content_length)).unwrap().body_length()
    };
    assert_eq!(length(1_000_000), length(1_000_001));
    assert!(length(1_000_000) < 1_120_000);
}

#[test]
fn a_body_of_terabytes_has_a_layout_and_takes_no_memory() {
    let key = key(1);
    let sealer = BodySealer::new(&BodySeal::Sealed(&key), &prelude(10 << 40)).unwrap();
    let opener = BodyOpener::new(&BodySeal::Sealed(&key), sealer.body_length()).unwrap();
    assert_eq!(opener.needed(), PREFIX + CHUNK + aead::TAG);
    let beyond = Prelude { content_length: limits::BODY_CONTENT + 1, ..prelude(0) };
    let refusal = BodySealer::new(&BodySeal::Sealed(&key), &beyond).err();
    let too_long = DecodeError::Invalid { field: "content length", reason: "beyond every limit" };
    assert_eq!(refusal, Some(BodyError::Plaintext(too_long)));
}

#[test]
fn no_chunk_can_be_changed_left_out_moved_added_or_cut_off() {
    let key = key(1);
    let how = BodySeal::Sealed(&key);
    let pieces = seal(&how, &content(3 * CHUNK + 5));
    assert!(pieces.len() > 3, "{} chunks", pieces.len());
    for at in 0..pieces.len() {
        for byte in [0, pieces[at].len() / 2, pieces[at].len() - 1] {
            let mut changed = pieces.clone();
            changed[at][byte] ^= 1;
            assert!(open(&how, &changed.concat()).is_err(), "chunk {at}, byte {byte}");
        }
    }
    let with = |order: &[usize]| order.iter().flat_map(|at| pieces[*at].clone()).collect::<Vec<u8>>();
    assert_eq!(open(&how, &with(&[0, 2, 1, 3])), Err(BodyError::Tag));
    assert!(open(&how, &with(&[0, 1, 2])).is_err(), "the last cut off");
    assert!(open(&how, &with(&[0, 2, 3])).is_err(), "one left out");
    assert!(open(&how, &with(&[0, 1, 1, 2, 3])).is_err(), "one twice");
}

#[test]
fn another_key_is_told_by_the_commitment() {
    let (key, other) = (key(1), key(2));
    let body = seal(&BodySeal::Sealed(&key), b"secret").concat();
    assert_eq!(open(&BodySeal::Sealed(&other), &body), Err(BodyError::Commitment));
}

#[test]
fn the_key_seals_the_same_content_to_the_same_body() {
    let key = key(1);
    let body = seal(&BodySeal::Sealed(&key), b"secret");
    assert_eq!(body, seal(&BodySeal::Sealed(&key), b"secret"));
    assert!(!body.concat().windows(6).any(|window| window == b"secret"));
}

#[test]
fn lengths_that_no_body_has_are_refused() {
    let key = key(1);
    let tag = aead::TAG as u64;
    for length in [0, 1, PREFIX as u64, PREFIX as u64 + tag, PREFIX as u64 + CHUNK as u64 + 2 * tag] {
        assert_eq!(BodyOpener::new(&BodySeal::Sealed(&key), length).err(), Some(BodyError::Length(length)));
    }
    assert_eq!(BodyOpener::new(&BodySeal::Open, 0).err(), Some(BodyError::Length(0)));
}

#[test]
fn a_piece_of_another_length_is_refused_and_the_opener_goes_on() {
    let key = key(1);
    let how = BodySeal::Sealed(&key);
    let pieces = seal(&how, &content(CHUNK + 5));
    let mut opener = BodyOpener::new(&how, pieces.concat().len() as u64).unwrap();
    let needed = opener.needed();
    for found in [0, needed - 1] {
        assert_eq!(opener.open(&pieces[0][..found]).err(), Some(BodyError::Piece { needed, found }));
    }
    let mut forged = pieces[0].clone();
    forged[100] ^= 1;
    assert_eq!(opener.open(&forged).err(), Some(BodyError::Tag));
    let opened: Vec<u8> = pieces.iter().flat_map(|piece| opener.open(piece).unwrap().to_vec()).collect();
    assert!(opened == content(CHUNK + 5));
    assert_eq!(opener.open(&pieces[0]).err(), Some(BodyError::Piece { needed: 0, found: pieces[0].len() }));
}

#[test]
fn padding_and_length_are_the_ones_that_they_must_be() {
    let bytes = |prelude: Prelude, tail: &[u8]| [&prelude.to_bytes()[..], tail].concat();
    let open = |plaintext: &[u8]| open(&BodySeal::Open, plaintext);
    let (beginning, content) = (prelude(0).to_bytes().len(), 100);
    let padded = padme(beginning + content) - beginning;
    assert!(padded > content);
    let mut tail = vec![0; padded];
    assert!(open(&bytes(prelude(content), &tail)).is_ok());
    let wrong_length =
        Err(BodyError::Plaintext(DecodeError::Invalid { field: "content length", reason: "not that of the body" }));
    assert_eq!(open(&bytes(prelude(content + 50), &tail)), wrong_length);
    assert_eq!(open(&bytes(prelude(content), &[0; 1_000])), wrong_length);
    tail[padded - 1] = 1;
    let padding = DecodeError::Invalid { field: "padding", reason: "not zeros" };
    assert_eq!(open(&bytes(prelude(content), &tail)), Err(BodyError::Plaintext(padding)));
    assert_eq!(open(&[9; 64]), Err(BodyError::Plaintext(DecodeError::UnknownValue { field: "body format", found: 9 })));
}

#[test]
fn a_compressed_content_states_both_lengths_and_only_the_shorter_is_in_the_body() {
    let key = key(1);
    let how = BodySeal::Sealed(&key);
    let (compressed, plain_length) =
        (Prelude { compressed_length: Some(9), ..prelude(1 << 40) }, prelude(0).to_bytes().len());
    for kind in [ContentKind::Text, ContentKind::Bytes] {
        let prelude = Prelude { kind, ..compressed.clone() };
        assert_eq!(Prelude::from_bytes(&prelude.to_bytes()), Ok(prelude.clone()));
        assert_eq!(prelude.to_bytes().len(), plain_length + 8);
        let mut sealer = BodySealer::new(&how, &prelude).unwrap();
        sealer.room().unwrap().copy_from_slice(b"the frame");
        let body = sealer.seal().unwrap().to_vec();
        assert!(sealer.room().is_none() && sealer.body_length() == body.len() as u64);
        let mut opener = BodyOpener::new(&how, body.len() as u64).unwrap();
        assert_eq!(*opener.open(&body).unwrap(), *b"the frame");
        assert_eq!(opener.prelude(), Some(&prelude));
    }
}

#[test]
fn lengths_that_do_not_fit_together_and_unknown_kinds_are_refused() {
    let refusal = DecodeError::Invalid { field: "compressed length", reason: "not below that of the content" };
    for compressed in [9, 10, u64::MAX] {
        let prelude = Prelude { compressed_length: Some(compressed), ..prelude(9) };
        assert_eq!(Prelude::from_bytes(&prelude.to_bytes()), Err(refusal.clone()));
        assert_eq!(BodySealer::new(&BodySeal::Open, &prelude).err(), Some(BodyError::Plaintext(refusal.clone())));
    }
    let mut bytes = prelude(9).to_bytes();
    let kind = bytes.len() - 9;
    for found in [4, 5, 255] {
        bytes[kind] = found;
        let refusal = DecodeError::UnknownValue { field: "content kind", found };
        assert_eq!(Prelude::from_bytes(&bytes), Err(refusal));
    }
    bytes[kind] = 3;
    assert_eq!(Prelude::from_bytes(&bytes), Err(DecodeError::Truncated));
}

proptest! {
    #[test]
    fn any_bytes_are_opened_or_refused(body: Vec<u8>) {
        let key = key(1);
        for how in [BodySeal::Open, BodySeal::Sealed(&key)] {
            let Ok(mut opener) = BodyOpener::new(&how, body.len() as u64) else { continue };
            let result: Result<SecretBytes, BodyError> = opener.open(&body);
            prop_assert!(result.is_err() || matches!(how, BodySeal::Open));
        }
    }
}
