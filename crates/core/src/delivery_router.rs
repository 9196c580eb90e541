//! Sending: a message becomes an entry in each recipient's mailbox before its sender hears that it was accepted.

use std::sync::Arc;

use sealpost_protocol::{AgentId, Clock, ErrorCode, MessageClass, MessageRef, Timestamp, limits as wire};
use thiserror::Error;
use tracing::Instrument;

use crate::{
    DeliveryRecord, Part, PartDecision, Principal, Submission, SubmittedBody, WakeUps,
    acceptance::{drop_refused, store_contents},
    fan_out::FanOutWriter,
    limits,
    ports::{
        AcceptError, Acceptance, AcceptanceOutcome, BackendError, Contents, ControlAcceptance, Ledger, Prekeys,
        UploadDescription, UploadName,
    },
    release, uploads,
};

/// Accepts messages.
#[derive(Clone)]
pub struct DeliveryRouter {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) contents: Arc<dyn Contents>,
    pub(crate) prekeys: Arc<dyn Prekeys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wake_ups: Arc<WakeUps>,
    pub(crate) fan_outs: Arc<FanOutWriter>,
}

/// The relay's word that a message is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The message.
    pub message: MessageRef,
    /// When the relay had it, by its clock; the same message again has the same time.
    pub at: Timestamp,
}

/// Why a message was not accepted. Nothing has changed then, but for a failure of the store: it may have been accepted, and
/// the same submission again is safe.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The header names another sender than the caller.
    #[error("the header names another sender than the caller")]
    NotTheSender,
    /// The message's time is too far from the relay's clock.
    #[error(
        "the message's time is too far from the relay's clock, {now}: at most {} minutes ahead and {} days behind",
        wire::CLOCK_AHEAD.as_secs() / 60,
        sealpost_protocol::limits::MESSAGE_LIFE.as_secs() / 86_400
    )]
    ClockSkew {
        /// The relay's clock.
        now: Timestamp,
    },
    /// The message's life is over.
    #[error("the message's life is over")]
    Expired,
    /// A recipient has published no prekeys here.
    #[error("{0} has published no prekeys at this relay")]
    UnknownRecipient(AgentId),
    /// The store is nearly full.
    #[error(
        "the relay's store is nearly full: it takes no new messages until there is room again; mail can be received"
    )]
    StoreFull,
    /// The ledger refused it.
    #[error(transparent)]
    Ledger(#[from] AcceptError),
}

impl DeliveryError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotTheSender => ErrorCode::Forbidden,
            Self::ClockSkew { .. } => ErrorCode::ClockSkew,
            Self::Expired => ErrorCode::Expired,
            Self::UnknownRecipient(_) => ErrorCode::UnknownRecipient,
            Self::Ledger(AcceptError::Conflict) => ErrorCode::Conflict,
            Self::Ledger(AcceptError::Incomplete) => ErrorCode::Malformed,
            Self::Ledger(AcceptError::MailboxFull { .. }) => ErrorCode::MailboxFull,
            Self::Ledger(AcceptError::UnknownUpload) => ErrorCode::NotFound,
            Self::Ledger(AcceptError::Quota) => ErrorCode::QuotaExceeded,
            Self::StoreFull | Self::Ledger(AcceptError::Backend(_)) => ErrorCode::Unavailable,
        }
    }
}

impl From<BackendError> for DeliveryError {
    fn from(error: BackendError) -> Self {
        Self::Ledger(AcceptError::Backend(error))
    }
}

