//! Receiving: each entry of the mailbox is opened, and the moved ratchet, the message and its receipt are committed
//! together; then the receipt goes out. What was seen before is answered as before and shown once.

mod entry;

use sealpost_crypto::Payload;
use sealpost_protocol::{
    MessageRef, Priority, ReceiptLeaf, Timestamp, Verdict,
    encoding::{Decode, Encode, Writer},
};
use sha2::{Digest, Sha256};

use crate::{
    Agent, SyncError, limits,
    records::{InboxRecord, ReceiptRecord, UnreadRecord},
    store::{Changes, StoreAccessError, Versioned},
};

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxMessage {
    /// Its name; the sender in it is authenticated.
    pub message: MessageRef,
    /// What was sealed.
    pub payload: Payload,
    /// The sender's clock when it was composed.
    pub sent: Timestamp,
    /// This agent's clock when it was stored.
    pub received: Timestamp,
    /// How urgent the sender holds it to be.
    pub priority: Priority,
}

impl Agent {
    /// Up to `limit` received messages that were not taken yet, in the order of arrival.
    ///
    /// # Errors
    /// [`SyncError::State`], [`SyncError::Damaged`].
    pub async fn unread(&self, limit: usize) -> Result<Vec<InboxMessage>, SyncError> {
        let mut messages = Vec::new();
        let mut after = Vec::new();
        while messages.len() < limit {
            let rows = self.store.list::<UnreadRecord>(&[], &after, (limit - messages.len()).min(limits::ROWS)).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.key);
            for row in rows {
                let message = row.value.message;
                if let Some(stored) = self.store.find::<InboxRecord>(&message.to_bytes()).await? {
                    messages.push(open_record(message, &stored.value)?);
                }
            }
        }
        Ok(messages)
    }

    /// Takes messages: they are not shown again, their content is erased here, and their senders will learn that they
    /// were acknowledged. Those taken before are passed over.
    ///
    /// # Errors
    /// [`SyncError::State`].
    pub async fn take(&self, messages: &[MessageRef]) -> Result<(), SyncError> {
        for page in messages.chunks(limits::ROWS) {
            let mut conflicts = 0;
            while let Err(error) = self.take_page(page).await {
                let is_conflict = matches!(&error, SyncError::State(error) if error.is_conflict());
                if !is_conflict || conflicts >= limits::CONFLICT_RETRIES {
                    return Err(error);
                }
                conflicts += 1;
            }
        }
        Ok(())
    }

    async fn take_page(&self, messages: &[MessageRef]) -> Result<(), SyncError> {
        let mut changes = Changes::default();
        for message in messages {
            let Some(stored) = self.store.find::<InboxRecord>(&message.to_bytes()).await? else { continue };
            let Some(unread) = self.store.find::<UnreadRecord>(&stored.value.arrival).await? else { continue };
            if unread.value.message == *message {
                self.note_taken(&mut changes, &unread, &stored).await?;
            }
        }
        Ok(self.store.commit(changes).await?)
    }

    async fn note_taken(
        &self,
        changes: &mut Changes,
        unread: &Versioned<UnreadRecord>,
        stored: &Versioned<InboxRecord>,
    ) -> Result<(), SyncError> {
        let taken = InboxRecord { verdict: Verdict::Acknowledged, payload: Default::default(), ..stored.value.clone() };
        let leaf = self.leaf(unread.value.message, &taken)?;
        self.queue_receipt(changes, &unread.key, leaf).await?;
        changes.delete(unread).replace(stored, &taken);
        Ok(())
    }

    /// Notes that a receipt is due, unless it is already.
    async fn queue_receipt(
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
    fn leaf(&self, message: MessageRef, record: &InboxRecord) -> Result<ReceiptLeaf, SyncError> {
        Ok(ReceiptLeaf {
            message,
            attempt: record.attempt,
            header: record.header,
            part: record.part,
            verdict: record.verdict,
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

/// Where a receipt waits: by arrival, "stored" before "acknowledged", and apart from others of the same message. The same
/// word on the same bytes has the same place, however often they are handed out.
fn receipt_key(arrival: &[u8], leaf: &ReceiptLeaf) -> Vec<u8> {
    let order = u8::from(leaf.verdict == Verdict::Acknowledged);
    let mut said = Writer::new();
    said.value(&leaf.message).value(&leaf.attempt).value(&leaf.header).value(&leaf.part).value(&leaf.verdict);
    [arrival, &[order], &Sha256::digest(said.into_bytes())].concat()
}

fn open_record(message: MessageRef, record: &InboxRecord) -> Result<InboxMessage, SyncError> {
    Ok(InboxMessage {
        message,
        payload: Payload::from_bytes(&record.payload)?,
        sent: record.sent,
        received: record.received,
        priority: record.priority,
    })
}
