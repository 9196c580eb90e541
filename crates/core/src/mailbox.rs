//! Receiving: pages of what waits, and a bounded wait for more. Reading consumes nothing; only a receipt does, and for control
//! messages, which have none, the reader's word on how far it has taken them.

use std::{error::Error as _, sync::Arc, time::Duration};

use sealpost_protocol::{Attempt, Clock, ErrorCode, Header, PartHash, Timestamp, encoding::Decode, limits as wire};
use thiserror::Error;

use crate::{
    Principal, WakeUps,
    life_clock::LifeClock,
    ports::{BackendError, Contents, Ledger, PageQuery, PrekeyCounts, Prekeys, WaitingEntry},
    release,
};

/// Reads mailboxes.
pub struct Mailboxes {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) contents: Arc<dyn Contents>,
    pub(crate) prekeys: Arc<dyn Prekeys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) life_clock: Arc<LifeClock>,
    pub(crate) wake_ups: Arc<WakeUps>,
}

/// Which page a reader wants.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageRequest {
    /// Entries after this sequence number; 0 for the oldest.
    pub after: u64,
    /// At most so many entries; more than [`wire::PAGE_ENTRIES`] or 0 count as that.
    pub entries: usize,
    /// How long to wait if there is nothing; more than [`wire::RECEIVE_WAIT`] counts as that.
    pub wait: Duration,
    /// Control messages up to this sequence number are taken, and go.
    pub control_taken: u64,
}

/// Where what is read from the store finds room before it is read: many readers at once, each with a page, would otherwise
/// hold more than there is.
pub trait Room: Send + Sync {
    /// Takes so many bytes.
    ///
    /// # Errors
    /// [`NoRoom`].
    fn take(&self, bytes: usize) -> Result<(), NoRoom>;

    /// Gives so many back, of those that were taken.
    fn give_back(&self, bytes: usize);
}

/// Room without a bound.
impl Room for () {
    fn take(&self, _: usize) -> Result<(), NoRoom> {
        Ok(())
    }

    fn give_back(&self, _: usize) {}
}

/// Others use the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there is no room for a page now")]
pub struct NoRoom;

/// A page of a mailbox, oldest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// The messages.
    pub entries: Vec<MailboxEntry>,
    /// The reader's unused one-time prekeys.
    pub prekeys: PrekeyCounts,
}

/// One waiting message as its recipient gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxEntry {
    /// Its place in the mailbox.
    pub mailbox_seq: u64,
    /// Which transmission.
    pub attempt: Attempt,
    /// When the relay had it.
    pub queued_at: Timestamp,
    /// The encoded header.
    pub header: Vec<u8>,
    /// The reader's own part.
    pub part: Vec<u8>,
}

/// Why a mailbox was not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// No room for a page.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl ReceiveError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        ErrorCode::Unavailable
    }
}

impl Mailboxes {
    /// Reads a page of the caller's own mailbox, waiting for the first entry if asked to. The page's bytes are taken from
    /// `room` before it is read, and stay taken if there is one.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn receive(
        &self,
        caller: &Principal,
        request: PageRequest,
        room: &dyn Room,
    ) -> Result<Page, ReceiveError> {
        let recipient = caller.agent();
        if request.control_taken > 0 {
            let released = self.ledger.take_control(recipient, request.control_taken).await?;
            release::let_go(&*self.ledger, &*self.contents, released).await;
        }
        let bell = self.wake_ups.bell(recipient);
        let deadline = tokio::time::Instant::now() + request.wait.min(wire::RECEIVE_WAIT);
        let entries = loop {
            let ring = bell.next_ring();
            room.take(wire::PAGE_BYTES)?;
            let waiting = self.ledger.page(self.query(caller, request).await?).await?;
            let nothing_waits = waiting.is_empty();
            let entries = self.hand_over(caller, waiting).await?;
            if entries.is_empty() {
                room.give_back(wire::PAGE_BYTES);
            }
            // If something waited and nothing of it is left, there may be more behind it.
            if !entries.is_empty() || (nothing_waits && tokio::time::timeout_at(deadline, ring).await.is_err()) {
                break entries;
            }
        };
        let prekeys = self.prekeys.counts(recipient, self.clock.now()).await?;
        Ok(Page { entries, prekeys })
    }

    async fn query(&self, caller: &Principal, request: PageRequest) -> Result<PageQuery, BackendError> {
        let entries = match request.entries {
            0 => wire::PAGE_ENTRIES,
            asked => asked.min(wire::PAGE_ENTRIES),
        };
        let bytes = wire::PAGE_BYTES as u64;
        let now = self.life_clock.reading_time().await?;
        Ok(PageQuery { recipient: caller.agent(), after: request.after, entries, bytes, now })
    }

    async fn hand_over(
        &self,
        caller: &Principal,
        waiting: Vec<WaitingEntry>,
    ) -> Result<Vec<MailboxEntry>, BackendError> {
        let handles = waiting.iter().map(|entry| entry.content.clone()).collect();
        let parts = self.contents.read(handles).await?;
        let (mut whole, mut lost) = (Vec::new(), Vec::new());
        for (entry, part) in waiting.into_iter().zip(parts) {
            match check(entry, part) {
                Ok(entry) => whole.push(entry),
                Err(place) => lost.push(place),
            }
        }
        self.give_up(caller, lost).await?;
        let fresh: Vec<u64> =
            whole.iter().filter(|(entry, _)| !entry.handed_over).map(|(entry, _)| entry.mailbox_seq).collect();
        if !fresh.is_empty() {
            match self.ledger.hand_over(caller.agent(), fresh, self.clock.now()).await {
                Ok(senders) => self.wake_ups.ring(&senders),
                // The recipient's mail matters more than the sender's news of it, which comes with the next page.
                Err(error) => {
                    tracing::error!(%error, source = ?error.source(), "an offer to a recipient was not recorded")
                }
            }
        }
        let entry = |(waiting, part): (WaitingEntry, Vec<u8>)| MailboxEntry {
            mailbox_seq: waiting.mailbox_seq,
            attempt: waiting.attempt,
            queued_at: waiting.queued_at,
            header: waiting.header,
            part,
        };
        Ok(whole.into_iter().map(entry).collect())
    }

    /// Tells the senders of entries that cannot be handed over any more.
    async fn give_up(&self, caller: &Principal, lost: Vec<u64>) -> Result<(), BackendError> {
        if lost.is_empty() {
            return Ok(());
        }
        tracing::error!(recipient = %caller.agent(), entries = ?lost, "the store has lost or damaged waiting messages");
        let given_up = self.ledger.lose(caller.agent(), lost).await?;
        self.wake_ups.ring(&given_up.senders);
        release::let_go(&*self.ledger, &*self.contents, given_up.released).await;
        Ok(())
    }
}

/// An entry with its part, if both are what was accepted; else its place.
fn check(entry: WaitingEntry, part: Option<Vec<u8>>) -> Result<(WaitingEntry, Vec<u8>), u64> {
    let header = Header::from_bytes(&entry.header).is_ok_and(|header| header.hash() == entry.header_hash);
    match part.filter(|part| header && PartHash::of(part) == entry.part) {
        Some(part) => Ok((entry, part)),
        None => Err(entry.mailbox_seq),
    }
}
