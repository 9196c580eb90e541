//! Bodies that stay at the relay: those of strangers that are not small, what the disk has no room for, and what the relay
//! has handed out otherwise each time than the header describes it. They are shown as waiting, hold nothing else up, and come
//! when they are asked for, when there is room, or when their sender is no stranger any more.

use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sealpost_protocol::{AgentId, BodyDescription, MessageId, MessageRef, Priority, Timestamp, limits as wire};
use sealpost_sqlite::free_bytes;

use super::spool::{Spooled, blocking};
use crate::{
    Agent, Event, ReceivedScheme, StateError, SyncError,
    conflicts::retry_conflicts,
    inbox::held_key,
    limits,
    records::{DownloadRecord, HeldRecord, WaitingBodyRecord, WrittenToRecord},
    store::{Changes, Record, Versioned},
};

/// What an agent fetches unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivingLimits {
    /// Bytes of one body of a stranger, of an agent that is neither a contact nor was ever written to; and of the content in
    /// it, which is longer if it is compressed.
    pub stranger_body: u64,
    /// Bytes of bodies of all strangers together that are here and not taken.
    pub stranger_bodies: u64,
    /// Bytes that the disk keeps free, whoever sends.
    pub disk_reserve: u64,
    /// Bytes that the disk keeps free even for a body that was asked for.
    pub fetch_margin: u64,
}

impl Default for ReceivingLimits {
    fn default() -> Self {
        Self {
            stranger_body: limits::STRANGER_BODY,
            stranger_bodies: limits::STRANGER_BODIES,
            disk_reserve: limits::DISK_RESERVE,
            fetch_margin: limits::FETCH_MARGIN,
        }
    }
}

/// Why a body stays at the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingReason {
    /// The disk, or the agent's part of it, has no room for it.
    NoRoom,
    /// A stranger sent it, and it, or the content in it, is not small.
    Stranger,
    /// What came, again and again, was not what the header describes: the relay's doing, or that of the way from there.
    Damaged,
}

/// A received message whose body stays at the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingBody {
    /// Its name; the sender in it is authenticated.
    pub message: MessageRef,
    /// Bytes of the body, sealed.
    pub length: u64,
    /// Bytes of the content in it, if it waits because they are so many.
    pub content_length: Option<u64>,
    /// The sender's clock when it was composed.
    pub sent: Timestamp,
    /// This agent's clock when its envelope was opened.
    pub received: Timestamp,
    /// How urgent the sender holds it to be.
    pub priority: Priority,
    /// How it was sealed.
    pub scheme: ReceivedScheme,
    /// Why it waits.
    pub reason: WaitingReason,
    /// Bytes that must be free for it to be fetched when it is asked for.
    pub needed: u64,
}

/// What asking for a waiting body came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchAnswer {
    /// The next rounds fetch it.
    Fetches,
    /// The disk, or the agent's part of it, has no room for it.
    NoRoom {
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that there are for it.
        free: u64,
    },
    /// No body of this message waits.
    Unknown,
}

/// What a body needs, and what there is for it, in bytes.
#[derive(Debug, Clone, Copy)]
struct Room {
    needed: u64,
    free: u64,
}

/// Bodies that were asked for in this process.
#[derive(Debug, Default)]
pub(crate) struct Wanted(Mutex<HashSet<MessageRef>>);

impl Wanted {
    fn lock(&self) -> MutexGuard<'_, HashSet<MessageRef>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WaitingReason {
    const ALL: [Self; 3] = [Self::NoRoom, Self::Stranger, Self::Damaged];

    /// Where the rows begin: what waits for room alone is looked at first.
    fn prefix(self) -> u8 {
        match self {
            Self::NoRoom => 1,
            Self::Stranger => 2,
            Self::Damaged => 3,
        }
    }

    fn key(self, arrival: &[u8]) -> Vec<u8> {
        [&[self.prefix()], arrival].concat()
    }
}

