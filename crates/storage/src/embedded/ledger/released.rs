//! Contents that nobody needs any more, until they are discarded.

use rusqlite::{Connection, Transaction};
use sealpost_core::ports::ContentHandle;

use super::{StoreError, columns::Number};

pub(super) const NOTE: &str = "INSERT OR IGNORE INTO released (handle) VALUES (?1)";
pub(super) const SOME: &str = "SELECT handle FROM released ORDER BY handle LIMIT ?1";
pub(super) const FORGET: &str = "DELETE FROM released WHERE handle = ?1";

pub(super) fn note<'a>(
    transaction: &Transaction<'_>,
    handles: impl IntoIterator<Item = &'a ContentHandle>,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(NOTE)?;
    for ContentHandle(handle) in handles {
        statement.execute([handle])?;
    }
    Ok(())
}

pub(super) fn some(connection: &Connection, limit: usize) -> Result<Vec<ContentHandle>, StoreError> {
    let mut statement = connection.prepare_cached(SOME)?;
    let handles = statement.query_map([Number(limit as u64)], |row| row.get(0).map(ContentHandle))?;
    Ok(handles.collect::<Result<_, _>>()?)
}

pub(super) fn forget(transaction: &Transaction<'_>, handles: &[ContentHandle]) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(FORGET)?;
    for ContentHandle(handle) in handles {
        statement.execute([handle])?;
    }
    Ok(())
}
