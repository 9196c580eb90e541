//! The store on SQLite: one table.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
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
