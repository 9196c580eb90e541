use std::io::Write;

use proptest::prelude::*;
use tokio::io::AsyncReadExt;
use zstd::stream::{raw::CParameter, write};

use super::*;

/// A frame by the library's own writer, as another implementation would make it.
fn frame(content: &[u8], parameters: &[CParameter]) -> Vec<u8> {
    let mut encoder = write::Encoder::new(Vec::new(), 0).unwrap();
    parameters.iter().for_each(|parameter| encoder.set_parameter(*parameter).unwrap());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// The content of a frame that comes in pieces, into a buffer of that size.
fn decompress(frame: &[u8], length: u64, pieces: usize, room: usize) -> Result<Vec<u8>, CompressionError> {
    let (mut decompressor, mut content) = (Decompressor::new(length)?, Vec::new());
    let mut scratch = vec![0; room];
    for piece in frame.chunks(pieces) {
        decompressor.pass(piece, &mut scratch, |made| content.extend_from_slice(made))?;
        assert!(content.len() as u64 <= length, "nothing is made beyond what was stated");
    }
    decompressor.finish()?;
    Ok(content)
}

fn refusal(frame: &[u8], length: u64) -> CompressionError {
    let whole = decompress(frame, length, frame.len().max(1), 1 << 16).unwrap_err();
    let bytes = decompress(frame, length, 1, 3).unwrap_err();
    assert_eq!(std::mem::discriminant(&whole), std::mem::discriminant(&bytes), "{whole}; {bytes}");
    whole
}

async fn stream(content: &[u8], most: u64) -> (Vec<u8>, u64) {
    let (mut compressing, mut frame) = (Compressing::new(content, most).unwrap(), Vec::new());
    compressing.read_to_end(&mut frame).await.unwrap();
    (frame, compressing.length())
}

#[test]
fn only_what_becomes_shorter_is_compressed() {
    let noise = (0..5_000).scan(7_u64, |state, _| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some((*state >> 56) as u8)
    });
    let noise: Vec<u8> = noise.collect();
    for content in [&b""[..], b"a", b"a short text", &noise] {
        assert!(compress(content).unwrap().is_none(), "{} bytes", content.len());
    }
    for length in [100, 5_000, limits::CONTENT] {
        let content = b"the same again, ".repeat(length / 16);
        let frame = compress(&content).unwrap().unwrap();
        assert!(frame.len() < content.len() / 2);
        assert_eq!(decompress(&frame, content.len() as u64, 1_000, 1_000).unwrap(), content);
    }
}

#[tokio::test]
async fn of_a_stream_that_is_too_long_the_rest_is_not_read() {
    let content = vec![7; 10 * limits::COMPRESSION_STEP];
    let (_, length) = stream(&content, 5).await;
    assert_eq!(length, limits::COMPRESSION_STEP as u64);
    assert_eq!(stream(&content, content.len() as u64).await.1, content.len() as u64);
}

#[test]
fn a_bomb_makes_no_more_than_was_stated() {
    let bomb = frame(&vec![0; 64 << 20], &[]);
    assert!(bomb.len() < 10_000, "{}", bomb.len());
    for stated in [1, 1_000, 70_000, (64 << 20) - 1] {
        let refused = decompress(&bomb, stated, 4_096, limits::COMPRESSION_STEP).unwrap_err();
        assert!(matches!(refused, CompressionError::Length), "{stated}: {refused}");
    }
    let beyond = limits::BODY_CONTENT + 1;
    assert!(matches!(Decompressor::new(beyond), Err(CompressionError::TooLong(length)) if length == beyond));
}

#[test]
fn a_frame_of_another_length_cut_off_or_followed_by_anything_is_refused() {
    let content = b"the same again, ".repeat(20);
    let length = content.len() as u64;
    for parameters in [&[][..], &[CParameter::ChecksumFlag(true)]] {
        let frame = frame(&content, parameters);
        assert_eq!(decompress(&frame, length, 1, 1).unwrap(), content);
        for stated in [length - 1, length + 1, length + 1_000] {
            assert!(matches!(refusal(&frame, stated), CompressionError::Length), "{stated}");
        }
        for cut in 1..frame.len() {
            assert!(matches!(refusal(&frame[..cut], length), CompressionError::Truncated), "{cut}");
        }
        for tail in [&b"\0"[..], &frame] {
            assert!(matches!(refusal(&[&frame, tail].concat(), length), CompressionError::Trailing));
        }
    }
    assert!(matches!(refusal(b"", length), CompressionError::Truncated));
    assert!(matches!(refusal(b"no frame at all", length), CompressionError::Frame(_)));
    let skippable = [&b"\x50\x2a\x4d\x18\x02\0\0\0ab"[..], &frame(&content, &[])].concat();
    assert!(matches!(refusal(&skippable, length), CompressionError::Length), "one frame, and no other");
}

#[test]
fn a_frame_that_would_take_a_greater_window_is_refused() {
    let content = b"the same again, ".repeat(20);
    let of_window = |log| frame(&content, &[CParameter::WindowLog(log)]);
    let most = limits::COMPRESSION_WINDOW_LOG;
    assert_eq!(decompress(&of_window(most), content.len() as u64, 7, 9).unwrap(), content);
    let refused = refusal(&of_window(most + 1), content.len() as u64);
    assert!(matches!(refused, CompressionError::Frame(_)), "{refused}");
}

#[test]
fn the_published_vector_opens() {
    let vectors = std::fs::read_to_string("../../docs/vectors/bodies.json").unwrap();
    let (before, after) = vectors.split_once("\"frame\": \"").unwrap();
    let bytes = |text: &str| {
        let digits = text.split('"').next().unwrap().as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect::<Vec<u8>>()
    };
    let (frame, content) = (bytes(after), bytes(before.rsplit("\"content\": \"").next().unwrap()));
    assert_eq!(content, b"A line that says the same.\n".repeat(20));
    assert_eq!(decompress(&frame, content.len() as u64, 5, 100).unwrap(), content);
}

proptest! {
    #[test]
    fn any_content_comes_back_whatever_the_pieces(
        words in prop::collection::vec("[a-e]{1,9}|.{0,20}", 0..400),
        repeated in 1..40_usize,
        pieces in 1..5_000_usize,
        room in 1..5_000_usize,
    ) {
        let content = words.concat().into_bytes().repeat(repeated);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (frame, length) = runtime.block_on(stream(&content, limits::BODY_CONTENT));
        prop_assert_eq!(length, content.len() as u64);
        prop_assert!(decompress(&frame, length, pieces, room).unwrap() == content);
        if let Some(frame) = compress(&content).unwrap() {
            prop_assert!(frame.len() < content.len());
            prop_assert!(decompress(&frame, length, pieces, room).unwrap() == content);
        }
    }

    #[test]
    fn a_frame_with_a_changed_byte_makes_no_more_than_was_stated(at: prop::sample::Index, mask in 1..=255_u8, room in 1..999_usize) {
        let content = b"the same again, and another. ".repeat(50);
        let mut frame = frame(&content, &[]);
        let at = at.index(frame.len());
        frame[at] ^= mask;
        let made = decompress(&frame, content.len() as u64, 13, room);
        prop_assert!(made.is_err() || made.unwrap().len() == content.len());
    }
}
