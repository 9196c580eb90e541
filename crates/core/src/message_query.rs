//! Asking what became of messages: statuses, how contents are stored, bodies, and the feed of changes. A caller sees what it sent or may receive.

use std::sync::Arc;

use sealpost_protocol::{DeliveryState, DeliveryStatus, ErrorCode, FailureReason, MessageRef, limits as wire};
use thiserror::Error;

use crate::{
    Bell, Principal, WakeUps,
    life_clock::LifeClock,
    limits,
    ports::{AgentStanding, BackendError, Change, ContentForm, Contents, GiveUp, Ledger, MessageReader},
    release,
};

/// Answers questions about messages.
pub struct MessageQuery {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) contents: Arc<dyn Contents>,
    pub(crate) life_clock: Arc<LifeClock>,
    pub(crate) wake_ups: Arc<WakeUps>,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is no such message, or none that the caller may see.
    #[error("there is no such message")]
    NotFound,
    /// The body ends before that.
    #[error("the body has {length} bytes")]
    BeyondEnd {
        /// Bytes of the whole body.
        length: u64,
    },
    /// The store no longer has it as it was accepted; whoever waited for it has failed as lost.
    #[error("the relay's store has lost it")]
    Lost,
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// What a caller sees of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// All deliveries for its sender, its own for a recipient; ascending by recipient.
    pub deliveries: Vec<DeliveryStatus>,
    /// How that is stored which the caller may read.
    pub content: MessageContent,
}

/// How a message is stored, as far as one agent may read it. The parts of a message to many are many: its sender is told of the
/// body alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageContent {
    /// The body; `None` if the message has none, or the store no longer, or not for this agent.
    pub body: Option<BodyContent>,
    /// The agent's own part, while it is there; for the sender of a message to one other, that one's.
    pub part: Option<ContentForm>,
}

/// How a body is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyContent {
    /// Bytes of the sealed body.
    pub length: u64,
    /// Contents that it is stored as: one for each piece.
    pub pieces: u64,
    /// The first [`limits::DESCRIBED_PIECES`] of them, in order.
    pub first: Vec<ContentForm>,
}

/// Some bytes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyPart {
    /// Bytes of the whole body.
    pub length: u64,
    /// Where these begin.
    pub offset: u64,
    /// To the end of a piece, or of the body; none at its end.
    pub bytes: Vec<u8>,
}

impl QueryError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::BeyondEnd { .. } => ErrorCode::Malformed,
            Self::Lost => ErrorCode::Lost,
            Self::Backend(_) => ErrorCode::Unavailable,
        }
    }
}

