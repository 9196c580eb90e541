//! The relay that an agent calls, and its ledger; why there is none, each use case says in its own words.

use crate::{
    Agent, RelayClient, RelayError, StateError,
    agent::ignore_conflict,
    records::{LedgerName, RelayRecord},
    store::{Changes, StoreAccessError},
};

impl Agent {
    /// The relay, which is pinned at the first contact.
    pub(crate) async fn relay(&self) -> Result<&RelayClient, RelayAccessError> {
        let relay = self.relay.as_ref().ok_or(RelayError::NotConfigured)?;
        let origin = relay.origin().as_bytes();
        if self.store.find::<RelayRecord>(origin).await?.is_none() {
            let mut changes = Changes::default();
            changes.insert(origin, &RelayRecord { node: relay.node_id().await? });
            ignore_conflict(self.store.commit(changes).await)?;
        }
        // Another process of the agent may have met another node first.
        if let Some(known) = self.store.find::<RelayRecord>(origin).await? {
            relay.hold_to(known.value.node).await?;
        }
        Ok(relay)
    }

    /// The relay's ledger: what is said to one ledger means nothing to another, of the same node or of another.
    pub(crate) async fn ledger(&self) -> Result<LedgerName, RelayAccessError> {
        let relay = self.relay().await?;
        Ok(LedgerName { node: relay.node_id().await?, ledger: relay.ledger().await? })
    }

    /// Forgets which node was met at `origin`: the next one met is trusted anew. How receipts and events stand is kept for
    /// each ledger of each node, so another begins at the beginning.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn forget_relay(&self, origin: &str) -> Result<(), StateError> {
        let mut changes = Changes::default();
        if let Some(known) = self.store.find::<RelayRecord>(origin.trim_end_matches('/').as_bytes()).await? {
            changes.delete(&known);
        }
        Ok(self.store.commit(changes).await?)
    }
}

/// Why there is no relay to call.
#[derive(Debug)]
pub(crate) enum RelayAccessError {
    Relay(RelayError),
    State(StoreAccessError),
}

impl From<RelayError> for RelayAccessError {
    fn from(error: RelayError) -> Self {
        Self::Relay(error)
    }
}

impl From<StoreAccessError> for RelayAccessError {
    fn from(error: StoreAccessError) -> Self {
        Self::State(error)
    }
}

/// Each use case says in its own words that there is no relay.
macro_rules! relay_access {
    ($($error:ty),+) => {
        $(impl From<RelayAccessError> for $error {
            fn from(error: RelayAccessError) -> Self {
                match error {
                    RelayAccessError::Relay(error) => error.into(),
                    RelayAccessError::State(error) => error.into(),
                }
            }
        })+
    };
}

relay_access!(
    crate::SendError,
    crate::SyncError,
    crate::PrekeysError,
    crate::StatusError,
    crate::CancelError,
    crate::DelegationsError
);
