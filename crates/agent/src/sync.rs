//! One round with the relay: send what waits, take in what arrived, give receipts, tend prekeys.

use std::{collections::HashSet, pin::pin, sync::atomic::Ordering, time::Duration};

use sealpost_api::v1;
use sealpost_protocol::{ErrorCode, Header, limits as wire};

use crate::{
    Agent, SendError, SyncError,
    bodies::{Stop, Uploaded},
    conflicts::retry_conflicts,
    limits,
    outbox::{DueUpload, is_final},
};

/// What a round brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Synced {
    /// Messages that were not there before.
    pub received: usize,
    /// Receipts that the relay confirmed.
    pub receipts: usize,
    /// Whether there is likely to be more.
    pub more: bool,
    /// Whether bodies are on their way still, and can go on.
    pub transfers: bool,
}

impl Agent {
    /// Does one round, waiting up to `wait` for the first message if the mailbox is empty. Whatever waited is in the inbox
    /// and receipted when this returns; what arrives meanwhile may be left to the next round, so that a round ends however
    /// much is sent.
    ///
    /// # Errors
    /// [`SyncError`]; what was done before stays done, and the next round goes on. What is damaged here keeps nobody else's
    /// mail: it is told at the end.
    pub async fn sync(&self, mut wait: Duration) -> Result<Synced, SyncError> {
        let mut synced = Synced::default();
        let mut damage = Damage::default();
        let mut pages = 0;
        while pages < limits::SYNC_PAGES {
            let page = self.sync_past_damage(wait, &mut damage).await?;
            synced.received += page.received;
            synced.receipts += page.receipts;
            (synced.more, synced.transfers) = (page.more, page.transfers);
            if !page.more {
                break;
            }
            // However long a body takes, it is not a page.
            pages += u64::from(!page.transfers);
            wait = Duration::ZERO;
        }
        damage.told_after(synced)
    }

    /// Does a round that ends with the first page, so that its messages can be shown before there are more.
    ///
    /// # Errors
    /// As [`Agent::sync`].
    pub async fn sync_page(&self, wait: Duration) -> Result<Synced, SyncError> {
        let mut damage = Damage::default();
        let synced = self.sync_past_damage(wait, &mut damage).await?;
        damage.told_after(synced)
    }

    /// Does a round that ends with the first page, and puts what is damaged here aside.
    pub(crate) async fn sync_past_damage(&self, wait: Duration, damage: &mut Damage) -> Result<Synced, SyncError> {
        let result = Box::pin(self.try_sync_page(wait.min(limits::RECEIVE_WAIT), damage)).await;
        if let Err(error) = &result {
            // Whoever answers next may know of another copy of the store, too.
            self.mailbox.begin_anew();
            if error.relay().is_some_and(|error| error.code().is_none()) {
                self.is_current.store(false, Ordering::Relaxed);
            }
        }
        result
    }

    async fn try_sync_page(&self, wait: Duration, damage: &mut Damage) -> Result<Synced, SyncError> {
        damage.set_aside(self.look_for_old_copy().await)?;
        let uploads = self.flush_in_passing(damage).await?;
        damage.set_aside(self.recall_if_due().await.map_err(SyncError::from))?;
        let before = damage.set_aside(self.give_receipts_if_taken().await)?;
        let moves = !uploads.is_empty() || self.awaits_bodies().await?;
        let page = self.page(if moves { Duration::ZERO } else { wait }).await?;
        let received = self.take_in_page(&page, damage).await?;
        self.confirm_control().await;
        damage.set_aside(self.recall_if_due().await.map_err(SyncError::from))?;
        let given = damage.set_aside(self.give_receipts_if_taken().await)?;
        let last = page.entries.last().map(|last| last.mailbox_seq);
        let is_further = self.mailbox.note_page(last, given > 0);
        let more = self.mailbox.reads_on(is_full(&page), received > 0 || is_further);
        let mut synced = Synced { received, receipts: before + given, more, transfers: false };
        if !synced.more && (moves || self.awaits_bodies().await?) {
            let seen = last.unwrap_or_else(|| self.mailbox.passed());
            synced.transfers = Box::pin(self.move_bodies(uploads, seen, wait, damage)).await?;
            synced.receipts += damage.set_aside(self.give_receipts_if_taken().await)?;
        }
        damage.set_aside(self.release_held().await)?;
        damage.set_aside(self.repeat_revocations().await)?;
        damage.set_aside(self.tend_prekeys(page.prekeys.unwrap_or_default()).await.map_err(SyncError::from))?;
        if !synced.more {
            if damage.set_aside(self.follow_up().await.map_err(SyncError::from))? {
                self.flush_in_passing(damage).await?;
            }
            damage.set_aside(in_passing(self.answer_steps().await))?;
            damage.set_aside(self.sweep().await)?;
        }
        synced.more |= synced.transfers;
        Ok(synced)
    }

