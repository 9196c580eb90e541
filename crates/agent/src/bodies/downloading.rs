//! Fetching the bodies of received messages: piece by piece into the spool, from where it stopped; once all of it is there
//! and synced, it is checked, and only then is the message stored, and its receipt due.
//!
//! A body that is not the one that the header describes is the relay's fault: it is fetched again, later. One that is,
//! and does not open, is its sender's: the message is refused.

use std::io::{Seek, SeekFrom, Write};

use futures::{StreamExt, stream::FuturesOrdered};
use sealpost_api::v1;
use sealpost_protocol::{
    BodyDescription, ErrorCode, MessageRef, RefusalReason, Scheme, encoding::Encode, limits as wire,
};

use super::{
    checking::{Checked, NotRead, check, open_short},
    spool::{SpoolFile, Spooled, blocking},
    transfers::{Stop, Transfer, TransferKind},
    waiting::{WaitingReason, is_no_room},
};
use crate::{
    Agent, Event, RelayError, SyncError, limits,
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
struct Awaited {
    message: MessageRef,
    body: BodyRecord,
    scheme: Scheme,
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
            if stop.is_asked() {
                return Ok(true);
            }
            if self.fetch_holds.hold(&[sender]) {
                continue;
            }
            match self.fetch(&awaited, stop).await {
                Ok(Fetched::Done) => self.fetch_holds.remove(&[sender]),
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
            let message = row.value.message;
            let stored = self.store.find::<InboxRecord>(&message.to_bytes()).await?;
            match stored.as_ref().filter(|stored| stored.value.verdict.is_none()).map(|stored| &stored.value) {
                Some(InboxRecord { content: ContentRecord::Body(body), scheme, .. }) => {
                    awaited.push(Awaited { message, body: body.clone(), scheme: scheme.scheme() });
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
        if let Some(reason) = self.stays(awaited.message, awaited.body.description).await? {
            self.leave_at_relay(awaited.message, reason).await?;
            return Ok(Fetched::Done);
        }
        match self.try_fetch(awaited, stop).await {
            Err(SyncError::Relay(RelayError::Refused { code: ErrorCode::NotFound, .. })) => {
                self.give_up(awaited.message, Event::BodyGone { message, sender }).await?;
                Ok(Fetched::Done)
            }
            Err(SyncError::Relay(RelayError::Refused { code: ErrorCode::Lost, .. })) => {
                self.give_up(awaited.message, Event::BodyLost { message, sender }).await?;
                Ok(Fetched::Done)
            }
            // Something else has filled the disk meanwhile.
            Err(SyncError::Spool(error)) if is_no_room(&error) => {
                self.leave_at_relay(awaited.message, WaitingReason::NoRoom).await?;
                Ok(Fetched::Waits)
            }
            result => result,
        }
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
        let Awaited { message, body, scheme } = awaited;
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
        let Awaited { message, body, scheme } = awaited;
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
        if !self.fill(awaited, &file, stop).await? {
            return Ok(Fetched::InPart);
        }
        file.sync().await.map_err(SyncError::Spool)?;
        match check(&file, body).await? {
            Checked::Opens(message_type) if !self.permits(*scheme, message_type.as_ref()).await? => {
                self.refuse_body(*message, RefusalReason::Policy).await?;
                file.discard();
            }
            Checked::Opens(_) => self.settle_body(*message, ContentRecord::Body(body.clone())).await?,
            Checked::Other => {
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

    /// Fetches what a file lacks of a body, several pieces at a time, and writes them in their order: the file's length
    /// says how far it is. Returns whether it got to the end.
    async fn fill(&self, awaited: &Awaited, file: &SpoolFile, stop: &Stop) -> Result<bool, SyncError> {
        let Awaited { message, body: BodyRecord { description, .. }, .. } = awaited;
        let handle = || file.handle().map_err(SyncError::Spool);
        let length = handle()?.metadata().map_err(SyncError::Spool)?.len();
        let whole = if length > description.sealed_length { 0 } else { length / wire::BODY_PIECE };
        let begin = if length == description.sealed_length { length } else { whole * wire::BODY_PIECE };
        let mut transfer = Transfer {
            message: message.id,
            done: begin,
            length: description.sealed_length,
            kind: TransferKind::Download,
        };
        self.transfers.show(transfer);
        let first = begin.div_ceil(wire::BODY_PIECE);
        let mut places = first..description.pieces();
        let mut on_their_way = FuturesOrdered::new();
        loop {
            while on_their_way.len() < limits::PIECES_AT_A_TIME
                && !stop.is_asked()
                && let Some(place) = places.next()
            {
                on_their_way.push_back(self.piece(*message, *description, place));
            }
            let Some(piece) = on_their_way.next().await else { break };
            let (piece, mut handle, at) = (piece?, handle()?, transfer.done);
            transfer.done += piece.len() as u64;
            let write = move || {
                handle.set_len(at)?;
                handle.seek(SeekFrom::Start(at))?;
                handle.write_all(&piece)
            };
            blocking(write).await.map_err(SyncError::Spool)?;
            self.transfers.show(transfer);
        }
        Ok(transfer.done == description.sealed_length)
    }

    /// One piece, as long as it must be.
    async fn piece(&self, message: MessageRef, body: BodyDescription, place: u64) -> Result<Vec<u8>, SyncError> {
        let offset = place * wire::BODY_PIECE;
        let request =
            v1::GetBodyRequest { sender: message.sender.to_string(), message_id: message.id.to_string(), offset };
        let answer = self.relay().await?.body(request).await?;
        let is_it = answer.offset == offset
            && answer.length == body.sealed_length
            && Some(answer.body.len() as u64) == body.piece_length(place);
        if is_it { Ok(answer.body) } else { Err(SyncError::OtherBody(message.id)) }
    }
}
