//! The store on SQLite: one table.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use sealpost_sqlite::{ApplicationId, Database, JobError, OpenDatabaseError, OpenOptions, Schema};

use super::{Area, CommitError, Reseal, Row, Store, StoreError, Write};
use crate::limits;

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
pub(crate) fn look(path: &Path, area: Area, key: &[u8]) -> Result<Option<Row>, OpenDatabaseError> {
    let has_log = path.with_extension("sqlite3-wal").exists();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    // Without a log nobody writes; a reader of such a file that may write would make one.
    let immutable = if has_log { "" } else { "?immutable=1" };
    let connection = Connection::open_with_flags(format!("file:{}{immutable}", uri_path(path)), flags)?;
    connection.busy_timeout(limits::LOOK_TIMEOUT)?;
    let has_table = connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'sealed'")?.exists([])?;
    if !has_table {
        return Ok(None); // its making was cut short
    }
    let found = "SELECT key, version, content FROM sealed WHERE area = ?1 AND key = ?2";
    Ok(connection.query_row(found, params![area.number(), key], read_row).optional()?)
}

fn uri_path(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

impl SqliteStore {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenDatabaseError> {
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
        JobError::from(error).into()
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

/// The row beside the head that is written once for each generation of the store key but the first.
const GENERATION: &[u8] = b"generation";

fn generation(connection: &Connection) -> Result<u32, StoreError> {
    let written = select_row(connection, Area::Vault, GENERATION)?.map_or(0, |row| row.version);
    Ok(u32::try_from(written).unwrap_or(u32::MAX).saturating_add(1))
}

fn check_generation(transaction: &Transaction<'_>, expected: u32) -> Result<(), CommitError> {
    if generation(transaction)? == expected { Ok(()) } else { Err(CommitError::OtherGeneration) }
}

fn reseal_rows(transaction: &Transaction<'_>, reseal: &mut Reseal) -> Result<(), CommitError> {
    let mut select = transaction.prepare_cached(
        "SELECT key, version, content, id, area FROM sealed WHERE id > ?1 AND area != ?2 ORDER BY id LIMIT ?3",
    )?;
    let mut update = transaction.prepare_cached("UPDATE sealed SET content = ?2 WHERE id = ?1")?;
    let mut after = i64::MIN;
    loop {
        let read = |row: &rusqlite::Row<'_>| Ok((read_row(row)?, row.get::<_, i64>(3)?, row.get::<_, u8>(4)?));
        let rows = select.query_map(params![after, Area::Vault.number(), limits::RESEALED_ROWS], read)?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let Some((_, last, _)) = rows.last() else { return Ok(()) };
        after = *last;
        for (row, id, area) in rows {
            let area = Area::sealed(area).ok_or_else(|| StoreError("a row of an unknown kind".into()))?;
            update.execute(params![id, reseal(area, &row)?])?;
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn row(&self, area: Area, key: Vec<u8>) -> Result<Option<Row>, StoreError> {
        self.0.read(move |connection| select_row(connection, area, &key)).await
    }

    async fn rows(&self, area: Area, prefix: Vec<u8>, after: Vec<u8>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.0.read(move |connection| select_rows(connection, area, &prefix, &after, limit)).await
    }

    async fn generation(&self) -> Result<u32, StoreError> {
        self.0.read(generation).await
    }

    async fn commit(&self, writes: Vec<Write>, generation: u32) -> Result<(), CommitError> {
        let job = move |transaction: &Transaction<'_>| {
            check_generation(transaction, generation)?;
            writes.iter().try_for_each(|write| apply(transaction, write))
        };
        self.0.write(job).await
    }

    async fn reseal(&self, head: Write, generation: u32, mut reseal: Reseal) -> Result<(), CommitError> {
        let job = move |transaction: &Transaction<'_>| {
            check_generation(transaction, generation)?;
            let key = GENERATION.to_vec();
            apply(
                transaction,
                &Write { area: Area::Vault, key, replaces: (generation - 1).into(), sealed: Some(Vec::new()) },
            )?;
            apply(transaction, &head)?;
            reseal_rows(transaction, &mut reseal)
        };
        self.0.write(job).await
    }
}

#[cfg(test)]
mod tests;
