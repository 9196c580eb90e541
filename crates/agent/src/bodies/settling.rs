//! What becomes of a message when its body has come, or will not come any more; and what waited behind it.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use sealpost_protocol::{MessageRef, RefusalReason, Verdict, encoding::Encode};

use super::spool::Spooled;
use crate::{
    Agent, Event, StateError, SyncError,
    conflicts::retry_conflicts,
    limits,
    records::{ContentRecord, DownloadRecord, HeldRecord, InboxRecord, UnreadRecord},
    store::{Changes, Versioned},
};

/// Bodies of which this process has told that they are lost, until the relay's feed tells the same; the latest, since a relay
/// need not tell.
#[derive(Debug, Default)]
pub(crate) struct LostBodies(Mutex<VecDeque<MessageRef>>);

impl LostBodies {
    pub(super) fn note(&self, message: MessageRef) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.push_front(message);
        lost.truncate(limits::LOST_BODIES);
    }

    /// Whether it was told of.
    pub(crate) fn take(&self, message: MessageRef) -> bool {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = lost.iter().position(|other| *other == message);
        place.and_then(|place| lost.remove(place)).is_some()
    }
}

impl Agent {
    /// The body is here: its message is stored, and its receipt is due.
    pub(super) async fn settle_body(&self, message: MessageRef, content: ContentRecord) -> Result<(), SyncError> {
        self.end_fetching(message, Verdict::Stored, &content).await
    }

    /// The body does not open, or is of a type that demands a stronger scheme: its message is refused, and nothing of it is
    /// left.
    pub(super) async fn refuse_body(&self, message: MessageRef, reason: RefusalReason) -> Result<(), SyncError> {
        tracing::warn!(id = %message.id, sender = %message.sender, %reason, "refused a message by its body");
        let verdict = Verdict::Refused(reason);
        self.end_fetching(message, verdict, &ContentRecord::Erased).await
    }

    async fn end_fetching(
        &self,
        message: MessageRef,
        verdict: Verdict,
        content: &ContentRecord,
    ) -> Result<(), SyncError> {
        let _turn = self.turns.take().await?;
        retry_conflicts(|| async {
            let Some(stored) = self.awaited_row(message).await? else { return Ok(()) };
            let mut changes = Changes::default();
            let record = InboxRecord { verdict: Some(verdict), content: content.clone(), ..stored.value.clone() };
            let leaf = self.leaf(message, &record, verdict)?;
            self.queue_receipt(&mut changes, &record.arrival, leaf).await?;
            self.remove_download(&mut changes, &stored).await?;
            changes.replace(&stored, &record);
            Ok::<_, SyncError>(self.store.commit(changes).await?)
        })
        .await
    }

    /// The relay has nothing for this agent any more: the message is over before it has come, which is told once, as `event`.
    pub(crate) async fn give_up(&self, message: MessageRef, event: Event) -> Result<(), StateError> {
        tracing::warn!(id = %message.id, sender = %message.sender, "the relay no longer has a message's body");
        let _turn = self.turns.take().await?;
        retry_conflicts(|| async {
            let Some(stored) = self.awaited_row(message).await? else { return Ok(()) };
            let mut changes = Changes::default();
            self.remove_download(&mut changes, &stored).await?;
            self.note(&mut changes, event.clone())?;
            changes.delete(&stored);
            Ok::<_, StateError>(self.store.commit(changes).await?)
        })
        .await?;
        self.followings.remove(message);
        self.spool.remove(Spooled::Incoming(message)).await;
        Ok(())
    }

    pub(crate) async fn awaited_row(&self, message: MessageRef) -> Result<Option<Versioned<InboxRecord>>, StateError> {
        let stored = self.store.find::<InboxRecord>(&message.to_bytes()).await?;
        Ok(stored.filter(|stored| stored.value.verdict.is_none()))
    }

    async fn remove_download(&self, changes: &mut Changes, stored: &Versioned<InboxRecord>) -> Result<(), StateError> {
        if let Some(download) = self.store.find::<DownloadRecord>(&stored.value.arrival).await? {
            changes.delete(&download);
        }
        if let Some(waiting) = self.waiting_row(&stored.value.arrival).await? {
            changes.delete(&waiting);
        }
        Ok(())
    }

    /// Shows what was held up behind bodies that are here by now, in the order in which it came. Each gets a new place in
    /// the order of arrival: whoever reads on from where it was finds it.
    pub(crate) async fn release_held(&self) -> Result<(), SyncError> {
        let mut after = Vec::new();
        loop {
            let page = self.store.page::<HeldRecord>(&[], &after, 1).await?;
            let Some(first) = page.last else { return Ok(()) };
            let sender = first.get(..32).unwrap_or_default().to_vec();
            let _turn = self.turns.take().await?;
            while retry_conflicts(|| self.release_from(&sender)).await? {}
            after = [sender.as_slice(), &[0xff; 17]].concat();
        }
    }

    /// Releases some of what one sender has sent. Returns whether there may be more.
    async fn release_from(&self, sender: &[u8]) -> Result<bool, SyncError> {
        let rows = self.store.list::<HeldRecord>(sender, &[], limits::ROWS).await?;
        let mut changes = Changes::default();
        let mut arrivals = self.arrivals().await?;
        let mut is_blocked = false;
        for row in &rows {
            let message = row.value.message;
            if let Some(stored) = self.store.find::<InboxRecord>(&message.to_bytes()).await? {
                match stored.value.verdict {
                    None => {
                        is_blocked = true;
                        break;
                    }
                    Some(Verdict::Stored) => {
                        let arrival = arrivals.next(self.clock.now(), 0);
                        changes.replace(&stored, &InboxRecord { arrival: arrival.clone(), ..stored.value.clone() });
                        changes.insert(arrival, &UnreadRecord { message });
                    }
                    Some(_) => {}
                }
            }
            changes.delete(row);
        }
        arrivals.save(&mut changes);
        self.store.commit(changes).await?;
        Ok(!is_blocked && rows.len() == limits::ROWS)
    }
}
