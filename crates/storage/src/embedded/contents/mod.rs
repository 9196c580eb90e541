//! Contents in the block store, in `blocks/` beside the ledger.
//!
//! A message is durable after two flushes: its blocks first, then the ledger's commit of their handles and of the mark that
//! the flush reached. Callers that arrive together share both. Letting go happens the other way round, the ledger first;
//! what it released it notes until the blocks are gone. So a crash leaves blocks without a handle at worst: those behind the
//! mark are let go of at the next opening, the others by a collection, which the relay has going on in the background.

mod administration;
mod appending;
mod block_lists;
mod blocks;
mod collecting;
mod discarding;
mod forms;
#[cfg(test)]
mod tests;
mod worker;

use std::{error::Error, fmt, io, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use sealpost_blocks::{
    BlockError, BlockHandle, BlockStore, DiskFiles, DurableMark, Files, MemoryFiles, ReadError, UntouchedFiles,
};
use sealpost_core::ports::{BackendError, ContentForm, ContentHandle, ContentPolicy, Contents, StoredContents};
use sealpost_protocol::{Clock, Signer};
use thiserror::Error;
use tokio::sync::oneshot;

pub use administration::{ContentLocation, Damaged, RepairReport, VerificationReport};
pub use sealpost_blocks::{Collection as CollectionReport, Stats as BlocksReport};

pub(super) use self::blocks::Loss;
pub(super) use self::blocks::mark;
use self::{appending::Append, blocks::Blocks, discarding::Discard, forms::form, worker::Worker};
use super::{Store, contents_mark, data_directory, failure::StoreError, named_contents::all_handles};
use crate::limits;

/// The blocks' directory inside the data directory.
pub(super) const DIRECTORY: &str = "blocks";

/// The contents of an open data directory, and what its operators ask of them.
pub struct EmbeddedContents {
    appending: Worker<Append>,
    discarding: Worker<Discard>,
    pub(super) data_directory: PathBuf,
    pub(super) blocks: Arc<Blocks>,
    /// Whether the blocks ended before what the ledger has accepted, when they were opened.
    is_short: bool,
}

/// Why the contents of a data directory were not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenContentsError {
    /// They are open already.
    #[error("the contents of this data directory are open already")]
    Open,
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] BackendError),
    /// Ledger and blocks are not of one time.
    #[error(
        "the blocks in {} end before what the ledger beside them has accepted: they are gone, older, or were cut; put back \
         both from one backup with `sealpost restore`. Without a backup, `sealpost blocks verify` tells what is lost, and \
         `sealpost blocks repair --accept-loss` keeps the rest and has those messages fail as lost",
        directory.display()
    )]
    BehindLedger {
        /// The blocks' directory.
        directory: PathBuf,
    },
    /// The blocks are another ledger's.
    #[error(
        "the blocks in {} are not those that the ledger beside them names: they are another ledger's; put its own back, or \
         both from one backup with `sealpost restore`",
        directory.display()
    )]
    OtherBlocks {
        /// The blocks' directory.
        directory: PathBuf,
    },
    /// The block store could not be opened.
    #[error("cannot open the blocks in {}", directory.display())]
    Blocks {
        /// The blocks' directory.
        directory: PathBuf,
        /// Why.
        source: sealpost_blocks::OpenStoreError,
    },
    /// Its directory could not be made, or its threads not started.
    #[error("cannot use {}", directory.display())]
    Io {
        /// The blocks' directory.
        directory: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl EmbeddedContents {
    pub(super) async fn open(
        ledger: Arc<Store>,
        data_directory: PathBuf,
        node: Arc<dyn Signer + Send + Sync>,
        clock: Arc<dyn Clock>,
        loss: Loss,
    ) -> Result<Self, OpenContentsError> {
        let directory = data_directory.join(DIRECTORY);
        let failed = |source| OpenContentsError::Io { directory: directory.clone(), source };
        data_directory::create(&directory).map_err(failed)?;
        sealpost_sqlite::make_private(&directory).map_err(failed)?;
        let files = Arc::new(DiskFiles::open(&directory).map_err(failed)?);
        let contents = Self::open_in(files, Arc::clone(&ledger), data_directory, node, clock, loss).await?;
        contents.note_store(&ledger).await?;
        Ok(contents)
    }

    /// Notes in the ledger which store its contents lie in.
    async fn note_store(&self, ledger: &Store) -> Result<(), BackendError> {
        let store = self.blocking(|blocks| blocks.with(BlockStore::id).map_err(BackendError::new)).await?;
        if ledger.read(contents_mark::load_store).await? == Some(store) {
            return Ok(());
        }
        ledger.write(move |transaction| Ok(contents_mark::set_store(transaction, store)?)).await
    }

    /// As [`EmbeddedContents::open`], but whatever is done stays in memory, and the files are as they were; so a loss costs
    /// nothing, that of the whole folder included.
    pub(super) async fn look(
        ledger: Arc<Store>,
        data_directory: PathBuf,
        node: Arc<dyn Signer + Send + Sync>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenContentsError> {
        let directory = data_directory.join(DIRECTORY);
        let below: Arc<dyn Files> = match directory.try_exists() {
            Ok(true) => Arc::new(DiskFiles::as_they_are(&directory)),
            Ok(false) => Arc::new(MemoryFiles::default()),
            Err(source) => return Err(OpenContentsError::Io { directory, source }),
        };
        let files = Arc::new(UntouchedFiles::new(below));
        Self::open_in(files, ledger, data_directory, node, clock, Loss::Accepted).await
    }

    /// As [`EmbeddedContents::open`], in these files.
    async fn open_in(
        files: Arc<dyn Files>,
        ledger: Arc<Store>,
        data_directory: PathBuf,
        node: Arc<dyn Signer + Send + Sync>,
        clock: Arc<dyn Clock>,
        loss: Loss,
    ) -> Result<Self, OpenContentsError> {
        let directory = data_directory.join(DIRECTORY);
        let committed = mark(ledger.read(contents_mark::load).await?);
        let store = ledger.read(contents_mark::load_store).await?;
        if ledger.take_contents() {
            return Err(OpenContentsError::Open);
        }
        let keys = block_lists::keys(node);
        let opening = {
            let ledger = Arc::clone(&ledger);
            tokio::task::spawn_blocking(move || Blocks::open(files, keys, committed, store, ledger, loss))
        };
        let opened = opening
            .await
            .map_err(|error| OpenContentsError::Io { directory: directory.clone(), source: io::Error::other(error) });
        let (blocks, opening) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(source)) => {
                ledger.leave_contents();
                return Err(match source {
                    sealpost_blocks::OpenStoreError::BehindMark => OpenContentsError::BehindLedger { directory },
                    sealpost_blocks::OpenStoreError::OtherStore => OpenContentsError::OtherBlocks { directory },
                    source => OpenContentsError::Blocks { directory, source },
                });
            }
            Err(error) => {
                ledger.leave_contents();
                return Err(error);
            }
        };
        if !opening.missing_segments.is_empty() {
            tracing::error!(segments = ?opening.missing_segments, "segments of the block store are missing: what was in them is lost");
        }
        tracing::debug!(
            dropped = opening.dropped,
            read = opening.segments_read,
            rebuilt = opening.is_rebuilt,
            "blocks opened"
        );
        if opening.is_rebuilt {
            tracing::warn!(
                "the block store's inventory was damaged or gone, and was made anew: what was let go of may be kept until \
                 it is collected"
            );
            // What was let go of long ago may be there again.
            let anew = |transaction: &rusqlite::Transaction<'_>| Ok(contents_mark::set_collected(transaction, 0)?);
            if let Err(error) = ledger.write::<_, BackendError>(anew).await {
                ledger.leave_contents();
                return Err(error.into());
            }
        }
        let blocks = Arc::new(blocks);
        let failed = |source| OpenContentsError::Io { directory: directory.clone(), source };
        let for_appending = Arc::clone(&blocks);
        let append = move |group: &mut Vec<Append>| appending::append_group(&for_appending, &*clock, group);
        let appending = Worker::start("blocks-append", append).map_err(failed)?;
        let for_discarding = Arc::clone(&blocks);
        let discard = move |group: &mut Vec<Discard>| discarding::discard_group(&for_discarding, group);
        let discarding = Worker::start("blocks-discard", discard).map_err(failed)?;
        Ok(Self { appending, discarding, data_directory, blocks, is_short: opening.is_short })
    }

    /// The ledger that names these contents.
    pub(super) fn ledger(&self) -> &Arc<Store> {
        &self.blocks.ledger
    }

    /// Makes what was appended durable; returns the mark that this reached.
    pub(super) async fn flushed(&self) -> Result<u64, BackendError> {
        let flush = |blocks: &Blocks| {
            let mark =
                blocks.with(|store| blocks.sync(store)).map_err(BackendError::new)?.map_err(BackendError::new)?;
            Ok(blocks::position(mark))
        };
        self.blocking(flush).await
    }

    /// Runs `job` on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Blocks) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let blocks = Arc::clone(&self.blocks);
        tokio::task::spawn_blocking(move || job(&blocks)).await.unwrap_or_else(|error| Err(BackendError::new(error)))
    }
}

