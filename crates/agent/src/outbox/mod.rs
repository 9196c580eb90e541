//! Sending: compose a draft, seal it and commit ratchet and envelope together, hand it to the relay, keep its plaintext
//! until it has arrived. A large content is sealed as a body first, into the spool, and uploaded before its message goes.
//!
//! Each step is a row that moves: `Draft → Outbox → Sent`, or `Unsent` when the relay refuses for good. A retry sends the
//! same bytes; a crash between two steps goes on with the next one. A message that a recipient could not open goes round
//! again from its kept plaintext: `Renewal → Outbox`, beside the row that says it was accepted.

mod holds;
mod obstacles;
mod refusals;
mod transmit;
mod waiting;

use std::{fmt, sync::atomic::Ordering, time::Duration};

use sealpost_crypto::{BodyKey, Ordinary, Payload, Plaintext, SecretBytes};
use sealpost_protocol::{
    AgentId, Attempt, ErrorCode, Header, HeaderError, HeaderFields, MessageClass, MessageId, MessageRef, MessageType,
    Priority, Recipients, Retention, Timestamp,
    encoding::{Decode, DecodeError, Encode},
    limits as wire,
};
use tokio::io::AsyncRead;

pub(crate) use self::holds::Holds;
use self::obstacles::HeldUp;
pub(crate) use self::refusals::{Fate, fate, is_final};
pub use self::{
    obstacles::Obstacle,
    waiting::{Waiting, WaitingState},
};
use crate::{
    Agent, RelayError, SendError, Streamed,
    bodies::{SpoolFile, Spooled, Stop, Uploaded, saves_by_a_body},
    conflicts::retry_conflicts,
    limits,
    records::{
        BodyKeyRecord, BodyRecord, ContentRecord, DraftRecord, OutgoingRecord, PartRecord, RenewalRecord, SentRecord,
        UnsentRecord,
    },
    schemes::{DraftScheme, OutgoingScheme},
    store::{Changes, Record, Versioned, encode_secret},
};

/// A message to send: a payload, or a content that is [`Streamed`].
#[derive(Clone)]
pub struct Outgoing<P = Payload> {
    /// For whom.
    pub to: Vec<AgentId>,
    /// What.
    pub payload: P,
    /// How it is sealed; under a group's key, `to` is empty.
    pub scheme: OutgoingScheme,
    /// How urgent it is; the relay sees it.
    pub priority: Priority,
    /// How long it may wait; at most 30 days.
    pub life: Duration,
    /// How long the relay keeps it; none for as the scheme has it: under a ratchet until it is delivered, otherwise to the
    /// end of its life.
    pub retention: Option<Retention>,
}

impl<P> Outgoing<P> {
    /// An ordinary message.
    #[must_use]
    pub fn to(recipients: impl Into<Vec<AgentId>>, payload: P) -> Self {
        let scheme = OutgoingScheme::Ratchet;
        let (priority, life) = (Priority::Normal, wire::MESSAGE_LIFE);
        Self { to: recipients.into(), payload, scheme, priority, life, retention: None }
    }

    /// The same under another scheme.
    #[must_use]
    pub fn under(self, scheme: OutgoingScheme) -> Self {
        Self { scheme, ..self }
    }

    /// The same, kept by the relay for so long, whatever the scheme.
    #[must_use]
    pub fn kept(self, retention: Retention) -> Self {
        Self { retention: Some(retention), ..self }
    }

    /// The same with something else to say.
    #[must_use]
    pub fn with<Q>(self, payload: Q) -> Outgoing<Q> {
        let Self { to, scheme, priority, life, retention, .. } = self;
        Outgoing { to, payload, scheme, priority, life, retention }
    }
}

impl fmt::Debug for Outgoing {
    /// Shows nothing of what is to be sealed but the content's length.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Outgoing")
            .field("to", &self.to)
            .field("content", &self.payload.content)
            .finish_non_exhaustive()
    }
}

