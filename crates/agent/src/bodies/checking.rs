//! Whether what was fetched is the body that the header describes, and whether that opens.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use sealpost_crypto::{BodyError, BodyOpener, BodySeal, Content, ContentKind, Payload, SecretBytes};
use sealpost_protocol::{BodyHasher, MessageType};
use zeroize::Zeroizing;

use super::{
    compression::{CompressionError, Decompressor},
    spool::SpoolFile,
};
use crate::{SyncError, limits, records::BodyRecord};

/// What a body that was fetched is.
pub(super) enum Checked {
    /// Whole, and it opens; of this type.
    Opens(Option<MessageType>),
    /// Not the one that the header describes.
    Other,
    /// The one that the header describes, and it does not open.
    Unreadable,
}

/// Reads a whole file of the spool through: whether it is the body, and whether that opens.
pub(super) async fn check(file: &SpoolFile, body: &BodyRecord) -> Result<Checked, SyncError> {
    let (handle, body) = (file.handle().map_err(SyncError::Spool)?, body.clone());
    let checked = tokio::task::spawn_blocking(move || check_file(handle, &body)).await;
    checked.map_err(|error| SyncError::Spool(io::Error::other(error)))?
}

fn check_file(mut file: File, body: &BodyRecord) -> Result<Checked, SyncError> {
    let read = |error| SyncError::Spool(error);
    file.seek(SeekFrom::Start(0)).map_err(read)?;
    let mut file = io::BufReader::with_capacity(limits::SPOOL_BUFFER, file);
    let mut hasher = BodyHasher::default();
    let mut opener = match BodyOpener::new(&body.key.seal(), body.description.sealed_length) {
        Err(BodyError::Primitives(error)) => return Err(error.into()),
        opener => opener.ok(),
    };
    let mut frame = Frame::default();
    let mut piece = Vec::new();
    loop {
        let needed = opener.as_ref().map(BodyOpener::needed).filter(|needed| *needed > 0);
        piece.resize(needed.unwrap_or(limits::SPOOL_BUFFER), 0);
        let length = read_full(&mut file, &mut piece).map_err(read)?;
        let Some(found) = piece.get(..length).filter(|found| !found.is_empty()) else { break };
        hasher.update(found);
        if needed.is_some()
            && let Some(opening) = &mut opener
        {
            match opening.open(found) {
                Ok(content) if frame.check(opening, &content).is_ok() => {}
                Err(BodyError::Primitives(error)) => return Err(error.into()),
                // Whose fault it is the hash tells, at the end.
                _ => opener = None,
            }
        }
    }
    Ok(match opener {
        _ if hasher.description() != body.description => Checked::Other,
        Some(opener) if opener.needed() == 0 && frame.finish().is_ok() => {
            Checked::Opens(opener.prelude().and_then(|prelude| prelude.message_type.clone()))
        }
        _ => Checked::Unreadable,
    })
}

/// The frame in a body whose content is compressed, as it is read through; nothing of it is kept.
#[derive(Default)]
struct Frame {
    decompressor: Option<Decompressor>,
    has_begun: bool,
    scratch: Zeroizing<Vec<u8>>,
}

impl Frame {
    fn check(&mut self, opener: &BodyOpener, content: &[u8]) -> Result<(), CompressionError> {
        if !self.has_begun
            && let Some(prelude) = opener.prelude()
        {
            self.decompressor = Decompressor::of(prelude)?;
            self.scratch.resize(limits::COMPRESSION_STEP, 0);
            self.has_begun = true;
        }
        match &mut self.decompressor {
            Some(decompressor) => decompressor.pass(content, &mut self.scratch, |_| ()),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), CompressionError> {
        self.decompressor.as_mut().map_or(Ok(()), Decompressor::finish)
    }
}

/// Reads until the buffer is full or the file has ended.
fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Why a body was not read.
pub(super) enum NotRead {
    /// It is not what it should be.
    Unreadable,
    /// It is longer than a payload's content may be.
    TooLong,
    /// The library failed.
    Failed(sealpost_crypto::PrimitivesError),
}

impl From<BodyError> for NotRead {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Primitives(error) => Self::Failed(error),
            _ => Self::Unreadable,
        }
    }
}

impl From<CompressionError> for NotRead {
    fn from(_: CompressionError) -> Self {
        Self::Unreadable
    }
}

/// Opens a body whose content may be that of a payload.
pub(super) fn open_short(seal: &BodySeal<'_>, sealed: &[u8]) -> Result<Payload, NotRead> {
    let mut opener = BodyOpener::new(seal, sealed.len() as u64)?;
    let (mut content, mut rest) = (Vec::with_capacity(sealed.len()), sealed);
    while opener.needed() > 0 {
        let (piece, later) = rest.split_at_checked(opener.needed()).ok_or(NotRead::Unreadable)?;
        content.extend_from_slice(&opener.open(piece)?);
        rest = later;
    }
    let prelude = opener.prelude().cloned().ok_or(NotRead::Unreadable)?;
    if prelude.content_length > limits::CONTENT as u64 {
        return Err(NotRead::TooLong);
    }
    if let Some(mut decompressor) = Decompressor::of(&prelude)? {
        let frame = SecretBytes::from(content);
        content = Vec::with_capacity(limits::CONTENT);
        let mut scratch = Zeroizing::new(vec![0; limits::COMPRESSION_STEP]);
        decompressor.pass(&frame, &mut scratch, |piece| content.extend_from_slice(piece))?;
        decompressor.finish()?;
    }
    let content = match prelude.kind {
        ContentKind::Text => String::from_utf8(content).map(Content::text).map_err(|_| NotRead::Unreadable)?,
        ContentKind::Bytes => Content::bytes(content),
    };
    Ok(Payload {
        message_type: prelude.message_type,
        thread: prelude.thread,
        reply_to: prelude.reply_to,
        file_name: prelude.file_name,
        content: content.map_err(|_| NotRead::TooLong)?,
    })
}
