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

pub(super) fn vectors() -> Value {
    let short: &[u8] = b"A content of Alice's.";
    let long: Vec<u8> = (0..=250).cycle().take(PATTERN).collect();
    let messages = (0..).zip([Scheme::None, Scheme::SharedKey, Scheme::RecipientKeys]).flat_map(|(number, scheme)| {
        [message(2 * number, scheme, short, false), message(2 * number + 1, scheme, &long, true)]
    });
    json!({
        "group_key": hex(&*group_key().encode()),
        "messages": messages.collect::<Vec<_>>(),
        "ratchet": ratchet(short),
    })
}

/// What Alice seals for Bob in their session.
fn ratchet(content: &[u8]) -> Value {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let key = ContentKey::generate(&SeededPrimitives::new(40)).unwrap();
    let body = seal(Some(&key), content);
    let description = BodyDescription::of(&body);
    let header =
        Header::new(HeaderFields { body: Some(description), ..alice.header_to(&bob, 8).fields().clone() }).unwrap();
    let plaintext = BodyKey::new(&key, description).unwrap().to_plaintext();
    assert_eq!(plaintext.to_body_key(&description).unwrap().expose(), key.expose());
    json!({
        "scheme": header.fields().scheme.as_str(),
        "prelude": encoded(&prelude(content)),
        "content": hex(content),
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

fn message(number: u64, scheme: Scheme, content: &[u8], is_pattern: bool) -> Value {
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
    let body = seal(key.as_ref(), content);
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
        "prelude": encoded(&prelude(content)),
        "body_length": body.len(),
        "body_hash": hex(description.hash),
        "header": hex(header.as_bytes()),
        "header_hash": hex(header.hash().0),
        "part": hex(part.to_bytes()),
    });
    if let Some(key) = key {
        vector["content_key"] = hex(key.expose());
    }
    if is_pattern {
        vector["pattern"] = content.len().into();
    } else {
        vector["content"] = hex(content);
        vector["body"] = hex(&body);
    }
    vector
}

fn seal(key: Option<&ContentKey>, content: &[u8]) -> Vec<u8> {
    let seal = key.map_or(BodySeal::Open, BodySeal::Sealed);
    let mut sealer = BodySealer::new(&seal, &prelude(content)).unwrap();
    let (mut body, mut rest) = (Vec::new(), content);
    while let Some(room) = sealer.room() {
        let (now, later) = rest.split_at(room.len());
        room.copy_from_slice(now);
        rest = later;
        body.extend_from_slice(sealer.seal().unwrap());
    }
    body
}

fn prelude(content: &[u8]) -> Prelude {
    Prelude {
        message_type: Some(MessageType::new("report").unwrap()),
        thread: None,
        reply_to: None,
        file_name: Some(FileName::new("report.txt").unwrap()),
        kind: ContentKind::Bytes,
        content_length: content.len() as u64,
    }
}
