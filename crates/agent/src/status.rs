//! What became of a message: the relay's word, checked against the recipient's own.

use std::collections::{HashMap, hash_map::Entry};

use sealpost_api::v1;
use sealpost_protocol::{
    AgentId, DeliveryState, DeliveryStatus, ErrorCode, FailureReason, Header, MessageId, MessageRef, Timestamp,
    encoding::{Decode, Encode},
};

use crate::{
    Agent, Event, ReceiptCheck, RelayError, SendError, StatusError, StoredMessage,
    agent::ignore_conflict,
    bodies::Spooled,
    limits,
    receipt_check::check_receipt,
    records::{
        ContentRecord, DeliveryRecord, DraftRecord, FeedRecord, InboxRecord, OutgoingRecord, PeerRecord, RenewalRecord,
        SentRecord, StatusRecord, UnsentRecord,
    },
    store::{Changes, StoreAccessError, Versioned},
};

/// The events after which a message may be through.
const DONE: [&str; 3] = ["message:delivered", "message:acknowledged", "message:failed"];

/// What was to come and was lost.
const LOST: (&str, FailureReason) = ("message:failed", FailureReason::Lost);

/// How a message of this agent stands.
#[derive(Debug)]
pub struct MessageStatus {
    /// The message.
    pub id: MessageId,
    /// How far it has come here.
    pub local: LocalState,
    /// Why it is still here, if it is.
    pub waits: Option<SendError>,
    /// One status per recipient, once it was accepted; none if the relay was never asked.
    pub deliveries: Vec<ProvenStatus>,
    /// For whom it is sealed anew, since they could not open it; what the relay says of them is of the attempt before.
    pub renewing: Vec<AgentId>,
    /// How the relay stores what this agent may read of it: its word alone; none if it has nothing more, or does not tell.
    pub content: Option<StoredMessage>,
    /// Why the relay did not tell how it stands now, and when it last did: what is shown is from then.
    pub outdated: Option<(RelayError, Timestamp)>,
}

/// How far a message has come on the sender's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalState {
    /// Durable here, and not yet accepted by the relay.
    Kept,
    /// Accepted by the relay at that time.
    Accepted(Timestamp),
    /// Refused by the relay for good, with that code; `cancelled` if it was taken back.
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

impl Agent {
    /// Sends a message that is kept here, if it can go out now, then asks the relay how it stands and checks every receipt.
    /// Once every recipient has it for certain, its content is erased here. If the relay cannot be asked, what is known
    /// here is told.
    ///
    /// # Errors
    /// [`StatusError`].
    pub async fn status(&self, id: MessageId) -> Result<MessageStatus, StatusError> {
        let told = |local, waits| MessageStatus {
            id,
            local,
            waits,
            deliveries: Vec::new(),
            renewing: Vec::new(),
            content: None,
            outdated: None,
        };
        let waits = match self.is_kept(id).await? {
            true => self.flush(Some(id)).await.err(),
            false => None,
        };
        match waits {
            Some(SendError::State(error)) => return Err(error.into()),
            Some(SendError::Damaged(error)) => return Err(error.into()),
            _ => {}
        }
        if let Some(sent) = self.store.find::<SentRecord>(id.as_bytes()).await? {
            return self.accepted_status(id, sent).await;
        }
        if self.is_kept(id).await? {
            return Ok(told(LocalState::Kept, waits));
        }
        match self.store.find::<UnsentRecord>(id.as_bytes()).await? {
            Some(unsent) => Ok(told(LocalState::Unsent(unsent.value.code), None)),
            None => Err(StatusError::Unknown(id)),
        }
    }

    /// Whether a message waits here, for the first time or to be sealed anew.
    pub(crate) async fn is_kept(&self, id: MessageId) -> Result<bool, StoreAccessError> {
        let key = id.as_bytes();
        Ok(self.store.find::<DraftRecord>(key).await?.is_some()
            || self.store.find::<OutgoingRecord>(key).await?.is_some()
            || self.store.find::<RenewalRecord>(key).await?.is_some())
    }

