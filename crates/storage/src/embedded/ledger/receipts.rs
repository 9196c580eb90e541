//! Recording a batch of receipts: in its recipient's sequence, whole or not at all.

use rusqlite::{OptionalExtension, Transaction, params};
use sealpost_core::ports::{RecordReceiptsError, RecordedReceipts};
use sealpost_protocol::{AgentId, ReceiptHead, ReceiptProof, Timestamp};

use super::{
    Abort, StoreError, change_numbers::ChangeNumbers, columns::Number, deliveries::Delivery, mailboxes, messages,
};

pub(super) const LAST_HEAD: &str = "SELECT number, previous_root, root FROM receipt_heads
     WHERE ledger = (SELECT id FROM ledger WHERE only_row = 1) AND recipient = ?1";
pub(super) const SET_LAST_HEAD: &str = "INSERT INTO receipt_heads (ledger, recipient, number, previous_root, root)
     VALUES ((SELECT id FROM ledger WHERE only_row = 1), ?1, ?2, ?3, ?4)
     ON CONFLICT (ledger, recipient) DO UPDATE SET
         number = excluded.number, previous_root = excluded.previous_root, root = excluded.root";

pub(super) fn record(
    transaction: &Transaction<'_>,
    head: ReceiptHead,
    proofs: Vec<ReceiptProof>,
    at: Timestamp,
) -> Result<RecordedReceipts, Abort<RecordReceiptsError>> {
    let last = last_head(transaction, head.recipient)?;
    if last == Some(head) {
        return Ok(RecordedReceipts::default());
    }
    let number = last.map_or(0, |last| last.number) + 1;
    let previous_root = last.map_or(ReceiptHead::NO_ROOT, |last| last.root);
    if (head.number, head.previous_root) != (number, previous_root) {
        return Err(Abort::Refused(RecordReceiptsError::OutOfSequence { number, previous_root }));
    }
    let mut numbers = ChangeNumbers::load(transaction)?;
    let mut recorded = RecordedReceipts::default();
    for (index, proof) in proofs.into_iter().enumerate() {
        let unknown = Abort::Refused(RecordReceiptsError::UnknownMessage { index });
        let mut delivery = find(transaction, &proof)?.ok_or(unknown)?;
        let conflict = |conflict| Abort::Refused(RecordReceiptsError::Conflict { index, conflict });
        if delivery.record.apply_receipt(proof, at, numbers.next()).map_err(conflict)? {
            numbers.take();
            recorded.senders.push(delivery.sender);
            if delivery.is_waiting() {
                mailboxes::leave(transaction, delivery, &mut recorded.released)?;
            } else {
                delivery.update(transaction)?;
            }
        }
    }
    set_last_head(transaction, head)?;
    numbers.save(transaction)?;
    Ok(recorded)
}

/// The delivery that a receipt is about.
fn find(transaction: &Transaction<'_>, proof: &ReceiptProof) -> Result<Option<Delivery>, StoreError> {
    match messages::find(transaction, proof.leaf.message)? {
        Some(message) => message.delivery(transaction, proof.signed.head.recipient),
        None => Ok(None),
    }
}

fn last_head(transaction: &Transaction<'_>, recipient: AgentId) -> Result<Option<ReceiptHead>, StoreError> {
    let mut statement = transaction.prepare_cached(LAST_HEAD)?;
    let head = statement.query_one([recipient.as_bytes()], |row| {
        let Number(number) = row.get(0)?;
        Ok(ReceiptHead { recipient, number, previous_root: row.get(1)?, root: row.get(2)? })
    });
    Ok(head.optional()?)
}

fn set_last_head(transaction: &Transaction<'_>, head: ReceiptHead) -> Result<(), StoreError> {
    let columns = params![head.recipient.as_bytes(), Number(head.number), head.previous_root, head.root];
    transaction.prepare_cached(SET_LAST_HEAD)?.execute(columns)?;
    Ok(())
}
