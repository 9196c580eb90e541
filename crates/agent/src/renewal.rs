//! Renewal: a recipient that could not open a message, and signed for that, gets it again, sealed anew in a new session.
//!
//! What was refused is noted in one commit with the end of the session it was sealed in, so that nothing more is sealed
//! there; the outbox then seals the kept plaintext, which is erased only when the recipient has it.

use sealpost_crypto::Payload;
use sealpost_protocol::{
    Attempt, DeliveryState, FailureReason, Header, MessageId, RefusalReason,
    encoding::{Decode, Encode},
};

use crate::{
    Agent, Event, ProvenStatus, ReceiptCheck, SendError, StatusError,
    conflicts::retry_conflicts,
    limits,
    records::{OutgoingRecord, PartRecord, RenewalRecord, RenewedPartRecord, SentRecord, SessionRecord},
    store::{Changes, StoreAccessError, Versioned},
};

impl Agent {
    /// Notes for whom a message is to be sealed anew, and that nothing more is sealed in the sessions that failed. Returns
    /// whether it waits for that now.
    pub(crate) async fn renew(&self, id: MessageId, deliveries: &[ProvenStatus]) -> Result<bool, StatusError> {
        if !deliveries.iter().any(|delivery| next_attempt(delivery).is_some()) {
            return Ok(false);
        }
        let _turn = self.turns.take().await?;
        retry_conflicts(|| self.try_renew(id, deliveries)).await
    }

    async fn try_renew(&self, id: MessageId, deliveries: &[ProvenStatus]) -> Result<bool, StatusError> {
        let Some(sent) = self.store.find::<SentRecord>(id.as_bytes()).await? else { return Ok(false) };
        let is_over = Header::from_bytes(&sent.value.header)?.fields().expires <= self.clock.now();
        if is_over || sent.value.payload.is_empty() {
            return Ok(false);
        }
        let on_its_way = self.store.find::<OutgoingRecord>(id.as_bytes()).await?;
        let known = self.store.find::<RenewalRecord>(id.as_bytes()).await?;
        let mut renewal = known.as_ref().map_or(RenewalRecord { parts: Vec::new() }, |known| known.value.clone());
        let noted = renewal.parts.len();
        let mut changes = Changes::default();
        for delivery in deliveries {
            let recipient = delivery.status.recipient;
            let Some((attempt, reason)) = next_attempt(delivery) else { continue };
            let Some(part) = sent.value.parts.iter().find(|part| part.recipient == recipient) else { continue };
            let is_noted = renewal.parts.iter().any(|part| part.recipient == recipient);
            let is_sealed =
                on_its_way.as_ref().is_some_and(|row| row.value.parts.iter().any(|part| part.recipient == recipient));
            // The status may be older than what was done about it.
            if is_noted || is_sealed || part.attempt != delivery.status.attempt {
                continue;
            }
            self.retire_session(&[recipient.as_bytes().as_slice(), &part.session].concat(), &mut changes).await?;
            renewal.parts.push(RenewedPartRecord { recipient, attempt });
            self.note(&mut changes, Event::SealedAnew { message: id, recipient, attempt, reason })?;
        }
        if renewal.parts.len() > noted {
            changes.upsert(id.as_bytes(), known.as_ref(), &renewal);
            self.store.commit(changes).await?;
        }
        Ok(on_its_way.is_some() || !renewal.parts.is_empty())
    }

    /// From now on the session only receives.
    async fn retire_session(&self, key: &[u8], changes: &mut Changes) -> Result<(), StoreAccessError> {
        if let Some(row) = self.store.find::<SessionRecord>(key).await?.filter(|row| row.value.sends) {
            changes.replace(&row, &SessionRecord { sends: false, ..row.value.clone() });
        }
        Ok(())
    }

    /// Seals a message anew for those who could not open it: the moved ratchets and the envelopes are committed together.
    pub(crate) async fn seal_anew(&self, id: MessageId, renewal: Versioned<RenewalRecord>) -> Result<(), SendError> {
        let mut changes = Changes::default();
        changes.delete(&renewal);
        let now = self.clock.now();
        let sent = self.store.find::<SentRecord>(id.as_bytes()).await?;
        let Some(sent) = sent.filter(|sent| !sent.value.payload.is_empty()) else {
            return Ok(self.store.commit(changes).await?);
        };
        let header = Header::from_bytes(&sent.value.header)?;
        if header.fields().expires <= now {
            return Ok(self.store.commit(changes).await?);
        }
        let plaintext = Payload::from_bytes(&sent.value.payload)?.to_plaintext();
        let mut parts = Vec::new();
        for RenewedPartRecord { recipient, attempt } in renewal.value.parts {
            let mut sending = self.sending_session(recipient, (id, attempt), &mut changes).await?;
            let envelope = sending.session.seal(self.primitives.as_ref(), &header, &plaintext, now)?;
            sending.save(&mut changes, now);
            parts.push(PartRecord { recipient, attempt, envelope: envelope.to_bytes() });
        }
        let outgoing = OutgoingRecord { header: sent.value.header, parts, payload: Default::default() };
        changes.insert(id.as_bytes().as_slice(), &outgoing);
        Ok(self.store.commit(changes).await?)
    }
}

/// The attempt that follows a refusal which another session may mend, and the refusal.
fn next_attempt(delivery: &ProvenStatus) -> Option<(Attempt, RefusalReason)> {
    let DeliveryState::Failed(FailureReason::Refused(reason)) = delivery.status.state else { return None };
    let may_be_mended = match reason {
        RefusalReason::Undecryptable
        | RefusalReason::UnknownPrekey
        | RefusalReason::UnknownSession
        | RefusalReason::Replay => true,
        RefusalReason::Policy => false,
    };
    let next = delivery.status.attempt.next().filter(|next| next.number() <= limits::ATTEMPTS)?;
    (may_be_mended && delivery.receipt == ReceiptCheck::Verified).then_some((next, reason))
}