/// A message that is durable: at the relay, or here.
#[derive(Debug)]
pub struct Sent {
    /// Its id.
    pub id: MessageId,
    /// Where it is.
    pub outcome: SendOutcome,
}

/// Where a message that was sent is.
#[derive(Debug)]
pub enum SendOutcome {
    /// Durable at the relay since then.
    Accepted(Timestamp),
    /// Durable here, for that reason; it goes out with a later call.
    Kept(SendError),
}

impl Agent {
    /// Sends a message. When this returns, it is durable at the relay, or here if it cannot go out now.
    ///
    /// # Errors
    /// [`SendError`]: nothing was stored, or the relay refused the message for good.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Sent, SendError> {
        let id = self.compose(outgoing).await?;
        self.send_composed(id).await
    }

    /// Sends a message whose content is read to its end first, and may have any length.
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub async fn send_streamed<R: AsyncRead + Unpin + Send>(
        &self,
        outgoing: Outgoing<Streamed<R>>,
    ) -> Result<Sent, SendError> {
        let (id, mut draft, key) = self.draft(&outgoing, outgoing.payload.message_type.as_ref()).await?;
        let payload = outgoing.payload;
        let (file, content) = self.seal_stream(id, payload, key).await?;
        draft.content = content;
        self.keep(id, &draft, Some(file)).await?;
        self.send_composed(id).await
    }

    async fn send_composed(&self, id: MessageId) -> Result<Sent, SendError> {
        let sent = |outcome| Ok(Sent { id, outcome });
        if let Err(error) = self.introduce().await {
            return sent(SendOutcome::Kept(error.into()));
        }
        match Box::pin(self.flush(Some(id))).await {
            Ok(Some(at)) => sent(SendOutcome::Accepted(at)),
            Ok(None) => sent(SendOutcome::Kept(RelayError::NotConfigured.into())),
            Err(error) if is_final(&error) => Err(error),
            Err(error) => sent(SendOutcome::Kept(error)),
        }
    }

    /// Stores a draft.
    async fn compose(&self, outgoing: Outgoing) -> Result<MessageId, SendError> {
        let (id, mut draft, key) = self.draft(&outgoing, outgoing.payload.message_type.as_ref()).await?;
        let payload = outgoing.payload;
        let mut file = None;
        let is_body = draft.scheme != DraftScheme::Ratchet || saves_by_a_body(&payload, draft.recipients.len());
        draft.content = if is_body {
            let (sealed, content) = self.seal_payload_as_body(id, &payload, key).await?;
            file = Some(sealed);
            content
        } else {
            ContentRecord::Payload(encode_payload(&payload))
        };
        self.keep(id, &draft, file).await?;
        Ok(id)
    }

    /// A draft that has no content yet, and is a message otherwise; and the key for its body, if it gets one.
    async fn draft<P>(
        &self,
        outgoing: &Outgoing<P>,
        message_type: Option<&MessageType>,
    ) -> Result<(MessageId, DraftRecord, BodyKeyRecord), SendError> {
        let id = self.message_ids.next(self.clock.now(), self.primitives.as_ref());
        let id = id.map_err(|error| SendError::Seal(error.into()))?;
        let created = id.timestamp();
        if outgoing.to.contains(&self.id()) {
            return Err(SendError::ToItself);
        }
        self.check_permitted(outgoing.scheme.scheme(), message_type).await?;
        let message = MessageRef { sender: self.id(), id };
        let (recipients, scheme, key) = self.begin_scheme(outgoing.scheme, &outgoing.to, &message).await?;
        let draft = DraftRecord {
            recipients,
            priority: outgoing.priority,
            created,
            expires: created.saturating_add(outgoing.life),
            scheme,
            retention: outgoing.retention,
            content: ContentRecord::Erased,
        };
        self.header_of(id, &draft)?;
        Ok((id, draft, key))
    }

    /// Stores a draft whose body, if it has one, is durable. From then on the body stays.
    async fn keep(&self, id: MessageId, draft: &DraftRecord, file: Option<SpoolFile>) -> Result<(), SendError> {
        self.header_of(id, draft)?;
        let mut changes = Changes::default();
        changes.insert(id.as_bytes().as_slice(), draft);
        self.store.commit(changes).await?;
        if let Some(mut file) = file {
            file.keep();
        }
        Ok(())
    }

    /// The header that a draft gets; it does not depend on when it is sealed.
    fn header_of(&self, id: MessageId, draft: &DraftRecord) -> Result<Header, HeaderError> {
        Header::new(HeaderFields {
            message: MessageRef { sender: self.id(), id },
            recipients: Recipients::new(draft.recipients.clone())?,
            scheme: draft.scheme.scheme(),
            class: MessageClass::Ordinary,
            priority: draft.priority,
            message_type: None,
            thread: None,
            reply_to: None,
            created: draft.created,
            expires: draft.expires,
            body: draft.content.body().map(|body| body.description),
        })
    }

    /// Sends what waits here, oldest first: what is sealed already, then drafts. Returns when `wanted` was accepted, if
    /// it was; bodies that it needs, or that stand before it, are uploaded for that. Without `wanted`, what was refused
    /// lately is left to a later round, bodies are not uploaded, and what is damaged here is told at the end.
    pub(crate) async fn flush(&self, wanted: Option<MessageId>) -> Result<Option<Timestamp>, SendError> {
        loop {
            let mut pass = self.pass(wanted).await?;
            let Some(id) = wanted else {
                return pass.damaged.map_or(Ok(None), Err);
            };
            let (due, otherwise) = match pass.wanted.take() {
                Some(Ok(Step::Upload(_))) => (pass.upload_before(id), SendError::UploadedElsewhere),
                Some(Err(error @ SendError::Behind(_))) => (pass.upload_before(id), error),
                Some(Ok(Step::Accepted(at))) => return Ok(Some(at)),
                Some(Ok(Step::Gone)) | None => return Ok(None),
                Some(Err(error)) => return Err(error),
            };
            let due = due.ok_or(otherwise)?;
            let uploads = || SendError::Behind(Obstacle::new(due.id, Obstacle::UPLOADS));
            match self.upload_body(due.id, due.id == id, &Stop::default()).await {
                Ok(Uploaded::ByAnother) if due.id == id => return Err(SendError::UploadedElsewhere),
                Ok(Uploaded::ByAnother) => return Err(uploads()),
                Ok(Uploaded::Whole | Uploaded::InPart) => {}
                Err(error) => {
                    let obstacle = self.note_failure(due.id, &error, &due.recipients).await?;
                    return Err(if due.id == id { error } else { SendError::Behind(obstacle) });
                }
            }
        }
    }

    /// Sends what can go out now. A message that cannot holds up later ones to the same recipients, so that the order
    /// stays, and no others; only a relay that cannot be used ends the pass.
    pub(crate) async fn pass(&self, wanted: Option<MessageId>) -> Result<Pass, SendError> {
        let _turn = self.turns.take().await?;
        let mut pass = Pass::default();
        let mut held_up = HeldUp::default();
        for stage in [Stage::Outbox, Stage::Renewal, Stage::Draft] {
            let mut after = Vec::new();
            while let Some((key, waiting)) = self.next_waiting(stage, &after).await? {
                after = key;
                let (id, recipients) = match waiting {
                    Ok(waiting) => waiting,
                    Err(error) => {
                        pass.damaged.get_or_insert(error);
                        continue;
                    }
                };
                if wanted == Some(id) {
                    pass.wanted_by.clone_from(&recipients);
                }
                if let Some(obstacle) = held_up.before(&recipients).cloned() {
                    held_up.add(&recipients, &obstacle);
                    if wanted == Some(id) {
                        pass.wanted = Some(Err(SendError::Behind(obstacle)));
                    }
                    continue;
                }
                if wanted.is_none() && self.holds.hold(&recipients) {
                    let noted = self.obstacle(id).await?;
                    held_up.add(&recipients, &noted.unwrap_or_else(|| Obstacle::new(id, Obstacle::PAUSES)));
                    continue;
                }
                let result = self.send_one(id, wanted == Some(id)).await;
                match &result {
                    Ok(Step::Upload(length)) => {
                        held_up.add(&recipients, &Obstacle::new(id, Obstacle::UPLOADS));
                        pass.uploads.push(DueUpload { id, recipients, length: *length });
                    }
                    Ok(Step::Accepted(_) | Step::Gone) => self.holds.remove(&recipients),
                    Err(error) => match fate(error) {
                        Fate::AllWait => {
                            self.is_current.store(false, Ordering::Relaxed);
                            return result.map(|_| pass);
                        }
                        Fate::Unsent => {}
                        Fate::Waits => {
                            let obstacle = self.note_failure(id, error, &recipients).await?;
                            held_up.add(&recipients, &obstacle);
                        }
                    },
                }
                match result {
                    result if wanted == Some(id) => pass.wanted = Some(result),
                    Err(error @ (SendError::State(_) | SendError::Damaged(_))) => {
                        pass.damaged.get_or_insert(error);
                    }
                    _ => {}
                }
            }
        }
        if let (Some(id), None | Some(Ok(Step::Gone))) = (wanted, &pass.wanted) {
            pass.wanted = Some(self.sent_by_another(id).await);
        }
        Ok(pass)
    }

    /// Lets mail to a message's recipients pause after a failure that is its own, and notes why it waits.
    pub(crate) async fn note_failure(
        &self,
        id: MessageId,
        error: &SendError,
        recipients: &[AgentId],
    ) -> Result<Obstacle, SendError> {
        if fate(error) != Fate::Waits {
            return Ok(Obstacle::new(id, error.code()));
        }
        let random = self.random().map_err(|error| SendError::Seal(error.into()))?;
        self.holds.add(recipients, random);
        Ok(self.note_obstacle(id, error).await?)
    }

    /// What became of a message that another process of the agent has taken up, and may not be through with.
    async fn sent_by_another(&self, id: MessageId) -> Result<Step, SendError> {
        match self.send_one(id, true).await? {
            Step::Gone => {}
            step => return Ok(step),
        }
        if let Some(unsent) = self.store.find::<UnsentRecord>(id.as_bytes()).await? {
            let code = unsent.value.code.parse().unwrap_or(ErrorCode::Internal);
            let detail = "as another process of the agent was told".to_owned();
            return Err(RelayError::Refused { code, detail }.into());
        }
        let sent = self.store.find::<SentRecord>(id.as_bytes()).await?;
        Ok(sent.map_or(Step::Gone, |sent| Step::Accepted(sent.value.accepted)))
    }

    /// The first message of a stage after `after`: where it is, its name, and for whom it is.
    async fn next_waiting(&self, stage: Stage, after: &[u8]) -> Result<Option<(Vec<u8>, Queued)>, SendError> {
        match stage {
            Stage::Outbox => {
                self.next_in(after, |row: OutgoingRecord| of_parts(&row.parts, |part| part.recipient)).await
            }
            Stage::Renewal => {
                let (mut after, now) = (after.to_vec(), self.clock.now());
                loop {
                    let mut is_due = true;
                    let recipients = |row: RenewalRecord| {
                        is_due = row.not_before <= now;
                        of_parts(&row.parts, |part| part.recipient)
                    };
                    match self.next_in(&after, recipients).await? {
                        Some((key, _)) if !is_due => after = key,
                        found => return Ok(found),
                    }
                }
            }
            Stage::Draft => self.next_in(after, |row: DraftRecord| row.recipients).await,
        }
    }

    async fn next_in<T: Record>(
        &self,
        after: &[u8],
        recipients: impl FnOnce(T) -> Vec<AgentId>,
    ) -> Result<Option<(Vec<u8>, Queued)>, SendError> {
        let mut page = self.store.page::<T>(&[], after, 1).await?;
        let Some(key) = page.last else { return Ok(None) };
        let waiting = match (page.rows.pop(), page.damaged) {
            (Some(row), _) => {
                MessageId::from_bytes(&key).map(|id| (id, recipients(row.value))).map_err(SendError::from)
            }
            (None, Some(error)) => Err(error.into()),
            (None, None) => return Ok(None),
        };
        Ok(Some((key, waiting)))
    }

    /// Takes one message as far as it goes, again if another process of the agent is at it too. If nobody asked for it
    /// (`is_wanted`), an end of it is noted as an event.
    async fn send_one(&self, id: MessageId, is_wanted: bool) -> Result<Step, SendError> {
        // On the heap, as the futures of each step below: together they would take most of a thread's stack.
        retry_conflicts(|| Box::pin(self.try_send_one(id, is_wanted))).await
    }

    async fn try_send_one(&self, id: MessageId, is_wanted: bool) -> Result<Step, SendError> {
        if let Some(row) = self.store.find::<OutgoingRecord>(id.as_bytes()).await? {
            return Box::pin(self.transmit(id, row, is_wanted)).await;
        }
        if let Some(draft) = self.store.find::<DraftRecord>(id.as_bytes()).await? {
            Box::pin(self.ensure_current()).await?;
            Box::pin(self.seal(id, draft, is_wanted)).await?;
        } else if let Some(renewal) = self.store.find::<RenewalRecord>(id.as_bytes()).await? {
            Box::pin(self.ensure_current()).await?;
            Box::pin(self.seal_anew(id, renewal)).await?;
        }
        match self.store.find::<OutgoingRecord>(id.as_bytes()).await? {
            Some(row) => Box::pin(self.transmit(id, row, is_wanted)).await,
            None => Ok(Step::Gone),
        }
    }

    /// Seals a draft: the moved ratchets and the envelopes are committed together, before anything leaves. A draft that
    /// the relay refuses a session for, or whose life is over, is noted as unsent; so is one that was composed by a clock
    /// that was ahead, and has been set right since: no relay would take it, nor what comes after it, before that time.
    async fn seal(&self, id: MessageId, draft: Versioned<DraftRecord>, is_wanted: bool) -> Result<(), SendError> {
        let relay_time = self.relay().await?.time().await?;
        if self.is_misdated(id) && is_ahead(id, relay_time) {
            let mut changes = Changes::default();
            changes.delete(&draft);
            let error = SendError::Misdated { dated: id.timestamp() };
            self.note_unsent(changes, id, draft.value.recipients.clone(), &error, is_wanted).await?;
            return Err(error);
        }
        let result = if draft.value.expires <= self.clock.now() {
            Err(RelayError::Refused { code: ErrorCode::Expired, detail: "the message's life is over".to_owned() }
                .into())
        } else {
            self.try_seal(id, &draft).await
        };
        if let Err(error) = &result
            && is_final(error)
        {
            let mut changes = Changes::default();
            changes.delete(&draft);
            self.note_unsent(changes, id, draft.value.recipients.clone(), error, is_wanted).await?;
            self.spool.remove(Spooled::Outgoing(id)).await;
        }
        result
    }

    /// Whether a message was composed by a clock that was ahead, as the one here shows it now.
    fn is_misdated(&self, id: MessageId) -> bool {
        is_ahead(id, self.clock.now())
    }

    async fn try_seal(&self, id: MessageId, draft: &Versioned<DraftRecord>) -> Result<(), SendError> {
        let header = self.header_of(id, &draft.value)?;
        let mut changes = Changes::default();
        let parts = match draft.value.scheme {
            DraftScheme::Ratchet => self.seal_by_ratchets(&header, &draft.value, &mut changes).await?,
            _ => self.seal_signed(&header, &draft.value, &mut changes).await?,
        };
        let header = header.as_bytes().to_vec();
        let DraftRecord { content, retention, .. } = &draft.value;
        let (content, retention) = (content.clone(), *retention);
        let outgoing = OutgoingRecord { header, parts, content, upload: None, retention };
        changes.delete(draft).insert(id.as_bytes().as_slice(), &outgoing);
        Ok(self.store.commit(changes).await?)
    }

    /// An envelope for each recipient; the moved ratchets are noted among `changes`.
    async fn seal_by_ratchets(
        &self,
        header: &Header,
        draft: &DraftRecord,
        changes: &mut Changes,
    ) -> Result<Vec<PartRecord>, SendError> {
        let (id, now) = (header.message().id, self.clock.now());
        let plaintext = plaintext_of(&draft.content)?;
        let mut parts = Vec::new();
        for (recipient, transmission) in self.transmissions(id, header.fields().recipients.as_slice()).await? {
            let mut sending = self.sending_session(recipient, &transmission, changes).await?;
            let envelope = sending.session.seal(self.primitives.as_ref(), header, &plaintext, now)?;
            sending.save(changes, now);
            parts.push(PartRecord { recipient, attempt: Attempt::FIRST, envelope: envelope.to_bytes() });
        }
        Ok(parts)
    }
}

