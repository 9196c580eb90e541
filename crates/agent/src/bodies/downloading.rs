//! Fetching the bodies of received messages: piece by piece into the spool, from where it stopped, and opened as they come;
//! once all of it is there and synced, the message is stored, and its receipt due.
//!
//! A body that is not the one that the header describes is the relay's fault: it is fetched again, later, and left there
//! after so many times. One that is, and does not open, is its sender's: the message is refused.

use sealpost_protocol::{BodyDescription, ErrorCode, MessageRef, RefusalReason, Scheme, encoding::Encode};

use super::{
    checking::{NotRead, open_short},
    filling::Filled,
    following::{Checked, lock},
    spool::Spooled,
    transfers::Stop,
    waiting::{WaitingReason, is_no_room},
};
use crate::{
    Agent, Event, RelayError, SyncError,
    conflicts::retry_conflicts,
    limits,
    outbox::encode_payload,
    records::{BodyRecord, ContentRecord, DownloadRecord, InboxRecord},
    store::Changes,
};

/// What became of an attempt to fetch a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetched {
    /// It is there, or nobody waits for it any more.
    Done,
    /// It was asked to rest.
    InPart,
    /// Another process of the agent is at it, or the disk has no room for it.
    Waits,
}

/// A body that waits at the relay.
pub(super) struct Awaited {
    pub(super) message: MessageRef,
    pub(super) body: BodyRecord,
    scheme: Scheme,
    /// Where it was found last not to be the header's, if it was.
    pub(super) failed_at: Option<u64>,
}

impl Agent {
    /// Whether bodies wait at the relay that can be fetched now.
    pub(crate) async fn awaits_bodies(&self) -> Result<bool, SyncError> {
        self.reconsider_waiting().await?;
        let page = self.store.page::<DownloadRecord>(&[], &[], limits::ROWS).await?;
        Ok(page.rows.iter().any(|row| !self.fetch_holds.hold(&[row.value.message.sender])))
    }

    /// Fetches bodies, short ones first, until none is left or it is asked to rest. Returns whether some are left that
    /// can go on.
    pub(crate) async fn fetch_bodies(&self, stop: &Stop) -> Result<bool, SyncError> {
        let mut failed = None;
        for awaited in self.awaited_bodies().await? {
            let sender = awaited.message.sender;
            if stop.rests() {
                return Ok(true);
            }
            if self.fetch_holds.hold(&[sender]) {
                continue;
            }
            match self.fetch(&awaited, stop).await {
                Ok(Fetched::Done) => {
                    stop.moved();
                    self.fetch_holds.remove(&[sender]);
                }
                Ok(Fetched::InPart) => return Ok(true),
                Ok(Fetched::Waits) => self.fetch_holds.add(&[sender], self.random()?),
                Err(error) if error.relay().is_some_and(RelayError::is_passing) => return Err(error),
                Err(error) => {
                    tracing::warn!(id = %awaited.message.id, %error, "a body is not fetched");
                    self.fetch_holds.add(&[sender], self.random()?);
                    failed.get_or_insert(error);
                }
            }
        }
        self.transfers.end();
        failed.map_or(Ok(false), Err)
    }

    /// The first bodies that wait, the shortest first: a large one keeps no small one waiting.
    async fn awaited_bodies(&self) -> Result<Vec<Awaited>, SyncError> {
        let page = self.store.page::<DownloadRecord>(&[], &[], limits::ROWS).await?;
        let mut awaited = Vec::new();
        for row in page.rows {
            let DownloadRecord { message, failures, failed_at } = row.value;
            let stored = self.store.find::<InboxRecord>(&message.to_bytes()).await?;
            match stored.as_ref().filter(|stored| stored.value.verdict.is_none()).map(|stored| &stored.value) {
                Some(InboxRecord { content: ContentRecord::Body(body), scheme, .. }) => {
                    let failed_at = (failures > 0).then_some(failed_at);
                    awaited.push(Awaited { message, body: body.clone(), scheme: scheme.scheme(), failed_at });
                }
                _ => {
                    let mut changes = Changes::default();
                    changes.delete(&row);
                    crate::agent::ignore_conflict(self.store.commit(changes).await)?;
                }
            }
        }
        awaited.sort_by_key(|awaited| awaited.body.description.sealed_length);
        Ok(awaited)
    }

