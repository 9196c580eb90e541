//! Failing what has lived long enough.
//!
//! An index of all ends of lives would cost every acceptance a fourth index. Instead each mailbox knows a time before
//! which nothing in it expires: a sweep reads the mailboxes, and looks into those alone that are due. Its position is
//! the first eight bytes of the next mailbox's owner; ids are hashes, so hardly two share them, and if they do, one
//! that is done is not due again.

use rusqlite::{Connection, Transaction, params};
use sealpost_core::ports::ExpireStep;
use sealpost_protocol::{AgentId, Timestamp};

use super::{
    StoreError,
    change_numbers::ChangeNumbers,
    columns::{Number, Time},
    deliveries, mailboxes,
};

pub(super) const DUE_MAILBOXES: &str = "SELECT recipient, messages FROM mailboxes
     WHERE recipient >= ?1 AND next_expiry <= ?2 AND messages > 0
     ORDER BY recipient LIMIT ?3";
pub(super) const DUE_DELIVERIES: &str = "SELECT id FROM deliveries
     WHERE recipient = ?1 AND mailbox_seq IS NOT NULL AND expires_at <= ?2
     ORDER BY mailbox_seq LIMIT ?3";
pub(super) const SET_NEXT_EXPIRY: &str = "UPDATE mailboxes SET next_expiry = coalesce((
         SELECT min(expires_at) FROM deliveries WHERE recipient = ?1 AND mailbox_seq IS NOT NULL
     ), 0) WHERE recipient = ?1";

pub(super) const NOTE_SWEEP: &str = "UPDATE ledger SET swept_at = ?1 WHERE only_row = 1";
pub(super) const SWEPT_AT: &str = "SELECT swept_at FROM ledger WHERE only_row = 1";

/// A mailbox in which something may have expired.
pub(super) struct DueMailbox {
    recipient: AgentId,
    messages: u64,
}

/// The mailboxes that are due, from a position on; more than one step needs.
pub(super) fn due_mailboxes(
    connection: &Connection,
    now: Timestamp,
    from: u64,
    rows: usize,
) -> Result<Vec<DueMailbox>, StoreError> {
    let mut first = [0; 32];
    if let Some(head) = first.first_chunk_mut() {
        *head = from.to_be_bytes();
    }
    let mut statement = connection.prepare_cached(DUE_MAILBOXES)?;
    let mut found = statement.query(params![first, Time(now), Number(rows as u64 + 1)])?;
    let mut due = Vec::new();
    while let Some(row) = found.next()? {
        let Number(messages) = row.get(1)?;
        due.push(DueMailbox { recipient: AgentId::from_array(row.get(0)?), messages });
    }
    Ok(due)
}

/// Fails what has expired in the first of these mailboxes, until about `rows` deliveries, at least one, have been
/// looked at.
pub(super) fn expire(
    transaction: &Transaction<'_>,
    now: Timestamp,
    due: &[DueMailbox],
    rows: usize,
) -> Result<ExpireStep, StoreError> {
    let mut numbers = ChangeNumbers::load(transaction)?;
    let (mut step, mut looked_at) = (ExpireStep::default(), 0);
    for mailbox in due {
        if looked_at >= rows as u64 {
            step.next = Some(position(mailbox.recipient));
            break;
        }
        looked_at += mailbox.messages;
        if !expire_mailbox(transaction, mailbox.recipient, now, rows, &mut numbers, &mut step)? {
            step.next = Some(position(mailbox.recipient));
            break;
        }
    }
    numbers.save(transaction)?;
    Ok(step)
}

/// Returns whether nothing more is due in it.
fn expire_mailbox(
    transaction: &Transaction<'_>,
    recipient: AgentId,
    now: Timestamp,
    rows: usize,
    numbers: &mut ChangeNumbers,
    step: &mut ExpireStep,
) -> Result<bool, StoreError> {
    let mut statement = transaction.prepare_cached(DUE_DELIVERIES)?;
    let found = statement.query_map(params![recipient.as_bytes(), Time(now), Number(rows as u64)], |row| row.get(0))?;
    let ids: Vec<Number> = found.collect::<Result<_, _>>()?;
    let mut readable = 0;
    for Number(id) in &ids {
        let loaded = match deliveries::load(transaction, *id..=*id) {
            Err(error) if error.is_damage() => {
                tracing::error!(delivery = id, %error, "a damaged delivery cannot expire");
                continue;
            }
            loaded => loaded?,
        };
        // None is loaded of a fan-out that is under way: it expires as a message.
        readable += loaded.len();
        for mut delivery in loaded {
            if delivery.record.expire(numbers.next()) {
                numbers.take();
                step.agents.extend([recipient, delivery.sender]);
                mailboxes::leave(transaction, delivery, &mut step.released)?;
            }
        }
    }
    transaction.prepare_cached(SET_NEXT_EXPIRY)?.execute([recipient.as_bytes()])?;
    // Damaged ones stay due: where there is nothing else, going on would not end.
    Ok(ids.len() < rows || readable == 0)
}

pub(super) fn note_sweep(transaction: &Transaction<'_>, at: Timestamp) -> Result<(), StoreError> {
    transaction.prepare_cached(NOTE_SWEEP)?.execute([Time(at)])?;
    Ok(())
}

pub(super) fn swept_at(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<Time> = connection.prepare_cached(SWEPT_AT)?.query_one([], |row| row.get(0))?;
    Ok(at.map(|Time(at)| at))
}

fn position(recipient: AgentId) -> u64 {
    recipient.as_bytes().first_chunk().copied().map_or(0, u64::from_be_bytes)
}
