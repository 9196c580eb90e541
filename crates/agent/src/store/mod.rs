//! The local store: sealed rows under keys, and one call that saves a set of changes or none of them.
//!
//! A store adapter sees which area a row is in, its key, its version and sealed bytes; what they mean only the vault
//! tells. Every change names the version it replaces, so that two processes of one agent cannot both move a ratchet.

mod areas;
mod port;
mod sealed;
mod sqlite;

pub(crate) use areas::Area;
pub(crate) use port::{CommitError, Reseal, Row, Store, StoreError, Write};
pub(crate) use sealed::{Changes, Record, SealedStore, StoreAccessError, Versioned};
pub(crate) use sqlite::{SqliteStore, look};
