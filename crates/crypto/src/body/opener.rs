//! Opening a body, chunk by chunk.

use sealpost_protocol::encoding::{Decode, DecodeError, Reader};
use subtle::ConstantTimeEq;

use super::{BodyError, BodySeal, Chunk, FORMAT, Layout, PREFIX, Prelude, StreamKeys};
use crate::{
    aead::{self, OpenFailure},
    padding::padme,
    secret::SecretBytes,
};

/// Opens a body whose length and hash the caller has checked: give it pieces of [`needed`](Self::needed) bytes until
/// none is.
pub struct BodyOpener {
    keys: Option<StreamKeys>,
    layout: Layout,
    position: usize,
    beginning: Option<Beginning>,
}

/// What the first chunk told.
struct Beginning {
    prelude: Prelude,
    /// Where the content ends in the plaintext.
    content_end: usize,
}

impl BodyOpener {
    /// Begins to open a body of `length` bytes.
    ///
    /// # Errors
    /// [`BodyError::Length`], [`BodyError::Primitives`].
    pub fn new(seal: &BodySeal<'_>, length: u64) -> Result<Self, BodyError> {
        let keys = StreamKeys::derive(seal)?;
        let layout = Layout::of_body(length, keys.is_some())?;
        Ok(Self { keys, layout, position: 0, beginning: None })
    }

    /// Bytes of the next piece; 0 when the body is complete.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.layout.chunk(self.position).map_or(0, |chunk| self.layout.piece(chunk))
    }

    /// What stands before the content, once the first piece is open.
    #[must_use]
    pub fn prelude(&self) -> Option<&Prelude> {
        self.beginning.as_ref().map(|beginning| &beginning.prelude)
    }

    /// Opens the next piece and gives the content in it, compressed if the prelude says so. After an error the opener is where it was.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn open(&mut self, piece: &[u8]) -> Result<SecretBytes, BodyError> {
        let wrong_piece = BodyError::Piece { needed: self.needed(), found: piece.len() };
        let chunk = self.layout.chunk(self.position).ok_or(wrong_piece.clone())?;
        if piece.len() != self.needed() {
            return Err(wrong_piece);
        }
        let plaintext = match &self.keys {
            None => SecretBytes::from(piece.to_vec()),
            Some(keys) => open_chunk(keys, chunk, piece)?,
        };
        let mut rest = Reader::new(&plaintext);
        if self.beginning.is_none() {
            self.beginning = Some(self.read_beginning(&mut rest)?);
        }
        let content_end = self.beginning.as_ref().map_or(0, |beginning| beginning.content_end);
        let rest = rest.rest();
        let padding = chunk.end() - content_end.clamp(chunk.end() - rest.len(), chunk.end());
        let (content, padding) = rest.split_at(rest.len() - padding);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(DecodeError::Invalid { field: "padding", reason: "not zeros" }.into());
        }
        let content = SecretBytes::from(content.to_vec());
        self.position = chunk.end();
        Ok(content)
    }

    fn read_beginning(&self, reader: &mut Reader<'_>) -> Result<Beginning, BodyError> {
        let before = reader.left();
        let prelude = Prelude::decode(reader)?;
        let length = before - reader.left();
        let content_end =
            usize::try_from(prelude.length_in_body()).ok().and_then(|content| length.checked_add(content));
        let content_end = content_end.filter(|end| padme(*end) == self.layout.plaintext);
        let misfit = DecodeError::Invalid { field: "content length", reason: "not that of the body" };
        Ok(Beginning { prelude, content_end: content_end.ok_or(misfit)? })
    }
}

fn open_chunk(keys: &StreamKeys, chunk: Chunk, piece: &[u8]) -> Result<SecretBytes, BodyError> {
    let mut reader = Reader::new(piece);
    if chunk.position == 0 {
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "body format", found }.into()),
        }
        let commitment: [u8; PREFIX - 1] = reader.array()?;
        if !bool::from(commitment.ct_eq(&keys.commitment)) {
            return Err(BodyError::Commitment);
        }
    }
    let ciphertext = reader.take(chunk.length)?;
    let tag = reader.array()?;
    aead::open(keys.chunks.expose(), chunk.nonce(), &[], ciphertext, &tag).map_err(|failure| match failure {
        OpenFailure::Tag => BodyError::Tag,
        OpenFailure::Primitives(error) => error.into(),
    })
}
