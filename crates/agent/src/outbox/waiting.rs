//! What waits here, and taking it back.

use sealpost_api::v1;
use sealpost_protocol::{
    AgentId, ErrorCode, Header, MessageId, Timestamp,
    encoding::{Decode, DecodeError},
};

use crate::{
    Agent, CancelError, RelayError, StateError,
    bodies::Spooled,
    limits,
    records::{DraftRecord, OutgoingRecord, SentRecord, UnsentRecord},
    store::{Changes, Versioned},
};

/// Why a message is unsent that was taken back, where others have the relay's code.
const CANCELLED: &str = "cancelled";

/// A message that no relay has accepted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub id: MessageId,
    /// For whom.
    pub recipients: Vec<AgentId>,
    /// Whether it is sealed: it may have left then, with the relay's answer lost.
    pub is_sealed: bool,
    /// When it was composed.
    pub created: Timestamp,
    /// Until when it may wait.
    pub expires: Timestamp,
}

impl Agent {
    /// The messages that no relay has accepted yet, oldest first. Nothing is sent.
    ///
    /// # Errors
    /// [`CancelError::State`], [`CancelError::Damaged`].
    pub async fn waiting(&self) -> Result<Vec<Waiting>, CancelError> {
        let mut waiting = Vec::new();
        let mut after = Vec::new();
        loop {
            let rows = self.store.list::<OutgoingRecord>(&[], &after, limits::ROWS).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.key);
            for row in rows {
                // What was accepted once is only sealed anew.
                if self.store.find::<SentRecord>(&row.key).await?.is_none() {
                    waiting.push(sealed(&row)?);
                }
            }
        }
        after.clear();
        loop {
            let rows = self.store.list::<DraftRecord>(&[], &after, limits::ROWS).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.key);
            for row in rows {
                waiting.push(draft(&row)?);
            }
        }
        waiting.sort_by_key(|message| message.id);
        Ok(waiting)
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
        recipients: fields.recipients.as_slice().to_vec(),
        is_sealed: true,
        created: fields.created,
        expires: fields.expires,
    })
}

fn draft(row: &Versioned<DraftRecord>) -> Result<Waiting, DecodeError> {
    let DraftRecord { recipients, created, expires, .. } = &row.value;
    Ok(Waiting {
        id: MessageId::from_bytes(&row.key)?,
        recipients: recipients.clone(),
        is_sealed: false,
        created: *created,
        expires: *expires,
    })
}
