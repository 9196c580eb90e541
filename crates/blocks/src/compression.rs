//! zstd before whitening, in bounded memory.

use std::{
    fmt,
    io::{self, Read, Write},
    ops::Range,
};

use zstd::stream::{read, write};

use crate::{
    limits,
    reader::{self, ReadError},
    writer::{self, WriteError},
};

/// Compresses into blocks.
pub(crate) struct Compressor(write::Encoder<'static, Into>);

/// The blocks, and the error that zstd carried past them as one of its own.
struct Into {
    blocks: writer::Blocks,
    failed: Option<WriteError>,
}

impl Compressor {
    pub(crate) fn new(blocks: writer::Blocks) -> Result<Self, WriteError> {
        let into = Into { blocks, failed: None };
        let mut encoder = write::Encoder::new(into, 0).map_err(WriteError::Compression)?;
        encoder.include_checksum(true).map_err(WriteError::Compression)?;
        encoder.window_log(limits::ZSTD_WINDOW_LOG).map_err(WriteError::Compression)?;
        Ok(Self(encoder))
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let written = self.0.write_all(bytes);
        written.map_err(|error| self.0.get_mut().failed.take().unwrap_or(WriteError::Compression(error)))
    }

    pub(crate) fn finish(self) -> Result<writer::Blocks, WriteError> {
        match self.0.try_finish() {
            Ok(into) => Ok(into.blocks),
            Err((mut encoder, error)) => Err(encoder.get_mut().failed.take().unwrap_or(WriteError::Compression(error))),
        }
    }
}

impl Write for Into {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.blocks.take(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::other("the blocks were not taken"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decompresses from blocks. A range is found by decompressing what precedes it.
pub(crate) struct Decompressor {
    decoder: read::Decoder<'static, io::BufReader<From>>,
    length: u64,
    at: u64,
    range: Range<u64>,
}

struct From {
    blocks: reader::Blocks,
    failed: Option<ReadError>,
}

impl Decompressor {
    pub(crate) fn new(blocks: reader::Blocks, length: u64, range: Range<u64>) -> Result<Self, ReadError> {
        let mut decoder = read::Decoder::new(From { blocks, failed: None }).map_err(ReadError::Compression)?;
        decoder.window_log_max(limits::ZSTD_WINDOW_LOG).map_err(ReadError::Compression)?;
        Ok(Self { decoder, length, at: 0, range })
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let mut passed = [0; limits::PASSED_OVER];
        while self.at < self.range.start {
            let ahead = (self.range.start - self.at).min(passed.len() as u64) as usize;
            if self.next(passed.get_mut(..ahead).unwrap_or_default())? == 0 {
                return Err(ReadError::Content);
            }
        }
        let wanted = (self.range.end - self.at).min(buffer.len() as u64) as usize;
        if wanted > 0 {
            return match self.next(buffer.get_mut(..wanted).unwrap_or_default())? {
                0 => Err(ReadError::Content),
                count => Ok(count),
            };
        }
        // At the content's end nothing may follow, and the blocks' own hash is still to be checked.
        let is_end = buffer.is_empty() || self.at < self.length || self.next(&mut passed)? == 0;
        if is_end { Ok(0) } else { Err(ReadError::Content) }
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        match self.decoder.read(buffer) {
            Ok(count) => {
                self.at += count as u64;
                Ok(count)
            }
            Err(error) => {
                let from = self.decoder.get_mut().get_mut();
                Err(from.failed.take().unwrap_or(ReadError::Compression(error)))
            }
        }
    }
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.blocks.read(buffer).map_err(|error| {
            self.failed = Some(error);
            io::Error::other("the blocks were not read")
        })
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Decompressor").field("range", &self.range).finish_non_exhaustive()
    }
}
