//! One entry of the mailbox: from the relay's bytes to a committed message and its receipt.

use std::sync::atomic::Ordering;

use sealpost_api::v1;
use sealpost_crypto::{Control, Ordinary, Plaintext};
use sealpost_protocol::{
    AgentId, Attempt, Envelope, Header, HeaderHash, MessageClass, MessageRef, PartHash, ReceiptLeaf, RefusalReason,
    Scheme, SignedPart, Timestamp, Verdict,
    encoding::{Decode, Encode},
};

use crate::{
    Agent, Event, SyncError,
    conflicts::retry_conflicts,
    inbox::held_key,
    outbox::encode_payload,
    records::{
        BodyKeyRecord, BodyRecord, ContentRecord, DownloadRecord, HeldRecord, InboxRecord, UnreadRecord, arrival_key,
    },
    schemes::ReceivedScheme,
    sessions::NotOpened,
    store::{Changes, StoreAccessError, Versioned},
    sweep::is_forgotten,
};

/// An entry whose outer form is right.
struct Arrived {
    header: Header,
    attempt: Attempt,
    part: PartHash,
    content: ArrivedPart,
    mailbox_seq: u64,
    at: Timestamp,
}

/// What came for this agent, if it is what parts of the header's scheme are.
enum ArrivedPart {
    Envelope(Envelope),
    Signed(SignedPart),
    Other,
}

impl ArrivedPart {
    fn of(scheme: Scheme, part: &[u8]) -> Self {
        match scheme {
            Scheme::Ratchet => Envelope::from_bytes(part).map_or(Self::Other, Self::Envelope),
            _ => SignedPart::from_bytes(part).map_or(Self::Other, Self::Signed),
        }
    }
}

impl Agent {
    /// Takes one entry in. Returns whether it brought a message that was not there before.
    pub(crate) async fn take_in(&self, entry: &v1::MailboxEntry) -> Result<bool, SyncError> {
        let Some(arrived) = self.parse(entry) else { return self.refuse_unread(entry).await };
        let _turn = self.turns.take().await?;
        if arrived.header.fields().class == MessageClass::Control {
            // Whatever becomes of it, it is not asked for again.
            self.control_taken.fetch_max(arrived.mailbox_seq, Ordering::Relaxed);
            retry_conflicts(|| self.take_in_control(&arrived)).await?;
            return Ok(false);
        }
        retry_conflicts(|| self.settle(&arrived)).await
    }

