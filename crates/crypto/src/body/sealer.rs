//! Sealing a body, chunk by chunk.

use std::ops::Range;

use sealpost_protocol::encoding::Encode;

use super::{BodyError, BodySeal, FORMAT, Layout, Prelude, StreamKeys};
use crate::{aead, limits, primitives::PrimitivesError, secret::SecretBytes};

/// Seals a content, or its one frame of zstd, whose length is known: while there is [`room`](Self::room), fill it, and [`seal`](Self::seal).
pub struct BodySealer {
    keys: Option<StreamKeys>,
    layout: Layout,
    /// Where the content lies in the plaintext.
    content: Range<usize>,
    /// Where the next chunk begins in the plaintext.
    position: usize,
    plaintext: SecretBytes,
    piece: Vec<u8>,
}

impl BodySealer {
    /// Begins a body.
    ///
    /// # Errors
    /// [`BodyError::Plaintext`] for a content longer than [`limits::BODY_CONTENT`], or one that is compressed and no shorter;
    /// [`BodyError::Length`], [`BodyError::Primitives`].
    pub fn new(seal: &BodySeal<'_>, prelude: &Prelude) -> Result<Self, BodyError> {
        let beginning = prelude.to_bytes();
        prelude.check_lengths()?;
        let length = prelude.length_in_body();
        let content = usize::try_from(length).map_err(|_| BodyError::Length(length))?;
        let content = beginning.len()..beginning.len() + content;
        let keys = StreamKeys::derive(seal)?;
        let mut plaintext = SecretBytes::zeros(limits::BODY_CHUNK);
        for (to, from) in plaintext.as_mut_slice().iter_mut().zip(beginning) {
            *to = from;
        }
        let layout = Layout::of_plaintext(content.end, keys.is_some());
        Ok(Self { keys, layout, content, position: 0, plaintext, piece: Vec::new() })
    }

    /// Bytes of the whole body.
    #[must_use]
    pub fn body_length(&self) -> u64 {
        self.layout.body_length() as u64
    }

    /// Where the next bytes of the content belong, all of which must be written before the chunk is sealed; empty where
    /// a chunk is padding alone. `None` when the body is complete.
    pub fn room(&mut self) -> Option<&mut [u8]> {
        let chunk = self.layout.chunk(self.position)?;
        let from = self.content.start.clamp(chunk.position, chunk.end()) - chunk.position;
        let to = self.content.end.clamp(chunk.position, chunk.end()) - chunk.position;
        self.plaintext.as_mut_slice().get_mut(from..to)
    }

    /// Seals the chunk and gives the body's next bytes; none when the body is complete.
    ///
    /// # Errors
    /// [`PrimitivesError::Library`].
    pub fn seal(&mut self) -> Result<&[u8], PrimitivesError> {
        self.piece.clear();
        let Some(chunk) = self.layout.chunk(self.position) else { return Ok(&self.piece) };
        let padding = self.content.end.clamp(chunk.position, chunk.end()) - chunk.position;
        let plaintext = self.plaintext.as_mut_slice().get_mut(..chunk.length).ok_or(PrimitivesError::Library)?;
        plaintext.iter_mut().skip(padding).for_each(|byte| *byte = 0);
        match &self.keys {
            None => self.piece.extend_from_slice(plaintext),
            Some(keys) => {
                if chunk.position == 0 {
                    self.piece.push(FORMAT);
                    self.piece.extend_from_slice(&keys.commitment);
                }
                let start = self.piece.len();
                self.piece.resize(start + chunk.length, 0);
                let ciphertext = self.piece.get_mut(start..).ok_or(PrimitivesError::Library)?;
                let tag = aead::seal(keys.chunks.expose(), chunk.nonce(), &[], plaintext, ciphertext)?;
                self.piece.extend_from_slice(&tag);
            }
        }
        self.position = chunk.end();
        Ok(&self.piece)
    }
}
