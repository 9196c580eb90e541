//! One round with the relay: send what waits, take in what arrived, give receipts, tend prekeys.

use std::time::Duration;

use sealpost_api::v1;
use sealpost_protocol::ErrorCode;

use crate::{Agent, SendError, SyncError, limits};

/// What a round brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Synced {
    /// Messages that were not there before.
    pub received: usize,
    /// Receipts that the relay confirmed.
    pub receipts: usize,
}

impl Agent {
    /// Does one round, waiting up to `wait` for the first message if the mailbox is empty. Whatever waited is in the inbox
    /// and receipted when this returns; what arrives meanwhile may be left to the next round, so that a round ends however
    /// much is sent.
    ///
    /// # Errors
    /// [`SyncError`]; what was done before stays done, and the next round goes on.
    pub async fn sync(&self, wait: Duration) -> Result<Synced, SyncError> {
        if let Err(error) = self.flush(None).await {
            match error {
                SendError::Relay(error) => return Err(error.into()),
                error => tracing::warn!(%error, "a draft waits"),
            }
        }
        let mut synced = Synced { received: 0, receipts: self.give_receipts_if_taken().await? };
        let mut wait = wait.min(limits::RECEIVE_WAIT);
        let mut fruitless = 0;
        for left in (0..limits::SYNC_PAGES).rev() {
            let page = self.page(wait).await?;
            let before = synced.received;
            for entry in &page.entries {
                synced.received += usize::from(self.take_in(entry).await?);
            }
            let given = self.give_receipts_if_taken().await?;
            synced.receipts += given;
            fruitless = if synced.received == before { fruitless + 1 } else { 0 };
            if left == 0 || page.entries.is_empty() || given == 0 || fruitless == limits::FRUITLESS_PAGES {
                self.tend_prekeys(page.prekeys.unwrap_or_default()).await?;
                break;
            }
            wait = Duration::ZERO;
        }
        self.follow_up().await?;
        Ok(synced)
    }

    /// Gives receipts. A relay whose sequence of them is another than the agent's does not keep it from its mail.
    async fn give_receipts_if_taken(&self) -> Result<usize, SyncError> {
        match self.give_receipts().await {
            Err(SyncError::Relay(error)) if error.code() == Some(ErrorCode::ReceiptsOutOfSequence) => {
                tracing::warn!(%error, "the relay does not take receipts; if it was replaced, trust it anew");
                Ok(0)
            }
            result => result,
        }
    }

    async fn page(&self, wait: Duration) -> Result<v1::ReceiveResponse, SyncError> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        Ok(self.relay().await?.receive(v1::ReceiveRequest { after: 0, limit: 0, wait_ms }).await?)
    }
}