    async fn accepted_status(&self, id: MessageId, sent: Versioned<SentRecord>) -> Result<MessageStatus, StatusError> {
        let local = LocalState::Accepted(sent.value.accepted);
        let mut asked = self.ask(id, &sent).await;
        if let Ok((deliveries, _)) = &asked
            && self.renew(id, deliveries).await?
            && matches!(self.flush(Some(id)).await, Ok(Some(_)))
            && let Some(sent) = self.store.find::<SentRecord>(id.as_bytes()).await?
        {
            asked = self.ask(id, &sent).await;
        }
        let ((deliveries, content), outdated) = match asked {
            Ok(told) => (told, None),
            Err(StatusError::Relay(error)) => match self.store.find::<StatusRecord>(id.as_bytes()).await? {
                Some(known) => ((known.value.told()?, None), Some((error, known.value.asked))),
                None => ((Vec::new(), None), Some((error, sent.value.accepted))),
            },
            Err(error) => return Err(error),
        };
        let renewing = self.renewing(id).await?;
        Ok(MessageStatus { id, local, waits: None, deliveries, renewing, content, outdated })
    }

    /// For whom a message that was accepted goes out again.
    async fn renewing(&self, id: MessageId) -> Result<Vec<AgentId>, StoreAccessError> {
        let mut recipients = Vec::new();
        if let Some(row) = self.store.find::<RenewalRecord>(id.as_bytes()).await? {
            recipients.extend(row.value.parts.iter().map(|part| part.recipient));
        }
        if let Some(row) = self.store.find::<OutgoingRecord>(id.as_bytes()).await? {
            recipients.extend(row.value.parts.iter().map(|part| part.recipient));
        }
        Ok(recipients)
    }

    /// Reads on in the relay's feed of changes and looks after the messages that are through, a page at a time. Returns
    /// whether one of them is to be sealed anew.
    pub(crate) async fn follow_up(&self) -> Result<bool, StatusError> {
        let mut is_any_renewed = false;
        for _ in 0..limits::FEED_PAGES {
            let Some(is_renewed) = self.follow_up_page().await? else { break };
            is_any_renewed |= is_renewed;
        }
        Ok(is_any_renewed)
    }

