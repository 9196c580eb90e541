//! The body of a message: a content of any length, sealed as a stream of chunks under a key of its own.
//!
//! What is sealed is a [`Prelude`], the content, and zeros up to a Padmé length, so that the sealed length tells a class
//! of lengths and no more. It is cut into chunks of [`limits::BODY_CHUNK`] bytes, each under ChaCha20-Poly1305 with its
//! number and whether it is the last as nonce (the STREAM construction: Hoang, Reyhanitabar, Rogaway and Vizár, 2015):
//! none can be left out, added, moved or cut off unseen. Before the chunks stands a commitment to the key, for the
//! cipher does not commit: whoever names a body by its hash names its key as well, so no two recipients can be made to
//! read two contents.
//!
//! Under the scheme `none` the body is the same, without commitment and tags.
//!
//! Memory is bounded by a chunk or two; reading and writing are the caller's.

mod opener;
mod prelude;
mod sealer;

use sealpost_protocol::encoding::DecodeError;
use thiserror::Error;

pub use self::{opener::BodyOpener, prelude::Prelude, sealer::BodySealer};
use crate::{
    aead, hkdf, limits,
    padding::padme,
    primitives::{Primitives, PrimitivesError, random},
    secret::{ContentKey, MessageKey},
};

const FORMAT: u8 = 1;
const BODY_INFO: &[u8] = b"sealpost/v1/body";

/// The format byte and the commitment.
const PREFIX: usize = 1 + 32;

/// How a body is sealed.
#[derive(Debug)]
pub enum BodySeal<'a> {
    /// Not at all.
    Open,
    /// Under a key that seals this body and nothing else.
    Sealed(&'a ContentKey),
}

/// Why a body does not open. To the one who sent it all of these are one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// No body has this length.
    #[error("no body has {0} bytes")]
    Length(u64),
    /// A piece is not as long as it must be.
    #[error("the next piece has {needed} bytes, not {found}")]
    Piece {
        /// The bytes it must have; none after the last.
        needed: usize,
        /// The bytes it has.
        found: usize,
    },
    /// Another key sealed it.
    #[error("the body is sealed under another key")]
    Commitment,
    /// A chunk's tag does not verify.
    #[error("a chunk's tag does not verify")]
    Tag,
    /// What was sealed is not a content, or not padded as it must be.
    #[error(transparent)]
    Plaintext(#[from] DecodeError),
    /// The library failed.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
}

impl ContentKey {
    /// A new key.
    ///
    /// # Errors
    /// [`PrimitivesError::Randomness`].
    pub fn generate(primitives: &dyn Primitives) -> Result<Self, PrimitivesError> {
        Ok(Self::copy_of(&*random(primitives)?))
    }
}

/// What a body begins with that `key` seals.
pub(crate) fn commitment(key: &ContentKey) -> Result<[u8; 32], PrimitivesError> {
    let keys = StreamKeys::derive(&BodySeal::Sealed(key))?;
    keys.map(|keys| keys.commitment).ok_or(PrimitivesError::Library)
}

/// What a content key stands for.
struct StreamKeys {
    chunks: MessageKey,
    commitment: [u8; 32],
}

impl StreamKeys {
    fn derive(seal: &BodySeal<'_>) -> Result<Option<Self>, PrimitivesError> {
        let BodySeal::Sealed(key) = seal else { return Ok(None) };
        let [chunks, commitment] = &*hkdf::derive(&[], key.expose(), &[BODY_INFO])?;
        Ok(Some(Self { chunks: MessageKey::copy_of(chunks), commitment: *commitment }))
    }
}

/// Where the chunks of a body lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    /// Bytes of the plaintext, padding included.
    plaintext: usize,
    /// Whether there are a commitment and tags.
    is_sealed: bool,
}

impl Layout {
    /// The layout of a plaintext that has `length` bytes before it is padded.
    fn of_plaintext(length: usize, is_sealed: bool) -> Self {
        Self { plaintext: padme(length), is_sealed }
    }

    /// The layout of a body of `length` bytes.
    ///
    /// # Errors
    /// [`BodyError::Length`].
    fn of_body(length: u64, is_sealed: bool) -> Result<Self, BodyError> {
        let impossible = BodyError::Length(length);
        let length = usize::try_from(length).map_err(|_| impossible.clone())?;
        let plaintext = if is_sealed {
            let chunks = length.checked_sub(PREFIX).ok_or(impossible.clone())?;
            let tags = chunks.div_ceil(limits::BODY_CHUNK + aead::TAG) * aead::TAG;
            chunks.checked_sub(tags).ok_or(impossible.clone())?
        } else {
            length
        };
        let layout = Self { plaintext, is_sealed };
        if plaintext > 0 && layout.body_length() == length { Ok(layout) } else { Err(impossible) }
    }

    fn body_length(self) -> usize {
        let chunks = self.plaintext.div_ceil(limits::BODY_CHUNK);
        if self.is_sealed { PREFIX + self.plaintext + chunks * aead::TAG } else { self.plaintext }
    }

    /// The chunk that begins at `position` of the plaintext, if there is one.
    fn chunk(self, position: usize) -> Option<Chunk> {
        let left = self.plaintext.checked_sub(position).filter(|left| *left > 0)?;
        Some(Chunk { position, length: left.min(limits::BODY_CHUNK), is_last: left <= limits::BODY_CHUNK })
    }

    /// Bytes of `chunk` in the body, with what stands before the first.
    fn piece(self, chunk: Chunk) -> usize {
        let prefix = if chunk.position == 0 { PREFIX } else { 0 };
        if self.is_sealed { prefix + chunk.length + aead::TAG } else { chunk.length }
    }
}

/// One chunk of a plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk {
    position: usize,
    length: usize,
    is_last: bool,
}

impl Chunk {
    /// Its number, in eleven bytes, and whether it is the last.
    fn nonce(self) -> [u8; aead::NONCE] {
        let mut nonce = [0; aead::NONCE];
        let number = (self.position / limits::BODY_CHUNK) as u64;
        for (to, from) in nonce.iter_mut().skip(3).zip(number.to_be_bytes()) {
            *to = from;
        }
        if let Some(last) = nonce.last_mut() {
            *last = u8::from(self.is_last);
        }
        nonce
    }

    fn end(self) -> usize {
        self.position + self.length
    }
}

#[cfg(test)]
mod tests;
