//! A ledger in memory that fails when told to.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sealpost_core::{
    DeliveryRecord,
    memory::MemoryLedger,
    ports::{
        AbandonStep, AcceptError, Acceptance, AcceptanceOutcome, AddPieceError, AgentStanding, BackendError,
        BeginUploadError, BodyPiece, BodyQuota, Change, ContentHandle, ControlAcceptance, ControlMessages,
        EndedRetention, ExpireStep, FanOutId, FanOuts, GiveUp, GivenUp, Ledger, LostEntries, MessageHandles,
        MessageReader, PageQuery, RecordReceiptsError, RecordedReceipts, StoredPiece, UploadDescription, UploadName,
        UploadPlace, UploadRecord, Uploads, WaitingEntry,
    },
};
use sealpost_protocol::{AgentId, MessageRef, ReceiptBatch, Signature, Timestamp};

#[derive(Debug, Default)]
pub(crate) struct FailingLedger {
    ledger: MemoryLedger,
    fails_to_read: AtomicBool,
    fails_to_write: AtomicBool,
    fails_to_answer: AtomicBool,
}

impl FailingLedger {
    /// Fails every read from now on, or no longer.
    pub(crate) fn fail_to_read(&self, fails: bool) {
        self.fails_to_read.store(fails, Ordering::Relaxed);
    }

    /// Fails every write from now on, or no longer, and does none of them.
    pub(crate) fn fail_to_write(&self, fails: bool) {
        self.fails_to_write.store(fails, Ordering::Relaxed);
    }

    /// Does every write from now on, and then fails.
    pub(crate) fn fail_to_answer(&self, fails: bool) {
        self.fails_to_answer.store(fails, Ordering::Relaxed);
    }

    fn reads(&self) -> Result<&MemoryLedger, BackendError> {
        self.fails(&self.fails_to_read).map(|()| &self.ledger)
    }

    fn writes(&self) -> Result<&MemoryLedger, BackendError> {
        self.fails(&self.fails_to_write).map(|()| &self.ledger)
    }

    fn answers(&self) -> Result<(), BackendError> {
        self.fails(&self.fails_to_answer)
    }

    fn fails(&self, switch: &AtomicBool) -> Result<(), BackendError> {
        if switch.load(Ordering::Relaxed) { Err(BackendError::new("broken by the test")) } else { Ok(()) }
    }
}

#[async_trait]
impl Ledger for FailingLedger {
    async fn accept(&self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let done = self.writes()?.accept(acceptance).await?;
        self.answers()?;
        Ok(done)
    }

    async fn page(&self, query: PageQuery) -> Result<Vec<WaitingEntry>, BackendError> {
        self.reads()?.page(query).await
    }

    async fn hand_over(&self, agent: AgentId, places: Vec<u64>, at: Timestamp) -> Result<Vec<AgentId>, BackendError> {
        let done = self.writes()?.hand_over(agent, places, at).await?;
        self.answers()?;
        Ok(done)
    }

    async fn lose(&self, agent: AgentId, places: Vec<u64>) -> Result<LostEntries, BackendError> {
        let done = self.writes()?.lose(agent, places).await?;
        self.answers()?;
        Ok(done)
    }

    async fn give_up(&self, message: MessageRef, reason: GiveUp) -> Result<GivenUp, BackendError> {
        let done = self.writes()?.give_up(message, reason).await?;
        self.answers()?;
        Ok(done)
    }

    async fn record_receipts(
        &self,
        batch: ReceiptBatch,
        countersignature: Signature,
        at: Timestamp,
    ) -> Result<RecordedReceipts, RecordReceiptsError> {
        let done = self.writes()?.record_receipts(batch, countersignature, at).await?;
        self.answers()?;
        Ok(done)
    }

    async fn standing(&self, agent: AgentId) -> Result<AgentStanding, BackendError> {
        self.reads()?.standing(agent).await
    }

    async fn records(&self, message: MessageRef) -> Result<Vec<DeliveryRecord>, BackendError> {
        self.reads()?.records(message).await
    }

    async fn body_piece(
        &self,
        message: MessageRef,
        reader: MessageReader,
        place: u64,
    ) -> Result<Option<BodyPiece>, BackendError> {
        self.reads()?.body_piece(message, reader, place).await
    }

