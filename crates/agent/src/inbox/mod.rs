//! Receiving: each entry of the mailbox is opened, and the moved ratchet, the message and its receipt are committed
//! together; then the receipt goes out. What was seen before is answered as before and shown once.

mod arrivals;
mod entry;

use std::fmt;

use sealpost_crypto::{Payload, Prelude};
use sealpost_protocol::{
    MessageRef, Priority, ReceiptLeaf, Timestamp, Verdict,
    encoding::{Decode, Encode, Writer},
};
use sha2::{Digest, Sha256};

use crate::{
    Agent, SyncError,
    bodies::Spooled,
    conflicts::retry_conflicts,
    limits,
    records::{ContentRecord, InboxRecord, ReceiptRecord, UnreadRecord},
    schemes::ReceivedScheme,
    store::{Changes, StoreAccessError, Versioned},
};

/// A received message.
#[derive(Clone, PartialEq, Eq)]
pub struct InboxMessage {
    /// Its name; the sender in it is authenticated.
    pub message: MessageRef,
    /// What was sealed.
    pub content: Received,
    /// The sender's clock when it was composed.
    pub sent: Timestamp,
    /// This agent's clock when it was stored.
    pub received: Timestamp,
    /// How urgent the sender holds it to be.
    pub priority: Priority,
    /// How it was sealed; under `none` it was public.
    pub scheme: ReceivedScheme,
    /// Where it is among the unread.
    pub arrival: Arrival,
}

/// What was sealed: at hand, or to be read as a stream.
#[derive(Clone, PartialEq, Eq)]
pub enum Received {
    /// All of it.
    Payload(Payload),
    /// What goes with a content that is too long to be held, and its length. [`Agent::open_body`] reads it.
    Body(Prelude),
}

impl InboxMessage {
    /// All that was sealed, unless it is to be read as a stream.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        match &self.content {
            Received::Payload(payload) => Some(payload),
            Received::Body(_) => None,
        }
    }
}

impl Received {
    /// Bytes that are held in memory.
    fn held(&self) -> usize {
        match self {
            Self::Payload(payload) => payload.content.as_bytes().len(),
            Self::Body(_) => 0,
        }
    }
}

impl fmt::Debug for Received {
    /// Shows nothing but the content's length.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload(payload) => payload.content.fmt(formatter),
            Self::Body(prelude) => write!(formatter, "Body({} bytes)", prelude.content_length),
        }
    }
}

impl fmt::Debug for InboxMessage {
    /// Shows nothing of what was sealed but the content's length.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InboxMessage")
            .field("message", &self.message)
            .field("content", &self.content)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// A place in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival(pub(crate) Vec<u8>);

impl Agent {
    /// A page of received messages that were not taken yet and arrived after `after`, in the order of arrival: at most
    /// `limit`, at most 100, and none more once 2 MiB are together. Empty only if there are none.
    ///
    /// # Errors
    /// [`SyncError::State`], [`SyncError::Damaged`]: what follows does not open. What is damaged stands before nothing that
    /// does.
    pub async fn unread(&self, after: Option<&Arrival>, limit: usize) -> Result<Vec<InboxMessage>, SyncError> {
        let limit = limit.min(limits::INBOX_PAGE.0);
        let (mut messages, mut bytes, mut damaged) = (Vec::new(), 0, None);
        let mut after = after.map(|arrival| arrival.0.clone()).unwrap_or_default();
        while messages.len() < limit && bytes < limits::INBOX_PAGE.1 {
            let page = self.store.page::<UnreadRecord>(&[], &after, 1).await?;
            let Some(last) = page.last else { break };
            after = last;
            let opened = match (page.rows.first(), page.damaged) {
                (Some(row), _) => self.open_unread(row).await,
                (None, error) => error.map_or(Ok(None), |error| Err(error.into())),
            };
            match opened {
                Ok(Some(message)) => {
                    bytes += message.content.held();
                    messages.push(message);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "a received message does not open");
                    damaged.get_or_insert(error);
                }
            }
        }
        match damaged {
            Some(error) if messages.is_empty() => Err(error),
            _ => Ok(messages),
        }
    }

