//! Writing a content as it comes: one block in memory, and one unfinished list per level of CBLs.

use std::{fmt, io, mem, sync::Arc};

use thiserror::Error;

use crate::{
    block_size::BlockSize,
    handle::{BlockHandle, Form},
    limits,
    log::BlockError,
    message_cbl::{Cbl, Layout},
    record::HEADER,
    store::{Compression, ContentOptions, Inner},
    tuple::Tuple,
};

/// A content that is being stored. Dropped before [`ContentWriter::finish`], it lets go of what it stored.
#[derive(Debug)]
pub struct ContentWriter {
    length: u64,
    taken: u64,
    sink: Sink,
}

/// Why a content was not stored. What was stored of it is let go of.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// More or fewer bytes came than were announced.
    #[error("{given} bytes came where {announced} were announced")]
    Length {
        /// What was announced.
        announced: u64,
        /// What came.
        given: u64,
    },
    /// This build does not have the compression.
    #[error("this build does not compress")]
    Unsupported,
    /// The node's key did not sign a CBL.
    #[error("a CBL could not be signed")]
    Signer,
    /// No random numbers.
    #[error("no random numbers")]
    Entropy(#[source] io::Error),
    /// A block of the pool could not be read.
    #[error("a block of the pool could not be read")]
    Pool(#[source] BlockError),
    /// The file layer failed.
    #[error("the store's files failed")]
    Files(#[source] io::Error),
    /// Compression failed.
    #[error("compression failed")]
    Compression(#[source] io::Error),
}

#[derive(Debug)]
enum Sink {
    Plain(Box<Blocks>),
    #[cfg(feature = "zstd")]
    Zstd(Box<crate::compression::Compressor>),
}

impl ContentWriter {
    pub(crate) fn new(inner: Arc<Inner>, length: u64, options: ContentOptions) -> Result<Self, WriteError> {
        let blocks = Blocks::new(inner, length, options);
        let sink = match options.compression {
            Compression::Off => Sink::Plain(Box::new(blocks)),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Sink::Zstd(Box::new(crate::compression::Compressor::new(blocks)?)),
            #[cfg(not(feature = "zstd"))]
            Compression::Zstd => return Err(WriteError::Unsupported),
        };
        Ok(Self { length, taken: 0, sink })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`WriteError::Length`] if they are more than announced; then the writer is of no use any more, as after any error.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        if self.taken > self.length {
            return Err(WriteError::Length { announced: self.length, given: self.taken });
        }
        match &mut self.sink {
            Sink::Plain(blocks) => blocks.take(bytes),
            #[cfg(feature = "zstd")]
            Sink::Zstd(compressor) => compressor.take(bytes),
        }
    }

    /// Ends the content. It is durable after [`crate::BlockStore::sync`].
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish(self) -> Result<BlockHandle, WriteError> {
        if self.taken != self.length {
            return Err(WriteError::Length { announced: self.length, given: self.taken });
        }
        match self.sink {
            Sink::Plain(blocks) => blocks.finish(self.length),
            #[cfg(feature = "zstd")]
            Sink::Zstd(compressor) => Box::new(compressor.finish()?).finish(self.length),
        }
    }
}

/// The bytes that go into blocks.
pub(crate) struct Blocks {
    inner: Arc<Inner>,
    number: u64,
    form: Form,
    created: u64,
    /// At most this much is still to come; only room is made by it.
    expected: u64,
    hasher: blake3::Hasher,
    /// The block that is being filled, behind room for its header.
    block: Vec<u8>,
    own: Vec<u8>,
    stored: u64,
    /// Tuples that no CBL lists yet, by how many levels of CBLs lie below.
    lists: Vec<Vec<Tuple>>,
}

impl Blocks {
    fn new(inner: Arc<Inner>, length: u64, options: ContentOptions) -> Self {
        let ContentOptions { policy, tuple_size, selection, compression, created } = options;
        let is_compressed = compression != Compression::Off;
        let block_size = selection.block_size(length);
        let form = Form { policy, tuple_size, selection, block_size, is_compressed };
        let number = inner.writer_begins();
        let (hasher, own, lists) = (blake3::Hasher::new(), Vec::new(), vec![Vec::new()]);
        Self { inner, number, form, created, expected: length, hasher, block: Vec::new(), own, stored: 0, lists }
    }

    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        let size = self.form.block_size.bytes();
        while !bytes.is_empty() {
            if self.block.is_empty() {
                let used = self.expected.saturating_sub(self.stored).clamp(1, size as u64);
                let room = self.form.selection.last(self.form.block_size, used).bytes();
                self.block.reserve_exact(HEADER + room);
                self.block.resize(HEADER, 0);
            }
            let free = HEADER + size - self.block.len();
            let (now, later) = bytes.split_at_checked(free).unwrap_or((bytes, &[]));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == HEADER + size {
                self.put_block()?;
            }
        }
        Ok(())
    }

    fn put_block(&mut self) -> Result<(), WriteError> {
        let mut block = mem::take(&mut self.block);
        let data = block.get(HEADER..).unwrap_or_default();
        let used = data.len() as u64;
        self.hasher.update(data);
        let size = self.form.selection.last(self.form.block_size, used);
        block.resize(HEADER + size.bytes(), 0);
        let put = self.inner.put(&self.form, size, &mut block, &mut self.own);
        block.clear();
        self.block = block;
        self.stored += used;
        self.list(0, put?)
    }

    /// Takes a tuple into its level's list, and makes a CBL of that when it is full.
    fn list(&mut self, level: usize, tuple: Tuple) -> Result<(), WriteError> {
        if self.lists.len() == level {
            self.lists.push(Vec::new());
        }
        let Some(list) = self.lists.get_mut(level) else { return Ok(()) };
        list.push(tuple);
        if list.len() == self.form.fan_out() { self.put_cbl(level) } else { Ok(()) }
    }

    fn put_cbl(&mut self, level: usize) -> Result<(), WriteError> {
        let tuples = self.lists.get(level).cloned().unwrap_or_default();
        let offset = Layout::new(self.form, self.stored).last_list(level as u8);
        let content_hash = *self.hasher.finalize().as_bytes();
        let (form, level_byte, length) = (self.form, level as u8 + 1, self.stored - offset);
        let cbl = Cbl { form, level: level_byte, offset, length, content_hash, created: self.created, tuples };
        let encoded = cbl.encode(&*self.inner.keys.signer).ok_or(WriteError::Signer)?;
        let mut block = [&[0; HEADER], encoded.as_slice()].concat();
        let tuple = self.inner.put(&self.form, BlockSize::Small, &mut block, &mut self.own)?;
        if let Some(list) = self.lists.get_mut(level) {
            list.clear();
        }
        self.list(level + 1, tuple)
    }

    fn finish(mut self: Box<Self>, length: u64) -> Result<BlockHandle, WriteError> {
        if self.block.len() > HEADER {
            self.put_block()?;
        }
        let mut level = 0;
        while let Some(list) = self.lists.get(level) {
            let is_top = level + 1 == self.lists.len();
            if is_top && list.len() <= limits::INLINE_TUPLES {
                break;
            }
            if !list.is_empty() {
                self.put_cbl(level)?;
            }
            level += 1;
        }
        let handle = self.handle(length, level);
        self.lists.clear();
        Ok(handle)
    }

    fn handle(&self, length: u64, level: usize) -> BlockHandle {
        let tuples = self.lists.get(level).cloned().unwrap_or_default();
        let hash = *self.hasher.finalize().as_bytes();
        BlockHandle { form: self.form, levels: level as u8, length, stored_length: self.stored, hash, tuples }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for (level, tuples) in mem::take(&mut self.lists).into_iter().enumerate() {
            // What cannot be reached now is an orphan that the next collection finds.
            let _ = self.inner.discard_unfinished(self.form, self.stored, level as u8, &tuples);
        }
        self.inner.writer_ended(self.number);
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Blocks").field("stored", &self.stored).finish_non_exhaustive()
    }
}
