//! Forgetting old messages. Their rows lie in the order of acceptance, so the old ones are the first; one that was
//! accepted while the clock ran ahead keeps those after it until it is old itself.

use rusqlite::{Transaction, params};
use sealpost_protocol::Timestamp;

use super::{
    StoreError,
    columns::{Number, Time},
};
use crate::limits;

pub(super) const OLDEST: &str = "SELECT id, recipients, accepted_at FROM messages ORDER BY id LIMIT ?1";
pub(super) const WAITS: &str =
    "SELECT EXISTS (SELECT 1 FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND mailbox_seq IS NOT NULL)
         OR EXISTS (SELECT 1 FROM retained WHERE message = ?1)";
pub(super) const DELETE_DELIVERIES: &str = "DELETE FROM deliveries WHERE id BETWEEN ?1 AND ?2";
pub(super) const DELETE_MESSAGE: &str = "DELETE FROM messages WHERE id = ?1";

/// Parts and bodies are not deleted here: they left with the last who waited for them, or at the end of their life.
pub(super) fn forget(transaction: &Transaction<'_>, before: Timestamp, rows: usize) -> Result<usize, StoreError> {
    let (mut forgotten, mut deliveries) = (0, 0);
    for (Number(first), Number(count), Time(accepted_at)) in oldest(transaction, rows)? {
        if accepted_at >= before || deliveries >= limits::FORGOTTEN_AT_ONCE {
            break;
        }
        let ids = params![Number(first), Number(first + count - 1)];
        if transaction.prepare_cached(WAITS)?.query_one(ids, |row| row.get(0))? {
            continue;
        }
        transaction.prepare_cached(DELETE_DELIVERIES)?.execute(ids)?;
        transaction.prepare_cached(DELETE_MESSAGE)?.execute([Number(first)])?;
        forgotten += 1;
        deliveries += count;
    }
    Ok(forgotten)
}

fn oldest(transaction: &Transaction<'_>, rows: usize) -> Result<Vec<(Number, Number, Time)>, StoreError> {
    let mut statement = transaction.prepare_cached(OLDEST)?;
    let found = statement.query_map([Number(rows as u64)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}
