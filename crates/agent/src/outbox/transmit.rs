//! Handing a sealed message to the relay, as often as it takes, byte for byte the same.

use sealpost_api::v1;
use sealpost_protocol::{
    AgentId, Envelope, ErrorCode, Header, MessageId, PartHash, Scheme,
    encoding::{Decode, DecodeError},
    limits as wire,
};

use super::{Step, is_final};
use crate::{
    Agent, Event, RelayError, SendError,
    bodies::Spooled,
    records::{OutgoingRecord, PartRecord, PartSealing, SentPartRecord, SentRecord, UnsentRecord},
    store::{Changes, StoreAccessError, Versioned},
};

impl Agent {
    /// Hands one sealed message over, once its body is at the relay. If it is refused for good, it is noted as unsent.
    pub(super) async fn transmit(
        &self,
        id: MessageId,
        row: Versioned<OutgoingRecord>,
        is_wanted: bool,
    ) -> Result<Step, SendError> {
        let header = Header::from_bytes(&row.value.header)?;
        let length = header.fields().body.map_or(0, |body| body.sealed_length);
        let Some((body, upload_id)) = self.body_of(&row.value, &header).await? else {
            return Ok(Step::Upload(length));
        };
        let is_uploaded = upload_id.is_some();
        let parts = row.value.parts.iter().map(part_message).collect();
        let retention = row.value.retention.map(|retention| retention.to_string());
        let request = v1::SendRequest { header: row.value.header.clone(), body, upload_id, parts, retention };
        let answer = self.relay().await?.send(request).await;
        let mut changes = Changes::default();
        changes.delete(&row);
        match answer {
            Ok(accepted) => {
                let accepted = sealpost_api::convert::timestamp("accepted_at_ms", accepted.accepted_at_ms)
                    .map_err(RelayError::from)?;
                let parts = row
                    .value
                    .parts
                    .iter()
                    .map(|part| sent_part(header.fields().scheme, part))
                    .collect::<Result<Vec<_>, _>>()?;
                let known = self.store.find::<SentRecord>(id.as_bytes()).await?;
                let sent = match &known {
                    Some(known) => known.value.with(parts),
                    None => SentRecord { parts, header: row.value.header, content: row.value.content, accepted },
                };
                changes.upsert(id.as_bytes(), known.as_ref(), &sent);
                self.forget_obstacle(&mut changes, id).await?;
                self.store.commit(changes).await?;
                Ok(Step::Accepted(accepted))
            }
            Err(error) if is_uploaded && error.code() == Some(ErrorCode::NotFound) => {
                // The relay has let go of the upload, and not for this message.
                let mut changes = Changes::default();
                changes.replace(&row, &OutgoingRecord { upload: None, ..row.value.clone() });
                self.store.commit(changes).await?;
                Ok(Step::Upload(length))
            }
            Err(error) => {
                let error = match error.code() {
                    // What is accepted stays accepted, whatever its dates: so the relay is asked first.
                    Some(ErrorCode::ClockSkew) => {
                        self.check_dates(id, header.fields().expires).await.err().unwrap_or_else(|| error.into())
                    }
                    Some(ErrorCode::UnknownRecipient) if is_sealed_to_keys(&header) => {
                        SendError::RecipientForgotten(error)
                    }
                    _ => error.into(),
                };
                if is_final(&error) {
                    self.note_refused(id, &row, &error, is_wanted).await?;
                }
                Err(error)
            }
        }
    }

    /// What goes with the parts: nothing, a short body, or the name of the upload that is the body. `None` if that is not
    /// at the relay yet.
    async fn body_of(
        &self,
        row: &OutgoingRecord,
        header: &Header,
    ) -> Result<Option<(Option<Vec<u8>>, Option<String>)>, SendError> {
        let Some(body) = header.fields().body else { return Ok(Some((None, None))) };
        if body.sealed_length > wire::INLINE_BODY as u64 {
            let upload = row.upload.filter(|upload| upload.is_complete);
            return Ok(upload.map(|upload| (None, Some(upload.id.to_string()))));
        }
        let path = self.spool.path(Spooled::Outgoing(header.message().id));
        let body = tokio::fs::read(path).await.map_err(SendError::Spool)?;
        Ok(Some((Some(body), None)))
    }

    /// Notes that the relay refused a sealed message for good, and lets go of what nobody needs any more.
    pub(crate) async fn note_refused(
        &self,
        id: MessageId,
        row: &Versioned<OutgoingRecord>,
        error: &SendError,
        is_wanted: bool,
    ) -> Result<(), SendError> {
        let mut changes = Changes::default();
        changes.delete(row);
        if self.store.find::<SentRecord>(id.as_bytes()).await?.is_some() {
            tracing::warn!(%id, %error, "the relay refused a message that was sealed anew");
            self.forget_obstacle(&mut changes, id).await?;
            return Ok(self.store.commit(changes).await?);
        }
        let recipients = Header::from_bytes(&row.value.header)?.fields().recipients.as_slice().to_vec();
        self.note_unsent(changes, id, recipients, error, is_wanted).await?;
        self.drop_upload(&row.value).await;
        self.spool.remove(Spooled::Outgoing(id)).await;
        Ok(())
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

/// Whether a relay has given out the recipients' keys, for the message to be sealed to.
fn is_sealed_to_keys(header: &Header) -> bool {
    matches!(header.fields().scheme, Scheme::Ratchet | Scheme::RecipientKeys)
}

fn part_message(part: &PartRecord) -> v1::Part {
    v1::Part {
        recipient: part.recipient.to_string(),
        attempt: part.attempt.number().into(),
        envelope: part.envelope.clone(),
    }
}

fn sent_part(scheme: Scheme, part: &PartRecord) -> Result<SentPartRecord, DecodeError> {
    Ok(SentPartRecord {
        recipient: part.recipient,
        attempt: part.attempt,
        part: PartHash::of(&part.envelope),
        sealing: match scheme {
            Scheme::Ratchet => PartSealing::Session(Envelope::from_bytes(&part.envelope)?.header.session),
            _ => PartSealing::Signed(part.envelope.clone()),
        },
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
