//! Bodies, and the parts that lead to their keys without a ratchet.

use sealpost_protocol::{
    BodyAccess, BodyDescription, GroupId, Header, HeaderFields, MessageType, Scheme, SenderSeal, SignedPart,
    encoding::Encode,
};
use serde_json::{Value, json};

use super::{encoded, hex};
use crate::{
    BodyKey, BodySeal, BodySealer, ContentKey, ContentKind, FileName, GroupKey, Prelude,
    testing::{SeededPrimitives, TestAgent},
    wrap_key,
};

/// Two chunks.
const PATTERN: usize = 70_000;

/// What is repeated in the content that [`FRAME`] has, and how often.
const LINE: (&str, usize) = ("A line that says the same.\n", 20);

/// A frame of zstd, made by its command line.
const FRAME: [u8; 43] = *b"\x28\xb5\x2f\xfd\x00\x58\x15\x01\x00\xd8A line that says the same.\n\
    \x01\x00\xfb\xbb\x3a\xc7";

/// A content, and how it stands in a body.
#[derive(Clone, Copy)]
struct Told<'a> {
    content: &'a [u8],
    frame: Option<&'a [u8]>,
    is_pattern: bool,
    /// Whether a type and a name go with it.
    is_named: bool,
}

impl<'a> Told<'a> {
    fn in_body(self) -> &'a [u8] {
        self.frame.unwrap_or(self.content)
    }
}

pub(super) fn vectors() -> Value {
    let short: &[u8] = b"A content of Alice's.";
    let long: Vec<u8> = (0..=250).cycle().take(PATTERN).collect();
    let short = Told { content: short, frame: None, is_pattern: false, is_named: true };
    let long = Told { content: &long, is_pattern: true, ..short };
    let line = LINE.0.repeat(LINE.1);
    let compressed = Told { content: line.as_bytes(), frame: Some(&FRAME), ..short };
    // A body is padded to no least length, as payloads are.
    let least = Told { content: b"Hi", is_named: false, ..short };
    let messages = (0..)
        .zip([Scheme::None, Scheme::SharedKey, Scheme::RecipientKeys])
        .flat_map(|(number, scheme)| [message(2 * number, scheme, short), message(2 * number + 1, scheme, long)]);
    let messages = messages.chain([message(9, Scheme::RecipientKeys, compressed), message(10, Scheme::None, least)]);
    json!({
        "group_key": hex(&*group_key().encode()),
        "messages": messages.collect::<Vec<_>>(),
        "ratchet": ratchet(short),
    })
}

/// What Alice seals for Bob in their session.
fn ratchet(told: Told<'_>) -> Value {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let key = ContentKey::generate(&SeededPrimitives::new(40)).unwrap();
    let body = seal(Some(&key), told);
    let description = BodyDescription::of(&body);
    let header =
        Header::new(HeaderFields { body: Some(description), ..alice.header_to(&bob, 8).fields().clone() }).unwrap();
    let plaintext = BodyKey::new(&key, description).unwrap().to_plaintext();
    assert_eq!(plaintext.to_body_key(&description).unwrap().expose(), key.expose());
    json!({
        "scheme": header.fields().scheme.as_str(),
        "prelude": encoded(&prelude(told)),
        "content": hex(told.content),
        "content_key": hex(key.expose()),
        "body": hex(&body),
        "body_length": body.len(),
        "body_hash": hex(description.hash),
        "header": hex(header.as_bytes()),
        "header_hash": hex(header.hash().0),
        "plaintext": hex(plaintext.as_bytes()),
    })
}

fn group_key() -> GroupKey {
    GroupKey::generate(&SeededPrimitives::new(20), GroupId([0x67; 16]), 3).unwrap()
}

fn message(number: u64, scheme: Scheme, told: Told<'_>) -> Value {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let bare = alice.header_to(&bob, number);
    let randomness = SeededPrimitives::new(30 + number);
    let (key, shared) = match scheme {
        Scheme::SharedKey => {
            let (key, access) = group_key().new_content_key(&randomness, &bare.message()).unwrap();
            (Some(key), Some(access))
        }
        Scheme::RecipientKeys => (Some(ContentKey::generate(&randomness).unwrap()), None),
        _ => (None, None),
    };
    let body = seal(key.as_ref(), told);
    let description = BodyDescription::of(&body);
    let header = Header::new(HeaderFields { scheme, body: Some(description), ..bare.fields().clone() }).unwrap();
    let access = match (shared, &key) {
        (Some(access), _) => BodyAccess::Shared(access),
        (None, Some(key)) => {
            let (to, sealing_key) = (bob.identity.agent_id(), bob.manifest.sealing.public());
            BodyAccess::Wrapped(wrap_key(&randomness, key, header.hash(), &to, &sealing_key).unwrap())
        }
        (None, None) => BodyAccess::Open,
    };
    let part = SignedPart { seal: SenderSeal::sign(&alice.identity, header.hash()), access };
    let mut vector = json!({
        "scheme": scheme.as_str(),
        "prelude": encoded(&prelude(told)),
        "body_length": body.len(),
        "body_hash": hex(description.hash),
        "header": hex(header.as_bytes()),
        "header_hash": hex(header.hash().0),
        "part": hex(part.to_bytes()),
    });
    if let Some(key) = key {
        vector["content_key"] = hex(key.expose());
    }
    if let Some(frame) = told.frame {
        vector["frame"] = hex(frame);
    }
    if told.is_pattern {
        vector["pattern"] = told.content.len().into();
    } else {
        vector["content"] = hex(told.content);
        vector["body"] = hex(&body);
    }
    vector
}

fn seal(key: Option<&ContentKey>, told: Told<'_>) -> Vec<u8> {
    let seal = key.map_or(BodySeal::Open, BodySeal::Sealed);
    let mut sealer = BodySealer::new(&seal, &prelude(told)).unwrap();
    let (mut body, mut rest) = (Vec::new(), told.in_body());
    while let Some(room) = sealer.room() {
        let (now, later) = rest.split_at(room.len());
        room.copy_from_slice(now);
        rest = later;
        body.extend_from_slice(sealer.seal().unwrap());
    }
    body
}

fn prelude(told: Told<'_>) -> Prelude {
    Prelude {
        message_type: told.is_named.then(|| MessageType::new("report").unwrap()),
        thread: None,
        reply_to: None,
        file_name: told.is_named.then(|| FileName::new("report.txt").unwrap()),
        kind: ContentKind::Bytes,
        content_length: told.content.len() as u64,
        compressed_length: told.frame.map(|frame| frame.len() as u64),
    }
}
