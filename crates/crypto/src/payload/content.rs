//! The parts of a payload that have limits of their own.

use std::fmt;

use sealpost_protocol::encoding::{Decode, DecodeError, Encode, Reader, Writer};
use thiserror::Error;

use crate::{limits, secret::SecretBytes};

/// What a message says: text or bytes, of at most [`limits::CONTENT`] bytes; wiped when dropped.
#[derive(Clone)]
pub struct Content {
    kind: ContentKind,
    bytes: SecretBytes,
}

/// Whether a content is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// UTF-8, to be shown.
    Text,
    /// Anything.
    Bytes,
}

/// Why there is no such payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The content is longer than an envelope holds; it must travel as a body.
    #[error("the content has {found} bytes, an envelope carries at most {} bytes: send it as a body", limits::CONTENT)]
    ContentTooLong {
        /// Its length.
        found: usize,
    },
    /// The name is not one that every file system would take.
    #[error("a file name has 1 to {} bytes, no separator and no NUL, and is neither . nor ..", limits::FILE_NAME)]
    FileName,
}

impl Content {
    /// Text.
    ///
    /// # Errors
    /// [`PayloadError::ContentTooLong`].
    pub fn text(text: String) -> Result<Self, PayloadError> {
        Self::new(ContentKind::Text, text.into_bytes())
    }

    /// Bytes.
    ///
    /// # Errors
    /// [`PayloadError::ContentTooLong`].
    pub fn bytes(bytes: Vec<u8>) -> Result<Self, PayloadError> {
        Self::new(ContentKind::Bytes, bytes)
    }

    fn new(kind: ContentKind, bytes: Vec<u8>) -> Result<Self, PayloadError> {
        let bytes = SecretBytes::from(bytes);
        let found = bytes.len();
        if found > limits::CONTENT { Err(PayloadError::ContentTooLong { found }) } else { Ok(Self { kind, bytes }) }
    }

    /// Whether it is text.
    #[must_use]
    pub fn kind(&self) -> ContentKind {
        self.kind
    }

    /// The bytes, of a text too.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.kind {
            ContentKind::Text => str::from_utf8(&self.bytes).ok(),
            ContentKind::Bytes => None,
        }
    }

    /// The bytes; wiping them is the caller's from here on.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_vec()
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Content {}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Content({:?}, {} bytes)", self.kind(), self.as_bytes().len())
    }
}

impl Encode for Content {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(self.kind().to_byte()).bytes(self.as_bytes());
    }
}

impl Decode for Content {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = ContentKind::from_byte(reader.u8()?)?;
        let bytes = match kind {
            ContentKind::Text => reader.text("content", limits::CONTENT)?.as_bytes(),
            ContentKind::Bytes => reader.bytes("content", limits::CONTENT)?,
        };
        Ok(Self { kind, bytes: bytes.to_vec().into() })
    }
}

impl ContentKind {
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Text => 0,
            Self::Bytes => 1,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            0 => Ok(Self::Text),
            1 => Ok(Self::Bytes),
            found => Err(DecodeError::UnknownValue { field: "content kind", found }),
        }
    }
}

/// What to call a file: one component of a path, so that a peer cannot choose where it is put.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FileName(String);

impl FileName {
    /// Checks length and characters: separators of any system, and NUL, are out.
    ///
    /// # Errors
    /// [`PayloadError::FileName`].
    pub fn new(name: &str) -> Result<Self, PayloadError> {
        let fits = (1..=limits::FILE_NAME).contains(&name.len());
        let plain = !name.contains(['/', '\\', '\0']) && name != "." && name != "..";
        (fits && plain).then(|| Self(name.to_owned())).ok_or(PayloadError::FileName)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FileName(…)")
    }
}

impl Encode for FileName {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.0.as_bytes());
    }
}

impl Decode for FileName {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.text("file name", limits::FILE_NAME)?)
            .map_err(|_| DecodeError::Invalid { field: "file name", reason: "not one component of a path" })
    }
}
