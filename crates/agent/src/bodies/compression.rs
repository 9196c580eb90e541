//! Contents as one frame of zstd (RFC 8878), inside the seal: what the recipient is told of it stands in the body's prelude.
//!
//! Kept: nothing is decompressed beyond the length that the prelude states, which is checked against the limits first, and
//! a frame takes a bounded window of memory. A frame that is cut off, of another length, or followed by anything is refused.
//! zstd keeps parts of contents in memory of its own, which is not wiped: nothing is compressed unless it is asked for.

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use sealpost_crypto::{Prelude, SecretBytes};
use thiserror::Error;
use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroizing;
use zstd::stream::raw::{DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

use super::{sealing::Source, staging::Staged};
use crate::{SendError, limits};

/// Why a content does not decompress. To the one who sent it all of these are one.
#[derive(Debug, Error)]
pub(super) enum CompressionError {
    /// It is longer than any body's content.
    #[error("a content of {0} bytes is beyond every limit")]
    TooLong(u64),
    /// It is no frame, or a frame that takes too much memory.
    #[error("not a frame of zstd that is taken: {0}")]
    Frame(#[from] io::Error),
    /// It ends inside the frame.
    #[error("the frame is cut off")]
    Truncated,
    /// Something follows the frame.
    #[error("something follows the frame")]
    Trailing,
    /// The frame holds more or less than was stated.
    #[error("the frame holds another number of bytes than was stated")]
    Length,
}

/// The content as a frame, if that is shorter.
pub(crate) fn compress(content: &[u8]) -> io::Result<Option<SecretBytes>> {
    let mut room = Zeroizing::new(vec![0; content.len().saturating_sub(1)]);
    let (mut input, mut output) = (InBuffer::around(content), OutBuffer::around(room.as_mut_slice()));
    let mut encoder = Encoder::new(limits::COMPRESSION_LEVEL)?;
    while input.pos() < content.len() {
        let before = (input.pos(), output.pos());
        encoder.run(&mut input, &mut output)?;
        if before == (input.pos(), output.pos()) {
            return Ok(None);
        }
    }
    let is_whole = encoder.finish(&mut output, true)? == 0;
    let frame = output.as_slice();
    Ok(is_whole.then(|| SecretBytes::from(frame.to_vec())))
}

/// A stream as a frame. Of a content that is longer than `most` bytes the rest is not read.
pub(super) struct Compressing<R> {
    content: R,
    most: u64,
    /// Bytes of the content that were read.
    length: u64,
    encoder: Encoder<'static>,
    input: Zeroizing<Vec<u8>>,
    /// What of the input is not compressed yet.
    left: Range<usize>,
    has_ended: bool,
    is_finished: bool,
}

impl<R: AsyncRead + Unpin> Compressing<R> {
    pub(super) fn new(content: R, most: u64) -> io::Result<Self> {
        Ok(Self {
            content,
            most,
            length: 0,
            encoder: Encoder::new(limits::COMPRESSION_LEVEL)?,
            input: Zeroizing::new(vec![0; limits::COMPRESSION_STEP]),
            left: 0..0,
            has_ended: false,
            is_finished: false,
        })
    }

    /// Bytes of the content that were read.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut input = ReadBuf::new(&mut self.input);
        ready!(Pin::new(&mut self.content).poll_read(context, &mut input))?;
        self.left = 0..input.filled().len();
        self.length += self.left.len() as u64;
        self.has_ended = self.left.is_empty() || self.length > self.most;
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Compressing<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.is_finished && buffer.remaining() > 0 {
            if this.left.is_empty() && !this.has_ended {
                ready!(this.poll_input(context))?;
            }
            let mut output = OutBuffer::around(buffer.initialize_unfilled());
            if this.has_ended {
                this.is_finished = this.encoder.finish(&mut output, true)? == 0;
            } else {
                let mut input = InBuffer::around(this.input.get(this.left.clone()).unwrap_or_default());
                this.encoder.run(&mut input, &mut output)?;
                this.left.start += input.pos();
            }
            let written = output.pos();
            buffer.advance(written);
            if written > 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Decompresses one frame that holds as many bytes as was stated.
pub(super) struct Decompressor {
    decoder: Decoder<'static>,
    /// Bytes that are still to come.
    left: u64,
    has_ended: bool,
}

/// What one step took and made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) consumed: usize,
    pub(super) produced: usize,
}

impl Decompressor {
    /// For the content of a body; nothing if that is not compressed.
    pub(super) fn of(prelude: &Prelude) -> Result<Option<Self>, CompressionError> {
        prelude.compressed_length.map(|_| Self::new(prelude.content_length)).transpose()
    }

    fn new(length: u64) -> Result<Self, CompressionError> {
        if length > limits::BODY_CONTENT {
            return Err(CompressionError::TooLong(length));
        }
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(limits::COMPRESSION_WINDOW_LOG))?;
        Ok(Self { decoder, left: length, has_ended: false })
    }

    /// Decompresses what fits into `room`. When nothing was produced and all was consumed, more input is needed.
    pub(super) fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Progress, CompressionError> {
        if self.has_ended {
            return if input.is_empty() {
                Ok(Progress { consumed: 0, produced: 0 })
            } else {
                Err(CompressionError::Trailing)
            };
        }
        // Once all is there, the frame's end is still to come: a byte of room shows whether anything else does.
        let mut beyond = [0];
        let fits = usize::try_from(self.left).unwrap_or(usize::MAX).min(room.len());
        let room = if self.left == 0 { beyond.as_mut_slice() } else { room.get_mut(..fits).unwrap_or_default() };
        let status = self.decoder.run_on_buffers(input, room)?;
        self.left = self.left.checked_sub(status.bytes_written as u64).ok_or(CompressionError::Length)?;
        self.has_ended = status.remaining == 0;
        if self.has_ended && self.left > 0 {
            return Err(CompressionError::Length);
        }
        Ok(Progress { consumed: status.bytes_read, produced: status.bytes_written })
    }

    /// Decompresses all of `input`, through `scratch`, and gives `take` what it makes.
    pub(super) fn pass(
        &mut self,
        mut input: &[u8],
        scratch: &mut [u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), CompressionError> {
        loop {
            let Progress { consumed, produced } = self.step(input, scratch)?;
            take(scratch.get(..produced).unwrap_or_default());
            input = input.get(consumed..).unwrap_or_default();
            if input.is_empty() && produced < scratch.len() {
                return Ok(());
            }
        }
    }

    /// Checks that the frame is whole.
    pub(super) fn finish(&mut self) -> Result<(), CompressionError> {
        if self.left == 0 {
            self.step(&[], &mut [])?;
        }
        if self.has_ended { Ok(()) } else { Err(CompressionError::Truncated) }
    }
}

/// What a frame holds that comes in these pieces, if it holds as many bytes as was stated.
#[cfg(feature = "fuzzing")]
pub(crate) fn decompress<'a>(length: u64, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut decompressor = Decompressor::new(length).ok()?;
    let (mut content, mut scratch) = (Vec::new(), [0; 64]);
    for piece in pieces {
        decompressor.pass(piece, &mut scratch, |part| content.extend_from_slice(part)).ok()?;
    }
    decompressor.finish().ok().map(|()| content)
}

/// A frame that is no shorter than its content: the content again.
pub(super) struct Restored {
    frame: Staged,
    decompressor: Decompressor,
}

impl Restored {
    pub(super) fn new(frame: Staged, length: u64) -> Result<Self, SendError> {
        Ok(Self { frame, decompressor: Decompressor::new(length).map_err(damaged)? })
    }
}

impl Source for Restored {
    async fn fill(&mut self, room: &mut [u8]) -> Result<(), SendError> {
        let mut filled = 0;
        while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let input = self.frame.available().await?;
            let Progress { consumed, produced } = self.decompressor.step(input, rest).map_err(damaged)?;
            if input.is_empty() && produced == 0 {
                return Err(SendError::ContentChanged);
            }
            self.frame.consume(consumed);
            filled += produced;
        }
        Ok(())
    }

    async fn is_at_end(&mut self) -> Result<bool, SendError> {
        loop {
            let input = self.frame.available().await?;
            if input.is_empty() {
                return Ok(self.decompressor.finish().is_ok());
            }
            let Progress { consumed, .. } = self.decompressor.step(input, &mut []).map_err(damaged)?;
            self.frame.consume(consumed);
        }
    }
}

fn damaged(error: CompressionError) -> SendError {
    SendError::Spool(io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests;
