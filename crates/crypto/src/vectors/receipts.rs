//! Two batches of receipts in a row, with a proof for every leaf.

use sealpost_protocol::{
    Attempt, NodeId, PartHash, ReceiptBatch, ReceiptHead, ReceiptLeaf, RefusalReason, Signer, Verdict,
};
use serde_json::{Value, json};

use super::{encoded, hex, prekeys::Drawn};
use crate::testing::{NOW, SeededPrimitives, TestAgent};

/// A tree of five leaves is not balanced.
const VERDICTS: [Verdict; 6] = [
    Verdict::Stored,
    Verdict::Acknowledged,
    Verdict::Refused(RefusalReason::Undecryptable),
    Verdict::Refused(RefusalReason::Policy),
    Verdict::Stored,
    Verdict::Acknowledged,
];

pub(super) fn vectors() -> Value {
    let (alice, bob, node) = (TestAgent::new(1), TestAgent::new(2), TestAgent::new(3));
    let blinds = SeededPrimitives::new(7);
    let mut leaves: Vec<ReceiptLeaf> = (0..)
        .zip(VERDICTS)
        .map(|(number, verdict)| {
            let header = alice.header_to(&bob, number);
            ReceiptLeaf {
                message: header.message(),
                attempt: Attempt::FIRST,
                header: header.hash(),
                part: PartHash::of(&number.to_be_bytes()),
                verdict,
                at: NOW,
                blind: blinds.array(),
            }
        })
        .collect();
    let last = leaves.split_off(5);
    let first = ReceiptBatch::sign(leaves, 1, ReceiptHead::NO_ROOT, &bob.identity).unwrap();
    let second = ReceiptBatch::sign(last, 2, first.signed_head().head.root, &bob.identity).unwrap();
    json!({
        "recipient": "bob",
        "node_seed": hex(Drawn::by(3).identity),
        "node_id": encoded(&NodeId::from(node.identity.identity_key())),
        "batches": [batch(&first, &node), batch(&second, &node)],
    })
}

fn batch(batch: &ReceiptBatch, node: &TestAgent) -> Value {
    json!({
        "leaves": batch.leaves().iter().map(encoded).collect::<Vec<_>>(),
        "head": encoded(&batch.signed_head().head),
        "signature": encoded(&batch.signed_head().signature),
        "countersignature": encoded(&batch.signed_head().head.countersign(&node.identity)),
        "batch": encoded(batch),
        "proofs": batch.proofs().iter().map(encoded).collect::<Vec<_>>(),
    })
}
