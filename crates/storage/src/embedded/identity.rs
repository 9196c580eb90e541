//! Whose ledger this is, and which life of it.

use rusqlite::{Connection, Transaction, params};
use sealpost_core::ports::BackendError;
use sealpost_protocol::{LedgerId, NodeId, Timestamp};

use super::{Embedded, columns::Time, failure::StoreError};

pub(super) const LOAD: &str = "SELECT id, node FROM ledger WHERE only_row = 1";
pub(super) const TAKE: &str = "UPDATE ledger SET node = ?1 WHERE only_row = 1 AND node IS NULL";
pub(super) const RENAME: &str = "UPDATE ledger SET id = randomblob(16) WHERE only_row = 1";
/// Once after files were put back by hand: it may read the whole table.
const USE_UP_KEYS: &str =
    "UPDATE one_time_prekeys SET claimed_at = ?1 WHERE claimed_at IS NULL AND content IS NOT NULL";

/// What a ledger says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerIdentity {
    /// Its present life.
    pub id: LedgerId,
    /// The node it belongs to; none has taken a new one yet.
    pub node: Option<NodeId>,
}

impl Embedded {
    /// What the ledger says of itself.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn identity(&self) -> Result<LedgerIdentity, BackendError> {
        self.store.read(load).await
    }

    /// Gives a ledger that nobody has taken to `node`; another's stays another's.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn belong_to(&self, node: NodeId) -> Result<(), BackendError> {
        let take = move |transaction: &Transaction<'_>| {
            transaction.prepare_cached(TAKE)?.execute([node.as_bytes()])?;
            Ok(())
        };
        self.store.write(take).await
    }

    /// Begins another life of a ledger whose files were put back from a copy. What happened after the copy was made is not
    /// known: every one-time prekey counts as handed out, since it may have been, and agents begin their receipts anew.
    ///
    /// # Errors
    /// [`BackendError`]; nothing has changed then.
    pub async fn begin_anew(&self, at: Timestamp) -> Result<LedgerIdentity, BackendError> {
        let begin = move |transaction: &Transaction<'_>| {
            transaction.prepare_cached(RENAME)?.execute([])?;
            transaction.execute(USE_UP_KEYS, params![Time(at)])?;
            Ok(load(transaction)?)
        };
        self.store.write(begin).await
    }
}

pub(super) fn load(connection: &Connection) -> Result<LedgerIdentity, StoreError> {
    let row = connection.prepare_cached(LOAD)?.query_one([], |row| Ok((row.get(0)?, row.get::<_, Option<_>>(1)?)))?;
    Ok(LedgerIdentity { id: LedgerId(row.0), node: row.1.map(NodeId::from_array) })
}
