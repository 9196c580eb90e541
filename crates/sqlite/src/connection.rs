//! How a connection is opened and what is asked of SQLite on it.
//!
//! Kept: nothing is written to a file before [`Schema::inspect`] accepted it, and a commit returns only after the
//! write-ahead log reached the disk.

use std::{io, path::Path, time::Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{
    database::OpenOptions,
    limits::{BUSY_TIMEOUT, CACHE_KIB, LOG_BYTES_PER_PAGE, STATEMENTS},
    no_space::is_no_space,
    private_files::{create_file, make_private},
    schema::{ApplicationId, Schema},
};

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenDatabaseError {
    /// The file is an SQLite database, but not one of ours. It is as it was.
    #[error("the database belongs to another application (its id is {found}, expected {expected})")]
    Foreign {
        /// The id in the file; zero when nobody claimed it.
        found: ApplicationId,
        /// The id of the schema it was opened with.
        expected: ApplicationId,
    },
    /// A newer build has migrated the file. It is as it was.
    #[error("the database was written by a newer version (schema {found}, this version knows up to {known})")]
    NewerSchema {
        /// The file's `user_version`.
        found: i32,
        /// How many migrations this build has.
        known: usize,
    },
    /// A migration failed; the steps before it stay applied.
    #[error("the migration to schema {version} failed")]
    Migration {
        /// The `user_version` the step would have led to.
        version: usize,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A migration would have left rows that refer to missing ones; it was rolled back.
    #[error("the migration to schema {version} breaks a foreign key")]
    BrokenReferences {
        /// The `user_version` the step would have led to.
        version: usize,
    },
    /// The file system cannot carry a write-ahead log (shared memory is missing, as on most network drives).
    #[error("the file system does not support a write-ahead log (SQLite stayed in mode `{mode}`)")]
    NoWriteAheadLog {
        /// The journal mode SQLite fell back to.
        mode: String,
    },
    /// The disk is full.
    #[error("no space is left on the disk")]
    NoSpace,
    /// SQLite could not open, read or configure the file.
    #[error("SQLite could not open the database")]
    Sqlite(#[source] rusqlite::Error),
    /// The file is missing and could not be made.
    #[error("the database's file could not be made")]
    File(#[source] io::Error),
    /// The operating system refused the writer's thread.
    #[error("the writer's thread could not be started")]
    Thread(#[source] io::Error),
}

impl From<rusqlite::Error> for OpenDatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        if is_no_space(&error) { Self::NoSpace } else { Self::Sqlite(error) }
    }
}

/// Opens the connection that may change the database, with the schema brought up to date.
pub(crate) fn open_writer(path: &Path, schema: Schema, options: OpenOptions) -> Result<Connection, OpenDatabaseError> {
    create_file(path).map_err(OpenDatabaseError::File)?;
    for log in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(log);
        make_private(Path::new(&name)).map_err(OpenDatabaseError::File)?;
    }
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    schema.inspect(&*connection.transaction()?)?;
    use_write_ahead_log(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Elsewhere a no-op; on macOS a plain fsync leaves the bytes in the drive's own cache.
    connection.pragma_update(None, "fullfsync", true)?;
    let log_pages = u32::from(options.checkpoint_pages.get());
    connection.pragma_update(None, "wal_autocheckpoint", log_pages)?;
    connection.pragma_update(None, "journal_size_limit", log_pages * LOG_BYTES_PER_PAGE)?;
    connection.pragma_update(None, "secure_delete", options.secure_delete)?;
    schema.migrate(&mut connection)?;
    Ok(connection)
}

/// Opens a connection that can only look. The file itself is open for writing: a read may outlive the writer, and then
/// it is this connection that folds the log into the file as it closes.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Negative means KiB, positive would mean pages.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // Savepoints and sorts would otherwise spill rows into the system's temporary folder.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// Switches the file to write-ahead logging, which it then stays in.
///
/// Of all statements this one does not wait for a lock, whatever the busy timeout: of two processes that create one
/// file at the same moment, one fails. A transaction does wait, so an empty one tells when it is worth trying again.
fn use_write_ahead_log(connection: &Connection) -> Result<(), OpenDatabaseError> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => return Err(OpenDatabaseError::NoWriteAheadLog { mode }),
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}