    async fn fetch(&self, awaited: &Awaited, stop: &Stop) -> Result<Fetched, SyncError> {
        let MessageRef { id: message, sender } = awaited.message;
        if let Some(reason) = self.stays(awaited.message, awaited.body.description, 0).await? {
            self.leave_at_relay(awaited.message, reason, 0).await?;
            return Ok(Fetched::Done);
        }
        match self.try_fetch(awaited, stop).await {
            Err(SyncError::Relay(RelayError::Refused { code: ErrorCode::NotFound, .. })) => {
                self.give_up(awaited.message, Event::BodyGone { message, sender }).await?;
                Ok(Fetched::Done)
            }
            Err(SyncError::Relay(RelayError::Refused { code: ErrorCode::Lost, .. })) => {
                self.give_up(awaited.message, Event::BodyLost { message, sender }).await?;
                self.lost_bodies.note(awaited.message);
                Ok(Fetched::Done)
            }
            // Something else has filled the disk meanwhile.
            Err(SyncError::Spool(error)) if is_no_room(&error) => {
                self.leave_at_relay(awaited.message, WaitingReason::NoRoom, 0).await?;
                Ok(Fetched::Waits)
            }
            Err(error @ SyncError::OtherBody(_)) => {
                if self.note_damage(awaited.message).await? < limits::BODY_ATTEMPTS {
                    return Err(error);
                }
                self.leave_at_relay(awaited.message, WaitingReason::Damaged, 0).await?;
                Ok(Fetched::Done)
            }
            result => result,
        }
    }

    /// Notes that what came of a body was not the header's. Returns how often that was so.
    async fn note_damage(&self, message: MessageRef) -> Result<u64, SyncError> {
        let followed = self.followings.of(message);
        let failed_at = followed.map_or(0, |following| lock(&following).followed());
        retry_conflicts(|| async {
            let Some(stored) = self.awaited_row(message).await? else { return Ok(0) };
            let Some(row) = self.store.find::<DownloadRecord>(&stored.value.arrival).await? else { return Ok(0) };
            let failures = row.value.failures.saturating_add(1);
            let mut changes = Changes::default();
            changes.replace(&row, &DownloadRecord { message, failures, failed_at });
            self.store.commit(changes).await?;
            Ok::<_, SyncError>(failures)
        })
        .await
    }

    async fn try_fetch(&self, awaited: &Awaited, stop: &Stop) -> Result<Fetched, SyncError> {
        let is_short = awaited.body.description.sealed_length <= limits::SHORT_BODY;
        if is_short && self.fetch_short(awaited).await? {
            return Ok(Fetched::Done);
        }
        self.fetch_long(awaited, stop).await
    }

    /// The body of what could have been a payload becomes one, in the row. Returns whether it is one.
    async fn fetch_short(&self, awaited: &Awaited) -> Result<bool, SyncError> {
        let Awaited { message, body, scheme, .. } = awaited;
        let mut sealed = Vec::new();
        for place in 0..body.description.pieces() {
            sealed.extend(self.piece(*message, body.description, place).await?);
        }
        if BodyDescription::of(&sealed) != body.description {
            return Err(SyncError::OtherBody(message.id));
        }
        match open_short(&body.key.seal(), &sealed) {
            Ok(payload) if !self.permits(*scheme, payload.message_type.as_ref()).await? => {
                self.refuse_body(*message, RefusalReason::Policy).await?;
            }
            Ok(payload) => self.settle_body(*message, ContentRecord::Payload(encode_payload(&payload))).await?,
            Err(NotRead::TooLong) => return Ok(false),
            Err(NotRead::Unreadable) => self.refuse_body(*message, RefusalReason::Undecryptable).await?,
            Err(NotRead::Failed(error)) => return Err(error.into()),
        }
        Ok(true)
    }

    async fn fetch_long(&self, awaited: &Awaited, stop: &Stop) -> Result<Fetched, SyncError> {
        let Awaited { message, body, scheme, .. } = awaited;
        let spooled = Spooled::Incoming(*message);
        let Some(file) = self.spool.open_or_create(spooled).await.map_err(SyncError::Spool)? else {
            return Ok(Fetched::Waits);
        };
        // Another process may have been through with it before it was locked.
        match self.store.find::<InboxRecord>(&message.to_bytes()).await? {
            Some(stored) if stored.value.verdict.is_none() => {}
            Some(stored) if stored.value.content.body().is_some() => return Ok(Fetched::Done),
            _ => {
                file.discard();
                return Ok(Fetched::Done);
            }
        }
        let checked = match self.fill(awaited, &file, self.most_unasked(*message).await?, stop).await? {
            Filled::Whole(checked) => checked,
            Filled::InPart => return Ok(Fetched::InPart),
            Filled::Larger(length) => {
                self.leave_at_relay(*message, WaitingReason::Stranger, length).await?;
                return Ok(Fetched::Done);
            }
        };
        match checked {
            Checked::Opens(message_type) if !self.permits(*scheme, message_type.as_ref()).await? => {
                self.refuse_body(*message, RefusalReason::Policy).await?;
                file.discard();
            }
            Checked::Opens(_) => self.settle_body(*message, ContentRecord::Body(body.clone())).await?,
            Checked::Other(_) => {
                file.discard();
                return Err(SyncError::OtherBody(message.id));
            }
            Checked::Unreadable => {
                self.refuse_body(*message, RefusalReason::Undecryptable).await?;
                file.discard();
            }
        }
        Ok(Fetched::Done)
    }
}
