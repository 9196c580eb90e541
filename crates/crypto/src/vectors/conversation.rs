//! Ten messages both ways, with keys skipped in one chain and across ratchet steps.

use sealpost_protocol::{Envelope, Header, Suite, encoding::Encode};
use serde_json::{Value, json};

use self::Act::{Open, Seal};
use super::{encoded, hex, stored_session::StoredSession};
use crate::{
    CurvePrivateKey, Session, aead,
    kdf_chain::Link,
    secret::RootKey,
    testing::{NOW, OneTimeKeys, SeededPrimitives, TestAgent, plaintext, text_of},
};

/// What happens to the message of a number.
#[derive(Clone, Copy)]
enum Act {
    Seal(u32),
    Open(u32),
}

/// Who seals each message; the other opens it.
const SENDERS: [&str; 10] = ["alice", "alice", "bob", "bob", "alice", "alice", "alice", "bob", "alice", "bob"];

/// 1 and 3 come after the answer to an answer, so that their keys are skipped across a step; 5 after 6 of its own
/// chain, and after the next step too.
const ACTS: [Act; 20] = [
    Seal(0),
    Seal(1),
    Open(0),
    Seal(2),
    Seal(3),
    Open(2),
    Seal(4),
    Open(4),
    Open(1),
    Seal(5),
    Seal(6),
    Open(6),
    Seal(7),
    Open(7),
    Open(3),
    Seal(8),
    Open(8),
    Open(5),
    Seal(9),
    Open(9),
];

pub(super) fn vectors() -> Value {
    let mut conversation = Conversation::opened();
    let root = hex(StoredSession::of(&conversation.at_alice).root);
    let ad = StoredSession::of(&conversation.at_alice).ad.to_bytes();
    let acts: Vec<Value> = ACTS.into_iter().map(|act| conversation.play(act)).collect();
    json!({
        "initiator": "alice",
        "responder": "bob",
        "handshake": { "suite": Suite::X3dh25519.as_str(), "one_time_keys": true },
        "root_key": root,
        "session_ad": hex(ad.get(4..).unwrap()),
        "acts": acts,
    })
}

struct Conversation {
    alice: TestAgent,
    bob: TestAgent,
    at_alice: Session,
    /// None until the first message has opened.
    at_bob: Option<Session>,
    sent: Vec<(Header, Envelope)>,
}

impl Conversation {
    fn opened() -> Self {
        let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
        let at_alice = alice.initiate(&bob, Suite::X3dh25519, OneTimeKeys::There);
        Self { alice, bob, at_alice, at_bob: None, sent: Vec::new() }
    }

    fn play(&mut self, act: Act) -> Value {
        match act {
            Seal(number) => self.seal(number),
            Open(number) => self.open(number),
        }
    }

    fn seal(&mut self, number: u32) -> Value {
        let by = SENDERS[number as usize];
        let (session, header) = match by {
            "alice" => (&mut self.at_alice, self.alice.header_to(&self.bob, number.into())),
            _ => (self.at_bob.as_mut().unwrap(), self.bob.header_to(&self.alice, number.into())),
        };
        let seed = 1_000 + u64::from(number);
        let plaintext = plaintext(&number.to_string());
        let before = StoredSession::of(session);
        let envelope = session.seal(&SeededPrimitives::new(seed), &header, &plaintext, NOW).unwrap();
        let ad = before.ad.of_message(&envelope.header, &header.hash());
        let (agreement, link) = key_of_next(&before, seed);
        let opened = aead::open(link.key.expose(), envelope.nonce, &ad, &envelope.ciphertext, &envelope.tag);
        assert_eq!(*opened.unwrap(), *plaintext.as_bytes(), "this is the message key, and this the associated data");
        let sealed = json!({
            "act": "seal",
            "by": by,
            "message": number,
            "header": encoded(&header),
            "header_hash": hex(header.hash().0),
            "agreement": agreement,
            "message_key": hex(link.key.expose()),
            "nonce": hex(envelope.nonce),
            "plaintext": hex(plaintext.as_bytes()),
            "envelope_header": encoded(&envelope.header),
            "associated_data": hex(ad),
            "ciphertext": hex(&envelope.ciphertext),
            "tag": hex(envelope.tag),
            "envelope": encoded(&envelope),
            "after": StoredSession::of(session).ratchet(),
        });
        self.sent.push((header, envelope));
        sealed
    }

    fn open(&mut self, number: u32) -> Value {
        let (header, envelope) = &self.sent[number as usize];
        let by = if SENDERS[number as usize] == "alice" { "bob" } else { "alice" };
        let plaintext = match (by, &mut self.at_bob) {
            ("alice", _) => self.at_alice.open(header, envelope, NOW).unwrap(),
            (_, Some(session)) => session.open(header, envelope, NOW).unwrap(),
            (_, at_bob) => {
                let (session, plaintext) = self.bob.respond(header, envelope).unwrap();
                *at_bob = Some(session);
                plaintext
            }
        };
        assert_eq!(text_of(&plaintext), number.to_string());
        let session = if by == "alice" { &self.at_alice } else { self.at_bob.as_ref().unwrap() };
        json!({ "act": "open", "by": by, "message": number, "after": StoredSession::of(session).ratchet() })
    }
}

/// The key that a session which was stored like this seals its next message with; the private ratchet key and the
/// agreement too if that makes a step.
fn key_of_next(before: &StoredSession, seed: u64) -> (Value, Link) {
    if let Some(sending) = &before.sending {
        return (Value::Null, sending.chain.link());
    }
    let own: [u8; 32] = SeededPrimitives::new(seed).array();
    let shared = CurvePrivateKey::copy_of(&own).unwrap().agree(&before.remote).unwrap();
    let (_, chain) = RootKey::copy_of(&before.root).step(&shared).unwrap();
    (json!({ "ratchet_private": hex(own), "dh": hex(shared.expose()) }), chain.link().unwrap())
}