    async fn open_unread(&self, unread: &Versioned<UnreadRecord>) -> Result<Option<InboxMessage>, SyncError> {
        let message = unread.value.message;
        let Some(stored) = self.store.find::<InboxRecord>(&message.to_bytes()).await? else { return Ok(None) };
        let content = match &stored.value.content {
            ContentRecord::Payload(payload) => Received::Payload(Payload::from_bytes(payload)?),
            ContentRecord::Body(body) => {
                Received::Body(self.body_reader(message, body.clone()).await?.prelude().clone())
            }
            ContentRecord::Erased => return Ok(None), // another process has just taken it
        };
        Ok(Some(InboxMessage {
            message,
            content,
            sent: stored.value.sent,
            received: stored.value.received,
            priority: stored.value.priority,
            scheme: stored.value.scheme,
            arrival: Arrival(unread.key.clone()),
        }))
    }

    /// Takes messages: they are not shown again, their content is erased here, and their senders will learn that they
    /// were acknowledged. Those taken before are passed over.
    ///
    /// # Errors
    /// [`SyncError::State`].
    pub async fn take(&self, messages: &[MessageRef]) -> Result<(), SyncError> {
        for page in messages.chunks(limits::ROWS) {
            retry_conflicts(|| self.take_page(page)).await?;
        }
        Ok(())
    }

    async fn take_page(&self, messages: &[MessageRef]) -> Result<(), SyncError> {
        let mut changes = Changes::default();
        let mut spooled = Vec::new();
        for message in messages {
            let Some(stored) = self.store.find::<InboxRecord>(&message.to_bytes()).await? else { continue };
            let Some(unread) = self.store.find::<UnreadRecord>(&stored.value.arrival).await? else { continue };
            if unread.value.message == *message {
                self.note_taken(&mut changes, &unread, &stored).await?;
                spooled.extend(stored.value.content.body().map(|_| Spooled::Incoming(*message)));
            }
        }
        self.store.commit(changes).await?;
        for body in spooled {
            self.spool.remove(body).await;
        }
        Ok(())
    }

    async fn note_taken(
        &self,
        changes: &mut Changes,
        unread: &Versioned<UnreadRecord>,
        stored: &Versioned<InboxRecord>,
    ) -> Result<(), SyncError> {
        let (verdict, content) = (Some(Verdict::Acknowledged), ContentRecord::Erased);
        let taken = InboxRecord { verdict, content, ..stored.value.clone() };
        let leaf = self.leaf(unread.value.message, &taken, Verdict::Acknowledged)?;
        self.queue_receipt(changes, &unread.key, leaf).await?;
        changes.delete(unread).replace(stored, &taken);
        Ok(())
    }

    /// Notes that a receipt is due, unless it is already.
    pub(crate) async fn queue_receipt(
        &self,
        changes: &mut Changes,
        arrival: &[u8],
        leaf: ReceiptLeaf,
    ) -> Result<(), StoreAccessError> {
        let key = receipt_key(arrival, &leaf);
        if self.store.find::<ReceiptRecord>(&key).await?.is_none() {
            changes.insert(key, &ReceiptRecord { leaf });
        }
        Ok(())
    }

    /// The receipt for a message as it is recorded.
    pub(crate) fn leaf(
        &self,
        message: MessageRef,
        record: &InboxRecord,
        verdict: Verdict,
    ) -> Result<ReceiptLeaf, SyncError> {
        Ok(ReceiptLeaf {
            message,
            attempt: record.attempt,
            header: record.header,
            part: record.part,
            verdict,
            at: self.clock.now(),
            blind: self.blind()?,
        })
    }

    fn blind(&self) -> Result<[u8; 16], SyncError> {
        let mut blind = [0; 16];
        self.primitives.fill_random(&mut blind)?;
        Ok(blind)
    }
}

/// Where a message is held: by sender, in the order of arrival.
pub(crate) fn held_key(message: &MessageRef, arrival: &[u8]) -> Vec<u8> {
    [message.sender.as_bytes().as_slice(), arrival].concat()
}

/// Where a receipt waits: by arrival, "stored" before "acknowledged", and apart from others of the same message. The same
/// word on the same bytes has the same place, however often they are handed out.
fn receipt_key(arrival: &[u8], leaf: &ReceiptLeaf) -> Vec<u8> {
    let order = u8::from(leaf.verdict == Verdict::Acknowledged);
    let mut said = Writer::new();
    said.value(&leaf.message).value(&leaf.attempt).value(&leaf.header).value(&leaf.part).value(&leaf.verdict);
    [arrival, &[order], &Sha256::digest(said.into_bytes())].concat()
}

#[cfg(test)]
mod tests;
