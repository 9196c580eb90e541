//! Renewal: a recipient that could not open a message, and signed for that, gets it again, sealed anew in a new session.
//!
//! What was refused is noted; the outbox then seals the kept plaintext, and in the same commit retires the session that
//! failed, so that nothing more is sealed there. The plaintext is erased only when the recipient has it.

use std::time::Duration;

use sealpost_crypto::{AfterRefusal, Refusal, Session, SessionId, after_refusal};
use sealpost_protocol::{
    Attempt, DeliveryState, FailureReason, Header, MessageId, RefusalReason, Scheme, Timestamp,
    encoding::{Decode, Encode},
};

use crate::{
    Agent, Event, ProvenStatus, ReceiptCheck, SendError, StatusError,
    conflicts::retry_conflicts,
    limits,
    outbox::plaintext_of,
    records::{ContentRecord, OutgoingRecord, PartRecord, PartSealing, RenewalRecord, RenewedPartRecord, SentRecord},
    sessions::Transmission,
    store::{Changes, Versioned},
};

impl Agent {
    /// Notes for whom a message is to be sealed anew. Returns whether it waits for that now.
    pub(crate) async fn renew(&self, id: MessageId, deliveries: &[ProvenStatus]) -> Result<bool, StatusError> {
        let may_go_again = |scheme| deliveries.iter().any(|delivery| next_attempt(scheme, delivery).is_some());
        if !may_go_again(Scheme::Ratchet) && !may_go_again(Scheme::SharedKey) {
            return Ok(false);
        }
        let _turn = self.turns.take().await?;
        retry_conflicts(|| self.try_renew(id, deliveries)).await
    }

    async fn try_renew(&self, id: MessageId, deliveries: &[ProvenStatus]) -> Result<bool, StatusError> {
        let Some(sent) = self.store.find::<SentRecord>(id.as_bytes()).await? else { return Ok(false) };
        let now = self.clock.now();
        let header = Header::from_bytes(&sent.value.header)?;
        if header.fields().expires <= now || sent.value.content.is_erased() {
            return Ok(false);
        }
        let on_its_way = self.store.find::<OutgoingRecord>(id.as_bytes()).await?;
        let known = self.store.find::<RenewalRecord>(id.as_bytes()).await?;
        let mut parts = known.as_ref().map_or_else(Vec::new, |known| known.value.parts.clone());
        let noted = parts.len();
        let mut not_before = now;
        let mut changes = Changes::default();
        for delivery in deliveries {
            let recipient = delivery.status.recipient;
            let Some((attempt, reason)) = next_attempt(header.fields().scheme, delivery) else { continue };
            let Some(part) = sent.value.parts.iter().find(|part| part.recipient == recipient) else { continue };
            let is_noted = parts.iter().any(|part| part.recipient == recipient);
            let is_sealed =
                on_its_way.as_ref().is_some_and(|row| row.value.parts.iter().any(|part| part.recipient == recipient));
            // The status may be older than what was done about it.
            if is_noted || is_sealed || part.attempt != delivery.status.attempt {
                continue;
            }
            let session = match &part.sealing {
                PartSealing::Session(session) => {
                    self.note(&mut changes, Event::SealedAnew { message: id, recipient, attempt, reason })?;
                    *session
                }
                PartSealing::Signed(_) => {
                    not_before = not_before.max(now.saturating_add(pause_after(part.attempt)));
                    self.note(&mut changes, Event::SentAgain { message: id, recipient, attempt, reason })?;
                    [0; 16]
                }
            };
            parts.push(RenewedPartRecord { recipient, refused: part.attempt, reason, session });
        }
        let is_any = on_its_way.is_some() || !parts.is_empty();
        if parts.len() > noted {
            changes.upsert(id.as_bytes(), known.as_ref(), &RenewalRecord { parts, not_before });
            self.store.commit(changes).await?;
        }
        Ok(is_any)
    }

