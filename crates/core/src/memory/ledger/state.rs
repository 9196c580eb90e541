//! What the ledger in memory holds, and how it changes.

use std::collections::{BTreeMap, HashMap};

use sealpost_protocol::{
    AgentId, CountersignedHead, Header, HeaderHash, MessageRef, ReceiptBatch, ReceiptProof, Retention, Signature,
    Timestamp,
};

use super::super::{
    bodies::{Body, UploadTable},
    control_messages::ControlTable,
    fan_outs::FanOutTable,
};
use crate::{
    DeliveryRecord, MailboxFill, MessageDecision,
    ports::{
        AcceptError, Acceptance, AcceptanceOutcome, AcceptedBody, ContentHandle, FanOutId, GiveUp, GivenUp,
        MessageReader, ReceiptRefusal, RecordReceiptsError, RecordedReceipts, RefusedReceipt, StoredPart, UploadName,
    },
};

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) last_change: u64,
    pub(super) swept_at: Option<Timestamp>,
    pub(super) messages: BTreeMap<MessageRef, Message>,
    pub(super) heads: HashMap<AgentId, CountersignedHead>,
    pub(super) uploads: UploadTable,
    /// What was released and is not discarded yet.
    pub(super) released: Vec<ContentHandle>,
    pub(super) control: ControlTable,
    pub(super) fan_outs: FanOutTable,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) accepted_at: Timestamp,
    /// Whether its contents stay though nobody waits for them.
    pub(super) is_kept: bool,
    pub(super) body: Option<Body>,
    pub(super) deliveries: BTreeMap<AgentId, Delivery>,
}

#[derive(Debug, Clone)]
pub(in crate::memory) struct Delivery {
    pub(in crate::memory) record: DeliveryRecord,
    pub(in crate::memory) mailbox_seq: u64,
    pub(in crate::memory) length: u64,
    pub(in crate::memory) content: Option<ContentHandle>,
}

impl State {
    pub(super) fn next_change(&mut self) -> u64 {
        self.last_change += 1;
        self.last_change
    }

    pub(super) fn waiting(&self, recipient: AgentId) -> impl Iterator<Item = (&Message, &Delivery)> {
        let mine = move |message| Message::waiting_for(message, recipient);
        self.messages.values().filter_map(mine)
    }

    /// The delivery in this place of a mailbox, and who sent it.
    pub(super) fn entry(&mut self, recipient: AgentId, mailbox_seq: u64) -> Option<(MessageRef, &mut Delivery)> {
        self.messages.iter_mut().find_map(|(message, known)| {
            let delivery = known.deliveries.get_mut(&recipient)?;
            (delivery.mailbox_seq == mailbox_seq).then_some((*message, delivery))
        })
    }

    fn check_room(&self, part: &StoredPart) -> Result<(), AcceptError> {
        let seen = self.waiting(part.recipient).map(|(_, delivery)| delivery.length);
        let lengths = seen.chain(self.fan_outs.lengths(part.recipient));
        let add = |fill: MailboxFill, length| MailboxFill { messages: fill.messages + 1, bytes: fill.bytes + length };
        lengths.fold(MailboxFill::default(), add).with(part).map(drop)
    }

    pub(super) fn accept(&mut self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let reference = acceptance.header.message();
        match acceptance.decide(self.known(reference))? {
            MessageDecision::New => self.accept_new(acceptance),
            MessageDecision::Again => self.accept_again(acceptance),
        }
    }

    fn known(&self, message: MessageRef) -> Option<HeaderHash> {
        self.messages.get(&message).map(|known| known.header.hash())
    }

    fn accept_new(&mut self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let body = self.take_body(&acceptance)?;
        let deliveries = self.queue(&acceptance)?;
        let queued = deliveries.keys().copied().collect();
        let Acceptance { header, retention, at, .. } = acceptance;
        let is_kept = retention == Retention::UntilExpiry;
        let message = Message { header, accepted_at: at, is_kept, body, deliveries };
        self.messages.insert(message.header.message(), message);
        Ok(AcceptanceOutcome { at, queued, unused: Vec::new() })
    }

