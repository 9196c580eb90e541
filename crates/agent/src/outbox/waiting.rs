//! What waits here, and taking it back.

use sealpost_api::v1;
use sealpost_protocol::{
    AgentId, ErrorCode, Header, MessageId, Timestamp,
    encoding::{Decode, DecodeError},
};

use super::obstacles::{HeldUp, Obstacle};
use crate::{
    Agent, CancelError, RelayError, StateError,
    bodies::Spooled,
    limits,
    records::{DraftRecord, OutgoingRecord, RenewalRecord, SentRecord, UnsentRecord},
    store::{Changes, Record, StoreAccessError, Versioned},
};

/// Why a message is unsent that was taken back, where others have the relay's code.
const CANCELLED: &str = "cancelled";

/// A message that is to go out, and has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub id: MessageId,
    /// For whom.
    pub recipients: Vec<AgentId>,
    /// How far it has come.
    pub state: WaitingState,
    /// When it was composed.
    pub created: Timestamp,
    /// Until when it may wait.
    pub expires: Timestamp,
    /// Why it waits, if it was tried and refused: the refusal's code.
    pub reason: Option<String>,
    /// The earlier message to one of its recipients that it waits behind.
    pub behind: Option<Obstacle>,
}

/// How far a message has come that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingState {
    /// It is not sealed yet.
    Draft,
    /// It is sealed: it may have left, with the relay's answer lost.
    Sealed,
    /// It was accepted once, and goes out again for those who could not open it; not before that time.
    Renewing(Timestamp),
}

impl Agent {
    /// The messages that are to go out, oldest first: what no relay has accepted yet, and what is sealed anew. Nothing is
    /// sent.
    ///
    /// # Errors
    /// [`CancelError::State`], [`CancelError::Damaged`].
    pub async fn waiting(&self) -> Result<Vec<Waiting>, CancelError> {
        let mut waiting = Vec::new();
        for row in self.all::<OutgoingRecord>().await? {
            let message = sealed(&row)?;
            // What was accepted once is only sealed anew.
            let state = match self.store.find::<SentRecord>(&row.key).await? {
                Some(sent) => WaitingState::Renewing(sent.value.accepted),
                None => message.state,
            };
            waiting.push(Waiting { state, ..message });
        }
        for row in self.all::<RenewalRecord>().await? {
            if let Some(sent) = self.store.find::<SentRecord>(&row.key).await? {
                waiting.push(renewed(&row, &sent.value)?);
            }
        }
        for row in self.all::<DraftRecord>().await? {
            waiting.push(draft(&row)?);
        }
        // In the order in which they go out: what is tried and waits holds up what comes after it.
        let (mut held_up, now) = (HeldUp::default(), self.clock.now());
        for message in &mut waiting {
            let before = held_up.before(&message.recipients).cloned();
            let own = self.obstacle(message.id).await?;
            message.reason = own.as_ref().map(|own| own.reason.clone());
            if !matches!(message.state, WaitingState::Renewing(not_before) if not_before > now)
                && let Some(obstacle) = before.as_ref().or(own.as_ref())
            {
                held_up.add(&message.recipients, obstacle);
            }
            message.behind = before;
        }
        waiting.sort_by_key(|message| message.id);
        Ok(waiting)
    }

    async fn all<T: Record>(&self) -> Result<Vec<Versioned<T>>, StoreAccessError> {
        let (mut all, mut after) = (Vec::new(), Vec::new());
        loop {
            let rows = self.store.list::<T>(&[], &after, limits::ROWS).await?;
            let Some(last) = rows.last() else { return Ok(all) };
            after.clone_from(&last.key);
            all.extend(rows);
        }
    }

    /// Takes a message back that no relay has accepted: it is not sent, its content is erased here, and it counts as unsent
    /// from now on. One that is sealed may have left, with the answer lost: the relay is asked first.
    ///
    /// # Errors
    /// [`CancelError`]; the message waits as before.
    pub async fn cancel(&self, id: MessageId) -> Result<(), CancelError> {
        let turn = self.turns.take().await.map_err(StateError::from)?;
        let mut changes = Changes::default();
        let mut outgoing = None;
        let recipients = if let Some(draft) = self.store.find::<DraftRecord>(id.as_bytes()).await? {
            changes.delete(&draft);
            draft.value.recipients.clone()
        } else if let Some(row) = self.store.find::<OutgoingRecord>(id.as_bytes()).await?
            && self.store.find::<SentRecord>(id.as_bytes()).await?.is_none()
        {
            self.check_unknown_to_relay(id).await?;
            changes.delete(&row);
            let recipients = sealed(&row)?.recipients;
            outgoing = Some(row.value);
            recipients
        } else {
            return Err(CancelError::NotWaiting(id));
        };
        let unsent = UnsentRecord { recipients, code: CANCELLED.to_owned(), at: self.clock.now() };
        changes.insert(id.as_bytes().as_slice(), &unsent);
        self.forget_obstacle(&mut changes, id).await?;
        self.store.commit(changes).await?;
        drop(turn);
        self.spool.remove(Spooled::Outgoing(id)).await;
        if let Some(row) = outgoing {
            self.drop_upload(&row).await;
        }
        Ok(())
    }

    async fn check_unknown_to_relay(&self, id: MessageId) -> Result<(), CancelError> {
        let request = v1::GetStatusRequest { sender: String::new(), message_id: id.to_string() };
        match self.relay().await?.status(request).await {
            Ok(_) => Err(CancelError::Accepted(id)),
            Err(RelayError::Refused { code: ErrorCode::NotFound, .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn sealed(row: &Versioned<OutgoingRecord>) -> Result<Waiting, DecodeError> {
    let header = Header::from_bytes(&row.value.header)?;
    let fields = header.fields();
    Ok(Waiting {
        id: fields.message.id,
        recipients: row.value.parts.iter().map(|part| part.recipient).collect(),
        state: WaitingState::Sealed,
        created: fields.created,
        expires: fields.expires,
        reason: None,
        behind: None,
    })
}

fn renewed(row: &Versioned<RenewalRecord>, sent: &SentRecord) -> Result<Waiting, DecodeError> {
    let header = Header::from_bytes(&sent.header)?;
    let fields = header.fields();
    Ok(Waiting {
        id: fields.message.id,
        recipients: row.value.parts.iter().map(|part| part.recipient).collect(),
        state: WaitingState::Renewing(row.value.not_before),
        created: fields.created,
        expires: fields.expires,
        reason: None,
        behind: None,
    })
}

fn draft(row: &Versioned<DraftRecord>) -> Result<Waiting, DecodeError> {
    let DraftRecord { recipients, created, expires, .. } = &row.value;
    Ok(Waiting {
        id: MessageId::from_bytes(&row.key)?,
        recipients: recipients.clone(),
        state: WaitingState::Draft,
        created: *created,
        expires: *expires,
        reason: None,
        behind: None,
    })
}
