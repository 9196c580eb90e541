//! The relay: transports, authentication, the node's own keys, jobs, configuration, and the wiring of all of it.
//!
//! Nothing here, nor in anything this crate links, can open a message.

pub mod limits;

mod app;
mod authentication;
mod config;
mod jobs;
mod ledger_identity;
mod memory;
mod node_keys;
mod operators;
mod peer;
mod relay;
mod system_clock;
mod tasks;
mod transport;

pub use config::{Config, ConfigError, TlsConfig};
pub use ledger_identity::LedgerIdentityError;
pub use node_keys::{NodeKeys, NodeKeysError};
pub use operators::{Operations, OperatorError, Restored, restore, restore_until};
pub use relay::{Relay, StartError};
pub use sealpost_api::NotAnOrigin;
pub use sealpost_storage::{
    BackupReport, BlocksReport, CollectionReport, ContentLocation, Damaged, FindingKind, Findings, LockError,
    OpenDataDirectoryError, RepairReport, Subject, VerificationReport,
};
pub use transport::TlsError;
