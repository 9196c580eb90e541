//! A recipient's own end of its sequence of receipts.

use sealpost_protocol::{ReceiptBatch, ReceiptHead, ReceiptLeaf, Signature, merkle};

use super::Agent;

/// What stands for the node's signature where nobody checks it.
pub const COUNTERSIGNATURE: Signature = Signature([0x0c; 64]);

/// Which batch comes next, and the root it must name.
#[derive(Debug)]
pub struct ReceiptBook<'a> {
    recipient: &'a Agent,
    number: u64,
    root: merkle::Hash,
}

impl<'a> ReceiptBook<'a> {
    /// The book of an agent that has signed nothing yet.
    #[must_use]
    pub fn new(recipient: &'a Agent) -> Self {
        Self { recipient, number: 0, root: ReceiptHead::NO_ROOT }
    }

    /// Signs the next batch. Until it is entered, the next batch has the same number.
    #[must_use]
    pub fn sign(&self, receipts: Vec<ReceiptLeaf>) -> ReceiptBatch {
        ReceiptBatch::sign(receipts, self.number + 1, self.root, self.recipient).unwrap()
    }

    /// Notes that a batch was recorded.
    pub fn enter(&mut self, batch: &ReceiptBatch) {
        let head = batch.signed_head().head;
        (self.number, self.root) = (head.number, head.root);
    }
}
