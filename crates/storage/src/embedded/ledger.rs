//! The ledger.

mod acceptance;
mod bodies;
mod change_numbers;
mod changes;
mod control_messages;
mod deliveries;
mod expiry;
mod fan_outs;
mod forgetting;
mod giving_up;
mod mailboxes;
mod messages;
mod pages;
#[cfg(test)]
mod plans;
mod receipts;
mod released;
mod retention;
mod uploads;
pub(super) mod verification;

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Transaction;
use sealpost_core::{
    DeliveryRecord,
    ports::{
        AbandonStep, AcceptError, Acceptance, AcceptanceOutcome, AddPieceError, AgentStanding, BackendError,
        BeginUploadError, BodyPiece, BodyQuota, Change, ContentHandle, ContentsMark, ControlAcceptance,
        ControlMessages, EndedRetention, ExpireStep, FanOutId, FanOuts, GiveUp, GivenUp, Ledger, LostEntries,
        MessageHandles, MessageReader, PageQuery, RecordReceiptsError, RecordedReceipts, StoredPiece,
        UploadDescription, UploadName, UploadPlace, UploadRecord, Uploads, WaitingEntry,
    },
};
use sealpost_protocol::{AgentId, CountersignedHead, MessageRef, ReceiptBatch, Signature, Timestamp};

use super::{Store, columns, contents_mark, failure::Abort, failure::StoreError};

/// The ledger over the shared database.
pub(super) struct EmbeddedLedger {
    store: Arc<Store>,
}

impl EmbeddedLedger {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Records contents with the mark that they came with, which lives until the commit: a collection in between would take
    /// them.
    async fn write_contents<T, R>(
        &self,
        mark: ContentsMark,
        mut record: impl FnMut(&Transaction<'_>) -> Result<T, Abort<R>> + Send + 'static,
    ) -> Result<T, R>
    where
        T: Send + 'static,
        R: From<BackendError> + Send + 'static,
    {
        let write = move |transaction: &Transaction<'_>| {
            contents_mark::raise(transaction, &mark)?;
            record(transaction)
        };
        self.store.write(write).await
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn accept(&self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let mark = acceptance.mark.clone();
        let accept = move |transaction: &Transaction<'_>| {
            let outcome = acceptance::accept(transaction, acceptance.clone())?;
            released::note(transaction, &outcome.unused)?;
            Ok(outcome)
        };
        self.write_contents(mark, accept).await
    }

    async fn page(&self, query: PageQuery) -> Result<Vec<WaitingEntry>, BackendError> {
        self.store.read(move |connection| pages::page(connection, &query)).await
    }

    async fn hand_over(
        &self,
        recipient: AgentId,
        entries: Vec<u64>,
        at: Timestamp,
    ) -> Result<Vec<AgentId>, BackendError> {
        self.store.write(move |transaction| Ok(pages::hand_over(transaction, recipient, &entries, at)?)).await
    }

    async fn lose(&self, recipient: AgentId, entries: Vec<u64>) -> Result<LostEntries, BackendError> {
        let lose = move |transaction: &Transaction<'_>| {
            let lost = pages::lose(transaction, recipient, &entries)?;
            released::note(transaction, &lost.released)?;
            Ok(lost)
        };
        self.store.write(lose).await
    }

    async fn give_up(&self, message: MessageRef, reason: GiveUp) -> Result<GivenUp, BackendError> {
        let looked_for = reason.clone();
        let is_due = self.store.read(move |connection| giving_up::is_due(connection, message, &looked_for)).await?;
        if !is_due {
            return Ok(GivenUp::default());
        }
        let give_up = move |transaction: &Transaction<'_>| {
            let given_up = giving_up::give_up(transaction, message, &reason)?;
            released::note(transaction, &given_up.released)?;
            Ok(given_up)
        };
        self.store.write(give_up).await
    }

    async fn record_receipts(
        &self,
        batch: ReceiptBatch,
        countersignature: Signature,
        at: Timestamp,
    ) -> Result<RecordedReceipts, RecordReceiptsError> {
        let head = CountersignedHead { signed: *batch.signed_head(), countersignature };
        let proofs = batch.proofs();
        let record = move |transaction: &Transaction<'_>| {
            let recorded = receipts::record(transaction, head, proofs.clone(), at)?;
            released::note(transaction, &recorded.released)?;
            Ok(recorded)
        };
        self.store.write(record).await
    }

    async fn standing(&self, agent: AgentId) -> Result<AgentStanding, BackendError> {
        self.store
            .read(move |connection| {
                let receipt_head = receipts::signed_head(connection, agent)?;
                Ok(AgentStanding { receipt_head, last_control: control_messages::last_of(connection, agent)? })
            })
            .await
    }

    async fn records(&self, message: MessageRef) -> Result<Vec<DeliveryRecord>, BackendError> {
        self.store.read(move |connection| messages::records(connection, message)).await
    }

    async fn body_piece(
        &self,
        message: MessageRef,
        reader: MessageReader,
        place: u64,
    ) -> Result<Option<BodyPiece>, BackendError> {
        self.store.read(move |connection| messages::body_piece(connection, message, reader, place)).await
    }

    async fn handles(
        &self,
        message: MessageRef,
        reader: MessageReader,
        pieces: usize,
    ) -> Result<MessageHandles, BackendError> {
        self.store.read(move |connection| messages::handles(connection, message, reader, pieces)).await
    }

    async fn changes(&self, agent: AgentId, after: u64, limit: usize) -> Result<Vec<Change>, BackendError> {
        self.store.read(move |connection| changes::changes(connection, agent, after, limit)).await
    }

    async fn expire(&self, now: Timestamp, from: u64, rows: usize) -> Result<ExpireStep, BackendError> {
        let rows = rows.max(1);
        let due = self.store.read(move |connection| expiry::due_mailboxes(connection, now, from, rows)).await?;
        if due.is_empty() {
            return Ok(ExpireStep::default());
        }
        let expire = move |transaction: &Transaction<'_>| {
            let step = expiry::expire(transaction, now, &due, rows)?;
            released::note(transaction, &step.released)?;
            Ok(step)
        };
        self.store.write(expire).await
    }

    async fn end_retention(&self, now: Timestamp, rows: usize) -> Result<EndedRetention, BackendError> {
        let end = move |transaction: &Transaction<'_>| {
            let ended = retention::end(transaction, now, rows)?;
            released::note(transaction, &ended.released)?;
            Ok(ended)
        };
        self.store.write(end).await
    }

    async fn released(&self, limit: usize) -> Result<Vec<ContentHandle>, BackendError> {
        self.store.read(move |connection| released::some(connection, limit)).await
    }

    async fn discarded(&self, handles: Vec<ContentHandle>) -> Result<(), BackendError> {
        self.store.write(move |transaction| Ok(released::forget(transaction, &handles)?)).await
    }

    async fn note_sweep(&self, at: Timestamp) -> Result<(), BackendError> {
        self.store.write(move |transaction| Ok(expiry::note_sweep(transaction, at)?)).await
    }

    async fn swept_at(&self) -> Result<Option<Timestamp>, BackendError> {
        self.store.read(expiry::swept_at).await
    }

    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError> {
        self.store.write(move |transaction| Ok(forgetting::forget(transaction, before, rows)?)).await
    }
}

