//! What the relay's ledger and the agent's store both need from SQLite, and nothing of what they keep in it.
//!
//! A [`Database`] is one file with one writer and a few readers. The writer is a thread that owns the only connection
//! allowed to change anything; it runs the jobs it finds queued in one transaction, and answers their callers only after
//! the commit reached the disk. A reader sees one committed state from the first statement of its job to the last.
//!
//! A [`Schema`] says whose file it is and how it came to its present shape; a file of another product or of a newer
//! build is refused before a byte of it changes. A [`DirectoryLock`] keeps a data directory to one process.
//!
//! ```
//! use sealpost_sqlite::{ApplicationId, Database, JobError, OpenOptions, Schema};
//!
//! const SCHEMA: Schema = Schema {
//!     application_id: ApplicationId::new(*b"NOTE"),
//!     migrations: &["CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT"],
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let database = Database::open(&directory.path().join("notes.db"), SCHEMA, OpenOptions::default())?;
//! let id = database
//!     .write(|transaction| -> Result<i64, JobError> {
//!         transaction.prepare_cached("INSERT INTO note (body) VALUES (?1)")?.execute(["milk"])?;
//!         Ok(transaction.last_insert_rowid())
//!     })
//!     .await?;
//! let body = database
//!     .read(move |connection| -> Result<String, JobError> {
//!         Ok(connection.query_row("SELECT body FROM note WHERE id = ?1", [id], |row| row.get(0))?)
//!     })
//!     .await?;
//! assert_eq!(body, "milk");
//! # Ok(())
//! # }
//! ```

mod connection;
mod database;
mod directory_lock;
mod disk_space;
mod job;
mod join_on_drop;
mod limits;
mod no_space;
mod private_files;
mod readers;
mod schema;
mod writer;

pub use connection::OpenDatabaseError;
pub use database::{Database, OpenOptions};
pub use directory_lock::{DirectoryLock, Holder, LockError};
pub use disk_space::free_bytes;
pub use job::JobError;
pub use join_on_drop::JoinOnDrop;
pub use no_space::is_no_space;
pub use private_files::{create_file, create_private_folder, make_private, private_options};
pub use schema::{ApplicationId, Schema};
