//! The store: contents in, handles out.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use thiserror::Error;

use crate::{
    address::DurableMark,
    block_id::BlockId,
    block_size::{BlockSize, Selection},
    files::Files,
    generator::{self, Entropy, Generator},
    handle::{BlockHandle, Form},
    limits,
    log::{
        BlockError, BlockSource, Compaction, Damage, Log, NewRecord, OpenStoreError, Opened, OpeningReport, Recovery,
        Repair, Verification,
    },
    message_cbl::{CblSigner, CblVerifier},
    pools::{Borrowed, Pools},
    reader::{ContentReader, ReadError},
    record::{HEADER, Kind},
    tuple::{StoredBlock, Tuple},
    whitening::{TupleSize, WhiteningPolicy, xor},
    writer::{ContentWriter, WriteError},
};

/// An owner-free block store over a file layer. Clones share it. All calls block on the file layer.
///
/// A content is appended and has a handle; it is durable once [`BlockStore::sync`] has returned, and known to be needed
/// once a ledger has committed the handle together with the [`DurableMark`] that `sync` returned. What was appended
/// behind the last committed mark is let go of when the store is opened again.
#[derive(Clone)]
pub struct BlockStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) log: Log,
    pub(crate) pools: Pools,
    generator: Mutex<Generator>,
    pub(crate) keys: Keys,
    /// Where writers that are not finished began, by a number of their own.
    writers: Mutex<(u64, BTreeMap<u64, DurableMark>)>,
}

/// What a store is opened with.
pub struct Options {
    /// What is to be believed of what is there.
    pub recovery: Recovery,
    /// Who signs CBLs, and whose are believed.
    pub keys: Keys,
    /// Where seeds for random blocks come from.
    pub entropy: Entropy,
    /// Which store it must be; if not given, any.
    pub store: Option<[u8; 16]>,
}

/// Who signs CBLs, and whose are believed.
#[derive(Clone)]
pub struct Keys {
    /// Signs those that this store makes.
    pub signer: Arc<dyn CblSigner>,
    /// Judges those that it reads.
    pub verifier: Arc<dyn CblVerifier>,
}

/// How a content is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentOptions {
    /// Where random blocks come from.
    pub policy: WhiteningPolicy,
    /// How many blocks give one block of data.
    pub tuple_size: TupleSize,
    /// How the content is cut.
    pub selection: Selection,
    /// Whether it is compressed before whitening. Off unless asked for: the stored length then tells of the content.
    pub compression: Compression,
    /// When the content is stored, in milliseconds since 1970; goes into CBLs.
    pub created: u64,
}

/// Compression before whitening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// None.
    #[default]
    Off,
    /// zstd at its default level. Needs the feature `zstd`.
    Zstd,
}

