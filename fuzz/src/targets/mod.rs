//! What is fuzzed. A target takes any bytes and panics if something is wrong.
//!
//! Decoders: whatever is read is written again as it was, so that every value has one encoding. State: what does not
//! verify changes nothing, and every message opens once. The corpora in `fuzz/corpus` are replayed by the tests of
//! `sealpost-crypto`, which include this file, and those of the targets elsewhere by the crates that they are of; `scripts/fuzz`
//! makes them grow.

mod conversation;
pub mod seeds;
pub mod world;

use std::str::FromStr;

use sealpost_crypto::{
    BodyKey, BodyOpener, BodySeal, ContentKey, Control, GroupKey, KeyFileProvider, LastResortKemPrekey,
    OneTimeCurvePrekey, OneTimeKemPrekey, Ordinary, PassphraseParameters, Payload, Prelude, RowAddress, SealingPrekey,
    Session, SignedPrekey, Vault,
};
use sealpost_protocol::{
    AgentId, Bundle, CountersignedHead, CurveKey, Envelope, Header, KemKey, MessageId, NodeId, OneTimePrekey,
    ReceiptBatch, ReceiptProof, SignedManifest, SignedPart, SignedReceiptHead, Suite,
    encoding::{Decode, Encode, Writer},
};

pub use self::world::{AGENT, Seeded, World};

/// The handshakes of the worlds.
pub const SUITES: [Suite; 2] = [Suite::X3dh25519, Suite::Pqxdh25519MlKem768];

/// A target's name, and what it does with its input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 14] = [
    ("header", header),
    ("envelope", envelope),
    ("manifest", manifest),
    ("one_time_prekey", one_time_prekey),
    ("bundle", bundle),
    ("receipts", receipts),
    ("ids", ids),
    ("payload", payload),
    ("signed_part", signed_part),
    ("body", body),
    ("stored_state", stored_state),
    ("sealed_row", sealed_row),
    ("opening", opening),
    ("conversation", conversation::conversation),
];

/// Those of `sealpost-agent`, `sealpost-blocks` and `sealpost-api`.
pub const TARGETS_ELSEWHERE: [&str; 8] = [
    "identity_file",
    "compressed_content",
    "block_handle",
    "block_list",
    "block_record",
    "json_forms",
    "protobuf_forms",
    "origin",
];

/// Runs the target of that name.
///
/// # Panics
/// If there is none, or the target finds something wrong.
pub fn run(name: &str, input: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).expect("there is such a target");
    target(input);
}

/// Reads a value, and writes it as it was.
fn reads_canonically<T: Encode + Decode>(input: &[u8]) -> Option<T> {
    let value = T::from_bytes(input).ok()?;
    assert_eq!(value.to_bytes(), input, "a value has one encoding");
    Some(value)
}

fn header(input: &[u8]) {
    if let Some(header) = reads_canonically::<Header>(input) {
        assert_eq!(header.fields().message.id.timestamp(), header.fields().created);
    }
}

fn envelope(input: &[u8]) {
    if let Some(envelope) = reads_canonically::<Envelope>(input) {
        assert_eq!(envelope.opening.is_some(), envelope.header.opens_session);
    }
}

fn manifest(input: &[u8]) {
    if let Some(signed) = reads_canonically::<SignedManifest>(input) {
        assert!(signed.fields().expires > signed.fields().created);
    }
}

fn one_time_prekey(input: &[u8]) {
    let _ = reads_canonically::<OneTimePrekey<CurveKey>>(input);
    let _ = reads_canonically::<OneTimePrekey<KemKey>>(input);
}

fn bundle(input: &[u8]) {
    let Ok(Bundle { manifest, one_time_curve, one_time_kem }) = Bundle::from_bytes(input) else { return };
    let mut again = Writer::new();
    again.value(&manifest).option(one_time_curve.as_ref()).option(one_time_kem.as_ref());
    assert_eq!(again.into_bytes(), input, "a bundle has one encoding");
}

fn receipts(input: &[u8]) {
    let _ = reads_canonically::<SignedReceiptHead>(input);
    let _ = reads_canonically::<CountersignedHead>(input);
    let _ = reads_canonically::<ReceiptProof>(input);
    if let Some(batch) = reads_canonically::<ReceiptBatch>(input) {
        assert_eq!(batch.proofs().len(), batch.leaves().len());
    }
}

fn ids(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(id) = AgentId::from_str(text) {
        assert_eq!(AgentId::from_str(&id.to_string()), Ok(id));
    }
    if let Ok(id) = NodeId::from_str(text) {
        assert_eq!(NodeId::from_str(&id.to_string()), Ok(id));
    }
    if let Ok(id) = MessageId::from_str(text) {
        assert_eq!(MessageId::from_str(&id.to_string()), Ok(id));
    }
    let _ = KeyFileProvider::from_contents(input);
}

