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
}

impl Encode for Prelude {
    fn encode(&self, writer: &mut Writer) {
        writer
            .u8(FORMAT)
            .option(self.message_type.as_ref())
            .option(self.thread.as_ref())
            .option(self.reply_to.as_ref())
            .option(self.file_name.as_ref())
            .u8(self.kind.to_byte())
            .u64(self.content_length);
    }
}

impl Decode for Prelude {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "body format", found }),
        }
        let prelude = Self {
            message_type: reader.option("message type")?,
            thread: reader.option("thread")?,
            reply_to: reader.option("reply-to")?,
            file_name: reader.option("file name")?,
            kind: ContentKind::from_byte(reader.u8()?)?,
            content_length: reader.u64()?,
        };
        if prelude.content_length > limits::BODY_CONTENT {
            return Err(DecodeError::Invalid { field: "content length", reason: "beyond every limit" });
        }
        Ok(prelude)
    }
}
