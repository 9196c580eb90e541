//! One round with the relay: send what waits, take in what arrived, give receipts, tend prekeys.

use std::{sync::atomic::Ordering, time::Duration};

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
    /// Whether there is likely to be more.
    pub more: bool,
}

impl Agent {
    /// Does one round, waiting up to `wait` for the first message if the mailbox is empty. Whatever waited is in the inbox
    /// and receipted when this returns; what arrives meanwhile may be left to the next round, so that a round ends however
    /// much is sent.
    ///
    /// # Errors
    /// [`SyncError`]; what was done before stays done, and the next round goes on.
    pub async fn sync(&self, mut wait: Duration) -> Result<Synced, SyncError> {
        let mut synced = Synced::default();
        for _ in 0..limits::SYNC_PAGES {
            let page = self.sync_page(wait).await?;
            synced.received += page.received;
            synced.receipts += page.receipts;
            synced.more = page.more;
            if !page.more {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(synced)
    }

    /// Does a round that ends with the first page, so that its messages can be shown before there are more.
    ///
    /// # Errors
    /// [`SyncError`]; what was done before stays done, and the next round goes on.
    pub async fn sync_page(&self, wait: Duration) -> Result<Synced, SyncError> {
        let result = self.try_sync_page(wait.min(limits::RECEIVE_WAIT)).await;
        if result.is_err() {
            // Whoever answers next may count otherwise.
            self.passed.store(0, Ordering::Relaxed);
        }
        result
    }

    async fn try_sync_page(&self, wait: Duration) -> Result<Synced, SyncError> {
        self.flush_in_passing().await?;
        let mut synced = Synced { receipts: self.give_receipts_if_taken().await?, ..Synced::default() };
        let page = self.page(wait).await?;
        for entry in &page.entries {
            synced.received += usize::from(self.take_in(entry).await?);
        }
        let given = self.give_receipts_if_taken().await?;
        synced.receipts += given;
        let mut bears_fruit = synced.received > 0;
        match page.entries.last() {
            // Nothing of it could be answered: it must not stand before what comes after.
            Some(last) if given == 0 => {
                bears_fruit |= self.passed.swap(last.mailbox_seq, Ordering::Relaxed) < last.mailbox_seq;
            }
            Some(_) => {}
            // What was passed over may be another by now, if something on the way had altered it.
            None => self.passed.store(0, Ordering::Relaxed),
        }
        let fruitless = if bears_fruit { 0 } else { self.fruitless.load(Ordering::Relaxed) + 1 };
        synced.more = is_full(&page) && fruitless < limits::FRUITLESS_PAGES;
        self.fruitless.store(if synced.more { fruitless } else { 0 }, Ordering::Relaxed);
        self.tend_prekeys(page.prekeys.unwrap_or_default()).await?;
        if !synced.more {
            if self.follow_up().await? {
                self.flush_in_passing().await?;
            }
            self.sweep().await?;
        }
        Ok(synced)
    }

    /// Sends what waits. Only a relay that cannot be used keeps the round from going on.
    async fn flush_in_passing(&self) -> Result<(), SyncError> {
        match self.flush(None).await {
            Ok(_) => Ok(()),
            Err(SendError::Relay(error)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "a message waits");
                Ok(())
            }
        }
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
        let after = self.passed.load(Ordering::Relaxed);
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        Ok(self.relay().await?.receive(v1::ReceiveRequest { after, limit: 0, wait_ms }).await?)
    }
}

/// Whether a page ended because it could hold no more: with the last entry it may have, or before one that was too long.
fn is_full(page: &v1::ReceiveResponse) -> bool {
    let (entries, bytes) = limits::PAGE;
    let held: usize = page.entries.iter().map(|entry| entry.envelope.len()).sum();
    page.entries.len() >= entries || held + sealpost_protocol::limits::ENVELOPE > bytes
}
