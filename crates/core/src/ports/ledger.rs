//! The transactional record of messages, mailboxes, statuses and receipts.

use async_trait::async_trait;
use sealpost_protocol::{
    AgentId, Attempt, CountersignedHead, DeliveryState, Header, HeaderHash, MessageId, MessageRef, PartHash,
    ReceiptBatch, ReceiptHead, Retention, Signature, Timestamp, UploadId, merkle,
};
use thiserror::Error;

use super::{BackendError, BodyQuota, ContentHandle, ContentsMark, ControlMessages, FanOuts, Uploads};
use crate::{DeliveryRecord, ReceiptConflict};

/// A message to be recorded; its contents are stored already.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// The header.
    pub header: Header,
    /// The body.
    pub body: Option<AcceptedBody>,
    /// What the sender may have in bodies.
    pub quota: BodyQuota,
    /// The parts, ascending by recipient.
    pub parts: Vec<StoredPart>,
    /// How long parts and body are kept; of a message that is known, what its first submission said holds.
    pub retention: Retention,
    /// What the contents came with.
    pub mark: ContentsMark,
    /// Whether there is a first attempt for every recipient, as an unknown message must have.
    pub is_complete: bool,
    /// The relay's clock.
    pub at: Timestamp,
}

/// A body to be recorded with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptedBody {
    /// It came with the message, in one piece.
    Inline(ContentHandle),
    /// It was uploaded before, is complete, and its hash is the one that the header names.
    Uploaded(UploadId),
}

/// A piece of a message's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyPiece {
    /// Bytes of the whole body.
    pub length: u64,
    /// Where the piece lies; `None` beyond the last.
    pub content: Option<ContentHandle>,
}

/// Who reads, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageReader {
    /// Who.
    pub agent: AgentId,
    /// Messages whose life ends by then are over: nobody reads anything of them.
    pub now: Timestamp,
}

/// Where that lies of a message which one agent may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageHandles {
    /// The body, if [`Ledger::body_piece`] shows it.
    pub body: Option<BodyHandles>,
    /// The agent's own part, while it is there; for the sender of a message to one other, that one's.
    pub part: Option<ContentHandle>,
}

/// Where the beginning of a body lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyHandles {
    /// Bytes of the whole body.
    pub length: u64,
    /// Its first pieces, in order.
    pub first: Vec<ContentHandle>,
}

/// One recipient's part, stored.
#[derive(Debug, Clone)]
pub struct StoredPart {
    /// For whom.
    pub recipient: AgentId,
    /// Which transmission.
    pub attempt: Attempt,
    /// The part's hash.
    pub hash: PartHash,
    /// The bytes of header and part, for the mailbox's quota and its pages.
    pub length: u64,
    /// Where the part lies.
    pub content: ContentHandle,
}

/// What recording a message did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptanceOutcome {
    /// When the relay had the last of these parts: a submission that was recorded before keeps its time.
    pub at: Timestamp,
    /// Recipients for whom something now waits that did not before.
    pub queued: Vec<AgentId>,
    /// Handles that the ledger did not take, because it had the same already.
    pub unused: Vec<ContentHandle>,
}

/// Why a message was not recorded; nothing has changed then, unless it is a [`BackendError`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The id is in use for something else.
    #[error("the message's id is in use for something else")]
    Conflict,
    /// An unknown message without a first part for every recipient.
    #[error("a message's first submission has a first attempt for each of its recipients")]
    Incomplete,
    /// No room in a mailbox.
    #[error("the mailbox of {recipient} is full: it takes no more until its owner has received some")]
    MailboxFull {
        /// Whose.
        recipient: AgentId,
    },
    /// There is no complete upload of the body that the header describes.
    #[error("there is no complete upload of this body under this id")]
    UnknownUpload,
    /// The sender has as many bytes in bodies as it may have.
    #[error("the sender's bodies leave no room for this one")]
    Quota,
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Which part of a mailbox to read.
#[derive(Debug, Clone, Copy)]
pub struct PageQuery {
    /// Whose mailbox.
    pub recipient: AgentId,
    /// Entries with a greater sequence number only.
    pub after: u64,
    /// At most so many entries.
    pub entries: usize,
    /// At most so many bytes of headers and parts, though at least one entry.
    pub bytes: u64,
    /// Messages whose life ends by then are not there any more.
    pub now: Timestamp,
}