/// Whether a relay whose clock shows `now` refuses a message for its time.
fn is_ahead(id: MessageId, now: Timestamp) -> bool {
    id.timestamp() > now.saturating_add(limits::CLOCK_AHEAD)
}

/// What is sealed for each recipient under the ratchet: the payload, or the key of the body.
pub(crate) fn plaintext_of(content: &ContentRecord) -> Result<Plaintext, SendError> {
    let missing = |reason| DecodeError::Invalid { field: "a content", reason };
    match content {
        ContentRecord::Payload(payload) => Ok(Ordinary::from_bytes(payload)?.to_plaintext()),
        ContentRecord::Body(BodyRecord { description, key: BodyKeyRecord::Sealed(key) }) => {
            let key = BodyKey::new(key, *description).map_err(|error| SendError::Seal(error.into()))?;
            Ok(key.to_plaintext())
        }
        ContentRecord::Body(_) => Err(missing("a body without a key").into()),
        ContentRecord::Erased => Err(missing("erased").into()),
    }
}

/// A payload as it is stored.
pub(crate) fn encode_payload(payload: &Payload) -> SecretBytes {
    encode_secret(payload, payload.content.as_bytes().len() + limits::METADATA)
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Accepted at that time.
    Accepted(Timestamp),
    /// It no longer waits.
    Gone,
    /// Its body, of so many bytes, must be uploaded first.
    Upload(u64),
}

