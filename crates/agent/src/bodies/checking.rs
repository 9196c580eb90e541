//! Whether what is sealed in a body is a content: its frame, if it is compressed, and a payload, if it is short.

use sealpost_crypto::{BodyError, BodyOpener, BodySeal, Content, ContentKind, Payload, SecretBytes};
use zeroize::Zeroizing;

use super::compression::{CompressionError, Decompressor};
use crate::limits;

/// The frame in a body whose content is compressed, as it is read through; nothing of it is kept.
#[derive(Default)]
pub(super) struct Frame {
    decompressor: Option<Decompressor>,
    has_begun: bool,
    scratch: Zeroizing<Vec<u8>>,
}

impl Frame {
    pub(super) fn check(&mut self, opener: &BodyOpener, content: &[u8]) -> Result<(), CompressionError> {
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

    pub(super) fn finish(&mut self) -> Result<(), CompressionError> {
        self.decompressor.as_mut().map_or(Ok(()), Decompressor::finish)
    }
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
