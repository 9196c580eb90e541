//! The ledger in memory: one map of messages, read from end to end where a real adapter has an index.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sealpost_protocol::{
    AgentId, CountersignedHead, Header, MessageRef, ReceiptBatch, ReceiptHead, ReceiptProof, Retention, Signature,
    Timestamp,
};

use super::{
    bodies::{Body, UploadTable},
    control_messages::ControlTable,
};
use crate::{
    DeliveryRecord, PartDecision, limits,
    ports::{
        AcceptError, Acceptance, AcceptanceOutcome, AcceptedBody, AddPieceError, BackendError, BeginUploadError,
        BodyPiece, BodyQuota, Change, ControlAcceptance, ControlMessages, EndedRetention, ExpireStep, Handle, Ledger,
        LostEntries, PageQuery, ReceiptRefusal, RecordReceiptsError, RecordedReceipts, RefusedReceipt, Standing,
        StoredPart, StoredPiece, UploadDescription, UploadName, UploadPlace, UploadRecord, Uploads, WaitingEntry,
    },
};

/// Messages, mailboxes and receipts.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    last_change: u64,
    swept_at: Option<Timestamp>,
    messages: BTreeMap<MessageRef, Message>,
    heads: HashMap<AgentId, CountersignedHead>,
    uploads: UploadTable,
    /// What was released and is not discarded yet.
    released: Vec<Handle>,
    control: ControlTable,
}

#[derive(Debug, Clone)]
struct Message {
    header: Header,
    accepted_at: Timestamp,
    /// Whether its contents stay though nobody waits for them.
    is_kept: bool,
    body: Option<Body>,
    deliveries: BTreeMap<AgentId, Delivery>,
}

#[derive(Debug, Clone)]
struct Delivery {
    record: DeliveryRecord,
    mailbox_seq: u64,
    length: u64,
    content: Option<Handle>,
}

impl MemoryLedger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on a copy and keeps it only if `change` succeeds: all or nothing.
    fn transaction<T, E>(&self, change: impl FnOnce(&mut State) -> Result<T, E>) -> Result<T, E> {
        let mut state = self.state();
        let mut copy = state.clone();
        let value = change(&mut copy)?;
        *state = copy;
        Ok(value)
    }
}

impl State {
    fn next_change(&mut self) -> u64 {
        self.last_change += 1;
        self.last_change
    }

    fn waiting(&self, recipient: AgentId) -> impl Iterator<Item = (&Message, &Delivery)> {
        let mine = move |message| Message::waiting_for(message, recipient);
        self.messages.values().filter_map(mine)
    }

    /// The delivery in this place of a mailbox, and who sent it.
    fn entry(&mut self, recipient: AgentId, mailbox_seq: u64) -> Option<(MessageRef, &mut Delivery)> {
        self.messages.iter_mut().find_map(|(message, known)| {
            let delivery = known.deliveries.get_mut(&recipient)?;
            (delivery.mailbox_seq == mailbox_seq).then_some((*message, delivery))
        })
    }

    fn check_room(&self, part: &StoredPart) -> Result<(), AcceptError> {
        let (messages, bytes) = self
            .waiting(part.recipient)
            .fold((0, 0_u64), |(messages, bytes), (_, delivery)| (messages + 1, bytes + delivery.length));
        let fits = messages < limits::MAILBOX_MESSAGES && bytes.saturating_add(part.length) <= limits::MAILBOX_BYTES;
        if fits { Ok(()) } else { Err(AcceptError::MailboxFull { recipient: part.recipient }) }
    }

    fn accept(&mut self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let reference = acceptance.header.message();
        match self.messages.get(&reference) {
            None if !acceptance.is_complete => Err(AcceptError::Incomplete),
            None => self.accept_new(acceptance),
            Some(known) if known.header.hash() != acceptance.header.hash() => Err(AcceptError::Conflict),
            Some(_) => self.accept_again(acceptance),
        }
    }

    fn accept_new(&mut self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let body = self.take_body(&acceptance)?;
        let Acceptance { header, parts, retention, at, .. } = acceptance;
        let is_kept = retention == Retention::UntilExpiry;
        let mut message = Message { header, accepted_at: at, is_kept, body, deliveries: BTreeMap::new() };
        let mut outcome = AcceptanceOutcome { at, queued: Vec::new(), unused: Vec::new() };
        for part in parts {
            self.check_room(&part)?;
            let seq = self.next_change();
            let record = DeliveryRecord::queued(part.recipient, message.header.hash(), part.hash, at, seq);
            outcome.queued.push(part.recipient);
            let delivery = Delivery { record, mailbox_seq: seq, length: part.length, content: Some(part.content) };
            message.deliveries.insert(part.recipient, delivery);
        }
        self.messages.insert(message.header.message(), message);
        Ok(outcome)
    }

