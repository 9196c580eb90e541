//! The ledger in memory: one map of messages, read from end to end where a real adapter has an index.

mod state;

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sealpost_protocol::{AgentId, DeliveryState, FailureReason, MessageRef, ReceiptBatch, Signature, Timestamp};

pub(super) use self::state::Delivery;
use self::state::{Message, State};
use super::bodies::Body;
use crate::{
    DeliveryRecord,
    ports::{
        AbandonStep, AcceptError, Acceptance, AcceptanceOutcome, AddPieceError, AgentStanding, BackendError,
        BeginUploadError, BodyHandles, BodyPiece, BodyQuota, Change, ContentHandle, ControlAcceptance, ControlMessages,
        EndedRetention, ExpireStep, FanOutId, FanOuts, GiveUp, GivenUp, Ledger, LostEntries, MessageHandles,
        MessageReader, PageQuery, RecordReceiptsError, RecordedReceipts, StoredPiece, UploadDescription, UploadName,
        UploadPlace, UploadRecord, Uploads, WaitingEntry,
    },
};

/// Messages, mailboxes and receipts.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    state: Mutex<State>,
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
        let hidden = state.fan_outs.first_entry(query.recipient);
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
        waiting.retain(|(_, entry)| hidden.is_none_or(|hidden| entry.mailbox_seq < hidden));
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

    async fn give_up(&self, message: MessageRef, reason: GiveUp) -> Result<GivenUp, BackendError> {
        let mut state = self.state();
        let given_up = state.give_up(message, &reason);
        state.released.extend(given_up.released.iter().cloned());
        Ok(given_up)
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

    async fn standing(&self, agent: AgentId) -> Result<AgentStanding, BackendError> {
        let state = self.state();
        Ok(AgentStanding { receipt_head: state.heads.get(&agent).copied(), last_control: state.control.last_of(agent) })
    }

    async fn records(&self, message: MessageRef) -> Result<Vec<DeliveryRecord>, BackendError> {
        let state = self.state();
        let deliveries = state.messages.get(&message).map(|message| message.deliveries.values());
        Ok(deliveries.into_iter().flatten().map(|delivery| delivery.record.clone()).collect())
    }

    async fn body_piece(
        &self,
        message: MessageRef,
        reader: MessageReader,
        place: u64,
    ) -> Result<Option<BodyPiece>, BackendError> {
        let state = self.state();
        let Some(known) = state.messages.get(&message) else { return Ok(None) };
        let piece = |body: &Body| {
            let content = usize::try_from(place).ok().and_then(|place| body.pieces.get(place)).cloned();
            BodyPiece { length: body.length, content }
        };
        Ok(known.body_for(reader).map(piece))
    }

    async fn handles(
        &self,
        message: MessageRef,
        reader: MessageReader,
        pieces: usize,
    ) -> Result<MessageHandles, BackendError> {
        let state = self.state();
        let Some(known) = state.messages.get(&message).filter(|known| known.lives_at(reader.now)) else {
            return Ok(MessageHandles::default());
        };
        let body = known
            .body_for(reader)
            .map(|body| BodyHandles { length: body.length, first: body.pieces.iter().take(pieces).cloned().collect() });
        let is_senders = message.sender == reader.agent && known.deliveries.len() == 1;
        let only = known.deliveries.values().next().filter(|_| is_senders);
        let part = known.deliveries.get(&reader.agent).or(only).and_then(|delivery| delivery.content.clone());
        Ok(MessageHandles { body, part })
    }

    async fn changes(&self, agent: AgentId, after: u64, limit: usize) -> Result<Vec<Change>, BackendError> {
        let state = self.state();
        let mut changes = Vec::new();
        for (message, known) in &state.messages {
            for (recipient, delivery) in &known.deliveries {
                let status = &delivery.record.status;
                let is_lost = status.state == DeliveryState::Failed(FailureReason::Lost);
                let concerns = message.sender == agent || (*recipient == agent && (delivery.is_waiting() || is_lost));
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
        let hidden = state.fan_outs.first_change(agent);
        changes.retain(|change: &Change| hidden.is_none_or(|hidden| change.change_seq < hidden));
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
                let given_up = state.give_up(reference, &GiveUp::LifeOver(now));
                step.agents.extend(given_up.agents);
                step.released.extend(given_up.released);
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

    async fn released(&self, limit: usize) -> Result<Vec<ContentHandle>, BackendError> {
        Ok(self.state().released.iter().take(limit).cloned().collect())
    }

    async fn discarded(&self, handles: Vec<ContentHandle>) -> Result<(), BackendError> {
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
    ) -> Result<Option<ContentHandle>, AddPieceError> {
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

    async fn cancel_upload(&self, name: UploadName) -> Result<Vec<ContentHandle>, BackendError> {
        let mut state = self.state();
        let released = state.uploads.cancel(name);
        state.released.extend(released.iter().cloned());
        Ok(released)
    }

    async fn expire_upload(&self, now: Timestamp) -> Result<Option<Vec<ContentHandle>>, BackendError> {
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

    async fn take_control(&self, recipient: AgentId, until: u64) -> Result<Vec<ContentHandle>, BackendError> {
        let mut state = self.state();
        let released = state.control.take(recipient, until);
        state.released.extend(released.iter().cloned());
        Ok(released)
    }

    async fn expire_control(&self, now: Timestamp, rows: usize) -> Result<Vec<ContentHandle>, BackendError> {
        let mut state = self.state();
        let released = state.control.expire(now, rows);
        state.released.extend(released.iter().cloned());
        Ok(released)
    }
}

#[async_trait]
impl FanOuts for MemoryLedger {
    async fn begin_fan_out(&self, first: Acceptance) -> Result<FanOutId, AcceptError> {
        self.transaction(|state| {
            let id = state.begin_fan_out(&first)?;
            state.continue_fan_out(id, first)?;
            Ok(id)
        })
    }

    async fn continue_fan_out(&self, id: FanOutId, next: Acceptance) -> Result<(), AcceptError> {
        self.transaction(|state| state.continue_fan_out(id, next))
    }

    async fn finish_fan_out(&self, id: FanOutId, last: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        self.transaction(|state| state.finish_fan_out(id, last))
    }

    async fn abandon_fan_out(&self, rows: usize) -> Result<Option<AbandonStep>, BackendError> {
        let mut state = self.state();
        let step = state.fan_outs.abandon(rows);
        state.released.extend(step.iter().flat_map(|step| step.released.iter().cloned()));
        Ok(step)
    }
}
