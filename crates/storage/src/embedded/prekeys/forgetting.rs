//! Forgetting claims, and keys that nobody will be given again.

use rusqlite::{Transaction, params};
use sealpost_protocol::Timestamp;

use super::{Number, StoreError, Time};

pub(super) const FORGET_CLAIMS: &str = "DELETE FROM claims
     WHERE id IN (SELECT id FROM claims WHERE made_at < ?1 ORDER BY made_at LIMIT ?2)";
pub(super) const FORGET_KEYS: &str = "UPDATE one_time_prekeys SET content = NULL
     WHERE id IN (
         SELECT id FROM one_time_prekeys
         WHERE content IS NOT NULL AND coalesce(claimed_at, expires_at) < ?1
         ORDER BY coalesce(claimed_at, expires_at) LIMIT ?2
     )";

/// Forgetting the rest of a key: an upload of it is refused as expired by then, and no message can name it.
pub(super) const FORGET_IDS: &str = "DELETE FROM one_time_prekeys
     WHERE id IN (SELECT id FROM one_time_prekeys WHERE content IS NULL AND expires_at < ?1 ORDER BY expires_at LIMIT ?2)";

pub(super) fn forget_ids(transaction: &Transaction<'_>, before: Timestamp, rows: usize) -> Result<usize, StoreError> {
    Ok(transaction.prepare_cached(FORGET_IDS)?.execute(params![Time(before), Number(rows as u64)])?)
}

pub(super) fn forget(transaction: &Transaction<'_>, before: Timestamp, rows: usize) -> Result<usize, StoreError> {
    let bounds = params![Time(before), Number(rows as u64)];
    let claims = transaction.prepare_cached(FORGET_CLAIMS)?.execute(bounds)?;
    let keys = transaction.prepare_cached(FORGET_KEYS)?.execute(bounds)?;
    Ok(claims + keys)
}