impl Agent {
    /// Messages whose bodies stay at the relay, at most `limit` and at most 100.
    ///
    /// # Errors
    /// [`SyncError::State`].
    pub async fn waiting_bodies(&self, limit: usize) -> Result<Vec<WaitingBody>, SyncError> {
        let mut waiting = Vec::new();
        for reason in WaitingReason::ALL {
            let left = limit.min(limits::ROWS) - waiting.len();
            for row in self.store.list::<WaitingBodyRecord>(&[reason.prefix()], &[], left).await? {
                let WaitingBodyRecord { message, content_length } = row.value;
                let Some(stored) = self.awaited_row(message).await?.map(|stored| stored.value) else { continue };
                let Some(body) = stored.content.body() else { continue };
                waiting.push(WaitingBody {
                    message,
                    length: body.description.sealed_length,
                    content_length: (content_length > 0).then_some(content_length),
                    sent: stored.sent,
                    received: stored.received,
                    priority: stored.priority,
                    scheme: stored.scheme,
                    reason,
                    needed: body.description.sealed_length.saturating_add(self.receiving.fetch_margin),
                });
            }
        }
        Ok(waiting)
    }

    /// The messages with this id whose bodies are not here: those that stay at the relay, and those on their way, such as one
    /// that was asked for by a process that has ended since. More than one only if a sender has taken another's id.
    ///
    /// # Errors
    /// [`SyncError::State`].
    pub async fn awaited_under(&self, id: MessageId) -> Result<Vec<MessageRef>, SyncError> {
        let mut found = self.messages_under(id, |row: &WaitingBodyRecord| row.message).await?;
        found.extend(self.messages_under(id, |row: &DownloadRecord| row.message).await?);
        Ok(found)
    }

    async fn messages_under<T: Record>(
        &self,
        id: MessageId,
        message: impl Fn(&T) -> MessageRef,
    ) -> Result<Vec<MessageRef>, SyncError> {
        let (mut found, mut after) = (Vec::new(), Vec::new());
        loop {
            let rows = self.store.list::<T>(&[], &after, limits::ROWS).await?;
            let Some(last) = rows.last() else { return Ok(found) };
            after.clone_from(&last.key);
            found.extend(rows.iter().map(|row| message(&row.value)).filter(|message| message.id == id));
        }
    }

    /// Asks for a body that is not here, whoever sent it: the next rounds fetch it, into what the disk otherwise keeps free too.
    ///
    /// # Errors
    /// [`SyncError::State`], [`SyncError::Spool`].
    pub async fn fetch_waiting(&self, message: MessageRef) -> Result<FetchAnswer, SyncError> {
        let Some(stored) = self.awaited_row(message).await? else { return Ok(FetchAnswer::Unknown) };
        let Some(body) = stored.value.content.body() else { return Ok(FetchAnswer::Unknown) };
        self.wanted.lock().insert(message);
        if self.stays(message, body.description, 0).await?.is_some() {
            let Room { needed, free } = self.room_for(message, body.description).await?;
            return Ok(FetchAnswer::NoRoom { needed, free });
        }
        self.let_go_on(message).await?;
        Ok(FetchAnswer::Fetches)
    }

    /// Why a body is not fetched now, whose content has so many bytes, as far as that is known; nothing if it is.
    pub(super) async fn stays(
        &self,
        message: MessageRef,
        body: BodyDescription,
        content_length: u64,
    ) -> Result<Option<WaitingReason>, SyncError> {
        let length = body.sealed_length.max(content_length);
        if length <= limits::SHORT_BODY {
            return Ok(None);
        }
        let room = self.room_for(message, body).await?;
        if room.free < room.needed {
            return Ok(Some(WaitingReason::NoRoom));
        }
        if self.wanted.lock().contains(&message) || self.is_known(message.sender).await? {
            return Ok(None);
        }
        let mut strangers = length;
        for (message, length) in self.incoming().await?.into_iter().filter(|(file, _)| *file != message) {
            if !self.is_known(message.sender).await? {
                strangers = strangers.saturating_add(length);
            }
        }
        let is_small = length <= self.receiving.stranger_body && strangers <= self.receiving.stranger_bodies;
        Ok((!is_small).then_some(WaitingReason::Stranger))
    }

