//! Handing a sealed message to the relay, as often as it takes, byte for byte the same.

use sealpost_api::v1;
use sealpost_protocol::{AgentId, Header, MessageId, PartHash, Timestamp, encoding::Decode};

use super::is_final;
use crate::{
    Agent, RelayError, SendError,
    records::{OutgoingRecord, PartRecord, SentPartRecord, SentRecord, UnsentRecord},
    store::{Changes, StoreAccessError, Versioned},
};

impl Agent {
    /// Hands one sealed message over. Returns when it was accepted; if it is refused for good, it is noted as unsent.
    pub(super) async fn transmit(&self, id: MessageId, row: Versioned<OutgoingRecord>) -> Result<Timestamp, SendError> {
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
                let sent = SentRecord {
                    parts: row.value.parts.iter().map(sent_part).collect(),
                    header: row.value.header,
                    payload: row.value.payload,
                    accepted,
                };
                changes.insert(id.as_bytes().as_slice(), &sent);
                self.store.commit(changes).await?;
                Ok(accepted)
            }
            Err(error) => {
                if is_final(&error) {
                    let recipients = Header::from_bytes(&row.value.header)?.fields().recipients.as_slice().to_vec();
                    self.note_unsent(changes, id, recipients, &error).await?;
                }
                Err(error.into())
            }
        }
    }

    /// Notes that the relay refused a message for good, along with the `changes` that take it off the way.
    pub(super) async fn note_unsent(
        &self,
        mut changes: Changes,
        id: MessageId,
        recipients: Vec<AgentId>,
        error: &RelayError,
    ) -> Result<(), StoreAccessError> {
        tracing::warn!(message = %id, %error, "the relay refused a message for good");
        let code = error.code().map(|code| code.to_string()).unwrap_or_default();
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

fn sent_part(part: &PartRecord) -> SentPartRecord {
    SentPartRecord { recipient: part.recipient, attempt: part.attempt, part: PartHash::of(&part.envelope) }
}
