//! Whose file it is, and the steps that brought its tables to their present shape.
//!
//! Kept: the file's `user_version` is the number of steps applied, and it changes in the same transaction as the step.
//! A file of another application or of a newer build is refused, never touched.

use std::fmt;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::connection::OpenDatabaseError;

/// What a database must be before anything is written to it.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The product and the kind of store, written into the file by the first migration.
    pub application_id: ApplicationId,
    /// SQL scripts, oldest first; step `n` takes a file from `user_version` `n` to `n + 1`. A released step never
    /// changes: a change is a further step. Each runs in its own transaction with foreign keys unenforced, as SQLite
    /// asks of a script that rebuilds a table, and is kept only if every reference then holds.
    pub migrations: &'static [&'static str],
}

impl Schema {
    /// The number of migrations `connection` has had, or why this schema may not use it. Changes nothing; the answer is
    /// good for as long as the transaction it is asked in.
    pub(crate) fn inspect(&self, connection: &Connection) -> Result<usize, OpenDatabaseError> {
        let found = ApplicationId(connection.pragma_query_one(None, "application_id")?);
        let version: i32 = connection.pragma_query_one(None, "user_version")?;
        if found == ApplicationId::NONE && version == 0 && is_empty(connection)? {
            return Ok(0);
        }
        if found != self.application_id || found == ApplicationId::NONE {
            return Err(OpenDatabaseError::Foreign { found, expected: self.application_id });
        }
        match usize::try_from(version) {
            Ok(applied) if applied <= self.migrations.len() => Ok(applied),
            _ => Err(OpenDatabaseError::NewerSchema { found: version, known: self.migrations.len() }),
        }
    }

    /// Applies what is missing. Safe against others who open the same file: each step is chosen under the write lock.
    pub(crate) fn migrate(&self, connection: &mut Connection) -> Result<(), OpenDatabaseError> {
        connection.pragma_update(None, "foreign_keys", false)?;
        while self.migrate_once(connection)? {}
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(())
    }

    /// Applies the next migration; false when there is none.
    fn migrate_once(&self, connection: &mut Connection) -> Result<bool, OpenDatabaseError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let applied = self.inspect(&transaction)?;
        let Some(migration) = self.migrations.get(applied) else {
            return Ok(false);
        };
        let version = applied + 1;
        self.apply(&transaction, migration, version)
            .map_err(|source| OpenDatabaseError::Migration { version, source })?;
        if has_broken_references(&transaction)? {
            return Err(OpenDatabaseError::BrokenReferences { version });
        }
        transaction.commit().map_err(|source| OpenDatabaseError::Migration { version, source })?;
        tracing::info!(version, "applied a migration");
        Ok(true)
    }

    fn apply(&self, transaction: &Transaction<'_>, migration: &str, version: usize) -> rusqlite::Result<()> {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", self.application_id.0)?;
        transaction.pragma_update(None, "user_version", version.cast_signed())
    }
}

/// The four bytes in an SQLite file's header (offset 68) that name the application it belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ApplicationId(i32);

impl ApplicationId {
    /// What a file carries that no application has claimed.
    const NONE: Self = Self(0);

    /// The id spelled by these bytes, best four letters, so that a hex dump of the file shows them. Four zeros are no
    /// id: SQLite writes them into files nobody claimed.
    #[must_use]
    pub const fn new(tag: [u8; 4]) -> Self {
        Self(i32::from_be_bytes(tag))
    }
}

impl fmt::Display for ApplicationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#010x}", self.0)
    }
}

impl fmt::Debug for ApplicationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

fn has_broken_references(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare("PRAGMA foreign_key_check")?.exists([])
}