    async fn handles(
        &self,
        message: MessageRef,
        reader: MessageReader,
        pieces: usize,
    ) -> Result<MessageHandles, BackendError> {
        self.reads()?.handles(message, reader, pieces).await
    }

    async fn changes(&self, agent: AgentId, after: u64, limit: usize) -> Result<Vec<Change>, BackendError> {
        self.reads()?.changes(agent, after, limit).await
    }

    async fn expire(&self, now: Timestamp, from: u64, rows: usize) -> Result<ExpireStep, BackendError> {
        self.writes()?.expire(now, from, rows).await
    }

    async fn end_retention(&self, now: Timestamp, rows: usize) -> Result<EndedRetention, BackendError> {
        self.writes()?.end_retention(now, rows).await
    }

    async fn released(&self, limit: usize) -> Result<Vec<ContentHandle>, BackendError> {
        self.reads()?.released(limit).await
    }

    async fn discarded(&self, handles: Vec<ContentHandle>) -> Result<(), BackendError> {
        self.writes()?.discarded(handles).await
    }

    async fn note_sweep(&self, at: Timestamp) -> Result<(), BackendError> {
        self.writes()?.note_sweep(at).await
    }

    async fn swept_at(&self) -> Result<Option<Timestamp>, BackendError> {
        self.reads()?.swept_at().await
    }

    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError> {
        self.writes()?.forget(before, rows).await
    }
}

#[async_trait]
impl Uploads for FailingLedger {
    async fn begin_upload(
        &self,
        name: UploadName,
        description: UploadDescription,
        expires: Timestamp,
        quota: BodyQuota,
    ) -> Result<UploadRecord, BeginUploadError> {
        self.writes()?.begin_upload(name, description, expires, quota).await
    }

    async fn add_piece(
        &self,
        name: UploadName,
        piece: StoredPiece,
        expires: Timestamp,
    ) -> Result<Option<ContentHandle>, AddPieceError> {
        let done = self.writes()?.add_piece(name, piece, expires).await?;
        self.answers()?;
        Ok(done)
    }

    async fn upload_place(
        &self,
        name: UploadName,
        place: u64,
        now: Timestamp,
    ) -> Result<Option<UploadPlace>, BackendError> {
        self.reads()?.upload_place(name, place, now).await
    }

    async fn upload(&self, name: UploadName, now: Timestamp) -> Result<Option<UploadRecord>, BackendError> {
        self.reads()?.upload(name, now).await
    }

    async fn cancel_upload(&self, name: UploadName) -> Result<Vec<ContentHandle>, BackendError> {
        self.writes()?.cancel_upload(name).await
    }

    async fn expire_upload(&self, now: Timestamp) -> Result<Option<Vec<ContentHandle>>, BackendError> {
        self.writes()?.expire_upload(now).await
    }
}

#[async_trait]
impl ControlMessages for FailingLedger {
    async fn accept_control(&self, message: ControlAcceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let done = self.writes()?.accept_control(message).await?;
        self.answers()?;
        Ok(done)
    }

    async fn take_control(&self, recipient: AgentId, until: u64) -> Result<Vec<ContentHandle>, BackendError> {
        self.writes()?.take_control(recipient, until).await
    }

    async fn expire_control(&self, now: Timestamp, rows: usize) -> Result<Vec<ContentHandle>, BackendError> {
        self.writes()?.expire_control(now, rows).await
    }
}

#[async_trait]
impl FanOuts for FailingLedger {
    async fn begin_fan_out(&self, first: Acceptance) -> Result<FanOutId, AcceptError> {
        let done = self.writes()?.begin_fan_out(first).await?;
        self.answers()?;
        Ok(done)
    }

    async fn continue_fan_out(&self, id: FanOutId, next: Acceptance) -> Result<(), AcceptError> {
        self.writes()?.continue_fan_out(id, next).await?;
        Ok(self.answers()?)
    }

    async fn finish_fan_out(&self, id: FanOutId, last: Acceptance) -> Result<AcceptanceOutcome, AcceptError> {
        let done = self.writes()?.finish_fan_out(id, last).await?;
        self.answers()?;
        Ok(done)
    }

    async fn abandon_fan_out(&self, rows: usize) -> Result<Option<AbandonStep>, BackendError> {
        let done = self.writes()?.abandon_fan_out(rows).await?;
        self.answers()?;
        Ok(done)
    }
}