impl fmt::Debug for EmbeddedContents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EmbeddedContents").finish_non_exhaustive()
    }
}

#[async_trait]
impl Contents for EmbeddedContents {
    async fn has_room(&self) -> Result<bool, BackendError> {
        let free = sealpost_sqlite::free_bytes(&self.data_directory).map_err(BackendError::new)?;
        Ok(free >= limits::RESERVE)
    }

    async fn append(&self, policy: ContentPolicy, contents: Vec<Vec<u8>>) -> Result<StoredContents, BackendError> {
        let (answer, answered) = oneshot::channel();
        self.appending.give(Append { policy, contents, answer }).await;
        answered.await.unwrap_or_else(|_| Err(BackendError::new(NoAnswer)))
    }

    /// Whether it is still what was accepted, whoever reads it tells by its hash, too.
    async fn read(&self, handles: Vec<ContentHandle>) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        let read_all = move |store: &BlockStore| handles.iter().map(|handle| read(store, handle)).collect();
        self.blocking(move |blocks| blocks.with(read_all).map_err(BackendError::new)?).await
    }

    fn describe(&self, handle: &ContentHandle) -> Option<ContentForm> {
        BlockHandle::from_bytes(&handle.0).ok().as_ref().map(form)
    }

    async fn discard(&self, handles: Vec<ContentHandle>) -> Result<(), BackendError> {
        if handles.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.discarding.give(Discard { handles, answer }).await;
        answered.await.unwrap_or_else(|_| Err(BackendError::new(NoAnswer)))
    }

    async fn compact(&self) -> Result<bool, BackendError> {
        self.blocking(|blocks| {
            // A backup reads the segments: they stay as they are.
            let Ok(_kept) = blocks.keeping.try_read() else { return Ok(false) };
            let compact = |store: &BlockStore| {
                blocks.sync(store)?;
                store.compact_some(sealpost_blocks::limits::DEAD, 1)
            };
            let done = blocks.with(compact).map_err(BackendError::new)?.map_err(BackendError::new)?;
            Ok(done.rewritten + done.removed > 0)
        })
        .await
    }
}

