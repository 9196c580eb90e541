//! The first corpora: real values of every kind, made anew from seeds. `SEALPOST_WRITE_SEEDS=1 cargo test -p sealpost-crypto
//! --test fuzz_corpora` writes the files; without it that test compares them.

use std::error::Error;

use sealpost_crypto::{
    BodyKey, BodySeal, BodySealer, Content, ContentKey, ContentKind, Control, EndedMembership, FileName, GroupKey,
    GroupName, GroupNotice, HandOver, KeyFileProvider, Mark, MasterKeyProvider, Member, OneTimeCurvePrekey,
    OneTimeKemPrekey, Ordinary, PassphraseParameters, Payload, Plaintext, Prelude, PrivatePrekey, Roster, Validity,
    Vault, wrap_key,
};
use sealpost_protocol::{
    Attempt, BodyAccess, BodyDescription, Header, KeyId, MessageType, PartHash, ReceiptBatch, ReceiptLeaf,
    RefusalReason, SenderSeal, SignedPart, Suite, Verdict, encoding::Encode, limits,
};

use super::{
    AGENT, ROW, ROW_CONTENT, Seeded, World,
    world::{NOW, first_envelope},
};

/// A target, the name of an input, and its bytes.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// All of them.
///
/// # Errors
/// None, unless a seed makes no value.
pub fn seeds() -> Result<Vec<Seed>, Box<dyn Error>> {
    let mut seeds = of_sessions(Suite::X3dh25519, ["first", "later", "unanswered", "answered", "responder", "x3dh"])?;
    let hybrid = ["first_hybrid", "later_hybrid", "unanswered_hybrid", "answered_hybrid", "responder_hybrid", "pqxdh"];
    seeds.extend(of_sessions(Suite::Pqxdh25519MlKem768, hybrid)?);
    let mut world = World::new(Suite::X3dh25519);
    let header = world.header_to_bob();
    seeds.push(("header", "one_recipient", header.to_bytes()));
    seeds.extend(of_prekeys(&world)?);
    seeds.extend(of_receipts(&world, &header)?);
    seeds.extend(of_payloads(&world, &header)?);
    seeds.extend(of_bodies(&world, &header)?);
    let vault = Vault::create(&Seeded::new(1), AGENT)?;
    let master = KeyFileProvider::from_contents(&[9; 32])?.master_key()?;
    seeds.extend([
        ("ids", "agent", world.bob.agent_id().to_string().into_bytes()),
        ("ids", "message", header.message().id.to_string().into_bytes()),
        ("ids", "key_file", [b'5'; 64].to_vec()),
        ("sealed_row", "row", vault.seal(&Seeded::new(2), &ROW, ROW_CONTENT)?),
        ("sealed_row", "store_key", vault.sealed_store_key(&Seeded::new(5), &master)?),
        ("conversation", "in_order", IN_ORDER.to_vec()),
        ("conversation", "in_order_hybrid", [IN_ORDER.as_slice(), b"\0"].concat()),
        ("conversation", "overtaken", OVERTAKEN.to_vec()),
        ("conversation", "overtaken_hybrid", [OVERTAKEN.as_slice(), b"\0"].concat()),
        (
            "conversation",
            "opened_by_the_first_and_repeated",
            b"\0\0\0\x02\0\0\x01\0\0\x02\0\0\0\0\0\x02\0\x02".to_vec(),
        ),
    ]);
    Ok(seeds)
}

const IN_ORDER: &[u8; 18] = b"\0\0\0\x02\0\0\x01\0\0\x02\0\0\0\0\0\x02\0\0";
const OVERTAKEN: &[u8; 30] =
    b"\0\x05\0\x02\0\0\x02\x03\0\x01\x01\0\x05\0\0\x02\0\0\x04\0\x40\0\x90\0\x02\0\0\x02\x91\0";

