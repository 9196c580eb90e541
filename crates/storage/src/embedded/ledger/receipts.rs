//! Recording a batch of receipts in its recipient's sequence.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sealpost_core::ports::{ReceiptRefusal, RecordReceiptsError, RecordedReceipts, RefusedReceipt};
use sealpost_protocol::{
    AgentId, CountersignedHead, ReceiptHead, ReceiptProof, Signature, SignedReceiptHead, Timestamp,
};

use super::{
    Abort, StoreError, change_numbers::ChangeNumbers, columns::Number, deliveries::Delivery, mailboxes, messages,
};

pub(super) const LAST_HEAD: &str = "SELECT number, previous_root, root FROM receipt_heads
     WHERE ledger = (SELECT id FROM ledger WHERE only_row = 1) AND recipient = ?1";
pub(super) const SIGNED_HEAD: &str =
    "SELECT number, previous_root, root, signature, countersignature FROM receipt_heads
     WHERE ledger = (SELECT id FROM ledger WHERE only_row = 1) AND recipient = ?1
         AND signature IS NOT NULL AND countersignature IS NOT NULL";
pub(super) const SET_LAST_HEAD: &str = "INSERT INTO receipt_heads (ledger, recipient, number, previous_root, root,
         signature, countersignature)
     VALUES ((SELECT id FROM ledger WHERE only_row = 1), ?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (ledger, recipient) DO UPDATE SET
         number = excluded.number, previous_root = excluded.previous_root, root = excluded.root,
         signature = excluded.signature, countersignature = excluded.countersignature";

pub(super) fn record(
    transaction: &Transaction<'_>,
    countersigned: CountersignedHead,
    proofs: Vec<ReceiptProof>,
    at: Timestamp,
) -> Result<RecordedReceipts, Abort<RecordReceiptsError>> {
    let head = countersigned.signed.head;
    let last = last_head(transaction, head.recipient)?;
    RecordReceiptsError::unless_follows(last, head).map_err(Abort::Refused)?;
    let mut numbers = ChangeNumbers::load(transaction)?;
    let mut recorded = RecordedReceipts::default();
    for (index, proof) in proofs.into_iter().enumerate() {
        if let Some(reason) = record_one(transaction, proof, at, &mut numbers, &mut recorded)? {
            recorded.refused.push(RefusedReceipt { index, reason });
        }
    }
    set_last_head(transaction, &countersigned)?;
    numbers.save(transaction)?;
    Ok(recorded)
}

/// Returns why a receipt is not taken, if it is not.
fn record_one(
    transaction: &Transaction<'_>,
    proof: ReceiptProof,
    at: Timestamp,
    numbers: &mut ChangeNumbers,
    recorded: &mut RecordedReceipts,
) -> Result<Option<ReceiptRefusal>, StoreError> {
    let Some(mut delivery) = find(transaction, &proof)? else { return Ok(Some(ReceiptRefusal::UnknownMessage)) };
    match delivery.record.apply_receipt(proof, at, numbers.next()) {
        Err(conflict) => return Ok(Some(conflict.into())),
        Ok(false) => return Ok(None),
        Ok(true) => {}
    }
    numbers.take();
    recorded.senders.push(delivery.sender);
    if delivery.is_waiting() {
        mailboxes::leave(transaction, delivery, &mut recorded.released)?;
    } else {
        delivery.update(transaction)?;
    }
    Ok(None)
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

/// The same under both signatures; `None` also if it was recorded before they were kept.
pub(super) fn signed_head(
    connection: &Connection,
    recipient: AgentId,
) -> Result<Option<CountersignedHead>, StoreError> {
    let mut statement = connection.prepare_cached(SIGNED_HEAD)?;
    let head = statement.query_one([recipient.as_bytes()], |row| {
        let Number(number) = row.get(0)?;
        let head = ReceiptHead { recipient, number, previous_root: row.get(1)?, root: row.get(2)? };
        let signed = SignedReceiptHead { head, signature: Signature(row.get(3)?) };
        Ok(CountersignedHead { signed, countersignature: Signature(row.get(4)?) })
    });
    Ok(head.optional()?)
}

fn set_last_head(transaction: &Transaction<'_>, countersigned: &CountersignedHead) -> Result<(), StoreError> {
    let CountersignedHead { signed, countersignature } = countersigned;
    let head = &signed.head;
    let columns = params![
        head.recipient.as_bytes(),
        Number(head.number),
        head.previous_root,
        head.root,
        signed.signature.0,
        countersignature.0,
    ];
    transaction.prepare_cached(SET_LAST_HEAD)?.execute(columns)?;
    Ok(())
}