    fn accept_again(&mut self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let reference = acceptance.header.message();
        let (mut queued, mut unused, mut last) = (Vec::new(), Vec::new(), None);
        for part in acceptance.parts.clone() {
            let Some(known) = self.delivery(reference, part.recipient) else { return Err(AcceptError::Conflict) };
            match known.record.decide(part.attempt, part.hash) {
                PartDecision::Duplicate => {
                    last = last.max(Some(known.record.status.queued_at));
                    unused.push(part.content);
                }
                PartDecision::NextAttempt => {
                    self.check_room(&part)?;
                    let seq = self.next_change();
                    let Some(delivery) = self.delivery(reference, part.recipient) else { continue };
                    delivery.record.requeue(part.attempt, part.hash, acceptance.at, seq);
                    delivery.mailbox_seq = seq;
                    delivery.length = part.length;
                    last = last.max(Some(acceptance.at));
                    unused.extend(delivery.content.replace(part.content));
                    queued.push(part.recipient);
                }
                PartDecision::Conflict => return Err(AcceptError::Conflict),
            }
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
    fn body_bytes(&self, sender: AgentId) -> u64 {
        let sent = self.messages.values().filter(|message| message.header.message().sender == sender);
        let lengths = sent.filter_map(|message| message.body.as_ref()).map(|body| body.length);
        lengths.fold(self.uploads.bytes(sender), u64::saturating_add)
    }

    fn take_body(&mut self, acceptance: &Acceptance) -> Result<Option<Body>, AcceptError> {
        let used = self.body_bytes(acceptance.header.message().sender);
        self.uploads.body_of(acceptance, used)
    }

    fn unused_body(&mut self, owner: AgentId, body: Option<AcceptedBody>) -> Vec<Handle> {
        match body {
            None => Vec::new(),
            Some(AcceptedBody::Inline(content)) => vec![content],
            Some(AcceptedBody::Uploaded(id)) => self.uploads.cancel(UploadName { owner, id }),
        }
    }

    fn delivery(&mut self, message: MessageRef, recipient: AgentId) -> Option<&mut Delivery> {
        self.messages.get_mut(&message)?.deliveries.get_mut(&recipient)
    }

    fn record_receipts(
        &mut self,
        batch: &ReceiptBatch,
        countersignature: Signature,
        at: Timestamp,
    ) -> Result<RecordedReceipts, RecordReceiptsError> {
        let signed = *batch.signed_head();
        let head = signed.head;
        let last = self.heads.get(&head.recipient).map(|last| last.signed.head);
        let number = last.map_or(0, |last| last.number) + 1;
        let previous_root = last.map_or(ReceiptHead::NO_ROOT, |last| last.root);
        if last != Some(head) && (head.number, head.previous_root) != (number, previous_root) {
            return Err(RecordReceiptsError::OutOfSequence { number, previous_root });
        }
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
        let delivery = self.delivery(message, recipient).ok_or(ReceiptRefusal::UnknownMessage)?;
        if delivery.record.apply_receipt(proof, at, seq)? {
            self.last_change = seq;
            recorded.senders.push(message.sender);
            self.release(message, &mut recorded.released);
        }
        Ok(())
    }

    fn expire_message(&mut self, reference: MessageRef, step: &mut ExpireStep) {
        let Some(message) = self.messages.get_mut(&reference) else { return };
        for (recipient, delivery) in &mut message.deliveries {
            if delivery.record.expire(self.last_change + 1) {
                self.last_change += 1;
                step.agents.extend([*recipient, reference.sender]);
            }
        }
    }

    /// Takes back the contents of a message that nobody waits for any more.
    fn release(&mut self, message: MessageRef, released: &mut Vec<Handle>) {
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
    fn waiting_for(&self, recipient: AgentId) -> Option<(&Self, &Delivery)> {
        let delivery = self.deliveries.get(&recipient)?;
        delivery.is_waiting().then_some((self, delivery))
    }
}

impl Delivery {
    fn is_waiting(&self) -> bool {
        self.record.status.state.is_waiting()
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn accept(&self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        self.transaction(|state| {
            let outcome = state.accept(acceptance)?;
            state.released.extend(outcome.unused.iter().cloned());
            Ok(outcome)
        })
    }

    async fn page(&self, query: PageQuery) -> Result<Vec<WaitingEntry>, BackendError> {
        let state = self.state();
        let is_asked_for = |(message, delivery): &(&Message, &Delivery)| {
            delivery.mailbox_seq > query.after && message.header.fields().expires > query.now
        };
        let entry = |(message, delivery): (&Message, &Delivery)| {
            let entry = WaitingEntry {
                mailbox_seq: delivery.mailbox_seq,
                attempt: delivery.record.status.attempt,
                handed_over: delivery.record.status.handed_over_at.is_some(),
                queued_at: delivery.record.status.queued_at,
                header: message.header.as_bytes().to_vec(),
                header_hash: delivery.record.header,
                part: delivery.record.part,
                content: delivery.content.clone()?,
            };
            Some((delivery.length, entry))
        };
        let mut waiting: Vec<_> = state.waiting(query.recipient).filter(is_asked_for).filter_map(entry).collect();
        waiting.extend(state.control.waiting(&query));
        waiting.sort_unstable_by_key(|(_, entry)| entry.mailbox_seq);
        let mut bytes = 0_u64;
        let fits = |(place, (length, _)): &(usize, (u64, WaitingEntry))| {
            bytes = bytes.saturating_add(*length);
            *place == 0 || bytes <= query.bytes
        };
        let page = waiting.into_iter().take(query.entries).enumerate().take_while(fits);
        Ok(page.map(|(_, (_, entry))| entry).collect())
    }

    async fn hand_over(
        &self,
        recipient: AgentId,
        entries: Vec<u64>,
        at: Timestamp,
    ) -> Result<Vec<AgentId>, BackendError> {
        let mut state = self.state();
        let mut senders = Vec::new();
        for entry in entries {
            let seq = state.last_change + 1;
            if let Some((message, delivery)) = state.entry(recipient, entry)
                && delivery.record.hand_over(at, seq)
            {
                senders.push(message.sender);
                state.last_change = seq;
            }
        }
        Ok(senders)
    }

    async fn lose(&self, recipient: AgentId, entries: Vec<u64>) -> Result<LostEntries, BackendError> {
        let mut state = self.state();
        let mut lost = LostEntries::default();
        for entry in entries {
            lost.released.extend(state.control.lose(recipient, entry));
            let seq = state.last_change + 1;
            let Some((message, delivery)) = state.entry(recipient, entry) else { continue };
            if delivery.record.lose(seq) {
                state.last_change = seq;
                lost.senders.push(message.sender);
                state.release(message, &mut lost.released);
            }
        }
        state.released.extend(lost.released.iter().cloned());
        Ok(lost)
    }

    async fn record_receipts(
        &self,
        batch: ReceiptBatch,
        countersignature: Signature,
        at: Timestamp,
    ) -> Result<RecordedReceipts, RecordReceiptsError> {
        self.transaction(|state| {
            let recorded = state.record_receipts(&batch, countersignature, at)?;
            state.released.extend(recorded.released.iter().cloned());
            Ok(recorded)
        })
    }

    async fn standing(&self, agent: AgentId) -> Result<Standing, BackendError> {
        let state = self.state();
        Ok(Standing { receipt_head: state.heads.get(&agent).copied(), last_control: state.control.last_of(agent) })
    }

    async fn records(&self, message: MessageRef) -> Result<Vec<DeliveryRecord>, BackendError> {
        let state = self.state();
        let deliveries = state.messages.get(&message).map(|message| message.deliveries.values());
        Ok(deliveries.into_iter().flatten().map(|delivery| delivery.record.clone()).collect())
    }

    async fn body_piece(
        &self,
        message: MessageRef,
        reader: AgentId,
        place: u64,
    ) -> Result<Option<BodyPiece>, BackendError> {
        let state = self.state();
        let Some(known) = state.messages.get(&message) else { return Ok(None) };
        let is_theirs = known.waiting_for(reader).is_some() || known.is_kept && known.deliveries.contains_key(&reader);
        let may_read = message.sender == reader || is_theirs;
        let piece = |body: &Body| {
            let content = usize::try_from(place).ok().and_then(|place| body.pieces.get(place)).cloned();
            BodyPiece { length: body.length, content }
        };
        Ok(known.body.as_ref().filter(|_| may_read).map(piece))
    }

    async fn changes(&self, agent: AgentId, after: u64, limit: usize) -> Result<Vec<Change>, BackendError> {
        let state = self.state();
        let mut changes = Vec::new();
        for (message, known) in &state.messages {
            for (recipient, delivery) in &known.deliveries {
                let status = &delivery.record.status;
                let concerns = message.sender == agent || (*recipient == agent && delivery.is_waiting());
                if concerns && status.change_seq > after {
                    changes.push(Change {
                        message: *message,
                        recipient: *recipient,
                        attempt: status.attempt,
                        state: status.state,
                        acknowledged: status.acknowledged_at.is_some(),
                        change_seq: status.change_seq,
                    });
                }
            }
        }
        changes.sort_unstable_by_key(|change| change.change_seq);
        changes.truncate(limit);
        Ok(changes)
    }

    async fn expire(&self, now: Timestamp, _from: u64, _rows: usize) -> Result<ExpireStep, BackendError> {
        self.transaction(|state| {
            let mut step = ExpireStep::default();
            let over = |message: &&Message| message.header.fields().expires <= now;
            let references: Vec<_> =
                state.messages.values().filter(over).map(|message| message.header.message()).collect();
            for reference in references {
                state.expire_message(reference, &mut step);
                state.release(reference, &mut step.released);
            }
            state.released.extend(step.released.iter().cloned());
            Ok(step)
        })
    }

    async fn end_retention(&self, now: Timestamp, rows: usize) -> Result<EndedRetention, BackendError> {
        let mut state = self.state();
        let is_over = |message: &&Message| message.is_kept && message.header.fields().expires <= now;
        let over: Vec<_> =
            state.messages.values().filter(is_over).map(|message| message.header.message()).take(rows).collect();
        let mut ended = EndedRetention { messages: over.len(), released: Vec::new() };
        for message in over {
            if let Some(known) = state.messages.get_mut(&message) {
                known.is_kept = false;
            }
            state.release(message, &mut ended.released);
        }
        state.released.extend(ended.released.iter().cloned());
        Ok(ended)
    }

    async fn released(&self, limit: usize) -> Result<Vec<Handle>, BackendError> {
        Ok(self.state().released.iter().take(limit).cloned().collect())
    }

    async fn discarded(&self, handles: Vec<Handle>) -> Result<(), BackendError> {
        self.state().released.retain(|known| !handles.contains(known));
        Ok(())
    }

    async fn note_sweep(&self, at: Timestamp) -> Result<(), BackendError> {
        self.state().swept_at = Some(at);
        Ok(())
    }

    async fn swept_at(&self) -> Result<Option<Timestamp>, BackendError> {
        Ok(self.state().swept_at)
    }

    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError> {
        let mut state = self.state();
        let is_over = |message: &&Message| {
            message.accepted_at < before && !message.is_kept && !message.deliveries.values().any(Delivery::is_waiting)
        };
        let gone: Vec<_> =
            state.messages.values().filter(is_over).map(|message| message.header.message()).take(rows).collect();
        for message in &gone {
            state.messages.remove(message);
        }
        Ok(gone.len())
    }
}

#[async_trait]
impl Uploads for MemoryLedger {
    async fn begin_upload(
        &self,
        name: UploadName,
        description: UploadDescription,
        expires: Timestamp,
        quota: BodyQuota,
    ) -> Result<UploadRecord, BeginUploadError> {
        let mut state = self.state();
        let used = state.body_bytes(name.owner);
        state.uploads.begin(name, description, expires, quota, used)
    }

    async fn add_piece(
        &self,
        name: UploadName,
        piece: StoredPiece,
        expires: Timestamp,
    ) -> Result<Option<Handle>, AddPieceError> {
        let mut state = self.state();
        let unused = state.uploads.add_piece(name, piece, expires)?;
        state.released.extend(unused.clone());
        Ok(unused)
    }

    async fn upload_place(
        &self,
        name: UploadName,
        place: u64,
        now: Timestamp,
    ) -> Result<Option<UploadPlace>, BackendError> {
        Ok(self.state().uploads.place(name, place, now))
    }

    async fn upload(&self, name: UploadName, now: Timestamp) -> Result<Option<UploadRecord>, BackendError> {
        Ok(self.state().uploads.find(name, now))
    }

    async fn cancel_upload(&self, name: UploadName) -> Result<Vec<Handle>, BackendError> {
        let mut state = self.state();
        let released = state.uploads.cancel(name);
        state.released.extend(released.iter().cloned());
        Ok(released)
    }

    async fn expire_upload(&self, now: Timestamp) -> Result<Option<Vec<Handle>>, BackendError> {
        let mut state = self.state();
        let released = state.uploads.expire(now);
        state.released.extend(released.iter().flatten().cloned());
        Ok(released)
    }
}

#[async_trait]
impl ControlMessages for MemoryLedger {
    async fn accept_control(&self, message: ControlAcceptance) -> Result<AcceptanceOutcome, AcceptError> {
        self.transaction(|state| {
            let place = state.next_change();
            let outcome = state.control.accept(message, place)?;
            state.released.extend(outcome.unused.iter().cloned());
            Ok(outcome)
        })
    }

    async fn take_control(&self, recipient: AgentId, until: u64) -> Result<Vec<Handle>, BackendError> {
        let mut state = self.state();
        let released = state.control.take(recipient, until);
        state.released.extend(released.iter().cloned());
        Ok(released)
    }

    async fn expire_control(&self, now: Timestamp, rows: usize) -> Result<Vec<Handle>, BackendError> {
        let mut state = self.state();
        let released = state.control.expire(now, rows);
        state.released.extend(released.iter().cloned());
        Ok(released)
    }
}