    /// Moves bodies to and from the relay for a while, and rests as soon as there is mail after `seen`: no body keeps
    /// other mail waiting. Returns whether some can go on.
    async fn move_bodies(
        &self,
        uploads: Vec<DueUpload>,
        seen: u64,
        wait: Duration,
        damage: &mut Damage,
    ) -> Result<bool, SyncError> {
        let (fetching, uploading) = (Stop::default(), Stop::default());
        let slice = wait.max(limits::TRANSFER_SLICE);
        let mail = async {
            let wait_ms = u32::try_from(slice.as_millis()).unwrap_or(u32::MAX);
            let request = v1::ReceiveRequest { after: seen, limit: 1, wait_ms, control_taken: 0 };
            let answered = match self.relay().await {
                Ok(relay) => relay.receive(request).await.is_ok(),
                Err(_) => false,
            };
            if !answered {
                tokio::time::sleep(slice).await;
            }
        };
        let moved = async { tokio::join!(self.fetch_bodies(&fetching), self.upload_bodies(uploads, &uploading)) };
        let (mut mail, mut moved) = (pin!(mail), pin!(moved));
        let (fetched, uploaded) = tokio::select! {
            moved = &mut moved => moved,
            () = &mut mail => {
                fetching.ask();
                uploading.ask();
                moved.await
            }
        };
        Ok(damage.set_aside(fetched)? | damage.set_aside(uploaded)?)
    }

    /// Uploads bodies, short ones first. Returns whether there is something to be done next: another part, or a message
    /// to be sent.
    async fn upload_bodies(&self, mut due: Vec<DueUpload>, stop: &Stop) -> Result<bool, SyncError> {
        due.sort_by_key(|due| due.length);
        let mut goes_on = false;
        for due in due {
            if stop.rests() {
                return Ok(true);
            }
            match self.upload_body(due.id, false, stop).await {
                Ok(Uploaded::Whole | Uploaded::InPart) => goes_on = true,
                Ok(Uploaded::ByAnother) => {}
                Err(error) => {
                    let failed = self.note_failure(due.id, &error, &due.recipients).await.map(drop);
                    in_passing::<()>(failed.and(Err(error)))?;
                }
            }
        }
        Ok(goes_on)
    }

    /// Takes in what a page holds, and says how many messages were not there before. Whatever follows from the sender of an
    /// entry that fails waits with it, so that the order stays.
    async fn take_in_page(&self, page: &v1::ReceiveResponse, damage: &mut Damage) -> Result<usize, SyncError> {
        let mut received = 0;
        let mut held_up = HashSet::new();
        for entry in &page.entries {
            let sender = Header::name_in(&entry.header).map(|message| message.sender);
            if sender.is_some_and(|sender| held_up.contains(&sender)) {
                continue;
            }
            match self.take_in(entry).await {
                Ok(is_new) => received += usize::from(is_new),
                Err(error) => {
                    tracing::error!(mailbox_seq = entry.mailbox_seq, %error, "a message cannot be taken in");
                    held_up.extend(sender);
                    damage.set_aside::<()>(Err(error))?;
                }
            }
        }
        Ok(received)
    }

