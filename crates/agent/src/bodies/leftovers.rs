//! What a crash has left in the spool: files that no row names, and nobody is writing.

use sealpost_protocol::encoding::Encode;

use super::spool::Spooled;
use crate::{
    Agent, SyncError,
    records::{DraftRecord, InboxRecord, OutgoingRecord, SentRecord},
};

impl Agent {
    /// Deletes bodies that a process of this agent has left behind which ended in the middle of sending or taking. Every round
    /// does so now and then; an application that only sends does it when it starts.
    ///
    /// # Errors
    /// [`SyncError::Spool`], [`SyncError::State`]; what is left is deleted another time.
    pub async fn tidy_spool(&self) -> Result<(), SyncError> {
        for (spooled, _) in self.spool.list().await.map_err(SyncError::Spool)? {
            if self.is_named(spooled).await? {
                continue;
            }
            // Locked before it is looked up again: a row may come until then.
            let file = match self.spool.open(spooled).await {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(SyncError::Spool(error)),
            };
            if !self.is_named(spooled).await? {
                tracing::debug!(%spooled, "left behind in the spool, and deleted");
                file.discard();
            }
        }
        Ok(())
    }

    /// Whether a row needs the file.
    async fn is_named(&self, spooled: Spooled) -> Result<bool, SyncError> {
        Ok(match spooled {
            Spooled::Staged(_) => false,
            Spooled::Outgoing(id) => {
                let key = id.as_bytes();
                let sent = self.store.find::<SentRecord>(key).await?;
                self.store.find::<DraftRecord>(key).await?.is_some()
                    || self.store.find::<OutgoingRecord>(key).await?.is_some()
                    || sent.is_some_and(|sent| sent.value.content.body().is_some())
            }
            Spooled::Incoming(message) => {
                let stored = self.store.find::<InboxRecord>(&message.to_bytes()).await?;
                stored.is_some_and(|stored| stored.value.content.body().is_some())
            }
        })
    }
}