    /// Seals a message anew for those who could not open it: the ended sessions, the moved ratchets and the envelopes are
    /// committed together. What is too early for a recipient stays.
    pub(crate) async fn seal_anew(&self, id: MessageId, renewal: Versioned<RenewalRecord>) -> Result<(), SendError> {
        let mut changes = Changes::default();
        let now = self.clock.now();
        let live = match self.store.find::<SentRecord>(id.as_bytes()).await? {
            Some(sent) if !sent.value.content.is_erased() => {
                let header = Header::from_bytes(&sent.value.header)?;
                (!self.has_come(header.fields().expires).await?).then_some((sent, header))
            }
            _ => None,
        };
        let Some((sent, header)) = live else {
            changes.delete(&renewal);
            self.forget_obstacle(&mut changes, id).await?;
            return Ok(self.store.commit(changes).await?);
        };
        if header.fields().scheme != Scheme::Ratchet {
            return self.send_again(id, &renewal, sent.value).await;
        }
        let plaintext = plaintext_of(&sent.value.content)?;
        let (mut parts, mut early) = (Vec::new(), RenewalRecord { parts: Vec::new(), not_before: now });
        for part in &renewal.value.parts {
            let ended = match self.after_refusal(part, now).await? {
                AfterRefusal::SealAnew => None,
                AfterRefusal::Renew => Some(SessionId(part.session)),
                AfterRefusal::Wait(until) => {
                    early.parts.push(part.clone());
                    early.not_before = early.not_before.max(until);
                    continue;
                }
                AfterRefusal::Failed => continue,
            };
            let Some(attempt) = part.refused.next() else { continue };
            let transmission = Transmission { message: id, attempt, ended, claimed: None };
            let mut sending = self.sending_session(part.recipient, &transmission, &mut changes).await?;
            let envelope = sending.session.seal(self.primitives.as_ref(), &header, &plaintext, now)?;
            sending.save(&mut changes, now);
            parts.push(PartRecord { recipient: part.recipient, attempt, envelope: envelope.to_bytes() });
        }
        match early.parts.is_empty() {
            true => changes.delete(&renewal),
            false => changes.replace(&renewal, &early),
        };
        if !parts.is_empty() {
            changes.insert(id.as_bytes().as_slice(), &again(sent.value.header, parts));
        }
        Ok(self.store.commit(changes).await?)
    }

    /// Sends what is signed again, byte for byte, to those who lacked a key that may have come by now.
    async fn send_again(
        &self,
        id: MessageId,
        renewal: &Versioned<RenewalRecord>,
        sent: SentRecord,
    ) -> Result<(), SendError> {
        if !self.has_rested(&renewal.value) {
            return Ok(());
        }
        let mut parts = Vec::new();
        for renewed in &renewal.value.parts {
            let part = sent.parts.iter().find(|part| part.recipient == renewed.recipient);
            if let (Some(PartSealing::Signed(envelope)), Some(attempt)) =
                (part.map(|part| &part.sealing), renewed.refused.next())
            {
                parts.push(PartRecord { recipient: renewed.recipient, attempt, envelope: envelope.clone() });
            }
        }
        let mut changes = Changes::default();
        changes.delete(renewal);
        if !parts.is_empty() {
            changes.insert(id.as_bytes().as_slice(), &again(sent.header, parts));
        }
        Ok(self.store.commit(changes).await?)
    }

    /// Whether a renewal has rested for as long as it should: what is further off than any rest was noted by a clock that was
    /// ahead.
    pub(crate) fn has_rested(&self, renewal: &RenewalRecord) -> bool {
        let now = self.clock.now();
        renewal.not_before <= now || renewal.not_before > now.saturating_add(limits::SECOND_REPEAT)
    }

    async fn after_refusal(&self, part: &RenewedPartRecord, now: Timestamp) -> Result<AfterRefusal, SendError> {
        let rows = self.session_rows(part.recipient).await?;
        let sending =
            rows.iter().find(|row| row.value.sends).map(|row| Session::decode(&row.value.session)).transpose()?;
        let refusal = Refusal { reason: part.reason, attempt: part.refused, session: SessionId(part.session) };
        Ok(after_refusal(&refusal, sending.as_ref(), now))
    }
}

/// What goes out again of a message that a relay has accepted: these parts, and nothing that it has.
fn again(header: Vec<u8>, parts: Vec<PartRecord>) -> OutgoingRecord {
    OutgoingRecord { header, parts, content: ContentRecord::Erased, upload: None, retention: None }
}

/// How long a message rests whose recipient lacked the key of its group: the key is on its way, or its founder is asked
/// for it.
fn pause_after(refused: Attempt) -> Duration {
    if refused == Attempt::FIRST { limits::FIRST_REPEAT } else { limits::SECOND_REPEAT }
}

/// The attempt that follows a refusal which sealing anew may mend, or sending again under a group's key, and the refusal.
fn next_attempt(scheme: Scheme, delivery: &ProvenStatus) -> Option<(Attempt, RefusalReason)> {
    let DeliveryState::Failed(FailureReason::Refused(reason)) = delivery.status.state else { return None };
    // Whatever session sends then, and however old: only whether there is a next attempt matters here.
    let refusal = Refusal { reason, attempt: delivery.status.attempt, session: SessionId([0; 16]) };
    // What is signed is not sealed anew: only a key that the recipient lacks can come without the sender's doing.
    if scheme != Scheme::Ratchet && (scheme, reason) != (Scheme::SharedKey, RefusalReason::UnknownPrekey) {
        return None;
    }
    let is_curable = after_refusal(&refusal, None, delivery.status.queued_at) != AfterRefusal::Failed;
    let next = delivery.status.attempt.next()?;
    (is_curable && delivery.receipt == ReceiptCheck::Verified).then_some((next, reason))
}
