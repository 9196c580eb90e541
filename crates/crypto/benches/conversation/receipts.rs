//! Receipts: signing a full batch, taking it in at a relay, and checking one proof of it.

use std::hint::black_box;

use sealpost_crypto::{IdentityPrivateKey, SystemPrimitives};
use sealpost_protocol::{
    AgentId, Attempt, HeaderHash, MessageId, MessageRef, PartHash, ReceiptBatch, ReceiptLeaf, ReceiptProof, Signer,
    Verdict,
    encoding::{Decode, Encode},
    limits,
};

use crate::{
    Outcome,
    measuring::{Measure, timed},
    sealpost::NOW,
};

/// Receipts of a batch, as a `u32` and no less than that: n in section 18 of the protocol.
pub(crate) const RECEIPTS: u32 = 200;

const _: () = assert!(RECEIPTS as usize == limits::RECEIPTS_PER_BATCH);

/// From the leaves to the bytes that go to the relay.
pub(crate) fn make_a_batch() -> Outcome<Measure> {
    let identity = IdentityPrivateKey::generate(&SystemPrimitives)?;
    let leaves: Vec<_> = (0..RECEIPTS).map(leaf).collect();
    Ok(Box::new(move |operations| {
        timed(operations, || {
            black_box(ReceiptBatch::sign(black_box(leaves.clone()), 1, [0; 32], &identity)?.to_bytes());
            Ok(())
        })
    }))
}

/// From the recipient's bytes to a verified batch with a path for every leaf; without the countersignature.
pub(crate) fn take_a_batch() -> Outcome<Measure> {
    let (identity, batch) = batch()?;
    let (identity, batch) = (identity.identity_key(), batch.to_bytes());
    Ok(Box::new(move |operations| {
        timed(operations, || {
            let batch = ReceiptBatch::from_bytes(black_box(&batch))?;
            batch.verify(&identity)?;
            black_box(batch.proofs());
            Ok(())
        })
    }))
}

/// From the relay's bytes to a proof that holds: its leaf, its path, and the head's signature.
pub(crate) fn check_a_proof() -> Outcome<Measure> {
    let (identity, batch) = batch()?;
    let proof = batch.proofs().pop().ok_or("a batch has proofs")?.to_bytes();
    let identity = identity.identity_key();
    Ok(Box::new(move |operations| {
        timed(operations, || {
            ReceiptProof::from_bytes(black_box(&proof))?.verify(&identity)?;
            Ok(())
        })
    }))
}

fn batch() -> Outcome<(IdentityPrivateKey, ReceiptBatch)> {
    let identity = IdentityPrivateKey::generate(&SystemPrimitives)?;
    let batch = ReceiptBatch::sign((0..RECEIPTS).map(leaf).collect(), 1, [0; 32], &identity)?;
    Ok((identity, batch))
}

fn leaf(number: u32) -> ReceiptLeaf {
    let [.., byte] = number.to_be_bytes();
    ReceiptLeaf {
        message: MessageRef { sender: AgentId::from_array([7; 32]), id: MessageId::new(NOW, [byte; 10]) },
        attempt: Attempt::FIRST,
        header: HeaderHash([byte; 32]),
        part: PartHash::of(&[byte; 64]),
        verdict: Verdict::Stored,
        at: NOW,
        blind: [byte; 16],
    }
}