/// Envelopes and states of one session, and the manifest that it was opened from.
fn of_sessions(suite: Suite, names: [&'static str; 6]) -> Result<Vec<Seed>, Box<dyn Error>> {
    let [first_name, later_name, unanswered, answered, responder, manifest] = names;
    let first = first_envelope(suite);
    let mut world = World::new(suite);
    let header = world.header_to_bob();
    world.at_alice.seal(&Seeded::new(6), &header, &message("1"), NOW)?;
    let before_answer = world.at_alice.encode().to_vec();
    let mut world = World::new(suite);
    world.meet();
    let later_header = world.header_to_bob();
    let later = world.at_alice.seal(&Seeded::new(3), &later_header, &message("three"), NOW)?;
    Ok(vec![
        ("envelope", first_name, first.to_bytes()),
        ("envelope", later_name, later.to_bytes()),
        ("opening", first_name, first.to_bytes()),
        ("opening", later_name, later.to_bytes()),
        ("stored_state", unanswered, before_answer),
        ("stored_state", answered, world.at_alice.encode().to_vec()),
        ("stored_state", responder, world.state_of_bob()),
        ("manifest", manifest, world.manifest().to_bytes()),
    ])
}

fn of_prekeys(world: &World) -> Result<Vec<Seed>, Box<dyn Error>> {
    let validity = Validity::lasting(NOW, limits::MANIFEST_LIFE);
    let curve: OneTimeCurvePrekey = PrivatePrekey::generate(&Seeded::new(4), KeyId(1), validity)?;
    let kem: OneTimeKemPrekey = PrivatePrekey::generate(&Seeded::new(4), KeyId(1), validity)?;
    let (public_curve, public_kem) = (curve.publish(&world.bob).to_bytes(), kem.publish(&world.bob).to_bytes());
    let manifest = world.manifest().to_bytes();
    let hybrid = World::new(Suite::Pqxdh25519MlKem768).manifest().to_bytes();
    Ok(vec![
        ("bundle", "curve", [manifest.as_slice(), &[1], &public_curve, &[0]].concat()),
        ("bundle", "both", [hybrid.as_slice(), &[1], &public_curve, &[1], &public_kem].concat()),
        ("one_time_prekey", "curve", public_curve),
        ("one_time_prekey", "kem", public_kem),
        ("stored_state", "one_time_curve", curve.encode().to_vec()),
        ("stored_state", "one_time_kem", kem.encode().to_vec()),
        ("stored_state", "signed_prekey", world.manifest_keys().signed.encode().to_vec()),
        ("stored_state", "passphrase", PassphraseParameters::generate(&Seeded::new(1))?.to_bytes()),
    ])
}

fn of_receipts(world: &World, header: &Header) -> Result<Vec<Seed>, Box<dyn Error>> {
    let leaf = |number, verdict| ReceiptLeaf {
        message: header.message(),
        attempt: Attempt::FIRST,
        header: header.hash(),
        part: PartHash::of(b"a part"),
        verdict,
        at: NOW,
        blind: [number; 16],
    };
    let leaves = vec![
        leaf(1, Verdict::Stored),
        leaf(2, Verdict::Acknowledged),
        leaf(3, Verdict::Refused(RefusalReason::Undecryptable)),
    ];
    let batch = ReceiptBatch::sign(leaves, 1, [0; 32], &world.bob)?;
    let proof = batch.proofs().pop().ok_or("a batch of three")?;
    Ok(vec![
        ("receipts", "batch", batch.to_bytes()),
        ("receipts", "proof", proof.to_bytes()),
        ("receipts", "head", batch.signed_head().to_bytes()),
    ])
}

fn of_payloads(world: &World, header: &Header) -> Result<Vec<Seed>, Box<dyn Error>> {
    let read = Mark { read: Some(header.message().id), typing: false };
    let mark = Control::Mark(read).to_bytes();
    let mut counted = mark.clone();
    *counted.get_mut(2).ok_or("format, kind and flags")? = 127 << 1;
    let (founder, other) = (world.alice.agent_id(), world.bob.agent_id());
    let members = [founder, other].map(|agent| Member { agent, since: 1 }).to_vec();
    let roster = Roster::new([7; 16], GroupName::new("the team")?, 1, members)?;
    let group = roster.group(&founder);
    let key = GroupKey::generate(&Seeded::new(9), group, 0)?;
    let stored = key.encode().to_vec();
    let content_key = ContentKey::generate(&Seeded::new(8))?;
    let body_key = BodyKey::new(&content_key, BodyDescription::of(&body(&BodySeal::Sealed(&content_key), None)?))?;
    Ok(vec![
        ("payload", "text", Payload::new(Content::text("hi".to_owned())?).to_bytes()),
        ("payload", "bytes", Payload::new(Content::bytes(vec![0, 1, 2])?).to_bytes()),
        ("payload", "step", Control::Step.to_bytes()),
        ("payload", "mark", mark),
        ("payload", "counted_mark", counted),
        ("payload", "typing", Control::Mark(Mark { read: None, typing: true }).to_bytes()),
        ("payload", "body_key", body_key.to_bytes()),
        ("payload", "end", Ordinary::Group(GroupNotice::End(EndedMembership { group, since: 1 })).to_bytes()),
        ("payload", "hand_over", Ordinary::Group(GroupNotice::Key(HandOver { roster, key })).to_bytes()),
        ("stored_state", "group_key", stored),
    ])
}

fn of_bodies(world: &World, header: &Header) -> Result<Vec<Seed>, Box<dyn Error>> {
    let seal = SenderSeal::sign(&world.alice, header.hash());
    let group = GroupKey::generate(&Seeded::new(9), sealpost_protocol::GroupId([7; 16]), 0)?;
    let (_, shared) = group.new_content_key(&Seeded::new(10), &header.message())?;
    let [content_key, other_key] = [ContentKey::generate(&Seeded::new(8))?, ContentKey::generate(&Seeded::new(11))?];
    let to = world.manifest_keys().sealing.public();
    let wrapped = wrap_key(&Seeded::new(12), &content_key, header.hash(), &world.bob.agent_id(), &to)?;
    let prelude = Prelude {
        message_type: Some(MessageType::new("report")?),
        thread: None,
        reply_to: None,
        file_name: Some(FileName::new("report.txt")?),
        kind: ContentKind::Bytes,
        content_length: 21,
        compressed_length: None,
    };
    Ok(vec![
        ("signed_part", "open", SignedPart { seal, access: BodyAccess::Open }.to_bytes()),
        ("signed_part", "shared", SignedPart { seal, access: BodyAccess::Shared(shared) }.to_bytes()),
        ("signed_part", "wrapped", SignedPart { seal, access: BodyAccess::Wrapped(wrapped) }.to_bytes()),
        ("body", "open", body(&BodySeal::Open, None)?),
        ("body", "compressed", body(&BodySeal::Open, Some(1 << 30))?),
        ("body", "sealed", body(&BodySeal::Sealed(&content_key), None)?),
        ("body", "under_another_key", body(&BodySeal::Sealed(&other_key), None)?),
        ("body", "prelude", prelude.to_bytes()),
    ])
}

/// A body; with the length of what its content was made of, the content stands for a frame.
fn body(seal: &BodySeal<'_>, uncompressed: Option<u64>) -> Result<Vec<u8>, Box<dyn Error>> {
    let content = b"a content";
    let length = content.len() as u64;
    let prelude = Prelude {
        message_type: None,
        thread: None,
        reply_to: None,
        file_name: None,
        kind: ContentKind::Text,
        content_length: uncompressed.unwrap_or(length),
        compressed_length: uncompressed.map(|_| length),
    };
    let mut sealer = BodySealer::new(seal, &prelude)?;
    let (mut body, mut rest) = (Vec::new(), content.as_slice());
    while let Some(room) = sealer.room() {
        let (now, later) = rest.split_at(room.len());
        room.copy_from_slice(now);
        rest = later;
        body.extend_from_slice(sealer.seal()?);
    }
    Ok(body)
}

fn message(text: &str) -> Plaintext {
    Payload::new(Content::text(text.to_owned()).expect("a short text")).to_plaintext()
}
