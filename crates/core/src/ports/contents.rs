//! Where sealed bytes lie.

use std::{any::Any, fmt, sync::Arc};

use async_trait::async_trait;
use sealpost_protocol::Scheme;

use super::BackendError;

/// From what stored content is rebuilt; means something to the adapter that made it, and is kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentHandle(pub Vec<u8>);

/// What hides a content in the store, and what is left of it when it is let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentPolicy {
    /// Random blocks that many contents share. For contents whose keys do not outlive their use.
    Pooled,
    /// A random block of its own beside a shared one: letting go overwrites it, and nothing is left to rebuild it from.
    Fresh,
}

impl ContentPolicy {
    /// What messages of a scheme are stored under: only the keys of a ratchet go with the message.
    #[must_use]
    pub fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Ratchet => Self::Pooled,
            Scheme::None | Scheme::SharedKey | Scheme::RecipientKeys => Self::Fresh,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::Fresh => "fresh",
        }
    }
}

/// How a content lies in its store: what its handle alone tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentForm {
    /// Bytes of the content.
    pub length: u64,
    /// Bytes of its data blocks, padding included: without the blocks that list them, and without random blocks.
    pub padded_length: u64,
    /// What hides it.
    pub policy: ContentPolicy,
    /// Bytes of each of its data blocks but the last, which may be smaller.
    pub block_size: u32,
    /// How many stored blocks give one block of data.
    pub tuple_size: u8,
    /// Whether its handle names blocks that list others, since its own would be too many (`isCBL` in the document).
    pub is_cbl: bool,
    /// The ids of the blocks that its handle names, 32 bytes each and few of them (`cblBlockIds` in the document): of its
    /// data blocks, or of the lists.
    pub block_ids: Vec<[u8; 32]>,
}

/// How far a store had come when contents became durable in it. The ledger records it with their handles: what lies behind
/// the greatest mark that it knows is nobody's after a crash. While a mark lives, no collection takes the contents that it
/// came with.
#[derive(Clone, Default)]
pub struct ContentsMark {
    position: u64,
    hold: Option<Arc<dyn Any + Send + Sync>>,
}

/// Contents that are durable, and nobody's yet.
#[derive(Debug, Clone)]
pub struct StoredContents {
    /// From what each is rebuilt, in order.
    pub handles: Vec<ContentHandle>,
    /// For the ledger, with the handles.
    pub mark: ContentsMark,
}

/// Immutable contents.
#[async_trait]
pub trait Contents: Send + Sync {
    /// Whether there is room for new messages, and enough beside it for receipts, deletes and the store's own work to go on.
    async fn has_room(&self) -> Result<bool, BackendError>;

    /// Stores each content durably. What is not in the ledger, with the mark, may be collected once the mark is dropped,
    /// or after a restart.
    async fn append(&self, policy: ContentPolicy, contents: Vec<Vec<u8>>) -> Result<StoredContents, BackendError>;

    /// Reads contents back, in order. `None` stands for one that is gone or damaged for good, and keeps the others from
    /// nobody; what may be there the next time is a failure of the store.
    async fn read(&self, handles: Vec<ContentHandle>) -> Result<Vec<Option<Vec<u8>>>, BackendError>;

    /// How a content lies here, without a look at it: it may be gone. `None` for what is no handle of this store.
    fn describe(&self, handle: &ContentHandle) -> Option<ContentForm>;

    /// Lets go of contents that the ledger no longer names, durably; those with random blocks of their own are overwritten.
    /// Unknown handles are no error.
    async fn discard(&self, handles: Vec<ContentHandle>) -> Result<(), BackendError>;

    /// Gives back some of the space of what was let go of: one step, whose length does not depend on how much there is.
    /// Returns whether there was something to do.
    async fn compact(&self) -> Result<bool, BackendError>;
}

impl ContentsMark {
    /// A mark of an adapter's own counting, which never goes back, and what its life holds.
    #[must_use]
    pub fn new(position: u64, hold: Arc<dyn Any + Send + Sync>) -> Self {
        Self { position, hold: Some(hold) }
    }

    /// The adapter's number.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl PartialEq for ContentsMark {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}

impl Eq for ContentsMark {}

impl fmt::Debug for ContentsMark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, hold } = self;
        formatter.debug_struct("ContentsMark").field("position", position).field("holds", &hold.is_some()).finish()
    }
}
