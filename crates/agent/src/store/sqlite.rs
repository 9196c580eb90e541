//! The store on SQLite: one table.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use sealpost_sqlite::{ApplicationId, Database, JobError, OpenError, OpenOptions, Schema};

use super::{Area, CommitError, Row, Store, StoreError, Write};

const SCHEMA: Schema = Schema {
    application_id: ApplicationId::new(*b"SpAg"),
    migrations: &["CREATE TABLE sealed (
            id INTEGER PRIMARY KEY,
            area INTEGER NOT NULL,
            key BLOB NOT NULL,
            version INTEGER NOT NULL,
            content BLOB NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX sealed_by_key ON sealed (area, key);"],
};

/// Sealed rows in one file, which several processes of the agent may open.
#[derive(Debug)]
pub(crate) struct SqliteStore(Database);

/// Reads one row from the file at `path` without writing anything, not even beside it: for whoever may only look, also
/// while others write.
pub(crate) fn look(path: &Path, area: Area, key: &[u8]) -> Result<Option<Row>, OpenError> {
    let has_log = path.with_extension("sqlite3-wal").exists();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    // Without a log nobody writes; a reader of such a file that may write would make one.
    let immutable = if has_log { "" } else { "?immutable=1" };
    let connection = Connection::open_with_flags(format!("file:{}{immutable}", uri_path(path)), flags)?;
    connection.busy_timeout(LOOK_TIMEOUT)?;
    let found = "SELECT key, version, content FROM sealed WHERE area = ?1 AND key = ?2";
    Ok(connection.query_row(found, params![area.number(), key], read_row).optional()?)
}

/// How long a look waits for whoever folds the log into the file: they are done in milliseconds.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

fn uri_path(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

impl SqliteStore {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        Database::open(path, SCHEMA, OpenOptions::default()).map(Self)
    }
}

impl From<JobError> for StoreError {
    fn from(error: JobError) -> Self {
        Self(Box::new(error))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<JobError> for CommitError {
    fn from(error: JobError) -> Self {
        Self::Store(error.into())
    }
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row { key: row.get(0)?, version: row.get::<_, i64>(1)?.cast_unsigned(), sealed: row.get(2)? })
}

fn select_row(connection: &Connection, area: Area, key: &[u8]) -> Result<Option<Row>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT key, version, content FROM sealed WHERE area = ?1 AND key = ?2")?;
    Ok(select.query_row(params![area.number(), key], read_row).optional()?)
}

fn select_rows(
    connection: &Connection,
    area: Area,
    prefix: &[u8],
    after: &[u8],
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT key, version, content FROM sealed
         WHERE area = ?1 AND key >= ?2 AND key > ?3 ORDER BY key LIMIT ?4",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for row in select.query_map(params![area.number(), prefix, after, limit], read_row)? {
        let row = row?;
        if !row.key.starts_with(prefix) {
            break;
        }
        found.push(row);
    }
    Ok(found)
}

fn apply(transaction: &Transaction<'_>, write: &Write) -> Result<(), CommitError> {
    let (area, key, replaces) = (write.area.number(), &write.key, write.replaces.cast_signed());
    let changed = match (&write.sealed, replaces) {
        (Some(content), 0) => transaction
            .prepare_cached(
                "INSERT INTO sealed (area, key, version, content) VALUES (?1, ?2, 1, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![area, key, content])?,
        (Some(content), _) => transaction
            .prepare_cached(
                "UPDATE sealed SET version = ?3 + 1, content = ?4 WHERE area = ?1 AND key = ?2 AND version = ?3",
            )?
            .execute(params![area, key, replaces, content])?,
        (None, _) => transaction
            .prepare_cached("DELETE FROM sealed WHERE area = ?1 AND key = ?2 AND version = ?3")?
            .execute(params![area, key, replaces])?,
    };
    if changed == 1 { Ok(()) } else { Err(CommitError::Conflict) }
}

#[async_trait]
impl Store for SqliteStore {
    async fn row(&self, area: Area, key: Vec<u8>) -> Result<Option<Row>, StoreError> {
        self.0.read(move |connection| select_row(connection, area, &key)).await
    }

    async fn rows(&self, area: Area, prefix: Vec<u8>, after: Vec<u8>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.0.read(move |connection| select_rows(connection, area, &prefix, &after, limit)).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        self.0.write(move |transaction| writes.iter().try_for_each(|write| apply(transaction, write))).await
    }
}

#[cfg(test)]
mod tests;
