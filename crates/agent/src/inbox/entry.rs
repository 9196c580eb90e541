//! One entry of the mailbox: from the relay's bytes to a committed message and its receipt.

use sealpost_api::v1;
use sealpost_crypto::{Ordinary, SecretBytes};
use sealpost_protocol::{
    Attempt, Envelope, Header, HeaderHash, MessageClass, PartHash, ReceiptLeaf, RefusalReason, Scheme, Timestamp,
    Verdict,
    encoding::{Decode, Encode},
};

use crate::{
    Agent, SyncError,
    conflicts::retry_conflicts,
    outbox::encode_payload,
    records::{ArrivalRecord, InboxRecord, UnreadRecord, arrival_key},
    sessions::NotOpened,
    store::{Changes, Versioned},
};

/// An entry whose outer form is right.
struct Arrived {
    header: Header,
    attempt: Attempt,
    part: PartHash,
    envelope: Option<Envelope>,
    mailbox_seq: u64,
    at: Timestamp,
}

impl Agent {
    /// Takes one entry in. Returns whether it brought a message that was not there before.
    pub(crate) async fn take_in(&self, entry: &v1::MailboxEntry) -> Result<bool, SyncError> {
        let Some(arrived) = self.parse(entry) else { return self.refuse_unread(entry).await };
        let _turn = self.turns.take().await?;
        retry_conflicts(|| self.settle(&arrived)).await
    }

    fn parse(&self, entry: &v1::MailboxEntry) -> Option<Arrived> {
        Some(Arrived {
            header: Header::from_bytes(&entry.header).ok()?,
            attempt: sealpost_api::convert::attempt(entry.attempt).ok()?,
            part: PartHash::of(&entry.envelope),
            envelope: Envelope::from_bytes(&entry.envelope).ok(),
            mailbox_seq: entry.mailbox_seq,
            at: self.clock.now(),
        })
    }

    /// Refuses a message whose header is of a format that this version does not know. Its name stands in the same place in
    /// each. What has not even that, and only a relay that checks nothing hands out, cannot be answered.
    async fn refuse_unread(&self, entry: &v1::MailboxEntry) -> Result<bool, SyncError> {
        let attempt = sealpost_api::convert::attempt(entry.attempt).ok();
        let Some((message, attempt)) = Header::name_in(&entry.header).zip(attempt) else {
            tracing::warn!(mailbox_seq = entry.mailbox_seq, "the relay handed out an entry without a message");
            return Ok(false);
        };
        tracing::warn!(message = %message.id, sender = %message.sender, "refused a message of an unknown format");
        let at = self.clock.now();
        let leaf = ReceiptLeaf {
            message,
            attempt,
            header: HeaderHash::of(&entry.header),
            part: PartHash::of(&entry.envelope),
            verdict: Verdict::Refused(RefusalReason::Policy),
            at,
            blind: self.blind()?,
        };
        // Nothing is recorded of it but this; its own time and number give it the same place each time.
        let place = arrival_key(message.id.timestamp(), entry.mailbox_seq);
        let mut changes = Changes::default();
        self.queue_receipt(&mut changes, &place, leaf).await?;
        self.store.commit(changes).await?;
        Ok(false)
    }

    async fn settle(&self, arrived: &Arrived) -> Result<bool, SyncError> {
        let message = arrived.header.message();
        let known = self.store.find::<InboxRecord>(&message.to_bytes()).await?;
        match known {
            // Another message under a name whose message was authenticated: the first one stands. What was refused was not,
            // and takes no name from the true message.
            Some(known) if known.value.header != arrived.header.hash() && !is_refused(&known.value) => {
                let refused = arrived.record(
                    Verdict::Refused(RefusalReason::Replay),
                    SecretBytes::default(),
                    known.value.arrival.clone(),
                );
                let mut changes = Changes::default();
                self.queue_receipt(&mut changes, &refused.arrival, self.leaf(message, &refused)?).await?;
                self.store.commit(changes).await?;
                Ok(false)
            }
            Some(known) if answers_again(&known.value, arrived) => {
                let again = InboxRecord { part: arrived.part, attempt: arrived.attempt, ..known.value.clone() };
                let mut changes = Changes::default();
                changes.replace(&known, &again);
                self.queue_receipt(&mut changes, &again.arrival, self.leaf(message, &again)?).await?;
                self.store.commit(changes).await?;
                Ok(false)
            }
            known => self.open_arrived(arrived, known).await,
        }
    }

