//! Contents of any length: sealed once as a body, spooled as ciphertext, moved piece by piece, and read as a stream.
//!
//! Kept: a body is whole and synced in the spool before a row names it as such; rows hold the keys. Memory is bounded by a
//! few pieces, whatever the length.

mod checking;
mod compression;
mod downloading;
mod filling;
mod following;
mod leftovers;
mod reading;
mod sealing;
mod settling;
mod spool;
mod staging;
mod transfers;
mod uploading;
mod waiting;

use std::fmt;

use sealpost_crypto::FileName;
use sealpost_protocol::{MessageRef, MessageType, ThreadId};

#[cfg(feature = "fuzzing")]
pub(crate) use self::compression::decompress;
pub(crate) use self::{
    compression::compress,
    following::Followings,
    sealing::saves_by_a_body,
    settling::LostBodies,
    spool::{Spool, SpoolFile, Spooled},
    transfers::{Stop, Transfers},
    uploading::Uploaded,
    waiting::Wanted,
};
pub use self::{
    reading::BodyReader,
    transfers::{Transfer, TransferKind},
    waiting::{FetchAnswer, ReceivingLimits, WaitingBody, WaitingReason},
};

/// A content that is read as it is sealed, and what goes with it inside the seal.
pub struct Streamed<R> {
    /// What it is, to the application.
    pub message_type: Option<MessageType>,
    /// The conversation.
    pub thread: Option<ThreadId>,
    /// The message it answers.
    pub reply_to: Option<MessageRef>,
    /// What to call the content, if it is a file.
    pub file_name: Option<FileName>,
    /// The content's bytes, if they are known. Another number of them is an error; without it, what is read is written
    /// twice.
    pub length: Option<u64>,
    /// Where the content comes from.
    pub content: R,
}

impl<R> fmt::Debug for Streamed<R> {
    /// Shows nothing of what is to be sealed but the content's length.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Streamed").field("length", &self.length).finish_non_exhaustive()
    }
}

impl<R> Streamed<R> {
    /// Nothing but a content.
    #[must_use]
    pub fn new(content: R, length: Option<u64>) -> Self {
        Self { message_type: None, thread: None, reply_to: None, file_name: None, length, content }
    }
}