impl MessageQuery {
    /// What became of a message, and how it is stored. A life that has ended is over then and there, whenever the next sweep
    /// comes.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn status(&self, caller: &Principal, message: MessageRef) -> Result<MessageView, QueryError> {
        let deliveries = self.deliveries(caller, message).await?;
        Ok(MessageView { deliveries, content: self.content(caller, message).await? })
    }

    async fn deliveries(&self, caller: &Principal, message: MessageRef) -> Result<Vec<DeliveryStatus>, QueryError> {
        let visible = self.visible(caller, message).await?;
        if visible.iter().any(|status| status.state.is_waiting())
            && let Some(now) = self.life_clock.now().await?
            && self.give_up(message, GiveUp::LifeOver(now)).await?
        {
            return self.visible(caller, message).await;
        }
        Ok(visible)
    }

    async fn visible(&self, caller: &Principal, message: MessageRef) -> Result<Vec<DeliveryStatus>, QueryError> {
        let records = self.ledger.records(message).await?;
        let is_visible =
            |status: &DeliveryStatus| message.sender == caller.agent() || status.recipient == caller.agent();
        let visible: Vec<_> = records.into_iter().map(|record| record.status).filter(is_visible).collect();
        if visible.is_empty() { Err(QueryError::NotFound) } else { Ok(visible) }
    }

    async fn content(&self, caller: &Principal, message: MessageRef) -> Result<MessageContent, BackendError> {
        let handles = self.ledger.handles(message, self.reader(caller).await?, limits::DESCRIBED_PIECES).await?;
        let body = handles.body.map(|body| BodyContent {
            length: body.length,
            pieces: body.length.div_ceil(wire::BODY_PIECE),
            first: body.first.iter().filter_map(|handle| self.contents.describe(handle)).collect(),
        });
        Ok(MessageContent { body, part: handles.part.and_then(|handle| self.contents.describe(&handle)) })
    }

    async fn reader(&self, caller: &Principal) -> Result<MessageReader, BackendError> {
        Ok(MessageReader { agent: caller.agent(), now: self.life_clock.reading_time().await? })
    }

    /// What was lost is said to be lost, whoever found that out; a life that is over ends with the answer, as with a status.
    async fn why_there_is_none(&self, caller: &Principal, message: MessageRef) -> Result<QueryError, BackendError> {
        let is_lost = |status: &DeliveryStatus| status.state == DeliveryState::Failed(FailureReason::Lost);
        match self.deliveries(caller, message).await {
            Ok(visible) if visible.iter().any(is_lost) => Ok(QueryError::Lost),
            Err(QueryError::Backend(error)) => Err(error),
            _ => Ok(QueryError::NotFound),
        }
    }

    /// Returns whether anyone still waited.
    async fn give_up(&self, message: MessageRef, reason: GiveUp) -> Result<bool, BackendError> {
        let given_up = self.ledger.give_up(message, reason).await?;
        self.wake_ups.ring(&given_up.agents);
        release::let_go(&*self.ledger, &*self.contents, given_up.released).await;
        Ok(!given_up.agents.is_empty())
    }

    /// A message's sealed body from `offset` to the end of the piece that `offset` lies in: who wants more asks again from
    /// there, in order or not, on one connection or several.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn body(&self, caller: &Principal, message: MessageRef, offset: u64) -> Result<BodyPart, QueryError> {
        let (place, skipped) = (offset / wire::BODY_PIECE, offset % wire::BODY_PIECE);
        let Some(piece) = self.ledger.body_piece(message, self.reader(caller).await?, place).await? else {
            return Err(self.why_there_is_none(caller, message).await?);
        };
        let length = piece.length;
        if offset > length {
            return Err(QueryError::BeyondEnd { length });
        }
        let Some(content) = piece.content.filter(|_| offset < length) else {
            return Ok(BodyPart { length, offset, bytes: Vec::new() });
        };
        let Some(mut bytes) = self.contents.read(vec![content.clone()]).await?.pop().flatten() else {
            tracing::error!(sender = %message.sender, id = %message.id, "the store has lost or damaged a body");
            self.give_up(message, GiveUp::BodyLost { place, content }).await?;
            return Err(QueryError::Lost);
        };
        bytes.drain(..bytes.len().min(usize::try_from(skipped).unwrap_or(usize::MAX)));
        Ok(BodyPart { length, offset, bytes })
    }

    /// What there is of the caller's own doing, for it to compare with its store.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn standing(&self, caller: &Principal) -> Result<AgentStanding, BackendError> {
        self.ledger.standing(caller.agent()).await
    }

    /// A page of the caller's changes after `after`, ascending.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn changes(&self, caller: &Principal, after: u64) -> Result<Vec<Change>, BackendError> {
        self.ledger.changes(caller.agent(), after, wire::FEED_CHANGES).await
    }

    /// The caller's feed of changes after `after`.
    #[must_use]
    pub fn feed(&self, caller: &Principal, after: u64) -> Feed {
        let bell = self.wake_ups.bell(caller.agent());
        Feed { ledger: Arc::clone(&self.ledger), caller: *caller, bell, after }
    }
}

/// A place in one agent's feed of changes. The feed shows the latest state of each (message, recipient): a state that was
/// passed through between two looks may be missing, the last one never is.
pub struct Feed {
    ledger: Arc<dyn Ledger>,
    caller: Principal,
    bell: Bell,
    after: u64,
}

impl Feed {
    /// The next changes, ascending; waits until there are some.
    ///
    /// # Errors
    /// [`BackendError`]; the feed can be asked again.
    pub async fn next(&mut self) -> Result<Vec<Change>, BackendError> {
        loop {
            let ring = self.bell.next_ring();
            let changes = self.ledger.changes(self.caller.agent(), self.after, wire::FEED_CHANGES).await?;
            if let Some(last) = changes.last() {
                self.after = last.change_seq;
                return Ok(changes);
            }
            // Whoever should have rung may have been stopped after its change was made.
            let _heard = tokio::time::timeout(wire::RECEIVE_WAIT, ring).await;
        }
    }
}