/// One waiting message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingEntry {
    /// Its place in the mailbox: ascending in the order of acceptance.
    pub mailbox_seq: u64,
    /// Which transmission.
    pub attempt: Attempt,
    /// Whether nobody is to be told that it is handed over: it was before, or it is a control message.
    pub handed_over: bool,
    /// When the relay had it.
    pub queued_at: Timestamp,
    /// The encoded header.
    pub header: Vec<u8>,
    /// What the header hashed to when it was accepted.
    pub header_hash: HeaderHash,
    /// What the part hashed to when it was accepted.
    pub part: PartHash,
    /// Where the part lies.
    pub content: ContentHandle,
}

/// What giving up lost entries did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LostEntries {
    /// Senders to whom it is news.
    pub senders: Vec<AgentId>,
    /// Contents that nobody needs any more.
    pub released: Vec<ContentHandle>,
}

/// Why a message is given up for all for whom it still waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GiveUp {
    /// Its life has ended, if it ends by then.
    LifeOver(Timestamp),
    /// A piece of its body is gone or damaged for good, if it still is what lies there: the rest of the body goes too, and
    /// the next attempt may bring another.
    BodyLost {
        /// Which piece, from 0.
        place: u64,
        /// Where it lay.
        content: ContentHandle,
    },
}

/// What giving a message up did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Sender and recipients to whom it is news.
    pub agents: Vec<AgentId>,
    /// Contents that nobody needs any more.
    pub released: Vec<ContentHandle>,
}

/// What recording receipts did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedReceipts {
    /// Senders to whom it is news.
    pub senders: Vec<AgentId>,
    /// Contents that nobody needs any more.
    pub released: Vec<ContentHandle>,
    /// Receipts that say nothing the ledger could record; the others of their batch stand.
    pub refused: Vec<RefusedReceipt>,
}

/// A receipt that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedReceipt {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why.
    pub reason: ReceiptRefusal,
}

/// Why a receipt was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptRefusal {
    /// It names a message that its recipient was never sent, or that is forgotten.
    #[error("it names no message of this mailbox")]
    UnknownMessage,
    /// It contradicts what is recorded.
    #[error(transparent)]
    Conflict(#[from] ReceiptConflict),
}

/// Why receipts were not recorded; nothing has changed then, unless it is a [`BackendError`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordReceiptsError {
    /// The batch does not continue the last one.
    #[error("expected batch {number}")]
    OutOfSequence {
        /// The number that is next.
        number: u64,
        /// The root that it must name as previous.
        previous_root: merkle::Hash,
    },
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl RecordReceiptsError {
    /// Whether a head of receipts may follow the `last` one that was recorded: the same again, or the next.
    ///
    /// # Errors
    /// [`RecordReceiptsError::OutOfSequence`] with what the next one must name.
    pub fn unless_follows(last: Option<ReceiptHead>, head: ReceiptHead) -> Result<(), Self> {
        let number = last.map_or(0, |last| last.number) + 1;
        let previous_root = last.map_or(ReceiptHead::NO_ROOT, |last| last.root);
        if last == Some(head) || (head.number, head.previous_root) == (number, previous_root) {
            Ok(())
        } else {
            Err(Self::OutOfSequence { number, previous_root })
        }
    }
}

/// What one step of the expiry sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpireStep {
    /// Where the next step goes on; `None` when the sweep is through.
    pub next: Option<u64>,
    /// Senders and recipients to whom it is news.
    pub agents: Vec<AgentId>,
    /// Contents that nobody needs any more.
    pub released: Vec<ContentHandle>,
}

/// Messages whose contents were kept to the end of their lives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndedRetention {
    /// How many they were.
    pub messages: usize,
    /// Contents that nobody needs any more.
    pub released: Vec<ContentHandle>,
}

/// The latest state of one (message, recipient), as the feed of changes shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The message.
    pub message: MessageRef,
    /// The recipient.
    pub recipient: AgentId,
    /// The attempt.
    pub attempt: Attempt,
    /// Where it stands.
    pub state: DeliveryState,
    /// Whether the agent itself has taken it.
    pub acknowledged: bool,
    /// The number of the change.
    pub change_seq: u64,
}

/// What the ledger has of an agent's own doing: an agent whose store is behind it has an old copy of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentStanding {
    /// The head of its last batch of receipts, under both signatures.
    pub receipt_head: Option<CountersignedHead>,
    /// The highest id of a control message that was accepted from it. What else it sent its feed of changes tells.
    pub last_control: Option<MessageId>,
}

