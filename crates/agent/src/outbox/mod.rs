//! Sending: compose a draft, seal it and commit ratchet and envelope together, hand it to the relay, keep its plaintext
//! until it has arrived. A large content is sealed as a body first, into the spool, and uploaded before its message goes.
//!
//! Each step is a row that moves: `Draft → Outbox → Sent`, or `Unsent` when the relay refuses for good. A retry sends the
//! same bytes; a crash between two steps goes on with the next one. A message that a recipient could not open goes round
//! again from its kept plaintext: `Renewal → Outbox`, beside the row that says it was accepted.

mod holds;
mod obstacles;
mod passes;
mod refusals;
mod sealing;
mod transmit;
mod waiting;

use std::{fmt, time::Duration};

use sealpost_crypto::Payload;
use sealpost_protocol::{
    AgentId, Header, HeaderError, HeaderFields, MessageClass, MessageId, MessageRef, MessageType, Priority, Recipients,
    Retention, Timestamp, limits as wire,
};
use tokio::io::AsyncRead;

pub(crate) use self::{
    holds::Holds,
    passes::DueUpload,
    refusals::{Fate, fate, is_final},
    sealing::{encode_payload, plaintext_of},
};
pub use self::{
    obstacles::Obstacle,
    waiting::{Waiting, WaitingState},
};
use crate::{
    Agent, RelayError, SendError, Streamed,
    bodies::{SpoolFile, compress, saves_by_a_body},
    conflicts::retry_conflicts,
    records::{BodyKeyRecord, ContentRecord, DraftRecord, OutgoingRecord, RenewalRecord},
    schemes::{DraftScheme, OutgoingScheme},
    store::Changes,
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
    /// Whether it is compressed before it is padded and sealed, where that makes it shorter. Its sealed length then tells
    /// something of what it says: how well that compresses.
    pub compress: bool,
}

impl<P> Outgoing<P> {
    /// An ordinary message.
    #[must_use]
    pub fn to(recipients: impl Into<Vec<AgentId>>, payload: P) -> Self {
        let scheme = OutgoingScheme::Ratchet;
        let (priority, life) = (Priority::Normal, wire::MESSAGE_LIFE);
        Self { to: recipients.into(), payload, scheme, priority, life, retention: None, compress: false }
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

    /// The same, compressed where that makes it shorter.
    #[must_use]
    pub fn compressed(self) -> Self {
        Self { compress: true, ..self }
    }

    /// The same with something else to say.
    #[must_use]
    pub fn with<Q>(self, payload: Q) -> Outgoing<Q> {
        let Self { to, scheme, priority, life, retention, compress, .. } = self;
        Outgoing { to, payload, scheme, priority, life, retention, compress }
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

/// A message that is whole, and kept nowhere yet. Dropped, it leaves nothing behind.
#[must_use]
pub struct Composed {
    id: MessageId,
    draft: DraftRecord,
    /// Its body, if it has one.
    file: Option<SpoolFile>,
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
        let composed = self.compose(outgoing).await?;
        let id = self.keep(composed).await?;
        self.send_kept(id).await
    }

    /// Sends a message whose content is read to its end first, and may have any length.
    ///
    /// # Errors
    /// As [`Agent::send`].
    pub async fn send_streamed<R: AsyncRead + Unpin + Send>(
        &self,
        outgoing: Outgoing<Streamed<R>>,
    ) -> Result<Sent, SendError> {
        let composed = self.compose_streamed(outgoing).await?;
        let id = self.keep(composed).await?;
        self.send_kept(id).await
    }

    /// The first step of [`Agent::send`]. Nothing is kept: dropped before it is done or afterwards, it leaves nothing behind.
    ///
    /// # Errors
    /// As [`Agent::send`]; nothing was stored.
    pub async fn compose(&self, outgoing: Outgoing) -> Result<Composed, SendError> {
        let (id, mut draft, key) = self.draft(&outgoing, outgoing.payload.message_type.as_ref()).await?;
        let payload = outgoing.payload;
        let mut file = None;
        let frame =
            if outgoing.compress { compress(payload.content.as_bytes()).map_err(SendError::Input)? } else { None };
        let is_body =
            draft.scheme != DraftScheme::Ratchet || saves_by_a_body(&payload, frame.as_ref(), draft.recipients.len());
        draft.content = if is_body {
            let (sealed, content) = self.seal_payload_as_body(id, &payload, frame.as_ref(), key).await?;
            file = Some(sealed);
            content
        } else {
            ContentRecord::Payload(encode_payload(&payload))
        };
        Ok(Composed { id, draft, file })
    }

    /// The first step of [`Agent::send_streamed`], as [`Agent::compose`]: the content is read to its end, and sealed.
    ///
    /// # Errors
    /// As [`Agent::compose`].
    pub async fn compose_streamed<R: AsyncRead + Unpin + Send>(
        &self,
        outgoing: Outgoing<Streamed<R>>,
    ) -> Result<Composed, SendError> {
        let (id, mut draft, key) = self.draft(&outgoing, outgoing.payload.message_type.as_ref()).await?;
        let (file, content) = self.seal_stream(id, outgoing.payload, outgoing.compress, key).await?;
        draft.content = content;
        Ok(Composed { id, draft, file: Some(file) })
    }

    /// The second step: from then on the message is durable here, and goes out with this or any later call.
    ///
    /// # Errors
    /// [`SendError`]; nothing was stored.
    pub async fn keep(&self, composed: Composed) -> Result<MessageId, SendError> {
        let Composed { id, draft, file } = composed;
        self.header_of(id, &draft)?;
        let keep = async || {
            let mut changes = Changes::default();
            changes.insert(id.as_bytes().as_slice(), &draft);
            self.note_written_to(&mut changes, &draft.recipients).await?;
            Ok::<_, SendError>(self.store.commit(changes).await?)
        };
        retry_conflicts(keep).await?;
        if let Some(mut file) = file {
            file.keep();
        }
        Ok(id)
    }

    /// The last step: hands a message that is kept to the relay. Given up on the way, it goes on with a later call.
    ///
    /// # Errors
    /// [`SendError`]: the relay refused the message for good.
    pub async fn send_kept(&self, id: MessageId) -> Result<Sent, SendError> {
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

    /// A draft that has no content yet, and is a message otherwise; and the key for its body, if it gets one.
    async fn draft<P>(
        &self,
        outgoing: &Outgoing<P>,
        message_type: Option<&MessageType>,
    ) -> Result<(MessageId, DraftRecord, BodyKeyRecord), SendError> {
        let id = self.next_message_id();
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
