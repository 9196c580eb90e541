//! Payloads read back, tell little by their length, and are parsed strictly.

use proptest::prelude::*;
use sealpost_protocol::{AgentId, BodyDescription, MessageId, limits as wire};

use super::*;
use crate::{secret::ContentKey, testing::NOW};

fn full() -> Payload {
    Payload {
        message_type: Some(MessageType::new("com.example.order").unwrap()),
        thread: Some(ThreadId([3; 16])),
        reply_to: Some(MessageRef { sender: AgentId::from_array([4; 32]), id: MessageId::new(NOW, [5; 10]) }),
        file_name: Some(FileName::new("naïve plan.pdf").unwrap()),
        content: Content::bytes(vec![6; 301]).unwrap(),
    }
}

fn parse(bytes: &[u8]) -> Result<Payload, DecodeError> {
    Plaintext::new(bytes.to_vec().into()).to_payload()
}

proptest! {
    #[test]
    fn a_payload_reads_back_from_a_padded_length(
        content in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..3_000).prop_map(|bytes| Content::bytes(bytes).unwrap()),
            ".{0,300}".prop_map(|text| Content::text(text).unwrap()),
        ],
        thread in proptest::option::of(any::<[u8; 16]>()),
        name in proptest::option::of("[a-zé.]{3,40}"),
    ) {
        let payload = Payload {
            thread: thread.map(ThreadId),
            file_name: name.map(|name| FileName::new(&name).unwrap()),
            ..Payload::new(content)
        };
        let plaintext = payload.to_plaintext();
        prop_assert_eq!(plaintext.as_bytes().len(), padded_length(plaintext.as_bytes().len()));
        prop_assert_eq!(plaintext.to_payload(), Ok(payload));
    }

    #[test]
    fn any_bytes_are_parsed_without_panic_and_only_canonically(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(payload) = parse(&bytes) {
            let mut plaintext = payload.to_plaintext();
            let flags = bytes[FLAGS];
            plaintext = plaintext.flagged(flags & ASKS_FOR_STEP != 0, flags >> 1).unwrap_or(plaintext);
            prop_assert_eq!(plaintext.as_bytes(), bytes.as_slice());
        }
    }
}

#[test]
fn everything_a_payload_says_reads_back() {
    assert_eq!(full().to_plaintext().to_payload(), Ok(full()));
}

#[test]
fn the_encoding_never_changes() {
    let payload = Payload { thread: Some(ThreadId([3; 16])), ..Payload::new(Content::text("hi".to_owned()).unwrap()) };
    let bytes = payload.to_plaintext();
    let hex: String = bytes.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    insta::assert_snapshot!(hex, @"0100000001030303030303030303030303030303030000000000000268690000");
}

#[test]
fn the_shortest_payloads_are_of_one_length() {
    let length = |text: &str| Payload::new(Content::text(text.to_owned()).unwrap()).to_plaintext().as_bytes().len();
    assert_eq!((length(""), length("yes"), length("sixteen letters.")), (32, 32, 32));
}

#[test]
fn the_longest_payload_fits_in_an_envelope() {
    let payload = Payload {
        message_type: Some(MessageType::new(&"t".repeat(wire::MESSAGE_TYPE)).unwrap()),
        file_name: Some(FileName::new(&"f".repeat(limits::FILE_NAME)).unwrap()),
        content: Content::bytes(vec![1; limits::CONTENT]).unwrap(),
        ..full()
    };
    assert!(payload.to_plaintext().as_bytes().len() <= wire::CIPHERTEXT);
    assert_eq!(payload.to_plaintext().to_payload(), Ok(payload));
}