/// What a pass over all that waits came to.
#[derive(Default)]
pub(crate) struct Pass {
    /// What became of the message that was asked for.
    wanted: Option<Result<Step, SendError>>,
    /// For whom that is.
    wanted_by: Vec<AgentId>,
    /// The bodies that are to be uploaded, in the order of their messages.
    pub(crate) uploads: Vec<DueUpload>,
    /// What failed here, at one row or another.
    pub(crate) damaged: Option<SendError>,
}

/// A message whose body is to be uploaded.
pub(crate) struct DueUpload {
    pub(crate) id: MessageId,
    pub(crate) recipients: Vec<AgentId>,
    /// Bytes of the body.
    pub(crate) length: u64,
}

impl Pass {
    /// The first body that must be uploaded before the message can go that was asked for: its own, or one before it.
    fn upload_before(self, id: MessageId) -> Option<DueUpload> {
        let Self { uploads, wanted_by, .. } = self;
        uploads.into_iter().find(|due| due.id == id || due.recipients.iter().any(|to| wanted_by.contains(to)))
    }
}

/// A message that waits, and for whom it is; or why its row cannot be read.
type Queued = Result<(MessageId, Vec<AgentId>), SendError>;

fn of_parts<P>(parts: &[P], recipient: impl Fn(&P) -> AgentId) -> Vec<AgentId> {
    parts.iter().map(recipient).collect()
}

/// Where a message waits.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Outbox,
    Renewal,
    Draft,
}