    /// Checks that a content of so many bytes can be written into a folder while its disk keeps free what it is to keep: for a
    /// stranger's that nobody has asked for the reserve, else the margin. A compressed content counts as long as it becomes.
    ///
    /// # Errors
    /// [`SyncError::NoRoom`], [`SyncError::State`]; [`SyncError::Spool`] if the disk does not tell.
    pub async fn check_room_in(&self, message: &MessageRef, folder: &Path, length: u64) -> Result<(), SyncError> {
        let is_asked_for = self.wanted.lock().contains(message) || self.is_known(message.sender).await?;
        let left = if is_asked_for { self.receiving.fetch_margin } else { self.receiving.disk_reserve };
        let folder = folder.to_owned();
        let free = blocking(move || {
            let absolute = std::path::absolute(folder)?;
            free_bytes(absolute.ancestors().find(|folder| folder.is_dir()).unwrap_or(&absolute))
        });
        let (needed, free) = (length.saturating_add(left), free.await.map_err(SyncError::Spool)?);
        if free < needed { Err(SyncError::NoRoom { needed, free }) } else { Ok(()) }
    }

    /// Bytes of a content that are decompressed unasked of what an agent sends.
    pub(super) async fn most_unasked(&self, message: MessageRef) -> Result<u64, SyncError> {
        let is_free = self.wanted.lock().contains(&message) || self.is_known(message.sender).await?;
        // What may be a payload is fetched from anybody.
        Ok(if is_free { u64::MAX } else { self.receiving.stranger_body.max(limits::SHORT_BODY) })
    }

    /// What the rest of a body needs, and what there is for it: of the disk, and of the agent's part of it.
    async fn room_for(&self, message: MessageRef, body: BodyDescription) -> Result<Room, SyncError> {
        let (own, others): (Vec<_>, Vec<_>) =
            self.incoming().await?.into_iter().partition(|(file, _)| *file == message);
        let here: u64 = own.iter().map(|(_, length)| length).sum();
        let taken: u64 = others.iter().map(|(_, length)| length).sum();
        let is_wanted = self.wanted.lock().contains(&message);
        let left = if is_wanted { self.receiving.fetch_margin } else { self.receiving.disk_reserve };
        let disk = self.spool.free_bytes().await.map_err(SyncError::Spool)?;
        let part = limits::SPOOL.saturating_sub(taken).saturating_sub(here).saturating_add(left);
        Ok(Room { needed: body.sealed_length.saturating_sub(here).saturating_add(left), free: disk.min(part) })
    }

    /// The received bodies in the spool, whole or not, and how many bytes each has.
    async fn incoming(&self) -> Result<Vec<(MessageRef, u64)>, SyncError> {
        let files = self.spool.list().await.map_err(SyncError::Spool)?;
        let incoming = files.into_iter().filter_map(|(file, length)| match file {
            Spooled::Incoming(message) => Some((message, length)),
            _ => None,
        });
        Ok(incoming.collect())
    }

    /// Whether an agent is a contact, or was ever written to.
    pub(crate) async fn is_known(&self, agent: AgentId) -> Result<bool, SyncError> {
        Ok(self.store.find::<WrittenToRecord>(agent.as_bytes()).await?.is_some()
            || self.verified(agent).await?.is_some()
            || self.contacts().await?.iter().any(|contact| contact.agent == agent))
    }