#[test]
fn padding_of_other_bytes_or_another_length_is_refused() {
    let plaintext = full().to_plaintext();
    let bytes = plaintext.as_bytes();
    let mut dirty = bytes.to_vec();
    *dirty.last_mut().unwrap() = 1;
    assert!(matches!(parse(&dirty), Err(DecodeError::Invalid { field: "padding", .. })));
    assert!(matches!(parse(&[bytes, &[0]].concat()), Err(DecodeError::Invalid { field: "padding", .. })));
    assert!(parse(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn kinds_of_later_versions_are_refused_and_a_control_message_asks_for_nothing() {
    let mut asking = Control::Step.to_plaintext().as_bytes().to_vec();
    asking[FLAGS] |= ASKS_FOR_STEP;
    let refused = Plaintext::new(asking.into()).to_control();
    assert_eq!(refused, Err(DecodeError::UnknownValue { field: "payload flags", found: 1 }));
    for (position, field) in [(0, "payload format"), (1, "payload kind")] {
        let mut bytes = full().to_plaintext().as_bytes().to_vec();
        bytes[position] ^= 0x80;
        assert!(matches!(parse(&bytes), Err(DecodeError::UnknownValue { field: found, .. }) if found == field));
    }
}

#[test]
fn a_content_has_a_limit() {
    let found = limits::CONTENT + 1;
    assert_eq!(Content::bytes(vec![0; found]), Err(PayloadError::ContentTooLong { found }));
    assert_eq!(Content::text("x".repeat(found)), Err(PayloadError::ContentTooLong { found }));
    assert!(Content::bytes(vec![0; limits::CONTENT]).is_ok());
}

#[test]
fn a_file_name_is_one_component_of_a_path() {
    for bad in ["", ".", "..", "a/b", "/etc/passwd", "..\\x", "nul\0", &"x".repeat(limits::FILE_NAME + 1)] {
        assert_eq!(FileName::new(bad), Err(PayloadError::FileName), "{bad:?}");
    }
    for good in ["a", "...", ".hidden", "tab\tand space", &"x".repeat(limits::FILE_NAME)] {
        assert_eq!(FileName::new(good).unwrap().as_str(), good);
    }
}

#[test]
fn text_is_utf8_and_bytes_are_not_text() {
    let bytes = Payload::new(Content::bytes(b"caf\xe9".to_vec()).unwrap());
    assert_eq!((bytes.content.kind(), bytes.content.as_text()), (ContentKind::Bytes, None));
    let mut claims_text = bytes.to_plaintext().as_bytes().to_vec();
    claims_text[7] = 0;
    assert!(matches!(parse(&claims_text), Err(DecodeError::Invalid { field: "content", .. })));
}

#[test]
fn debug_shows_no_content() {
    insta::assert_snapshot!(format!("{:?} {:?}", Payload::new(full().content), full().to_plaintext()), @"Payload { message_type: None, thread: None, reply_to: None, file_name: None, content: Content(Bytes, 301 bytes) } Plaintext(432 bytes)");
}

fn body_key() -> (ContentKey, BodyDescription) {
    (ContentKey::copy_of(&[7; 32]), BodyDescription { sealed_length: 99, hash: [8; 32] })
}

#[test]
fn the_key_of_a_body_reads_back_for_that_body_and_asks_for_a_step_as_a_message_does() {
    let (key, body) = body_key();
    let plaintext = BodyKey::new(&key, body).unwrap().to_plaintext();
    assert!(plaintext.is_ordinary() && plaintext.padded_length() == 112);
    assert_eq!(plaintext.to_body_key(&body).unwrap().expose(), key.expose());
    let asking = plaintext.flagged(true, 0).unwrap();
    assert!(asking.asks_for_step() && asking.to_body_key(&body).is_ok());
    assert!(plaintext.to_payload().is_err() && full().to_plaintext().to_body_key(&body).is_err());
}

#[test]
fn the_key_of_another_body_or_with_the_commitment_of_another_key_is_refused() {
    let (key, body) = body_key();
    let plaintext = BodyKey::new(&key, body).unwrap().to_plaintext();
    for other in [BodyDescription { sealed_length: 98, ..body }, BodyDescription { hash: [9; 32], ..body }] {
        assert!(matches!(plaintext.to_body_key(&other), Err(DecodeError::Invalid { field: "body", .. })));
    }
    for position in [3, 3 + 32] {
        let mut bytes = plaintext.as_bytes().to_vec();
        bytes[position] ^= 1;
        let read = Plaintext::new(bytes.into()).to_body_key(&body);
        assert!(matches!(read, Err(DecodeError::Invalid { field: "commitment", .. })), "{read:?}");
    }
}
