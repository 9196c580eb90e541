//! Mailboxes: how full each is, and what entering and leaving one does.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sealpost_core::{
    MailboxFill,
    ports::{AcceptError, ContentHandle, StoredPart},
};
use sealpost_protocol::{AgentId, Timestamp};

use super::{
    Abort, StoreError, bodies,
    columns::{Number, Time},
    deliveries::Delivery,
    retention,
};

pub(super) const FILL: &str = "SELECT messages, bytes FROM mailboxes WHERE recipient = ?1";
pub(super) const ENTER: &str = "INSERT INTO mailboxes
     VALUES (?1, 1, ?2, ?3)
     ON CONFLICT (recipient) DO UPDATE SET
         next_expiry = iif(messages = 0, excluded.next_expiry, min(next_expiry, excluded.next_expiry)),
         messages = messages + 1, bytes = bytes + excluded.bytes";
pub(super) const LEAVE: &str = "UPDATE mailboxes SET messages = messages - 1, bytes = bytes - ?2 WHERE recipient = ?1";
/// For a mailbox whose numbers are wrong.
pub(super) const RECOUNT: &str = "INSERT INTO mailboxes
     SELECT ?1, count(*), coalesce(sum(part_length), 0), coalesce(min(expires_at), 0)
     FROM deliveries WHERE recipient = ?1 AND mailbox_seq IS NOT NULL
     ON CONFLICT (recipient) DO UPDATE SET
         messages = excluded.messages, bytes = excluded.bytes, next_expiry = excluded.next_expiry";
pub(super) const INSERT_PART: &str = "INSERT INTO parts (delivery, content) VALUES (?1, ?2)";
pub(super) const PART: &str = "SELECT content FROM parts WHERE delivery = ?1";
pub(super) const RELEASE_PART: &str = "DELETE FROM parts WHERE delivery = ?1 RETURNING content";

/// Counts a part into its recipient's mailbox, if it has room, and stores it there for this delivery.
pub(super) fn enter(
    transaction: &Transaction<'_>,
    delivery: u64,
    part: StoredPart,
    expires: Timestamp,
) -> Result<(), Abort<AcceptError>> {
    fill(transaction, part.recipient)?.with(&part).map_err(Abort::Refused)?;
    let counted = params![part.recipient.as_bytes(), Number(part.length), Time(expires)];
    transaction.prepare_cached(ENTER)?.execute(counted)?;
    transaction.prepare_cached(INSERT_PART)?.execute(params![Number(delivery), part.content.0])?;
    Ok(())
}

fn fill(transaction: &Transaction<'_>, recipient: AgentId) -> Result<MailboxFill, StoreError> {
    let fill = transaction.prepare_cached(FILL)?.query_one([recipient.as_bytes()], |row| {
        let (Number(messages), Number(bytes)) = (row.get(0)?, row.get(1)?);
        Ok(MailboxFill { messages, bytes })
    });
    Ok(fill.optional()?.unwrap_or_default())
}

/// Stores a delivery that has ceased to wait, and takes out of its mailbox what nobody needs any more.
pub(super) fn leave(
    transaction: &Transaction<'_>,
    mut delivery: Delivery,
    released: &mut Vec<ContentHandle>,
) -> Result<(), StoreError> {
    delivery.mailbox_seq = None;
    delivery.update(transaction)?;
    uncount(transaction, delivery.record.status.recipient, delivery.part_length)?;
    if retention::is_kept(transaction, delivery.message)? {
        return Ok(());
    }
    released.extend(take_part(transaction, delivery.id)?);
    bodies::release(transaction, delivery.message, released)
}

/// Counts what is in a mailbox.
pub(super) fn recount(transaction: &Transaction<'_>, recipient: &[u8]) -> Result<(), StoreError> {
    transaction.prepare_cached(RECOUNT)?.execute([recipient])?;
    Ok(())
}

/// Counts a part out of its recipient's mailbox.
pub(super) fn uncount(transaction: &Transaction<'_>, recipient: AgentId, length: u64) -> Result<(), StoreError> {
    transaction.prepare_cached(LEAVE)?.execute(params![recipient.as_bytes(), Number(length)])?;
    Ok(())
}

/// Where the part of a delivery lies, if it is there.
pub(super) fn part(connection: &Connection, delivery: u64) -> Result<Option<ContentHandle>, StoreError> {
    let mut part = connection.prepare_cached(PART)?;
    Ok(part.query_one([Number(delivery)], |row| row.get(0)).optional()?.map(ContentHandle))
}

/// Takes out the part of a delivery, if it is there.
pub(super) fn take_part(transaction: &Transaction<'_>, delivery: u64) -> Result<Option<ContentHandle>, StoreError> {
    let mut part = transaction.prepare_cached(RELEASE_PART)?;
    Ok(part.query_one([Number(delivery)], |row| row.get(0)).optional()?.map(ContentHandle))
}