#[async_trait]
impl Uploads for EmbeddedLedger {
    async fn begin_upload(
        &self,
        name: UploadName,
        description: UploadDescription,
        expires: Timestamp,
        quota: BodyQuota,
    ) -> Result<UploadRecord, BeginUploadError> {
        self.store.write(move |transaction| uploads::begin(transaction, name, description, expires, quota)).await
    }

    async fn add_piece(
        &self,
        name: UploadName,
        piece: StoredPiece,
        expires: Timestamp,
    ) -> Result<Option<ContentHandle>, AddPieceError> {
        let mark = piece.mark.clone();
        let add = move |transaction: &Transaction<'_>| {
            let unused = uploads::add_piece(transaction, name, piece.clone(), expires)?;
            released::note(transaction, &unused)?;
            Ok(unused)
        };
        self.write_contents(mark, add).await
    }

    async fn upload_place(
        &self,
        name: UploadName,
        place: u64,
        now: Timestamp,
    ) -> Result<Option<UploadPlace>, BackendError> {
        self.store.read(move |connection| uploads::place(connection, name, place, now)).await
    }

    async fn upload(&self, name: UploadName, now: Timestamp) -> Result<Option<UploadRecord>, BackendError> {
        self.store.read(move |connection| uploads::record(connection, name, now)).await
    }

    async fn cancel_upload(&self, name: UploadName) -> Result<Vec<ContentHandle>, BackendError> {
        let cancel = move |transaction: &Transaction<'_>| {
            let released = uploads::cancel(transaction, name)?;
            released::note(transaction, &released)?;
            Ok(released)
        };
        self.store.write(cancel).await
    }

    async fn expire_upload(&self, now: Timestamp) -> Result<Option<Vec<ContentHandle>>, BackendError> {
        let expire = move |transaction: &Transaction<'_>| {
            let released = uploads::expire(transaction, now)?;
            released::note(transaction, released.iter().flatten())?;
            Ok(released)
        };
        self.store.write(expire).await
    }
}

#[async_trait]
impl ControlMessages for EmbeddedLedger {
    async fn accept_control(&self, message: ControlAcceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let mark = message.mark.clone();
        let accept = move |transaction: &Transaction<'_>| {
            let outcome = control_messages::accept(transaction, message.clone())?;
            released::note(transaction, &outcome.unused)?;
            Ok(outcome)
        };
        self.write_contents(mark, accept).await
    }

    async fn take_control(&self, recipient: AgentId, until: u64) -> Result<Vec<ContentHandle>, BackendError> {
        let take = move |transaction: &Transaction<'_>| {
            let released = control_messages::take(transaction, recipient, until)?;
            released::note(transaction, &released)?;
            Ok(released)
        };
        self.store.write(take).await
    }

    async fn expire_control(&self, now: Timestamp, rows: usize) -> Result<Vec<ContentHandle>, BackendError> {
        let expire = move |transaction: &Transaction<'_>| {
            let released = control_messages::expire(transaction, now, rows)?;
            released::note(transaction, &released)?;
            Ok(released)
        };
        self.store.write(expire).await
    }
}

#[async_trait]
impl FanOuts for EmbeddedLedger {
    async fn begin_fan_out(&self, first: Acceptance) -> Result<FanOutId, AcceptError> {
        self.write_contents(first.mark.clone(), move |transaction| fan_outs::begin(transaction, first.clone())).await
    }

    async fn continue_fan_out(&self, id: FanOutId, next: Acceptance) -> Result<(), AcceptError> {
        self.write_contents(next.mark.clone(), move |transaction| fan_outs::add(transaction, id, next.clone())).await
    }

    async fn finish_fan_out(&self, id: FanOutId, last: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        self.write_contents(last.mark.clone(), move |transaction| fan_outs::finish(transaction, id, last.clone())).await
    }

    async fn abandon_fan_out(&self, rows: usize) -> Result<Option<AbandonStep>, BackendError> {
        let abandon = move |transaction: &Transaction<'_>| {
            let step = fan_outs::abandon(transaction, rows)?;
            released::note(transaction, step.iter().flat_map(|step| &step.released))?;
            Ok(step)
        };
        self.store.write(abandon).await
    }
}