    /// Puts first attempts at the ends of their mailboxes.
    fn queue(&mut self, acceptance: &Acceptance) -> Result<BTreeMap<AgentId, Delivery>, AcceptError> {
        let header = acceptance.header.hash();
        let mut deliveries = BTreeMap::new();
        for part in &acceptance.parts {
            self.check_room(part)?;
            let seq = self.next_change();
            let record = DeliveryRecord::queued(part.recipient, header, part.hash, acceptance.at, seq);
            let content = Some(part.content.clone());
            deliveries.insert(part.recipient, Delivery { record, mailbox_seq: seq, length: part.length, content });
        }
        Ok(deliveries)
    }

    pub(super) fn begin_fan_out(&mut self, first: &Acceptance) -> Result<FanOutId, AcceptError> {
        Acceptance::unless_known(self.known(first.header.message()))?;
        let id = FanOutId(self.next_change());
        self.fan_outs.begin(id, first.header.message().sender);
        Ok(id)
    }

    pub(super) fn continue_fan_out(&mut self, id: FanOutId, next: Acceptance) -> Result<(), AcceptError> {
        self.fan_outs.check(id)?;
        let deliveries = self.queue(&next)?;
        self.fan_outs.add(id, deliveries);
        Ok(())
    }

    pub(super) fn finish_fan_out(&mut self, id: FanOutId, last: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let name = last.header.message();
        Acceptance::unless_known(self.known(name))?;
        let body = self.take_body(&last)?;
        self.continue_fan_out(id, last.clone())?;
        let deliveries = self.fan_outs.end(id);
        let queued: Vec<_> = deliveries.keys().copied().collect();
        if queued != last.header.fields().recipients.as_slice() {
            return Err(AcceptError::Incomplete);
        }
        let is_kept = last.retention == Retention::UntilExpiry;
        self.messages.insert(name, Message { header: last.header, accepted_at: last.at, is_kept, body, deliveries });
        Ok(AcceptanceOutcome { at: last.at, queued, unused: Vec::new() })
    }

    fn accept_again(&mut self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let reference = acceptance.header.message();
        let (mut queued, mut unused, mut last) = (Vec::new(), Vec::new(), None);
        for part in acceptance.parts.clone() {
            let known = self.delivery(reference, part.recipient).map(|delivery| &delivery.record);
            if !part.is_next_attempt(known)? {
                last = last.max(known.map(|known| known.status.queued_at));
                unused.push(part.content);
                continue;
            }
            self.check_room(&part)?;
            let seq = self.next_change();
            let Some(delivery) = self.delivery_mut(reference, part.recipient) else { continue };
            delivery.record.requeue(part.attempt, part.hash, acceptance.at, seq);
            delivery.mailbox_seq = seq;
            delivery.length = part.length;
            last = last.max(Some(acceptance.at));
            unused.extend(delivery.content.replace(part.content));
            queued.push(part.recipient);
        }
        let has_body = self.messages.get(&reference).is_some_and(|message| message.body.is_some());
        if has_body || queued.is_empty() {
            unused.extend(self.unused_body(reference.sender, acceptance.body));
        } else {
            // It went with the last who waited; now someone waits again.
            let body = self.take_body(&acceptance)?;
            if let Some(message) = self.messages.get_mut(&reference) {
                message.body = body;
            }
        }
        Ok(AcceptanceOutcome { at: last.unwrap_or(acceptance.at), queued, unused })
    }

    /// What the sender has in bodies and uploads.
    pub(super) fn body_bytes(&self, sender: AgentId) -> u64 {
        let sent = self.messages.values().filter(|message| message.header.message().sender == sender);
        let lengths = sent.filter_map(|message| message.body.as_ref()).map(|body| body.length);
        lengths.fold(self.uploads.bytes(sender), u64::saturating_add)
    }

    fn take_body(&mut self, acceptance: &Acceptance) -> Result<Option<Body>, AcceptError> {
        let used = self.body_bytes(acceptance.header.message().sender);
        self.uploads.body_of(acceptance, used)
    }

    fn unused_body(&mut self, owner: AgentId, body: Option<AcceptedBody>) -> Vec<ContentHandle> {
        match body {
            None => Vec::new(),
            Some(AcceptedBody::Inline(content)) => vec![content],
            Some(AcceptedBody::Uploaded(id)) => self.uploads.cancel(UploadName { owner, id }),
        }
    }

    fn delivery(&self, message: MessageRef, recipient: AgentId) -> Option<&Delivery> {
        self.messages.get(&message)?.deliveries.get(&recipient)
    }

