//! Adapters that fill the ports of the core.
//!
//! Each is behind a feature of its name. `embedded`, the default, keeps a ledger in SQLite and contents in a block
//! store, in one data directory, and needs no service. Every adapter passes the core's conformance suites; the rules of the domain stay in
//! the core: an adapter loads a record, asks it, and stores what it became.

#[cfg(feature = "embedded")]
mod embedded;
mod limits;

#[cfg(feature = "embedded")]
pub use embedded::{
    BackupError, BackupReport, BackupStop, BlocksReport, CollectionReport, ContentLocation, Damaged, Embedded,
    EmbeddedContents, FindingKind, Findings, LedgerIdentity, LockError, OpenContentsError, OpenDataDirectoryError,
    RepairReport, Restoring, Subject, VerificationReport, create_file, is_inside, make_private, restore_files,
};
