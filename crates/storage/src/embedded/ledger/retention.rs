//! Messages whose contents are kept to the end of their lives, so that they can be read again.

use rusqlite::{Connection, Transaction, params};
use sealpost_core::ports::{ContentHandle, EndedRetention};
use sealpost_protocol::{Retention, Timestamp};

use super::{
    StoreError, bodies,
    columns::{Number, Time},
};

pub(super) const KEEP: &str = "INSERT INTO retained (message, expires_at) VALUES (?1, ?2)";
pub(super) const IS_KEPT: &str = "SELECT 1 FROM retained WHERE message = ?1";
pub(super) const DUE: &str = "SELECT message FROM retained WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";
pub(super) const END: &str = "DELETE FROM retained WHERE message = ?1";
/// Parts for which nobody waits any more.
pub(super) const RELEASE_PARTS: &str = "DELETE FROM parts WHERE delivery IN (
         SELECT id FROM deliveries
         WHERE id >= ?1 AND id < ?1 + (SELECT recipients FROM messages WHERE id = ?1) AND mailbox_seq IS NULL
     )
     RETURNING content";

/// Keeps the contents of a new message, if its sender asks for it.
pub(super) fn keep(
    transaction: &Transaction<'_>,
    message: u64,
    retention: Retention,
    expires: Timestamp,
) -> Result<(), StoreError> {
    if retention == Retention::UntilExpiry {
        transaction.prepare_cached(KEEP)?.execute(params![Number(message), Time(expires)])?;
    }
    Ok(())
}

/// Whether a message's contents are kept, though nobody waits for them.
pub(super) fn is_kept(connection: &Connection, message: u64) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(IS_KEPT)?.exists([Number(message)])?)
}

/// Ends it for up to `rows` messages whose lives have ended, and releases what nobody waits for.
pub(super) fn end(transaction: &Transaction<'_>, now: Timestamp, rows: usize) -> Result<EndedRetention, StoreError> {
    let due: Vec<Number> = {
        let mut statement = transaction.prepare_cached(DUE)?;
        let found = statement.query_map(params![Time(now), Number(rows as u64)], |row| row.get(0))?;
        found.collect::<Result<_, _>>()?
    };
    let mut ended = EndedRetention { messages: due.len(), released: Vec::new() };
    for Number(message) in due {
        end_one(transaction, message, &mut ended.released)?;
    }
    Ok(ended)
}

/// Ends it for one message, and releases what nobody waits for.
pub(super) fn end_one(
    transaction: &Transaction<'_>,
    message: u64,
    released: &mut Vec<ContentHandle>,
) -> Result<(), StoreError> {
    transaction.prepare_cached(END)?.execute([Number(message)])?;
    {
        let mut statement = transaction.prepare_cached(RELEASE_PARTS)?;
        let mut rows = statement.query([Number(message)])?;
        while let Some(row) = rows.next()? {
            released.push(ContentHandle(row.get(0)?));
        }
    }
    bodies::release(transaction, message, released)
}
