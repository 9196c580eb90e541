//! Reading a content, or a range of it: one block in memory, and one list per level of CBLs.
//!
//! Every block is checked against its id, every CBL against its signature and its place. Reading from beginning to end
//! also checks the content's hash, at the end of every CBL and at its own.

use std::{fmt, io, ops::Range, sync::Arc};

use thiserror::Error;

use crate::{
    handle::{BlockHandle, Form},
    log::BlockError,
    message_cbl::{Cbl, CblError, Layout, Place, Span},
    store::Inner,
    tuple::Tuple,
};

/// Why a content was not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A block is gone, damaged, or cannot be reached.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A CBL is not what it should be.
    #[error(transparent)]
    Cbl(#[from] CblError),
    /// All blocks are whole, and what they give is not what was stored: the handle is another's.
    #[error("the content is not what its hash says")]
    Content,
    /// The range is reversed, or ends behind the content.
    #[error("there are no bytes {start} to {end} in a content of {length}")]
    Range {
        /// Where it begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// How long the content is.
        length: u64,
    },
    /// The content is compressed, and this build cannot decompress.
    #[error("this build does not decompress")]
    Unsupported,
    /// What is stored is not what compression makes.
    #[error("the content does not decompress")]
    Compression(#[source] io::Error),
}

/// A content that is being read. Nothing it returns is unverified; that the content is whole is known at its end.
#[derive(Debug)]
pub struct ContentReader {
    length: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Plain(Box<Blocks>),
    #[cfg(feature = "zstd")]
    Zstd(Box<crate::compression::Decompressor>),
}

impl ContentReader {
    pub(crate) fn new(inner: Arc<Inner>, handle: &BlockHandle, range: Range<u64>) -> Result<Self, ReadError> {
        let Range { start, end } = range;
        if start > end || end > handle.length {
            return Err(ReadError::Range { start, end, length: handle.length });
        }
        let source = if handle.form.is_compressed {
            #[cfg(not(feature = "zstd"))]
            return Err(ReadError::Unsupported);
            #[cfg(feature = "zstd")]
            {
                let whole = Blocks::new(inner, handle, 0..handle.stored_length);
                Source::Zstd(Box::new(crate::compression::Decompressor::new(whole, handle.length, start..end)?))
            }
        } else {
            Source::Plain(Box::new(Blocks::new(inner, handle, start..end)))
        };
        Ok(Self { length: end - start, source })
    }

    /// Bytes that this reader gives in all.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Puts the next bytes into `buffer`; 0 at the end.
    ///
    /// # Errors
    /// [`ReadError`]; after it, nothing more comes that could be trusted.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        match &mut self.source {
            Source::Plain(blocks) => blocks.read(buffer),
            #[cfg(feature = "zstd")]
            Source::Zstd(decompressor) => decompressor.read(buffer),
        }
    }

    /// The rest, in memory.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn to_end(mut self) -> Result<Vec<u8>, ReadError> {
        let mut content = Vec::new();
        let mut part = vec![0; self.length.clamp(1, 1 << 16) as usize];
        loop {
            match self.read(&mut part)? {
                0 => return Ok(content),
                count => content.extend_from_slice(part.get(..count).unwrap_or_default()),
            }
        }
    }
}

impl io::Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Self::read(self, buffer).map_err(io::Error::other)
    }
}

/// The bytes that lie in blocks.
pub(crate) struct Blocks {
    inner: Arc<Inner>,
    form: Form,
    layout: Layout,
    range: Range<u64>,
    hash: [u8; 32],
    /// Of everything so far, if everything is read.
    hasher: Option<blake3::Hasher>,
    /// Lists under way, outermost first.
    lists: Vec<List>,
    block: Vec<u8>,
    own: Vec<u8>,
    /// What of `block` is still to be handed out.
    ready: Range<usize>,
    is_over: bool,
}

struct List {
    /// Levels of CBLs below its tuples.
    levels: u8,
    entries: Vec<(Tuple, Span)>,
    next: usize,
    /// Of all content up to its end.
    content_hash: Option<[u8; 32]>,
}

impl List {
    fn new(tuples: &[Tuple], spans: impl Iterator<Item = Span>, levels: u8) -> Self {
        let entries = tuples.iter().copied().zip(spans).collect();
        Self { levels, entries, next: 0, content_hash: None }
    }
}

impl Blocks {
    pub(crate) fn new(inner: Arc<Inner>, handle: &BlockHandle, range: Range<u64>) -> Self {
        let layout = Layout::new(handle.form, handle.stored_length);
        let spans = layout.children(handle.levels, 0, handle.stored_length);
        let lists = vec![List::new(&handle.tuples, spans, handle.levels)];
        let hasher = (range == (0..handle.stored_length)).then(blake3::Hasher::new);
        let (form, hash) = (handle.form, handle.hash);
        let (block, own, ready, is_over) = (Vec::new(), Vec::new(), 0..0, false);
        Self { inner, form, layout, range, hash, hasher, lists, block, own, ready, is_over }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        while self.ready.is_empty() && !self.is_over {
            self.advance()?;
        }
        let ready = self.block.get(self.ready.clone()).unwrap_or_default();
        let count = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.ready.start += count;
        Ok(count)
    }

    /// Goes on to the next tuple of the innermost list.
    fn advance(&mut self) -> Result<(), ReadError> {
        let Some(list) = self.lists.last_mut() else { return self.end() };
        let Some((tuple, span)) = list.entries.get(list.next).copied() else {
            let ended = self.lists.pop().and_then(|list| list.content_hash);
            return self.check(ended);
        };
        list.next += 1;
        let levels = list.levels;
        if span.start >= self.range.end {
            self.lists.clear();
            return Ok(());
        }
        if span.start + span.length <= self.range.start {
            return Ok(());
        }
        if let Some(below) = levels.checked_sub(1) {
            let cbl = self.inner.cbl(self.form, &tuple, levels, span)?;
            let spans = self.layout.children(below, span.start, span.length);
            let mut list = List::new(&cbl.tuples, spans, below);
            list.content_hash = Some(cbl.content_hash);
            self.lists.push(list);
            return Ok(());
        }
        self.inner.get(&self.form, &tuple, &mut self.block, &mut self.own)?;
        self.block.truncate(span.length as usize);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.block);
        }
        let within = |at: u64| at.clamp(span.start, span.start + span.length) - span.start;
        self.ready = within(self.range.start) as usize..within(self.range.end) as usize;
        Ok(())
    }

    fn end(&mut self) -> Result<(), ReadError> {
        self.is_over = true;
        self.check(Some(self.hash))
    }

    fn check(&self, expected: Option<[u8; 32]>) -> Result<(), ReadError> {
        match (&self.hasher, expected) {
            (Some(hasher), Some(expected)) if *hasher.finalize().as_bytes() != expected => Err(ReadError::Content),
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// Reads the CBL of a tuple, signed and in its place.
    pub(crate) fn cbl(&self, form: Form, tuple: &Tuple, level: u8, span: Span) -> Result<Cbl, ReadError> {
        let (mut block, mut own) = (Vec::new(), Vec::new());
        self.get(&form, tuple, &mut block, &mut own)?;
        Ok(Cbl::decode(&block, Place { form, level, span }, &*self.keys.verifier)?)
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Blocks").field("range", &self.range).finish_non_exhaustive()
    }
}