/// Reads one content. `None` if it cannot be read ever again.
fn read(store: &BlockStore, handle: &ContentHandle) -> Result<Option<Vec<u8>>, BackendError> {
    let error: Box<dyn Error + Send + Sync> = match BlockHandle::from_bytes(&handle.0) {
        Err(error) => Box::new(error),
        Ok(handle) => match store.read(&handle) {
            Ok(content) => return Ok(Some(content)),
            Err(error) if is_passing(&error) => return Err(BackendError::new(error)),
            Err(error) => Box::new(error),
        },
    };
    tracing::error!(%error, "a content cannot be read");
    Ok(None)
}

/// Whether a handle's content was appended behind a mark.
pub(super) fn lies_behind(handle: &[u8], mark: DurableMark) -> bool {
    BlockHandle::from_bytes(handle).is_ok_and(|handle| !handle.lies_before(mark))
}

/// Whether the files failed, and the blocks may be there the next time.
fn is_passing(error: &ReadError) -> bool {
    matches!(error, ReadError::Block(BlockError::Files(_)))
}

/// A job was dropped: the worker is gone, or panicked in it.
#[derive(Debug, Error)]
#[error("the block store gave no answer")]
struct NoAnswer;

/// What several callers hear of one failure.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
struct Shared(Arc<dyn Error + Send + Sync>);

impl Shared {
    fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

/// What lists handles, and may fail on the way.
type Needed<'a> = dyn Iterator<Item = Result<BlockHandle, Box<dyn Error + Send + Sync>>> + 'a;

/// Gives `take` the handles of all contents that the ledger names, those included that are released and not discarded.
fn needed<T>(
    connection: &rusqlite::Connection,
    take: impl FnOnce(&mut Needed<'_>) -> Result<T, BackendError>,
) -> Result<Result<T, BackendError>, StoreError> {
    let mut statement = connection.prepare(&all_handles())?;
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    let mut handles = rows.filter_map(|bytes| match bytes.map(|bytes| BlockHandle::from_bytes(&bytes)) {
        Ok(Ok(handle)) => Some(Ok(handle)),
        Ok(Err(error)) => {
            // Nothing leads to its blocks any more.
            tracing::error!(%error, "the ledger names a content by what is no handle");
            None
        }
        Err(error) => Some(Err(error.into())),
    });
    Ok(take(&mut handles))
}