    /// The same of the next page; `None` if there is none.
    async fn follow_up_page(&self) -> Result<Option<bool>, StatusError> {
        let ledger = self.ledger().await?.to_bytes();
        let read = self.store.find::<FeedRecord>(&ledger).await?;
        let after = read.as_ref().map_or(0, |read| read.value.after);
        let page = self.relay().await?.changes(v1::ListEventsRequest { after }).await?;
        let Some(last) = page.events.last() else { return Ok(None) };
        let own = self.id().to_string();
        let mut is_any_renewed = false;
        let mut changes = Changes::default();
        let mut asked: HashMap<MessageId, (Vec<ProvenStatus>, Vec<AgentId>)> = HashMap::new();
        for event in page.events.iter().filter(|event| DONE.contains(&event.r#type.as_str())) {
            let (Ok(id), Ok(recipient)) = (event.message_id.parse(), event.recipient.parse()) else { continue };
            if event.sender != own {
                if event.r#type == LOST.0 && event.reason == LOST.1.as_str() && recipient == self.id() {
                    self.note_lost(&event.sender, id, &mut changes).await?;
                }
                continue;
            }
            let (deliveries, renewed) = match asked.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(vacant) => {
                    let deliveries = self.ask_if_known(id).await?.unwrap_or_default();
                    let renewed = match self.renew(id, &deliveries).await? {
                        true => self.renewing(id).await?,
                        false => Vec::new(),
                    };
                    vacant.insert((deliveries, renewed))
                }
            };
            is_any_renewed |= !renewed.is_empty();
            let delivery = deliveries.iter().find(|delivery| delivery.status.recipient == recipient);
            if let Some(DeliveryState::Failed(reason)) = delivery.map(|delivery| delivery.status.state)
                && !renewed.contains(&recipient)
            {
                self.note(&mut changes, Event::Failed { message: id, recipient, reason })?;
            }
        }
        changes.upsert(&ledger, read.as_ref(), &FeedRecord { after: last.seq });
        ignore_conflict(self.store.commit(changes).await)?;
        Ok(Some(is_any_renewed))
    }

    /// Notes that a message for this agent was lost at the relay, and awaits its body no more. One that is here is whole.
    async fn note_lost(&self, sender: &str, id: MessageId, changes: &mut Changes) -> Result<(), StatusError> {
        let Ok(sender) = sender.parse() else { return Ok(()) };
        let (message, event) = (MessageRef { sender, id }, Event::BodyLost { message: id, sender });
        if self.lost_bodies.take(message) {
            return Ok(());
        }
        if self.awaited_row(message).await?.is_some() {
            self.give_up(message, event).await?;
        } else if self.store.find::<InboxRecord>(&message.to_bytes()).await?.is_none() {
            self.note(changes, event)?;
        }
        Ok(())
    }

    /// What the relay says of a message that it has accepted; `None` if it was not sent by this agent, or is forgotten.
    async fn ask_if_known(&self, id: MessageId) -> Result<Option<Vec<ProvenStatus>>, StatusError> {
        let Some(sent) = self.store.find::<SentRecord>(id.as_bytes()).await? else { return Ok(None) };
        match self.ask(id, &sent).await {
            Ok((deliveries, _)) => Ok(Some(deliveries)),
            Err(StatusError::Relay(error)) if error.code() == Some(ErrorCode::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks the relay, checks the receipts, and keeps the answer but for what it says of its store.
    async fn ask(
        &self,
        id: MessageId,
        sent: &Versioned<SentRecord>,
    ) -> Result<(Vec<ProvenStatus>, Option<StoredMessage>), StatusError> {
        let request = v1::GetStatusRequest { sender: String::new(), message_id: id.to_string() };
        let answer = self.relay().await?.status(request).await?;
        let content = answer.content.map(StoredMessage::try_from).transpose()?;
        let header = Header::from_bytes(&sent.value.header)?;
        let mut deliveries = Vec::new();
        let mut records = Vec::new();
        for status in answer.deliveries {
            let bare = v1::DeliveryStatus { receipt: Vec::new(), ..status.clone() };
            let status = DeliveryStatus::try_from(status).map_err(RelayError::from)?;
            let peer = self.store.find::<PeerRecord>(status.recipient.as_bytes()).await?;
            let identity = peer.as_ref().map(|peer| &peer.value.identity);
            let receipt = check_receipt(&header, &sent.value.parts, &status, identity);
            records.push(DeliveryRecord { status: bare, receipt });
            deliveries.push(ProvenStatus { status, receipt });
        }
        let known = self.store.find::<StatusRecord>(id.as_bytes()).await?;
        let record = StatusRecord { asked: self.clock.now(), deliveries: records };
        let mut changes = Changes::default();
        changes.upsert(id.as_bytes(), known.as_ref(), &record);
        let is_over = header.fields().expires <= record.asked;
        let is_settled = deliveries.len() == sent.value.parts.len()
            && deliveries.iter().all(|delivery| delivery.is_settled(is_over));
        let erases = is_settled && !sent.value.content.is_erased();
        if erases {
            changes.replace(sent, &SentRecord { content: ContentRecord::Erased, ..sent.value.clone() });
        }
        ignore_conflict(self.store.commit(changes).await)?;
        if erases {
            self.spool.remove(Spooled::Outgoing(id)).await;
        }
        Ok((deliveries, content))
    }
}

impl StatusRecord {
    /// As the relay told them, without the receipts.
    fn told(&self) -> Result<Vec<ProvenStatus>, RelayError> {
        let told = |delivery: &DeliveryRecord| {
            let status = DeliveryStatus::try_from(delivery.status.clone())?;
            Ok(ProvenStatus { status, receipt: delivery.receipt })
        };
        self.deliveries.iter().map(told).collect()
    }
}

impl ProvenStatus {
    /// Whether its content is needed no more: the recipient has it for certain, or its life is over, also by the sender's
    /// own clock. A relay's bare word erases nothing.
    fn is_settled(&self, is_over: bool) -> bool {
        match self.status.state {
            DeliveryState::Delivered => self.receipt == ReceiptCheck::Verified,
            DeliveryState::Failed(reason) => reason == FailureReason::Expired && is_over,
            _ => false,
        }
    }
}
