//! Reading a received body from the spool, as a stream.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
};

use sealpost_crypto::{BodyOpener, Prelude, SecretBytes};
use sealpost_protocol::{MessageRef, encoding::Encode};

use super::{
    compression::{Decompressor, Progress},
    spool::{Spooled, blocking},
};
use crate::{
    Agent, SyncError,
    records::{BodyRecord, InboxRecord},
};

/// The content of a received message, as it is read: each chunk is checked before any of it is handed on. What is not
/// read to its end stays in the inbox all the same, until the message is taken.
pub struct BodyReader {
    pieces: Pieces,
    prelude: Prelude,
    decompressor: Option<Decompressor>,
}

/// What is sealed, chunk by chunk.
struct Pieces {
    file: File,
    opener: BodyOpener,
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
        let mut pieces = Pieces { file, opener, open: SecretBytes::default(), at: 0 };
        pieces.next()?;
        let prelude = pieces.opener.prelude().cloned().ok_or_else(|| damaged("a body without a beginning"))?;
        let decompressor = Decompressor::of(&prelude).map_err(damaged)?;
        Ok(Self { pieces, prelude, decompressor })
    }

    /// What goes with the content, and its length.
    #[must_use]
    pub fn prelude(&self) -> &Prelude {
        &self.prelude
    }
}

impl Pieces {
    fn next(&mut self) -> io::Result<()> {
        let mut piece = vec![0; self.opener.needed()];
        self.file.read_exact(&mut piece)?;
        self.open = self.opener.open(&piece).map_err(damaged)?;
        self.at = 0;
        Ok(())
    }

    /// The next bytes, as many as are open; none at the end.
    fn available(&mut self) -> io::Result<&[u8]> {
        while self.at == self.open.len() && self.opener.needed() > 0 {
            self.next()?;
        }
        Ok(self.open.get(self.at..).unwrap_or_default())
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(decompressor) = &mut self.decompressor else {
            let count = self.pieces.available()?.read(buffer)?;
            self.pieces.at += count;
            return Ok(count);
        };
        while !buffer.is_empty() {
            let input = self.pieces.available()?;
            let is_at_end = input.is_empty();
            let Progress { consumed, produced } = decompressor.step(input, buffer).map_err(damaged)?;
            self.pieces.at += consumed;
            if produced > 0 {
                return Ok(produced);
            }
            if is_at_end {
                decompressor.finish().map_err(damaged)?;
                break;
            }
        }
        Ok(0)
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
