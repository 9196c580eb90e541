//! How far the block store had come when the newest handle in the ledger was stored.

use rusqlite::{Connection, Transaction};
use sealpost_core::ports::ContentsMark;

use super::{columns::Number, failure::StoreError};

pub(super) const LOAD: &str = "SELECT contents_mark FROM ledger WHERE only_row = 1";
pub(super) const RAISE: &str = "UPDATE ledger SET contents_mark = ?1 WHERE only_row = 1 AND contents_mark < ?1";

/// The mark's position; 0 if there never was one.
pub(super) fn load(connection: &Connection) -> Result<u64, StoreError> {
    let Number(position) = connection.prepare_cached(LOAD)?.query_one([], |row| row.get(0))?;
    Ok(position)
}

const LOAD_COLLECTED: &str = "SELECT collected_mark FROM ledger WHERE only_row = 1";
const SET_COLLECTED: &str = "UPDATE ledger SET collected_mark = ?1 WHERE only_row = 1";

/// Before this position nothing is left over.
pub(super) fn load_collected(connection: &Connection) -> Result<u64, StoreError> {
    let Number(position) = connection.prepare_cached(LOAD_COLLECTED)?.query_one([], |row| row.get(0))?;
    Ok(position)
}

pub(super) fn set_collected(transaction: &Transaction<'_>, position: u64) -> Result<(), StoreError> {
    transaction.prepare_cached(SET_COLLECTED)?.execute([Number(position)])?;
    Ok(())
}

/// Notes a mark with the handles that it came with.
pub(super) fn raise(transaction: &Transaction<'_>, mark: &ContentsMark) -> Result<(), StoreError> {
    raise_to(transaction, mark.position())
}

/// Notes how far the blocks have come; a number that is passed already changes nothing.
pub(super) fn raise_to(transaction: &Transaction<'_>, position: u64) -> Result<(), StoreError> {
    transaction.prepare_cached(RAISE)?.execute([Number(position)])?;
    Ok(())
}

const LOAD_STORE: &str = "SELECT contents_store FROM ledger WHERE only_row = 1";
const SET_STORE: &str = "UPDATE ledger SET contents_store = ?1 WHERE only_row = 1";

/// The block store that the ledger's contents lie in, once it has one.
pub(super) fn load_store(connection: &Connection) -> Result<Option<[u8; 16]>, StoreError> {
    Ok(connection.prepare_cached(LOAD_STORE)?.query_one([], |row| row.get(0))?)
}

pub(super) fn set_store(transaction: &Transaction<'_>, store: [u8; 16]) -> Result<(), StoreError> {
    transaction.prepare_cached(SET_STORE)?.execute([store])?;
    Ok(())
}