    fn delivery_mut(&mut self, message: MessageRef, recipient: AgentId) -> Option<&mut Delivery> {
        self.messages.get_mut(&message)?.deliveries.get_mut(&recipient)
    }

    pub(super) fn record_receipts(
        &mut self,
        batch: &ReceiptBatch,
        countersignature: Signature,
        at: Timestamp,
    ) -> Result<RecordedReceipts, RecordReceiptsError> {
        let signed = *batch.signed_head();
        let head = signed.head;
        let last = self.heads.get(&head.recipient).map(|last| last.signed.head);
        RecordReceiptsError::unless_follows(last, head)?;
        self.heads.insert(head.recipient, CountersignedHead { signed, countersignature });
        let mut recorded = RecordedReceipts::default();
        for (index, proof) in batch.proofs().into_iter().enumerate() {
            if let Err(reason) = self.record_receipt(proof, at, &mut recorded) {
                recorded.refused.push(RefusedReceipt { index, reason });
            }
        }
        Ok(recorded)
    }

    fn record_receipt(
        &mut self,
        proof: ReceiptProof,
        at: Timestamp,
        recorded: &mut RecordedReceipts,
    ) -> Result<(), ReceiptRefusal> {
        let (message, recipient) = (proof.leaf.message, proof.signed.head.recipient);
        let seq = self.last_change + 1;
        let delivery = self.delivery_mut(message, recipient).ok_or(ReceiptRefusal::UnknownMessage)?;
        if delivery.record.apply_receipt(proof, at, seq)? {
            self.last_change = seq;
            recorded.senders.push(message.sender);
            self.release(message, &mut recorded.released);
        }
        Ok(())
    }

    pub(super) fn give_up(&mut self, reference: MessageRef, reason: &GiveUp) -> GivenUp {
        let mut given_up = GivenUp::default();
        let Some(message) = self.messages.get_mut(&reference).filter(|message| message.is_given_up(reason)) else {
            return given_up;
        };
        for (recipient, delivery) in &mut message.deliveries {
            let next = self.last_change + 1;
            let is_news = match reason {
                GiveUp::LifeOver(_) => delivery.record.expire(next),
                GiveUp::BodyLost { .. } => delivery.record.lose(next),
            };
            if is_news {
                self.last_change = next;
                given_up.agents.extend([*recipient, reference.sender]);
            }
        }
        if let GiveUp::BodyLost { .. } = reason {
            given_up.released.extend(message.body.take().into_iter().flat_map(|body| body.pieces));
        }
        self.release(reference, &mut given_up.released);
        given_up
    }

    /// Takes back the contents of a message that nobody waits for any more.
    pub(super) fn release(&mut self, message: MessageRef, released: &mut Vec<ContentHandle>) {
        let Some(message) = self.messages.get_mut(&message).filter(|message| !message.is_kept) else { return };
        for delivery in message.deliveries.values_mut().filter(|delivery| !delivery.is_waiting()) {
            released.extend(delivery.content.take());
        }
        if !message.deliveries.values().any(Delivery::is_waiting) {
            released.extend(message.body.take().into_iter().flat_map(|body| body.pieces));
        }
    }
}

impl Message {
    fn is_given_up(&self, reason: &GiveUp) -> bool {
        match reason {
            GiveUp::LifeOver(now) => !self.lives_at(*now),
            GiveUp::BodyLost { place, content } => {
                let place = usize::try_from(*place).ok();
                self.body.as_ref().zip(place).is_some_and(|(body, place)| body.pieces.get(place) == Some(content))
            }
        }
    }

    /// The body, if this agent may read it.
    pub(super) fn body_for(&self, MessageReader { agent, now }: MessageReader) -> Option<&Body> {
        let is_theirs = self.waiting_for(agent).is_some() || self.is_kept && self.deliveries.contains_key(&agent);
        let is_read = self.lives_at(now) && (self.header.message().sender == agent || is_theirs);
        self.body.as_ref().filter(|_| is_read)
    }

    pub(super) fn lives_at(&self, now: Timestamp) -> bool {
        self.header.fields().expires > now
    }

    pub(super) fn waiting_for(&self, recipient: AgentId) -> Option<(&Self, &Delivery)> {
        let delivery = self.deliveries.get(&recipient)?;
        delivery.is_waiting().then_some((self, delivery))
    }
}

impl Delivery {
    pub(super) fn is_waiting(&self) -> bool {
        self.record.status.state.is_waiting()
    }
}
