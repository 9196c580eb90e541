//! Writes the first corpora: real values of every kind. `cargo run --manifest-path fuzz/Cargo.toml --bin seeds`.

use std::{error::Error, fs, path::Path};

use sealpost_crypto::{
    BodyKey, BodySeal, BodySealer, Content, ContentKey, ContentKind, Control, EndedMembership, GroupKey, GroupName,
    GroupNotice, HandOver, KeyFileProvider, Mark, MasterKeyProvider, Member, OneTimeCurvePrekey, OneTimeKemPrekey,
    Ordinary, PassphraseParameters, Payload, Prelude, PrivatePrekey, Roster, SystemPrimitives, Validity, Vault,
};
use sealpost_fuzz::targets::{AGENT, ROW, Seeded, World, world::first_envelope};
use sealpost_protocol::{
    Attempt, BodyAccess, BodyDescription, KeyId, PartHash, ReceiptBatch, ReceiptLeaf, RefusalReason, SenderSeal, SignedPart,
    Timestamp, Verdict, encoding::Encode, limits,
};

const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);

fn main() -> Result<(), Box<dyn Error>> {
    for (target, name, bytes) in seeds()? {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

type Seed = (&'static str, &'static str, Vec<u8>);

fn seeds() -> Result<Vec<Seed>, Box<dyn Error>> {
    let mut world = World::new();
    let mut seeds = Vec::new();
    let header = world.header_to_bob();
    let first = first_envelope();
    world.at_alice.seal(&Seeded::new(6), &header, &message("1"), NOW)?;
    let unanswered = world.at_alice.encode().to_vec();
    let mut world = World::new();
    world.meet();
    let later_header = world.header_to_bob();
    let later = world.at_alice.seal(&Seeded::new(3), &later_header, &message("three"), NOW)?;
    seeds.extend([
        ("header", "one_recipient", header.to_bytes()),
        ("envelope", "first", first.to_bytes()),
        ("envelope", "later", later.to_bytes()),
        ("opening", "first", first.to_bytes()),
        ("opening", "later", later.to_bytes()),
        ("stored_state", "unanswered", unanswered),
        ("stored_state", "answered", world.at_alice.encode().to_vec()),
        ("stored_state", "responder", world.state_of_bob()),
        ("stored_state", "signed_prekey", world.manifest_keys().signed.encode().to_vec()),
        ("stored_state", "passphrase", PassphraseParameters::generate(&Seeded::new(1))?.to_bytes()),
        ("manifest", "x3dh", world.manifest().to_bytes()),
    ]);
    let validity = Validity::lasting(NOW, limits::MANIFEST_LIFE);
    let curve: OneTimeCurvePrekey = PrivatePrekey::generate(&Seeded::new(4), KeyId(1), validity)?;
    let kem: OneTimeKemPrekey = PrivatePrekey::generate(&SystemPrimitives, KeyId(1), validity)?;
    let mut bundle = world.manifest().to_bytes();
    bundle.push(1);
    bundle.extend(curve.publish(&world.bob).to_bytes());
    bundle.push(0);
    seeds.extend([
        ("one_time_prekey", "curve", curve.publish(&world.bob).to_bytes()),
        ("one_time_prekey", "kem", kem.publish(&world.bob).to_bytes()),
        ("bundle", "curve", bundle),
        ("stored_state", "one_time_curve", curve.encode().to_vec()),
    ]);
    let leaf = |number, verdict| ReceiptLeaf {
        message: later_header.message(),
        attempt: Attempt::FIRST,
        header: later_header.hash(),
        part: PartHash::of(&later.to_bytes()),
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
    let vault = Vault::create(&Seeded::new(1), AGENT)?;
    let master = KeyFileProvider::from_contents(&[9; 32])?.master_key()?;
    seeds.extend([
        ("receipts", "batch", batch.to_bytes()),
        ("receipts", "proof", proof.to_bytes()),
        ("receipts", "head", batch.signed_head().to_bytes()),
        ("ids", "agent", world.bob.agent_id().to_string().into_bytes()),
        ("ids", "message", later_header.message().id.to_string().into_bytes()),
        ("ids", "key_file", [b'5'; 64].to_vec()),
        ("payload", "text", Payload::new(Content::text("hi".to_owned())?).to_bytes()),
        ("payload", "bytes", Payload::new(Content::bytes(vec![0, 1, 2])?).to_bytes()),
        ("payload", "step", Control::Step.to_bytes()),
        ("sealed_row", "row", vault.seal(&Seeded::new(2), &ROW, b"state")?),
        ("sealed_row", "store_key", vault.sealed_store_key(&Seeded::new(5), &master)?),
        ("conversation", "in_order", b"\0\0\0\x02\0\0\x01\0\0\x02\0\0\0\0\0\x02\0\0".to_vec()),
        (
            "conversation",
            "overtaken",
            b"\0\x05\0\x02\0\0\x02\x03\0\x01\x01\0\x05\0\0\x02\0\0\x04\0\x40\0\x90\0\x02\0\0\x02\x91\0".to_vec(),
        ),
    ]);
    let read = Mark { read: Some(later_header.message().id), typing: false };
    let (founder, other) = (world.alice.agent_id(), world.bob.agent_id());
    let members = [founder, other].map(|agent| Member { agent, since: 1 }).to_vec();
    let roster = Roster::new([7; 16], GroupName::new("the team")?, 1, members)?;
    let group = roster.group(&founder);
    let group_key = GroupKey::generate(&Seeded::new(9), group, 0)?;
    let (_, shared) = group_key.new_content_key(&Seeded::new(10), &later_header.message())?;
    let content_key = ContentKey::generate(&Seeded::new(8))?;
    let (open, sealed) = (body(&BodySeal::Open, None)?, body(&BodySeal::Sealed(&content_key), None)?);
    let body_key = BodyKey::new(&content_key, BodyDescription::of(&sealed))?;
    let seal = SenderSeal::sign(&world.alice, later_header.hash());
    seeds.extend([
        ("payload", "mark", Control::Mark(read).to_bytes()),
        ("payload", "typing", Control::Mark(Mark { read: None, typing: true }).to_bytes()),
        ("payload", "body_key", body_key.to_bytes()),
        ("payload", "end", Ordinary::Group(GroupNotice::End(EndedMembership { group, since: 1 })).to_bytes()),
        ("stored_state", "group_key", group_key.encode().to_vec()),
        ("payload", "hand_over", Ordinary::Group(GroupNotice::Key(HandOver { roster, key: group_key })).to_bytes()),
        ("signed_part", "open", SignedPart { seal, access: BodyAccess::Open }.to_bytes()),
        ("signed_part", "shared", SignedPart { seal, access: BodyAccess::Shared(shared) }.to_bytes()),
        ("body", "open", open),
        ("body", "compressed", body(&BodySeal::Open, Some(1 << 30))?),
        ("body", "sealed", sealed),
    ]);
    Ok(seeds)
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

fn message(text: &str) -> sealpost_crypto::Plaintext {
    Payload::new(Content::text(text.to_owned()).unwrap_or_else(|_| unreachable!("a short text"))).to_plaintext()
}