    /// Leaves a body at the relay, with a content of so many bytes if they are why. It holds nothing up any more; of one that
    /// is damaged what is good stays here, and its application is told.
    pub(super) async fn leave_at_relay(
        &self,
        message: MessageRef,
        reason: WaitingReason,
        content_length: u64,
    ) -> Result<(), SyncError> {
        tracing::info!(id = %message.id, sender = %message.sender, ?reason, "a body stays at the relay");
        let _turn = self.turns.take().await?;
        retry_conflicts(|| async {
            let Some(stored) = self.awaited_row(message).await? else { return Ok(()) };
            let arrival = &stored.value.arrival;
            let Some(download) = self.store.find::<DownloadRecord>(arrival).await? else { return Ok(()) };
            let mut changes = Changes::default();
            changes.delete(&download);
            if let Some(held) = self.store.find::<HeldRecord>(&held_key(&message, arrival)).await? {
                changes.delete(&held);
            }
            changes.insert(reason.key(arrival), &WaitingBodyRecord { message, content_length });
            if reason == WaitingReason::Damaged {
                self.note(&mut changes, Event::BodyDamaged { message: message.id, sender: message.sender })?;
            }
            Ok::<_, SyncError>(self.store.commit(changes).await?)
        })
        .await?;
        self.followings.remove(message);
        match reason {
            WaitingReason::NoRoom | WaitingReason::Stranger => self.spool.remove(Spooled::Incoming(message)).await,
            WaitingReason::Damaged => _ = self.wanted.lock().remove(&message),
        }
        Ok(())
    }

    /// Lets bodies go on that may be fetched by now, and gives up those whose life is over at every relay.
    pub(super) async fn reconsider_waiting(&self) -> Result<(), SyncError> {
        let page = self.store.page::<WaitingBodyRecord>(&[], &[], limits::ROWS).await?;
        for row in page.rows {
            let MessageRef { id, sender } = row.value.message;
            let stored = self.awaited_row(row.value.message).await?;
            let Some(body) = stored.as_ref().and_then(|stored| stored.value.content.body().zip(Some(stored))) else {
                let mut changes = Changes::default();
                changes.delete(&row);
                crate::agent::ignore_conflict(self.store.commit(changes).await)?;
                continue;
            };
            let (body, stored) = body;
            if self.has_come(stored.value.sent.saturating_add(wire::MESSAGE_LIFE)).await? {
                self.give_up(row.value.message, Event::BodyGone { message: id, sender }).await?;
            } else if !row.key.starts_with(&[WaitingReason::Damaged.prefix()])
                && !self.fetch_holds.hold(&[sender])
                && self.stays(row.value.message, body.description, row.value.content_length).await?.is_none()
            {
                self.let_go_on(row.value.message).await?;
            }
        }
        Ok(())
    }

    /// Its body is fetched again, and what its sender sends later is shown after it.
    async fn let_go_on(&self, message: MessageRef) -> Result<(), SyncError> {
        let _turn = self.turns.take().await?;
        retry_conflicts(|| async {
            let Some(stored) = self.awaited_row(message).await? else { return Ok(()) };
            let arrival = stored.value.arrival.clone();
            let Some(waiting) = self.waiting_row(&arrival).await? else { return Ok(()) };
            let mut changes = Changes::default();
            changes.delete(&waiting);
            changes.insert(held_key(&message, &arrival), &HeldRecord { message });
            changes.insert(arrival, &DownloadRecord::new(message));
            Ok::<_, SyncError>(self.store.commit(changes).await?)
        })
        .await
    }

    pub(super) async fn waiting_row(&self, arrival: &[u8]) -> Result<Option<Versioned<WaitingBodyRecord>>, StateError> {
        for reason in WaitingReason::ALL {
            if let Some(row) = self.store.find::<WaitingBodyRecord>(&reason.key(arrival)).await? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Notes along with the `changes` that this agent writes to these: they are no strangers any more.
    pub(crate) async fn note_written_to(
        &self,
        changes: &mut Changes,
        recipients: &[AgentId],
    ) -> Result<(), crate::store::StoreAccessError> {
        for recipient in recipients {
            if self.store.find::<WrittenToRecord>(recipient.as_bytes()).await?.is_none() {
                changes.insert(recipient.as_bytes(), &WrittenToRecord { first: self.clock.now() });
            }
        }
        Ok(())
    }
}

/// Whether a write failed because the disk, or the agent's part of it, is full.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
