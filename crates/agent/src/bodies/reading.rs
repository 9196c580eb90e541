//! Reading a received body from the spool, as a stream.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
};

use sealpost_crypto::{BodyOpener, Prelude, SecretBytes};
use sealpost_protocol::{MessageRef, encoding::Encode};

use super::spool::{Spooled, blocking};
use crate::{
    Agent, SyncError,
    records::{BodyRecord, InboxRecord},
};

/// The content of a received message, as it is read: each chunk is checked before any of it is handed on. What is not
/// read to its end stays in the inbox all the same, until the message is taken.
pub struct BodyReader {
    file: File,
    opener: BodyOpener,
    prelude: Prelude,
    open: SecretBytes,
    at: usize,
}

impl Agent {
    /// The content of a received message that came as a body; `None` if there is no such message, or it was taken.
    ///
    /// # Errors
    /// [`SyncError::State`], [`SyncError::Spool`].
    pub async fn open_body(&self, message: &MessageRef) -> Result<Option<BodyReader>, SyncError> {
        let stored = self.store.find::<InboxRecord>(&message.to_bytes()).await?;
        let body = stored.filter(|stored| stored.value.verdict.is_some());
        match body.as_ref().and_then(|stored| stored.value.content.body()) {
            Some(body) => self.body_reader(*message, body.clone()).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn body_reader(&self, message: MessageRef, body: BodyRecord) -> Result<BodyReader, SyncError> {
        let path = self.spool.path(Spooled::Incoming(message));
        blocking(move || BodyReader::new(File::open(path)?, &body)).await.map_err(SyncError::Spool)
    }
}

impl BodyReader {
    fn new(file: File, body: &BodyRecord) -> io::Result<Self> {
        let opener = BodyOpener::new(&body.key.seal(), body.description.sealed_length).map_err(damaged)?;
        let mut reader = Self { file, opener, prelude: no_prelude(), open: SecretBytes::default(), at: 0 };
        reader.next_chunk()?;
        let prelude = reader.opener.prelude().cloned();
        reader.prelude = prelude.ok_or_else(|| damaged("a body without a beginning"))?;
        Ok(reader)
    }

    /// What goes with the content, and its length.
    #[must_use]
    pub fn prelude(&self) -> &Prelude {
        &self.prelude
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut piece = vec![0; self.opener.needed()];
        self.file.read_exact(&mut piece)?;
        self.open = self.opener.open(&piece).map_err(damaged)?;
        self.at = 0;
        Ok(())
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.open.len() && self.opener.needed() > 0 {
            self.next_chunk()?;
        }
        let left = self.open.get(self.at..).unwrap_or_default();
        let length = left.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), left.get(..length)) {
            to.copy_from_slice(from);
        }
        self.at += length;
        Ok(length)
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BodyReader({} bytes)", self.prelude.content_length)
    }
}

fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn no_prelude() -> Prelude {
    Prelude {
        message_type: None,
        thread: None,
        reply_to: None,
        file_name: None,
        kind: sealpost_crypto::ContentKind::Bytes,
        content_length: 0,
    }
}