/// Why a content was not shredded, or let go of.
#[derive(Debug, Error)]
#[error("not all blocks could be reached: {0}")]
pub struct ShredError(#[from] pub ReadError);

impl BlockStore {
    /// Opens the store in these files, or makes one.
    ///
    /// # Errors
    /// [`OpenStoreError`]; nothing is removed then.
    pub fn open(files: Arc<dyn Files>, options: Options) -> Result<(Self, OpeningReport), OpenStoreError> {
        let Options { recovery, keys, entropy, store } = options;
        let Opened { log, opening } = Log::open(files, recovery, entropy, store)?;
        let (pools, generator, writers) = (Pools::default(), Mutex::new(Generator::new(entropy)), Mutex::default());
        Ok((Self { inner: Arc::new(Inner { log, pools, generator, keys, writers }) }, opening))
    }

    /// What tells the store from all others.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.inner.log.id()
    }

    /// Stores a whole content. Durable after [`BlockStore::sync`].
    ///
    /// # Errors
    /// [`WriteError`]; what was stored of it is let go of.
    pub fn append(&self, content: &[u8], options: ContentOptions) -> Result<BlockHandle, WriteError> {
        let mut writer = self.writer(content.len() as u64, options)?;
        writer.write(content)?;
        writer.finish()
    }

    /// Begins a content of `length` bytes that comes in parts.
    ///
    /// # Errors
    /// [`WriteError::Unsupported`] for a compression that this build does not have.
    pub fn writer(&self, length: u64, options: ContentOptions) -> Result<ContentWriter, WriteError> {
        ContentWriter::new(Arc::clone(&self.inner), length, options)
    }

    /// Makes everything appended durable, with one flush.
    ///
    /// # Errors
    /// What the file layer reports. After a failed flush the store takes nothing more until it is opened again.
    pub fn sync(&self) -> io::Result<DurableMark> {
        self.inner.log.sync()
    }

    /// Reads a content from its beginning; its hash is checked at its end.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn reader(&self, handle: &BlockHandle) -> Result<ContentReader, ReadError> {
        ContentReader::new(Arc::clone(&self.inner), handle, 0..handle.length())
    }

    /// Reads `range` of a content, counted in bytes.
    ///
    /// # Errors
    /// [`ReadError::Range`] for one that is reversed or ends behind the content.
    pub fn range(&self, handle: &BlockHandle, range: std::ops::Range<u64>) -> Result<ContentReader, ReadError> {
        ContentReader::new(Arc::clone(&self.inner), handle, range)
    }

    /// Reads a whole content into memory.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, handle: &BlockHandle) -> Result<Vec<u8>, ReadError> {
        self.reader(handle)?.to_end()
    }

    /// Lets go of a content. Its space comes back with compaction; a crash before the next [`BlockStore::sync`] may
    /// forget it, and then [`BlockStore::collect`] finds it. A content that is not there is no error.
    ///
    /// # Errors
    /// What the file layer reports.
    pub fn discard(&self, handle: &BlockHandle) -> Result<(), ReadError> {
        self.inner.discard(handle)
    }

    /// Overwrites what a content cannot be put together without, data and CBLs alike, and lets go of it. When this
    /// returns, that is durable. Repeating it is no error.
    ///
    /// # Errors
    /// [`ShredError`] if a block could not be reached: a damaged CBL hides what it lists.
    pub fn shred(&self, handle: &BlockHandle) -> Result<(), ShredError> {
        self.shred_all(std::slice::from_ref(handle))
    }

    /// Shreds several contents, which share their flushes. A block of one that cannot be reached keeps no other.
    ///
    /// # Errors
    /// As [`BlockStore::shred`].
    pub fn shred_all(&self, handles: &[BlockHandle]) -> Result<(), ShredError> {
        self.inner.shred(handles)
    }

    /// Gives space back: writes every segment anew of which more than the share `dead`, of 1, is dead.
    ///
    /// # Errors
    /// What the file layer reports.
    pub fn compact(&self, dead: f64) -> io::Result<Compaction> {
        self.sync()?;
        self.inner.log.compact(dead, usize::MAX, 0)
    }

    /// As [`BlockStore::compact`], for a few `segments` only, those of which most is dead first: one step of what goes on
    /// in the background. The segment that grows is left alone until [`limits::CLOSED_EARLY`] bytes of it are dead.
    ///
    /// # Errors
    /// What the file layer reports.
    pub fn compact_some(&self, dead: f64, segments: usize) -> io::Result<Compaction> {
        self.sync()?;
        self.inner.log.compact(dead, segments, limits::CLOSED_EARLY)
    }

    /// Looks through everything that is stored.
    ///
    /// # Errors
    /// What the file layer reports. Damage is no error.
    pub fn verify(&self) -> io::Result<Verification> {
        self.inner.log.verify()
    }

    /// Verifies the store, and mends tables, headers and the inventory from each other, and blocks from `source`.
    ///
    /// # Errors
    /// What the file layer reports.
    pub fn repair(&self, source: &mut BlockSource<'_>) -> io::Result<Repair> {
        let repair = self.inner.log.repair(source);
        self.inner.pools.forget();
        repair
    }

    /// Accepts that what is damaged is lost, so that the store is whole without it. For what [`BlockStore::repair`] could not
    /// mend, once nobody counts on the contents in it any more.
    ///
    /// # Errors
    /// What the file layer reports.
    pub fn give_up(&self, lost: &[Damage]) -> io::Result<()> {
        let done = self.inner.log.give_up(lost);
        self.inner.pools.forget();
        done
    }

    /// The stored bytes of a block: for another node, or its repair.
    ///
    /// # Errors
    /// [`BlockError`] of one that is there and cannot be read.
    pub fn block(&self, id: BlockId) -> Result<Option<Vec<u8>>, BlockError> {
        let Some(record) = self.inner.log.find(id).map_err(BlockError::Files)? else { return Ok(None) };
        let mut block = Vec::new();
        self.inner.log.read(&StoredBlock { address: record.address, id }, record.size, &mut block)?;
        Ok(Some(block))
    }

    /// The ids of all blocks that a content has for itself, of its data and of its lists; under
    /// [`WhiteningPolicy::Fresh`] each is followed by that of its own random block. What it borrows is not among them.
    ///
    /// # Errors
    /// [`ReadError`] of a list that cannot be read.
    pub fn block_ids(&self, handle: &BlockHandle) -> Result<Vec<BlockId>, ReadError> {
        let mut ids = Vec::new();
        self.inner.blocks_of(handle, &mut |block| ids.push(block.id))?;
        Ok(ids)
    }

    /// Writes everything down, so that the next opening has nothing to read through.
    ///
    /// # Errors
    /// What the file layer reports.
    pub fn close(self) -> io::Result<()> {
        self.inner.log.close()
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    /// Whitens and appends a block that stands behind [`HEADER`] free bytes. `own` is scratch space.
    pub(crate) fn put(
        &self,
        form: &Form,
        size: BlockSize,
        block: &mut [u8],
        own: &mut Vec<u8>,
    ) -> Result<Tuple, WriteError> {
        let own = match form.policy {
            WhiteningPolicy::Pooled => None,
            WhiteningPolicy::Fresh => Some(self.put_own(size, block, own)?),
        };
        let put = self.put_whitened(form, size, block);
        if let (Err(_), Some(own)) = (&put, own) {
            // An orphan that is not let go of here is found by the next collection.
            let _ = self.log.discard(&[own]);
        }
        let (whitened, borrowed) = put?;
        let (epoch, counter) = borrowed.map_or((0, 0), |borrowed| (borrowed.epoch, borrowed.counter));
        Ok(Tuple { size, whitened, own, epoch, counter })
    }

    fn put_own(&self, size: BlockSize, block: &mut [u8], own: &mut Vec<u8>) -> Result<StoredBlock, WriteError> {
        own.resize(HEADER + size.bytes(), 0);
        let (_, random) = own.split_at_mut(HEADER);
        self.generator.lock().unwrap_or_else(PoisonError::into_inner).fill(random).map_err(WriteError::Entropy)?;
        let (_, data) = block.split_at_mut(HEADER);
        xor(data, random);
        let id = BlockId::of(random);
        let new = NewRecord { size, kind: Kind::Own, purpose: 0, epoch: 0, counter: 0, id };
        let address = self.log.append(new, own).map_err(WriteError::Files)?;
        Ok(StoredBlock { address, id })
    }

    fn put_whitened(
        &self,
        form: &Form,
        size: BlockSize,
        block: &mut [u8],
    ) -> Result<(StoredBlock, Option<Borrowed>), WriteError> {
        let purpose = form.policy.purpose(form.tuple_size, size);
        let borrow = |purpose| self.pools.borrow(&self.log, &self.generator, purpose, size.strips());
        let borrowed = purpose.map(borrow).transpose().map_err(WriteError::Files)?;
        let mut append = || {
            let (_, data) = block.split_at_mut(HEADER);
            if let Some(borrowed) = borrowed {
                self.pools.apply(&self.log, borrowed, data).map_err(WriteError::Pool)?;
            }
            let id = BlockId::of(data);
            let (epoch, counter) = borrowed.map_or((0, 0), |borrowed| (borrowed.epoch, borrowed.counter));
            let new = NewRecord { size, kind: Kind::Whitened, purpose: 0, epoch, counter, id };
            let address = self.log.append(new, block).map_err(WriteError::Files)?;
            Ok(StoredBlock { address, id })
        };
        let appended = append();
        if let Some(borrowed) = borrowed {
            Pools::settle(&self.log, borrowed);
        }
        Ok((appended?, borrowed))
    }

    /// Reads the data of a tuple into `block`. `own` is scratch space.
    pub(crate) fn get(
        &self,
        form: &Form,
        tuple: &Tuple,
        block: &mut Vec<u8>,
        own: &mut Vec<u8>,
    ) -> Result<(), BlockError> {
        self.log.read(&tuple.whitened, tuple.size, block)?;
        if let Some(random) = &tuple.own {
            self.log.read(random, tuple.size, own)?;
            xor(block, own);
        }
        if let Some(purpose) = form.policy.purpose(form.tuple_size, tuple.size) {
            let borrowed = Borrowed { purpose, epoch: tuple.epoch, counter: tuple.counter };
            self.pools.apply(&self.log, borrowed, block)?;
        }
        Ok(())
    }

    /// Notes that a writer begins here; returns its number.
    pub(crate) fn writer_begins(&self) -> u64 {
        let mark = self.log.end();
        let mut writers = self.writers();
        writers.0 += 1;
        let number = writers.0;
        writers.1.insert(number, mark);
        number
    }

    pub(crate) fn writer_ended(&self, number: u64) {
        self.writers().1.remove(&number);
    }

    /// Before this, no writer that is not finished has appended anything.
    pub(crate) fn first_writer(&self) -> Option<DurableMark> {
        self.writers().1.values().min().copied()
    }

    fn writers(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, DurableMark>)> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Options {
    /// Random blocks seeded by the operating system.
    #[must_use]
    pub fn new(recovery: Recovery, keys: Keys) -> Self {
        Self { recovery, keys, entropy: generator::operating_system, store: None }
    }
}

impl ContentOptions {
    /// Tuples of three, `compact`, not compressed.
    #[must_use]
    pub fn new(policy: WhiteningPolicy, created: u64) -> Self {
        let (tuple_size, selection, compression) = <(TupleSize, Selection, Compression)>::default();
        Self { policy, tuple_size, selection, compression, created }
    }
}

impl fmt::Debug for BlockStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BlockStore").finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Options").field("recovery", &self.recovery).finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").finish_non_exhaustive()
    }
}