impl DeliveryRouter {
    /// Accepts a message: when this returns, it is durable in every recipient's mailbox. A control message may have been
    /// superseded by then, or by a later one.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub async fn send(&self, caller: &Principal, submission: Submission) -> Result<Accepted, DeliveryError> {
        let at = self.clock.now();
        let message = submission.header().message();
        if message.sender != caller.agent() {
            return Err(DeliveryError::NotTheSender);
        }
        if let Err(error) = check_times(&submission, at) {
            // A retry whose first answer was lost may come late: what is accepted stays accepted.
            return self.accepted_before(&submission).await?.ok_or(error);
        }
        let recipients = submission.header().fields().recipients.as_slice();
        if let Some(agent) = self.prekeys.first_unknown(recipients).await? {
            return Err(DeliveryError::UnknownRecipient(agent));
        }
        self.check_upload(&submission, at).await?;
        if !self.contents.has_room().await? {
            tracing::warn!("a message was refused: the disk is nearly full");
            return Err(DeliveryError::StoreFull);
        }
        if submission.parts().len() > limits::FAN_OUT_PARTS && submission.is_complete() {
            // Whoever gives up waiting leaves no message half written: its places would hold back what comes after them.
            let router = self.clone();
            let sending = async move { router.send_to_many(&submission).await };
            let sent = tokio::spawn(sending.in_current_span()).await;
            return sent.unwrap_or_else(|error| Err(BackendError::new(error).into()));
        }
        self.send_at_once(&submission, at).await
    }

    async fn send_to_many(&self, submission: &Submission) -> Result<Accepted, DeliveryError> {
        let turn = self.fan_outs.take_turn().await;
        let at = self.clock.now();
        if self.ledger.records(submission.header().message()).await?.is_empty() {
            let outcome = turn.write(submission, at).await?;
            return Ok(self.tell(submission, outcome).await);
        }
        drop(turn);
        match self.accepted_before(submission).await? {
            Some(accepted) => Ok(accepted),
            None => self.send_at_once(submission, at).await,
        }
    }

    /// In one transaction of the ledger.
    async fn send_at_once(&self, submission: &Submission, at: Timestamp) -> Result<Accepted, DeliveryError> {
        let is_control = submission.header().fields().class == MessageClass::Control;
        let parts = 0..submission.parts().len();
        let (acceptance, handles) = store_contents(&*self.contents, submission, parts, at).await?;
        let recorded =
            if is_control { self.accept_control(acceptance).await } else { self.ledger.accept(acceptance).await };
        match recorded {
            Ok(outcome) => Ok(self.tell(submission, outcome).await),
            Err(error) => {
                drop_refused(&*self.contents, &error, handles).await;
                Err(error.into())
            }
        }
    }

    /// Lets everyone know for whom there is something new.
    async fn tell(&self, submission: &Submission, outcome: AcceptanceOutcome) -> Accepted {
        let message = submission.header().message();
        release::let_go(&*self.ledger, &*self.contents, outcome.unused).await;
        if !outcome.queued.is_empty() {
            self.wake_ups.ring(outcome.queued.iter().chain([&message.sender]));
        }
        tracing::debug!(id = %message.id, sender = %message.sender, queued = outcome.queued.len(), "accepted");
        Accepted { message, at: outcome.at }
    }

    async fn accept_control(&self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let Acceptance { header, mut parts, mark, at, .. } = acceptance;
        match parts.pop() {
            Some(part) => self.ledger.accept_control(ControlAcceptance { header, part, mark, at }).await,
            None => Err(AcceptError::Incomplete),
        }
    }

    /// When this very submission was accepted, if it was.
    async fn accepted_before(&self, submission: &Submission) -> Result<Option<Accepted>, BackendError> {
        let message = submission.header().message();
        let records = self.ledger.records(message).await?;
        let queued_at = |part: &Part| {
            let is_it = |record: &&DeliveryRecord| {
                record.status.recipient == part.recipient
                    && record.header == submission.header().hash()
                    && record.decide(part.attempt, part.hash) == PartDecision::Duplicate
            };
            records.iter().find(is_it).map(|record| record.status.queued_at)
        };
        let times: Option<Vec<_>> = submission.parts().iter().map(queued_at).collect();
        Ok(times.and_then(|times| times.into_iter().max()).map(|at| Accepted { message, at }))
    }

    /// An upload becomes the body of a message only if it is what the header describes, to the last bit. One that is gone
    /// may have become just that when the same submission came first; the ledger knows.
    async fn check_upload(&self, submission: &Submission, now: Timestamp) -> Result<(), DeliveryError> {
        let Some(SubmittedBody::Uploaded(id)) = submission.body() else { return Ok(()) };
        let header = submission.header();
        let Some(found) = self.ledger.upload(UploadName { owner: header.message().sender, id: *id }, now).await? else {
            return Ok(());
        };
        let fields = header.fields();
        let described = fields.body.map(|body| UploadDescription { scheme: fields.scheme, body });
        let is_it = described == Some(found.description) && uploads::is_complete(&found);
        if is_it { Ok(()) } else { Err(AcceptError::UnknownUpload.into()) }
    }
}

fn check_times(submission: &Submission, now: Timestamp) -> Result<(), DeliveryError> {
    let fields = submission.header().fields();
    let oldest = now.saturating_sub(sealpost_protocol::limits::MESSAGE_LIFE);
    let newest = now.saturating_add(wire::CLOCK_AHEAD);
    if fields.created < oldest || fields.created > newest {
        return Err(DeliveryError::ClockSkew { now });
    }
    if fields.expires <= now {
        return Err(DeliveryError::Expired);
    }
    Ok(())
}
