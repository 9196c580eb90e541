//! What stands before a content: what it is and how long, for the recipient only.

use sealpost_protocol::{
    MessageRef, MessageType, ThreadId,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use crate::{ContentKind, FileName, limits};

const FORMAT: u8 = 1;

/// The beginning of a body's plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prelude {
    /// What it is, to the application.
    pub message_type: Option<MessageType>,
    /// The conversation.
    pub thread: Option<ThreadId>,
    /// The message it answers.
    pub reply_to: Option<MessageRef>,
    /// What to call the content, if it is a file.
    pub file_name: Option<FileName>,
    /// Whether it is text.
    pub kind: ContentKind,
    /// The content's length in bytes, of at most [`limits::BODY_CONTENT`].
    pub content_length: u64,
    /// Bytes of the content in the body, if it stands there as one frame of zstd (RFC 8878): fewer than the content has.
    /// Compressing and decompressing are the caller's.
    pub compressed_length: Option<u64>,
}

/// Added to the byte of a content's kind if the content is compressed.
const COMPRESSED: u8 = 2;

impl Prelude {
    /// Bytes between the prelude and the padding.
    #[must_use]
    pub fn length_in_body(&self) -> u64 {
        self.compressed_length.unwrap_or(self.content_length)
    }

    /// Whether the lengths are ones that a body may state.
    pub(super) fn check_lengths(&self) -> Result<(), DecodeError> {
        if self.content_length > limits::BODY_CONTENT {
            return Err(DecodeError::Invalid { field: "content length", reason: "beyond every limit" });
        }
        if self.compressed_length.is_some_and(|compressed| compressed >= self.content_length) {
            return Err(DecodeError::Invalid { field: "compressed length", reason: "not below that of the content" });
        }
        Ok(())
    }
}

impl Encode for Prelude {
    fn encode(&self, writer: &mut Writer) {
        writer
            .u8(FORMAT)
            .option(self.message_type.as_ref())
            .option(self.thread.as_ref())
            .option(self.reply_to.as_ref())
            .option(self.file_name.as_ref())
            .u8(self.kind.to_byte() + self.compressed_length.map_or(0, |_| COMPRESSED))
            .u64(self.content_length);
        if let Some(compressed) = self.compressed_length {
            writer.u64(compressed);
        }
    }
}

impl Decode for Prelude {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "body format", found }),
        }
        let (message_type, thread) = (reader.option("message type")?, reader.option("thread")?);
        let (reply_to, file_name) = (reader.option("reply-to")?, reader.option("file name")?);
        let byte = reader.u8()?;
        let is_compressed = matches!(byte, COMPRESSED..4);
        let kind = ContentKind::from_byte(if is_compressed { byte - COMPRESSED } else { byte })?;
        let content_length = reader.u64()?;
        let compressed_length = if is_compressed { Some(reader.u64()?) } else { None };
        let prelude = Self { message_type, thread, reply_to, file_name, kind, content_length, compressed_length };
        prelude.check_lengths()?;
        Ok(prelude)
    }
}