/// Without its padding: the tests of the crate itself have the padding.
fn payload(input: &[u8]) {
    if let Ok(payload) = Payload::from_bytes(input) {
        let mut canonical = input.to_vec();
        canonical[2] = 0;
        assert_eq!(payload.to_bytes(), canonical, "a payload differs in the request for a step alone");
        assert_eq!(payload.to_plaintext().to_payload(), Ok(payload));
    }
    // Flags are the sealing session's, and written anew.
    let unflagged = || {
        let mut canonical = input.to_vec();
        canonical[2] = 0;
        canonical
    };
    if let Ok(ordinary) = Ordinary::from_bytes(input) {
        assert_eq!(ordinary.to_bytes(), unflagged(), "what is ordinary has one encoding");
        assert!(ordinary.to_plaintext().to_ordinary().is_ok() && ordinary.to_plaintext().to_control().is_err());
    }
    if let Ok(control) = Control::from_bytes(input) {
        assert_eq!(control.to_bytes(), unflagged(), "a control message has one encoding");
        assert_eq!(control.to_plaintext().to_control(), Ok(control));
        assert!(Ordinary::from_bytes(input).is_err() && Payload::from_bytes(input).is_err(), "of one class");
    }
    if let Ok(key) = BodyKey::from_bytes(input) {
        assert_eq!(key.to_bytes(), unflagged(), "a body's key has one encoding");
    }
}

fn signed_part(input: &[u8]) {
    let _ = reads_canonically::<SignedPart>(input);
}

/// Any bytes as a body, sealed under a key and open.
fn body(input: &[u8]) {
    let key = ContentKey::generate(&Seeded::new(8)).expect("randomness");
    for seal in [BodySeal::Open, BodySeal::Sealed(&key)] {
        let Ok(mut opener) = BodyOpener::new(&seal, input.len() as u64) else { continue };
        let (mut rest, mut content) = (input, 0);
        while opener.needed() > 0 {
            let (piece, later) = rest.split_at(opener.needed());
            let Ok(opened) = opener.open(piece) else { return };
            content += opened.len() as u64;
            rest = later;
        }
        assert!(rest.is_empty(), "a body ends with its bytes");
        assert_eq!(opener.prelude().map(Prelude::length_in_body), Some(content));
    }
    let _ = reads_canonically::<Prelude>(input);
}

fn stored_state(input: &[u8]) {
    if let Ok(session) = Session::decode(input) {
        assert_eq!(*session.encode(), *input, "a state has one encoding");
    }
    if let Ok(key) = SignedPrekey::decode(input) {
        assert_eq!(*key.encode(), *input);
    }
    if let Ok(key) = OneTimeCurvePrekey::decode(input) {
        assert_eq!(*key.encode(), *input);
    }
    if let Ok(key) = OneTimeKemPrekey::decode(input) {
        assert_eq!(*key.encode(), *input);
    }
    let _ = (LastResortKemPrekey::decode(input), SealingPrekey::decode(input));
    if let Ok(key) = GroupKey::decode(input) {
        assert_eq!(*key.encode(), *input);
    }
    let _ = reads_canonically::<PassphraseParameters>(input);
}

/// The place of the row that the corpus holds.
pub const ROW: RowAddress<'_> = RowAddress { table: "session", row: b"bob", version: 1 };

/// What the corpus holds in that place.
pub const ROW_CONTENT: &[u8] = b"state";

/// Any bytes as a row, as what a row holds, and as the sealed key of all rows.
fn sealed_row(input: &[u8]) {
    let vault = Vault::create(&Seeded::new(1), AGENT).expect("randomness");
    if let Ok(row) = vault.open(&ROW, input) {
        assert_eq!(*row, *ROW_CONTENT, "only what was sealed opens");
    }
    let sealed = vault.seal(&Seeded::new(2), &ROW, input).expect("randomness");
    assert_eq!(*vault.open(&ROW, &sealed).expect("what was sealed opens"), *input);
    let moved = RowAddress { version: ROW.version + 1, ..ROW };
    assert!(vault.open(&moved, &sealed).is_err(), "an older version in the newer one's place");
    assert!(vault.open(&RowAddress { row: b"carol", ..ROW }, &sealed).is_err(), "in another row's place");
    assert!(vault.open(&RowAddress { table: "inbox", ..ROW }, &sealed).is_err(), "in another table");
    assert!(vault.open(&ROW, &flipped(&sealed)).is_err(), "an altered row opens");

    let master = KeyFileProvider::from_contents(&[9; 32]).expect("32 bytes");
    let master = sealpost_crypto::MasterKeyProvider::master_key(&master).expect("a key that is there");
    let key = vault.sealed_store_key(&Seeded::new(5), &master).expect("randomness");
    assert!(Vault::unlock(input, AGENT, &master).is_err() || input == key, "only what was sealed unlocks");
    let seed = input.iter().fold(5, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add((*byte).into()));
    let key = vault.sealed_store_key(&Seeded::new(seed), &master).expect("randomness");
    let unlocked = Vault::unlock(&key, AGENT, &master).expect("what was sealed unlocks");
    assert_eq!(*unlocked.open(&ROW, &sealed).expect("the same rows"), *input);
    assert!(Vault::unlock(&flipped(&key), AGENT, &master).is_err(), "an altered key unlocks");
}

/// The bytes with one bit flipped, at a place that they choose.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let sum: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
    let mut flipped = bytes.to_vec();
    flipped[sum % bytes.len()] ^= 1 << (sum % 8);
    flipped
}

/// Any envelope at all, given to an agent that has no session yet, and one that has.
fn opening(input: &[u8]) {
    let Ok(envelope) = Envelope::from_bytes(input) else { return };
    for suite in SUITES {
        let mut world = World::new(suite);
        let header = world.header_to_bob();
        assert!(world.respond(&header, &envelope).is_none() || world.is_genuine(input), "a forged opening");
        world.meet();
        let before = world.state_of_bob();
        assert!(world.open_at_bob(&header, &envelope).is_err(), "a forged envelope");
        assert_eq!(world.state_of_bob(), before, "what does not verify changes nothing");
    }
}
