//! Sending: compose a draft, seal it and commit ratchet and envelope together, hand it to the relay, keep its plaintext
//! until it has arrived.
//!
//! Each step is a row that moves: `Draft → Outbox → Sent`, or `Unsent` when the relay refuses for good. A retry sends the
//! same bytes; a crash between two steps goes on with the next one. A message that a recipient could not open goes round
//! again from its kept plaintext: `Renewal → Outbox`, beside the row that says it was accepted.

mod holds;
mod refusals;
mod transmit;
mod waiting;

use std::{collections::HashSet, fmt, sync::atomic::Ordering, time::Duration};

use sealpost_crypto::{Ordinary, Payload, SecretBytes};
use sealpost_protocol::{
    AgentId, Attempt, ErrorCode, Header, HeaderError, HeaderFields, MessageClass, MessageId, MessageRef, Priority,
    Recipients, Scheme, Timestamp,
    encoding::{Decode, Encode},
    limits as wire,
};

pub(crate) use self::holds::Holds;
use self::refusals::{Fate, fate, is_final};
pub use self::waiting::Waiting;
use crate::{
    Agent, RelayError, SendError,
    conflicts::retry_conflicts,
    limits,
    records::{DraftRecord, OutgoingRecord, PartRecord, RenewalRecord, SentRecord, UnsentRecord},
    sessions::Transmission,
    store::{Changes, Record, Versioned, encode_secret},
};

/// A message to send.
#[derive(Clone)]
pub struct Outgoing {
    /// For whom.
    pub to: Vec<AgentId>,
    /// What.
    pub payload: Payload,
    /// How urgent it is; the relay sees it.
    pub priority: Priority,
    /// How long it may wait; at most 30 days.
    pub life: Duration,
}

impl Outgoing {
    /// An ordinary message.
    #[must_use]
    pub fn to(recipients: impl Into<Vec<AgentId>>, payload: Payload) -> Self {
        Self { to: recipients.into(), payload, priority: Priority::Normal, life: wire::MESSAGE_LIFE }
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
        let sent = |outcome| Ok(Sent { id, outcome });
        if let Err(error) = self.introduce().await {
            return sent(SendOutcome::Kept(error.into()));
        }
        match self.flush(Some(id)).await {
            Ok(Some(at)) => sent(SendOutcome::Accepted(at)),
            Ok(None) => sent(SendOutcome::Kept(RelayError::NotConfigured.into())),
            Err(SendError::Relay(error)) if is_final(&error) => Err(error.into()),
            Err(error) => sent(SendOutcome::Kept(error)),
        }
    }

    /// Stores a draft.
    async fn compose(&self, outgoing: Outgoing) -> Result<MessageId, SendError> {
        let id = self.message_ids.next(self.clock.now(), self.primitives.as_ref());
        let id = id.map_err(|error| SendError::Seal(error.into()))?;
        let created = id.timestamp();
        if outgoing.to.contains(&self.id()) {
            return Err(SendError::ToItself);
        }
        let draft = DraftRecord {
            recipients: outgoing.to,
            priority: outgoing.priority,
            created,
            expires: created.saturating_add(outgoing.life),
            payload: encode_payload(&outgoing.payload),
        };
        let header = self.header_of(id, &draft)?;
        let part = outgoing.payload.to_plaintext().padded_length() + limits::PART_OVERHEAD;
        let bytes = header.as_bytes().len() + part * header.fields().recipients.as_slice().len();
        if bytes > limits::REQUEST {
            return Err(SendError::TooLargeTogether { bytes });
        }
        let mut changes = Changes::default();
        changes.insert(id.as_bytes().as_slice(), &draft);
        self.store.commit(changes).await?;
        Ok(id)
    }

    /// The header that a draft gets; it does not depend on when it is sealed.
    fn header_of(&self, id: MessageId, draft: &DraftRecord) -> Result<Header, HeaderError> {
        Header::new(HeaderFields {
            message: MessageRef { sender: self.id(), id },
            recipients: Recipients::new(draft.recipients.clone())?,
            scheme: Scheme::Ratchet,
            class: MessageClass::Ordinary,
            priority: draft.priority,
            message_type: None,
            thread: None,
            reply_to: None,
            created: draft.created,
            expires: draft.expires,
            body: None,
        })
    }