    fn parse(&self, entry: &v1::MailboxEntry) -> Option<Arrived> {
        let header = Header::from_bytes(&entry.header).ok()?;
        Some(Arrived {
            content: ArrivedPart::of(header.fields().scheme, &entry.envelope),
            header,
            attempt: sealpost_api::convert::attempt(entry.attempt).ok()?,
            part: PartHash::of(&entry.envelope),
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
        tracing::warn!(id = %message.id, sender = %message.sender, "refused a message of an unknown format");
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

    /// A control message moves the ratchet of a session that is there, and may carry a mark: it opens none, it is not
    /// answered, and what does not open is passed over.
    async fn take_in_control(&self, arrived: &Arrived) -> Result<(), SyncError> {
        let mut changes = Changes::default();
        let ArrivedPart::Envelope(envelope) = &arrived.content else { return Ok(()) };
        match self.open_in_known_session(&arrived.header, envelope, &mut changes).await {
            Ok(Some(plaintext)) => {
                let fields = arrived.header.fields();
                match plaintext.to_control() {
                    Ok(Control::Step) => {}
                    Ok(Control::Mark(mark)) => {
                        self.take_in_mark(fields.message.sender, fields.created, mark, &mut changes).await?;
                    }
                    Err(error) => tracing::debug!(%error, "a control message says what this version does not know"),
                }
                self.note_missing(arrived, &plaintext, false, &mut changes)?;
                Ok(self.store.commit(changes).await?)
            }
            Err(NotOpened::Failed(error)) => Err(error),
            Ok(None) | Err(NotOpened::Refused(_)) => {
                tracing::debug!(id = %arrived.header.message().id, "a control message does not open");
                Ok(())
            }
        }
    }

    /// Tells the agent what is missing before something that was opened. What is not shown to it, it knows by no name.
    fn note_missing(
        &self,
        arrived: &Arrived,
        opened: &Plaintext,
        is_shown: bool,
        changes: &mut Changes,
    ) -> Result<(), StoreAccessError> {
        let (MessageRef { sender, id }, count) = (arrived.header.message(), opened.missing_before());
        if count == 0 {
            return Ok(());
        }
        tracing::warn!(%id, %sender, count, "messages before this one are missing");
        self.note(changes, Event::Missing { sender, before: is_shown.then_some(id), count })
    }

    async fn settle(&self, arrived: &Arrived) -> Result<bool, SyncError> {
        let message = arrived.header.message();
        let known = self.store.find::<InboxRecord>(&message.to_bytes()).await?;
        match known {
            // Another message under a name whose message was authenticated: the first one stands. What was refused was not,
            // and takes no name from the true message.
            Some(known) if known.value.header != arrived.header.hash() && !is_refused(&known.value) => {
                let verdict = Verdict::Refused(RefusalReason::Replay);
                let refused = arrived.record(Some(verdict), ContentRecord::Erased, known.value.arrival.clone());
                let leaf = self.leaf(message, &refused, verdict)?;
                let mut changes = Changes::default();
                self.queue_receipt(&mut changes, &refused.arrival, leaf).await?;
                self.store.commit(changes).await?;
                Ok(false)
            }
            Some(known) if answers_again(&known.value, arrived) => {
                let again = InboxRecord { part: arrived.part, attempt: arrived.attempt, ..known.value.clone() };
                let mut changes = Changes::default();
                changes.replace(&known, &again);
                if let Some(verdict) = again.verdict {
                    let leaf = self.leaf(message, &again, verdict)?;
                    self.queue_receipt(&mut changes, &again.arrival, leaf).await?;
                }
                self.store.commit(changes).await?;
                Ok(false)
            }
            known => self.open_arrived(arrived, known).await,
        }
    }

    async fn open_arrived(&self, arrived: &Arrived, known: Option<Versioned<InboxRecord>>) -> Result<bool, SyncError> {
        let message = arrived.header.message();
        let mut changes = Changes::default();
        let mut arrivals = self.arrivals().await?;
        let place = arrivals.next(arrived.at, arrived.mailbox_seq);
        arrivals.save(&mut changes);
        let mut scheme = ReceivedScheme::Ratchet;
        let (verdict, content) = match self.content_of(arrived, &mut scheme, &mut changes).await {
            // Stored is what is here: a body is not yet.
            Ok(content @ ContentRecord::Body(_)) => (None, content),
            Ok(content) => (Some(Verdict::Stored), content),
            Err(NotOpened::Refused(reason)) => {
                tracing::warn!(id = %message.id, sender = %message.sender, %reason, "refused a message");
                (Some(Verdict::Refused(reason)), ContentRecord::Erased)
            }
            Err(NotOpened::Failed(error)) => return Err(error),
        };
        // What was for the runtime is taken already, and shown to nobody.
        let is_new = !content.is_erased();
        let record = InboxRecord { scheme, ..arrived.record(verdict, content, place.clone()) };
        changes.upsert(&message.to_bytes(), known.as_ref(), &record);
        if verdict.is_none() {
            changes.insert(place.clone(), &DownloadRecord::new(message));
        }
        if is_new && (verdict.is_none() || self.holds_any_of(message.sender).await?) {
            changes.insert(held_key(&message, &place), &HeldRecord { message });
        } else if is_new {
            changes.insert(place, &UnreadRecord { message });
        }
        if let Some(verdict) = verdict {
            let leaf = self.leaf(message, &record, verdict)?;
            self.queue_receipt(&mut changes, &record.arrival, leaf).await?;
        }
        self.store.commit(changes).await?;
        Ok(is_new)
    }

    /// Whether messages of a sender wait for a body: what follows is shown after them.
    async fn holds_any_of(&self, sender: AgentId) -> Result<bool, SyncError> {
        Ok(self.store.page::<HeldRecord>(sender.as_bytes(), &[], 1).await?.last.is_some())
    }

    /// What the message says, or where and under which key that is; nothing if it was for the runtime, which has then
    /// taken it. The session moves whenever the envelope opens, also when its payload is of no known form.
    async fn content_of(
        &self,
        arrived: &Arrived,
        scheme: &mut ReceivedScheme,
        changes: &mut Changes,
    ) -> Result<ContentRecord, NotOpened> {
        let fields = arrived.header.fields();
        // Its name may have been forgotten, and with it that it was shown.
        let is_forgotten = is_forgotten(fields.created, arrived.at)
            && is_forgotten(fields.created, self.agreed_time().await.map_err(|error| NotOpened::Failed(error.into()))?);
        let may_be_taken = self.may_permit(fields.scheme, fields.message_type.as_ref()).await?;
        if !may_be_taken || fields.class != MessageClass::Ordinary || is_forgotten {
            return Err(NotOpened::Refused(RefusalReason::Policy));
        }
        let envelope = match &arrived.content {
            ArrivedPart::Envelope(envelope) => envelope,
            ArrivedPart::Signed(part) => {
                let (body, opened) = self.open_signed(&arrived.header, part, changes).await?;
                *scheme = opened;
                return Ok(ContentRecord::Body(body));
            }
            ArrivedPart::Other => return Err(NotOpened::Refused(RefusalReason::Undecryptable)),
        };
        let unreadable = |_| NotOpened::Refused(RefusalReason::Undecryptable);
        let plaintext = self.open_envelope(&arrived.header, envelope, changes).await?;
        if let Some(description) = fields.body {
            self.note_missing(arrived, &plaintext, true, changes)?;
            let key = BodyKeyRecord::Sealed(plaintext.to_body_key(&description).map_err(unreadable)?);
            return Ok(ContentRecord::Body(BodyRecord { description, key }));
        }
        let ordinary = plaintext.to_ordinary();
        self.note_missing(arrived, &plaintext, matches!(ordinary, Ok(Ordinary::Message(_))), changes)?;
        match ordinary.map_err(unreadable)? {
            Ordinary::Message(payload) => Ok(ContentRecord::Payload(encode_payload(&payload))),
            Ordinary::Group(notice) => {
                self.take_in_notice(fields.message.sender, notice, changes).await?;
                Ok(ContentRecord::Erased)
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
    matches!(known.verdict, Some(Verdict::Refused(_)))
}

impl Arrived {
    fn record(&self, verdict: Option<Verdict>, content: ContentRecord, arrival: Vec<u8>) -> InboxRecord {
        InboxRecord {
            header: self.header.hash(),
            part: self.part,
            attempt: self.attempt,
            verdict,
            sent: self.header.fields().created,
            received: self.at,
            arrival,
            priority: self.header.fields().priority,
            scheme: ReceivedScheme::Ratchet,
            content,
        }
    }
}