    /// Sends what waits. Only a relay that cannot be used keeps the round from going on; one that takes nothing just now may
    /// still hand mail out, and may need it to be taken. Returns whose bodies are to be uploaded.
    async fn flush_in_passing(&self, damage: &mut Damage) -> Result<Vec<DueUpload>, SyncError> {
        let pass = damage.set_aside(in_passing(self.pass(None).await))?;
        damage.set_aside(pass.damaged.map_or(Ok(()), |damaged| in_passing(Err(damaged))))?;
        Ok(pass.uploads)
    }

    /// Finds out whether the store is an old copy before it takes part in anything. A relay that does not tell keeps nobody
    /// from mail: before something is sealed it is asked again.
    async fn look_for_old_copy(&self) -> Result<(), SyncError> {
        if self.is_current.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _turn = self.turns.take().await?;
        match retry_conflicts(|| self.ensure_current()).await {
            Err(SendError::Relay(error)) if error.code().is_some() => {
                tracing::warn!(%error, "the relay does not tell what it has of this agent");
                Ok(())
            }
            result => in_passing(result),
        }
    }

    /// Gives receipts. A relay whose sequence of them is another than the agent's does not keep it from its mail.
    async fn give_receipts_if_taken(&self) -> Result<usize, SyncError> {
        let given = self.give_receipts().await;
        let Err(SyncError::Relay(error)) = &given else { return given };
        if error.code() != Some(ErrorCode::ReceiptsOutOfSequence) {
            return given;
        }
        // An old copy has signed another batch under a number that is used; the relay's head says how to go on.
        if !self.is_forked.load(Ordering::Relaxed) {
            self.is_current.store(false, Ordering::Relaxed);
            self.look_for_old_copy().await?;
            match self.give_receipts().await {
                Err(SyncError::Relay(error)) if error.code() == Some(ErrorCode::ReceiptsOutOfSequence) => {}
                result => return result,
            }
        }
        tracing::warn!(%error, "the relay does not take receipts");
        Ok(0)
    }

    async fn page(&self, wait: Duration) -> Result<v1::ReceiveResponse, SyncError> {
        let after = self.mailbox.passed();
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        Ok(self.relay().await?.receive(v1::ReceiveRequest { after, wait_ms, ..Default::default() }).await?)
    }
}

/// What a failure to send is to a round.
fn in_passing<T: Default>(sent: Result<T, SendError>) -> Result<T, SyncError> {
    match sent {
        Ok(sent) => Ok(sent),
        Err(error) if is_final(&error) => {
            tracing::warn!(%error, "a message is not sent");
            Ok(T::default())
        }
        Err(SendError::Relay(error))
            if matches!(error.code(), Some(ErrorCode::Unavailable | ErrorCode::RateLimited)) =>
        {
            tracing::warn!(%error, "messages wait");
            Ok(T::default())
        }
        Err(SendError::Relay(error)) => Err(error.into()),
        Err(SendError::State(error)) => Err(error.into()),
        Err(SendError::Damaged(error)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "a message waits");
            Ok(T::default())
        }
    }
}

/// What failed here, at one row or another, while a round went on past it: the first of it is told at the end.
#[derive(Default)]
pub(crate) struct Damage(Option<SyncError>);

impl Damage {
    /// Goes on past what failed here. What the relay said or did not say ends the round.
    fn set_aside<T: Default>(&mut self, result: Result<T, SyncError>) -> Result<T, SyncError> {
        match result {
            Err(error) if error.is_local() => {
                self.0.get_or_insert(error);
                Ok(T::default())
            }
            result => result,
        }
    }

    /// What was set aside, once everything else is done.
    pub(crate) fn told_after<T>(self, done: T) -> Result<T, SyncError> {
        match self.0 {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }
}

/// Whether a page ended because it could hold no more: with the last entry it may have, or before one that was too long.
fn is_full(page: &v1::ReceiveResponse) -> bool {
    let held: usize = page.entries.iter().map(|entry| entry.header.len() + entry.envelope.len()).sum();
    page.entries.len() >= wire::PAGE_ENTRIES || held + wire::HEADER + wire::ENVELOPE > wire::PAGE_BYTES
}
