//! Handing a sealed message to the relay, as often as it takes, byte for byte the same.

use sealpost_api::v1;
use sealpost_protocol::{
    AgentId, Envelope, ErrorCode, Header, MessageId, PartHash, Timestamp,
    encoding::{Decode, DecodeError},
};

use super::is_final;
use crate::{
    Agent, Event, RelayError, SendError,
    records::{OutgoingRecord, PartRecord, SentPartRecord, SentRecord, UnsentRecord},
    store::{Changes, StoreAccessError, Versioned},
};

impl Agent {
    /// Hands one sealed message over. Returns when it was accepted; if it is refused for good, it is noted as unsent.
    pub(super) async fn transmit(
        &self,
        id: MessageId,
        row: Versioned<OutgoingRecord>,
        is_wanted: bool,
    ) -> Result<Timestamp, SendError> {
        let request = v1::SendRequest {
            header: row.value.header.clone(),
            body: None,
            upload_id: None,
            parts: row.value.parts.iter().map(part_message).collect(),
        };
        let answer = self.relay().await?.send(request).await;
        let mut changes = Changes::default();
        changes.delete(&row);
        match answer {
            Ok(accepted) => {
                let accepted = sealpost_api::convert::timestamp("accepted_at_ms", accepted.accepted_at_ms)
                    .map_err(RelayError::from)?;
                let parts = row.value.parts.iter().map(sent_part).collect::<Result<Vec<_>, _>>()?;
                let known = self.store.find::<SentRecord>(id.as_bytes()).await?;
                let sent = match &known {
                    Some(known) => known.value.with(parts),
                    None => SentRecord { parts, header: row.value.header, payload: row.value.payload, accepted },
                };
                changes.upsert(id.as_bytes(), known.as_ref(), &sent);
                self.forget_obstacle(&mut changes, id).await?;
                self.store.commit(changes).await?;
                Ok(accepted)
            }
            Err(error) => {
                let error = match error.code() {
                    // The relay's clock and the one here agree: it was another that was wrong.
                    Some(ErrorCode::ClockSkew) if self.is_misdated(id) => SendError::Misdated { dated: id.timestamp() },
                    _ => error.into(),
                };
                if is_final(&error) {
                    let is_renewed = self.store.find::<SentRecord>(id.as_bytes()).await?.is_some();
                    if is_renewed {
                        tracing::warn!(message = %id, %error, "the relay refused a message that was sealed anew");
                        self.forget_obstacle(&mut changes, id).await?;
                        self.store.commit(changes).await?;
                    } else {
                        let recipients = Header::from_bytes(&row.value.header)?.fields().recipients.as_slice().to_vec();
                        self.note_unsent(changes, id, recipients, &error, is_wanted).await?;
                    }
                }
                Err(error)
            }
        }
    }

    /// Notes that the relay refused a message for good, along with the `changes` that take it off the way.
    pub(super) async fn note_unsent(
        &self,
        mut changes: Changes,
        id: MessageId,
        recipients: Vec<AgentId>,
        error: &SendError,
        is_wanted: bool,
    ) -> Result<(), StoreAccessError> {
        let code = error.code();
        self.forget_obstacle(&mut changes, id).await?;
        if !is_wanted {
            self.note(&mut changes, Event::Unsent { message: id, code: code.clone() })?;
        }
        changes.insert(id.as_bytes().as_slice(), &UnsentRecord { recipients, code, at: self.clock.now() });
        self.store.commit(changes).await
    }
}

fn part_message(part: &PartRecord) -> v1::Part {
    v1::Part {
        recipient: part.recipient.to_string(),
        attempt: part.attempt.number().into(),
        envelope: part.envelope.clone(),
    }
}

fn sent_part(part: &PartRecord) -> Result<SentPartRecord, DecodeError> {
    Ok(SentPartRecord {
        recipient: part.recipient,
        attempt: part.attempt,
        part: PartHash::of(&part.envelope),
        session: Envelope::from_bytes(&part.envelope)?.header.session,
    })
}

impl SentRecord {
    /// The same with other parts for some of its recipients.
    fn with(&self, anew: Vec<SentPartRecord>) -> Self {
        let mut sent = self.clone();
        for part in anew {
            sent.parts.retain(|known| known.recipient != part.recipient);
            sent.parts.push(part);
        }
        sent
    }
}