/// The ledger. What it releases, it notes until it is told that it was discarded.
///
/// The contents of a message whose sender asked to keep them stay until the end of its life, delivered or not: its
/// recipients may read them again. Those of the others go with the last who waits.
#[async_trait]
pub trait Ledger: Uploads + ControlMessages + FanOuts {
    /// Records a message, its mailbox entries and their changes. The same submission again records nothing; a part with
    /// the next attempt is queued if the last one failed. An upload that the message brings is its body from then on.
    async fn accept(&self, acceptance: Acceptance) -> Result<AcceptanceOutcome, AcceptError>;

    /// Reads a page of what waits, in order, control messages among the rest.
    async fn page(&self, query: PageQuery) -> Result<Vec<WaitingEntry>, BackendError>;

    /// Records that entries were handed to their recipient's runtime. Returns the senders to whom it is news.
    async fn hand_over(
        &self,
        recipient: AgentId,
        entries: Vec<u64>,
        at: Timestamp,
    ) -> Result<Vec<AgentId>, BackendError>;

    /// Fails entries whose content is lost, and takes them out of the mailbox. Those that do not wait are passed over. Of a
    /// control message nobody is told.
    async fn lose(&self, recipient: AgentId, entries: Vec<u64>) -> Result<LostEntries, BackendError>;

    /// Fails a message for all for whom it still waits, if the reason holds; else nothing changes.
    async fn give_up(&self, message: MessageRef, reason: GiveUp) -> Result<GivenUp, BackendError>;

    /// Records a batch of receipts whose signature has been checked, keeps its head under both signatures, and releases
    /// what nobody needs any more. A receipt that cannot be taken is passed over and named. The last batch again records
    /// nothing, and names the same.
    async fn record_receipts(
        &self,
        batch: ReceiptBatch,
        countersignature: Signature,
        at: Timestamp,
    ) -> Result<RecordedReceipts, RecordReceiptsError>;

    /// How far the ledger has an agent's own doing.
    async fn standing(&self, agent: AgentId) -> Result<AgentStanding, BackendError>;

    /// Everything recorded of a message, ascending by recipient; empty if it is unknown or forgotten.
    async fn records(&self, message: MessageRef) -> Result<Vec<DeliveryRecord>, BackendError>;

    /// The piece in this place of a message's body, if it has one, its life is not over, and `reader` is its sender, or one for
    /// whom it waits or is kept.
    async fn body_piece(
        &self,
        message: MessageRef,
        reader: MessageReader,
        place: u64,
    ) -> Result<Option<BodyPiece>, BackendError>;

    /// Where that lies of a message which `reader` may read, with up to `pieces` of the body. Nothing for an unknown message.
    async fn handles(
        &self,
        message: MessageRef,
        reader: MessageReader,
        pieces: usize,
    ) -> Result<MessageHandles, BackendError>;

    /// Changes that concern `agent`, ascending and greater than `after`: of what it sent, of what waits for it, and of
    /// what was lost of that.
    async fn changes(&self, agent: AgentId, after: u64, limit: usize) -> Result<Vec<Change>, BackendError>;

    /// Fails messages whose life has ended by `now`, looking at about `rows` deliveries from `from` on.
    async fn expire(&self, now: Timestamp, from: u64, rows: usize) -> Result<ExpireStep, BackendError>;

    /// Releases contents that were kept until their message's life ended by `now`, of up to `rows` messages. What someone
    /// still waits for goes with them later.
    async fn end_retention(&self, now: Timestamp, rows: usize) -> Result<EndedRetention, BackendError>;

    /// Up to `limit` contents that were released and not yet reported as discarded.
    async fn released(&self, limit: usize) -> Result<Vec<ContentHandle>, BackendError>;

    /// Forgets that these were released: they are discarded.
    async fn discarded(&self, handles: Vec<ContentHandle>) -> Result<(), BackendError>;

    /// Records when the last sweep was, by a wall clock that was believed.
    async fn note_sweep(&self, at: Timestamp) -> Result<(), BackendError>;

    /// When the last sweep was, if there was one.
    async fn swept_at(&self) -> Result<Option<Timestamp>, BackendError>;

    /// Forgets up to `rows` messages that were accepted before `before` and wait for nobody. Returns how many.
    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError>;
}