    async fn open_arrived(&self, arrived: &Arrived, known: Option<Versioned<InboxRecord>>) -> Result<bool, SyncError> {
        let message = arrived.header.message();
        let mut changes = Changes::default();
        let last = self.store.find::<ArrivalRecord>(&[]).await?;
        let place = ArrivalRecord::after(last.as_ref().map(|last| &last.value), arrived.at, arrived.mailbox_seq);
        changes.upsert(&[], last.as_ref(), &place);
        let opened = self.payload_of(arrived, &mut changes).await;
        let is_new = matches!(&opened, Ok(Some(_)));
        let record = match opened {
            Ok(payload) => arrived.record(Verdict::Stored, payload.unwrap_or_default(), place.key()),
            Err(NotOpened::Refused(reason)) => {
                tracing::warn!(message = %message.id, sender = %message.sender, %reason, "refused a message");
                arrived.record(Verdict::Refused(reason), SecretBytes::default(), place.key())
            }
            Err(NotOpened::Failed(error)) => return Err(error),
        };
        changes.upsert(&message.to_bytes(), known.as_ref(), &record);
        if is_new {
            changes.insert(place.key(), &UnreadRecord { message });
        }
        self.queue_receipt(&mut changes, &record.arrival, self.leaf(message, &record)?).await?;
        self.store.commit(changes).await?;
        Ok(is_new)
    }

    /// The encoded payload; none if it was for the runtime, which has then taken it. The session moves whenever the envelope
    /// opens, also when its payload is of no known form.
    async fn payload_of(&self, arrived: &Arrived, changes: &mut Changes) -> Result<Option<SecretBytes>, NotOpened> {
        let fields = arrived.header.fields();
        // Its name may have been forgotten, and with it that it was shown.
        let is_forgotten = crate::sweep::is_forgotten(fields.created, arrived.at);
        let is_other = fields.scheme != Scheme::Ratchet || fields.class != MessageClass::Ordinary;
        if is_other || fields.body.is_some() || is_forgotten {
            return Err(NotOpened::Refused(RefusalReason::Policy));
        }
        let envelope = arrived.envelope.as_ref().ok_or(NotOpened::Refused(RefusalReason::Undecryptable))?;
        let plaintext = self.open_envelope(&arrived.header, envelope, changes).await?;
        match plaintext.to_ordinary().map_err(|_| NotOpened::Refused(RefusalReason::Undecryptable))? {
            Ordinary::Message(payload) => Ok(Some(encode_payload(&payload))),
            Ordinary::Group(notice) => {
                self.take_in_notice(fields.message.sender, notice, changes).await?;
                Ok(None)
            }
        }
    }
}

/// Whether a known message needs no opening: the same bytes again, or another attempt of what is stored already.
fn answers_again(known: &InboxRecord, arrived: &Arrived) -> bool {
    let is_same = (known.header, known.part, known.attempt) == (arrived.header.hash(), arrived.part, arrived.attempt);
    is_same || !is_refused(known)
}

fn is_refused(known: &InboxRecord) -> bool {
    matches!(known.verdict, Verdict::Refused(_))
}

impl Arrived {
    fn record(&self, verdict: Verdict, payload: SecretBytes, arrival: Vec<u8>) -> InboxRecord {
        InboxRecord {
            header: self.header.hash(),
            part: self.part,
            attempt: self.attempt,
            verdict,
            sent: self.header.fields().created,
            received: self.at,
            arrival,
            priority: self.header.fields().priority,
            payload,
        }
    }
}
