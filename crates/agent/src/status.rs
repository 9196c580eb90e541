//! What became of a message: the relay's word, checked against the recipient's own.

use sealpost_api::v1;
use sealpost_protocol::{
    DeliveryState, DeliveryStatus, FailureReason, Header, MessageId, Timestamp, Verdict,
    encoding::{Decode, Encode},
};

use crate::{
    Agent, RelayError, StatusError,
    agent::ignore_conflict,
    records::{DraftRecord, FeedRecord, OutgoingRecord, PeerRecord, SentRecord, UnsentRecord},
    store::{Changes, StoreAccessError, Versioned},
};

/// The events after which a message may be through.
const DONE: [&str; 3] = ["message:delivered", "message:acknowledged", "message:failed"];

/// How a message of this agent stands.
#[derive(Debug)]
pub struct MessageStatus {
    /// The message.
    pub id: MessageId,
    /// How far it has come here.
    pub local: LocalState,
    /// One status per recipient, once it was accepted.
    pub deliveries: Vec<ProvenStatus>,
}

/// How far a message has come on the sender's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalState {
    /// Composed, and not yet sealed: the relay could not be reached, or has no keys of a recipient.
    Draft,
    /// Sealed, and not yet accepted by the relay.
    Outbox,
    /// Accepted by the relay at that time.
    Accepted(Timestamp),
    /// Refused by the relay for good, with that code.
    Unsent(String),
}

/// A status, and whether the recipient has signed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenStatus {
    /// The relay's word.
    pub status: DeliveryStatus,
    /// The recipient's.
    pub receipt: ReceiptCheck,
}

/// Whether a receipt bears a status out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptCheck {
    /// The state needs none.
    NotNeeded,
    /// The recipient signed for this state of this attempt, byte for byte.
    Verified,
    /// The relay claims what only the recipient can say, and shows no valid receipt for it.
    Unproven,
}

impl ReceiptCheck {
    /// Its name in text formats.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotNeeded => "not-needed",
            Self::Verified => "verified",
            Self::Unproven => "unproven",
        }
    }
}

impl Agent {
    /// Asks the relay how a message stands and checks every receipt. Once every recipient has it for certain, its
    /// content is erased here.
    ///
    /// # Errors
    /// [`StatusError`].
    pub async fn status(&self, id: MessageId) -> Result<MessageStatus, StatusError> {
        let key = id.as_bytes();
        let local = |local| MessageStatus { id, local, deliveries: Vec::new() };
        if let Some(sent) = self.store.find::<SentRecord>(key).await? {
            return self.accepted_status(id, sent).await;
        }
        if self.store.find::<OutgoingRecord>(key).await?.is_some() {
            return Ok(local(LocalState::Outbox));
        }
        if self.store.find::<DraftRecord>(key).await?.is_some() {
            return Ok(local(LocalState::Draft));
        }
        match self.store.find::<UnsentRecord>(key).await? {
            Some(unsent) => Ok(local(LocalState::Unsent(unsent.value.code))),
            None => Err(StatusError::Unknown(id)),
        }
    }

    /// Reads on in the relay's feed of changes and looks after the messages that are through, a page at a time.
    pub(crate) async fn follow_up(&self) -> Result<(), StatusError> {
        let ledger = self.ledger().await?.to_bytes();
        let read = self.store.find::<FeedRecord>(&ledger).await?;
        let after = read.as_ref().map_or(0, |read| read.value.after);
        let page = self.relay().await?.changes(v1::ListEventsRequest { after }).await?;
        let Some(last) = page.events.last() else { return Ok(()) };
        let own = self.id().to_string();
        for event in page.events.iter().filter(|event| event.sender == own && DONE.contains(&event.r#type.as_str())) {
            if let Ok(id) = event.message_id.parse() {
                match self.status(id).await {
                    Ok(_) | Err(StatusError::Unknown(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let mut changes = Changes::default();
        changes.upsert(&ledger, read.as_ref(), &FeedRecord { after: last.seq });
        Ok(ignore_conflict(self.store.commit(changes).await)?)
    }

    async fn accepted_status(&self, id: MessageId, sent: Versioned<SentRecord>) -> Result<MessageStatus, StatusError> {
        let request = v1::GetStatusRequest { sender: String::new(), message_id: id.to_string() };
        let answer = self.relay().await?.status(request).await?;
        let mut deliveries = Vec::new();
        for status in answer.deliveries {
            let status = DeliveryStatus::try_from(status).map_err(RelayError::from)?;
            let receipt = self.check_receipt(&sent.value, &status).await?;
            deliveries.push(ProvenStatus { status, receipt });
        }
        let is_settled = deliveries.len() == sent.value.parts.len() && deliveries.iter().all(ProvenStatus::is_settled);
        if is_settled && !sent.value.payload.is_empty() {
            let mut changes = Changes::default();
            changes.replace(&sent, &SentRecord { payload: Default::default(), ..sent.value.clone() });
            ignore_conflict(self.store.commit(changes).await)?;
        }
        Ok(MessageStatus { id, local: LocalState::Accepted(sent.value.accepted), deliveries })
    }

    async fn check_receipt(
        &self,
        sent: &SentRecord,
        status: &DeliveryStatus,
    ) -> Result<ReceiptCheck, StoreAccessError> {
        let said = match status.state {
            DeliveryState::Delivered if status.acknowledged_at.is_some() => Verdict::Acknowledged,
            DeliveryState::Delivered => Verdict::Stored,
            DeliveryState::Failed(FailureReason::Refused(reason)) => Verdict::Refused(reason),
            _ => return Ok(ReceiptCheck::NotNeeded),
        };
        let Some(peer) = self.store.find::<PeerRecord>(status.recipient.as_bytes()).await? else {
            return Ok(ReceiptCheck::Unproven);
        };
        let header = Header::from_bytes(&sent.header)?;
        let bears_out = status.receipt.as_ref().is_some_and(|proof| {
            let leaf = &proof.leaf;
            let is_our_part = sent
                .parts
                .iter()
                .any(|part| (part.recipient, part.attempt, part.part) == (status.recipient, leaf.attempt, leaf.part));
            is_our_part
                && leaf.message == header.message()
                && leaf.header == header.hash()
                && leaf.attempt == status.attempt
                && leaf.verdict == said
                && proof.verify(&peer.value.identity).is_ok()
        });
        Ok(if bears_out { ReceiptCheck::Verified } else { ReceiptCheck::Unproven })
    }
}

impl ProvenStatus {
    /// Whether its content is needed no more: the recipient has it for certain, or its life is over.
    fn is_settled(&self) -> bool {
        match self.status.state {
            DeliveryState::Delivered => self.receipt == ReceiptCheck::Verified,
            DeliveryState::Failed(reason) => reason == FailureReason::Expired,
            _ => false,
        }
    }
}
