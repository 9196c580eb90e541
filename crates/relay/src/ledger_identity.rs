//! Node and ledger belong together: agents pin the node, and number their receipts by the ledger.
//!
//! | node.key | ledger | then |
//! | --- | --- | --- |
//! | missing | new | a new node |
//! | there | new | the node goes on with another ledger: the old one was lost |
//! | its node's | its node's | as before |
//! | missing, or another's | a node's | refused, and nothing is made or changed |

use std::path::{Path, PathBuf};

use sealpost_core::ports::BackendError;
use sealpost_protocol::{LedgerId, NodeId, Timestamp};
use sealpost_storage::Embedded;
use thiserror::Error;

use crate::node_keys::{NodeKeys, NodeKeysError};

/// Why node and ledger do not go together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerIdentityError {
    /// The key of the ledger's node is missing.
    #[error(
        "{} is missing, and the ledger {} belongs to the node {node}: put the key back from its backup, or move the \
         ledger away to begin as a new node, which every agent must then be told to trust (sealpost agent trust-relay)",
        key.display(),
        ledger.display()
    )]
    KeyMissing {
        /// Where the key should be.
        key: PathBuf,
        /// The ledger.
        ledger: PathBuf,
        /// Whose it is.
        node: NodeId,
    },
    /// The key is another node's than the ledger.
    #[error(
        "{} is the key of the node {found}, and the ledger {} belongs to the node {node}: put back the key or the ledger \
         that goes with the other",
        key.display(),
        ledger.display()
    )]
    OtherNode {
        /// The key.
        key: PathBuf,
        /// Whose key it is.
        found: NodeId,
        /// The ledger.
        ledger: PathBuf,
        /// Whose ledger it is.
        node: NodeId,
    },
    /// The keys cannot be read or made.
    #[error(transparent)]
    Keys(#[from] NodeKeysError),
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// The node's keys and the ledger's present id. If the files were `restored` by hand at that time, the ledger begins
/// another life.
pub(crate) async fn establish(
    storage: &Embedded,
    data_dir: &Path,
    restored: Option<Timestamp>,
) -> Result<(NodeKeys, LedgerId), LedgerIdentityError> {
    let mut identity = storage.identity().await?;
    let (key, ledger) = (NodeKeys::path(data_dir), storage.path().to_owned());
    let keys = match (NodeKeys::read(data_dir)?, identity.node) {
        (None, Some(node)) => return Err(LedgerIdentityError::KeyMissing { key, ledger, node }),
        (Some(keys), Some(node)) if keys.node_id() != node => {
            return Err(LedgerIdentityError::OtherNode { key, found: keys.node_id(), ledger, node });
        }
        (Some(keys), _) => keys,
        (None, None) => NodeKeys::create(data_dir)?,
    };
    if identity.node.is_some() {
        NodeKeys::add_hash(data_dir)?;
    }
    storage.belong_to(keys.node_id()).await?;
    if let Some(at) = restored {
        identity = storage.begin_anew(at).await?;
        tracing::warn!(ledger = %identity.id, "the ledger begins another life: every one-time prekey counts as used");
    }
    Ok((keys, identity.id))
}