    /// Sends what waits here, oldest first: what is sealed already, then drafts. Returns when `wanted` was accepted, if
    /// it was. A message that cannot go out now holds up later ones to the same recipients, so that the order stays, and
    /// no others; only a relay that cannot be used ends the round. Without `wanted`, what was refused lately is left to a
    /// later round, and what is damaged here is told at the end.
    pub(crate) async fn flush(&self, wanted: Option<MessageId>) -> Result<Option<Timestamp>, SendError> {
        let _turn = self.turns.take().await?;
        let mut outcome = Ok(None);
        let mut damaged = None;
        let mut held_up = HashSet::new();
        for stage in [Stage::Outbox, Stage::Renewal, Stage::Draft] {
            let mut after = Vec::new();
            while let Some((key, waiting)) = self.next_waiting(stage, &after).await? {
                after = key;
                let (id, recipients) = match waiting {
                    Ok(waiting) => waiting,
                    Err(error) => {
                        damaged.get_or_insert(error);
                        continue;
                    }
                };
                let pauses = wanted.is_none() && self.holds.hold(&recipients);
                let is_behind = recipients.iter().any(|recipient| held_up.contains(recipient));
                let result = if pauses || is_behind {
                    Err(SendError::Behind)
                } else {
                    self.send_one(id, wanted == Some(id)).await
                };
                match result.as_ref().map_err(fate) {
                    Ok(_) => self.holds.remove(&recipients),
                    Err(Fate::AllWait) => {
                        self.is_current.store(false, Ordering::Relaxed);
                        return result;
                    }
                    Err(Fate::Unsent) => {}
                    Err(Fate::Waits) => {
                        if !matches!(result, Err(SendError::Behind)) {
                            let random = self.random().map_err(|error| SendError::Seal(error.into()))?;
                            self.holds.add(&recipients, random);
                        }
                        held_up.extend(recipients);
                    }
                }
                match result {
                    result if wanted == Some(id) => outcome = result,
                    Err(error @ (SendError::State(_) | SendError::Damaged(_))) => {
                        damaged.get_or_insert(error);
                    }
                    _ => {}
                }
            }
        }
        match (wanted, outcome, damaged) {
            (Some(id), Ok(None), _) => self.sent_by_another(id).await,
            (None, Ok(_), Some(error)) => Err(error),
            (_, outcome, _) => outcome,
        }
    }

    /// What became of a message that another process of the agent has taken up, and may not be through with.
    async fn sent_by_another(&self, id: MessageId) -> Result<Option<Timestamp>, SendError> {
        if let Some(at) = self.send_one(id, true).await? {
            return Ok(Some(at));
        }
        if let Some(unsent) = self.store.find::<UnsentRecord>(id.as_bytes()).await? {
            let code = unsent.value.code.parse().unwrap_or(ErrorCode::Internal);
            let detail = "as another process of the agent was told".to_owned();
            return Err(RelayError::Refused { code, detail }.into());
        }
        let sent = self.store.find::<SentRecord>(id.as_bytes()).await?;
        Ok(sent.map(|sent| sent.value.accepted))
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

    /// Takes one message as far as it goes, again if another process of the agent is at it too. Returns when it was
    /// accepted; `None` if it no longer waits. If nobody asked for it (`is_wanted`), an end of it is noted as an event.
    async fn send_one(&self, id: MessageId, is_wanted: bool) -> Result<Option<Timestamp>, SendError> {
        retry_conflicts(|| self.try_send_one(id, is_wanted)).await
    }

    async fn try_send_one(&self, id: MessageId, is_wanted: bool) -> Result<Option<Timestamp>, SendError> {
        if let Some(row) = self.store.find::<OutgoingRecord>(id.as_bytes()).await? {
            return self.transmit(id, row, is_wanted).await.map(Some);
        }
        if let Some(draft) = self.store.find::<DraftRecord>(id.as_bytes()).await? {
            self.ensure_current().await?;
            self.seal(id, draft, is_wanted).await?;
        } else if let Some(renewal) = self.store.find::<RenewalRecord>(id.as_bytes()).await? {
            self.ensure_current().await?;
            self.seal_anew(id, renewal).await?;
        }
        match self.store.find::<OutgoingRecord>(id.as_bytes()).await? {
            Some(row) => self.transmit(id, row, is_wanted).await.map(Some),
            None => Ok(None),
        }
    }

    /// Seals a draft: the moved ratchets and the envelopes are committed together, before anything leaves. A draft that
    /// the relay refuses a session for, or whose life is over, is noted as unsent.
    async fn seal(&self, id: MessageId, draft: Versioned<DraftRecord>, is_wanted: bool) -> Result<(), SendError> {
        let result = if draft.value.expires <= self.clock.now() {
            Err(RelayError::Refused { code: ErrorCode::Expired, detail: "the message's life is over".to_owned() }
                .into())
        } else {
            self.try_seal(id, &draft).await
        };
        if let Err(SendError::Relay(error)) = &result
            && is_final(error)
        {
            let mut changes = Changes::default();
            changes.delete(&draft);
            self.note_unsent(changes, id, draft.value.recipients.clone(), error, is_wanted).await?;
        }
        result
    }

    async fn try_seal(&self, id: MessageId, draft: &Versioned<DraftRecord>) -> Result<(), SendError> {
        let header = self.header_of(id, &draft.value)?;
        let plaintext = Ordinary::from_bytes(&draft.value.payload)?.to_plaintext();
        let now = self.clock.now();
        let mut changes = Changes::default();
        let mut parts = Vec::new();
        for recipient in header.fields().recipients.as_slice() {
            let transmission = Transmission { message: id, attempt: Attempt::FIRST, ended: None };
            let mut sending = self.sending_session(*recipient, &transmission, &mut changes).await?;
            let envelope = sending.session.seal(self.primitives.as_ref(), &header, &plaintext, now)?;
            sending.save(&mut changes, now);
            parts.push(PartRecord { recipient: *recipient, attempt: Attempt::FIRST, envelope: envelope.to_bytes() });
        }
        let outgoing =
            OutgoingRecord { header: header.as_bytes().to_vec(), parts, payload: draft.value.payload.clone() };
        changes.delete(draft).insert(id.as_bytes().as_slice(), &outgoing);
        Ok(self.store.commit(changes).await?)
    }
}

/// A payload as it is stored.
pub(crate) fn encode_payload(payload: &Payload) -> SecretBytes {
    encode_secret(payload, payload.content.as_bytes().len() + limits::METADATA)
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
