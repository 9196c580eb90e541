//! A content whose length is not known: it is sealed in segments first, under keys that this process alone has, and again
//! as a body once it has ended. What is at rest is ciphertext at all times.

use std::io::{self, Read};

use sealpost_crypto::{
    BodyOpener, BodySeal, BodySealer, ContentKey, ContentKind, Prelude, PrimitivesError, SecretBytes,
};
use sealpost_protocol::MessageId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::{
    sealing::Source,
    spool::{SpoolFile, Spooled, blocking},
};
use crate::{Agent, SendError, limits};

/// A content at rest, to be read once. Its file goes with it.
pub(super) struct Staged {
    file: SpoolFile,
    segments: std::vec::IntoIter<Segment>,
    length: u64,
    /// What was read of the file and not yet handed on.
    open: SecretBytes,
    at: usize,
}

struct Segment {
    key: ContentKey,
    /// Bytes in the file.
    sealed: u64,
}

impl Staged {
    /// Reads `content` to its end.
    pub(super) async fn read(
        agent: &Agent,
        id: MessageId,
        content: &mut (impl AsyncRead + Unpin + Send),
    ) -> Result<Self, SendError> {
        let file = agent.spool.create(Spooled::Staged(id)).await.map_err(SendError::Spool)?;
        let mut out = tokio::fs::File::from_std(file.handle().map_err(SendError::Spool)?);
        let (mut segments, mut length) = (Vec::new(), 0);
        loop {
            let mut plain = SecretBytes::from(Vec::with_capacity(limits::SEGMENT)).into_vec();
            let read = (&mut *content).take(limits::SEGMENT as u64).read_to_end(&mut plain).await;
            let plain = SecretBytes::from(plain);
            read.map_err(SendError::Input)?;
            length += plain.len() as u64;
            if plain.is_empty() {
                break;
            }
            if length > limits::BODY_CONTENT {
                return Err(SendError::ContentTooLong);
            }
            let key = ContentKey::generate(agent.primitives.as_ref()).map_err(|error| SendError::Seal(error.into()))?;
            let sealed = seal_segment(&key, &plain)?;
            out.write_all(&sealed).await.map_err(SendError::Spool)?;
            segments.push(Segment { key, sealed: sealed.len() as u64 });
        }
        out.flush().await.map_err(SendError::Spool)?;
        out.rewind().await.map_err(SendError::Spool)?;
        Ok(Self { file, segments: segments.into_iter(), length, open: SecretBytes::default(), at: 0 })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    async fn next_segment(&mut self) -> Result<bool, SendError> {
        let Some(segment) = self.segments.next() else { return Ok(false) };
        let mut file = self.file.handle().map_err(SendError::Spool)?;
        let read = blocking(move || {
            let mut sealed = Vec::new();
            file.by_ref().take(segment.sealed).read_to_end(&mut sealed)?;
            Ok((sealed, segment.key))
        });
        let (sealed, key) = read.await.map_err(SendError::Spool)?;
        self.open = open_segment(&key, &sealed)?;
        self.at = 0;
        Ok(true)
    }

    /// The next bytes, as many as are open; none at the end.
    pub(super) async fn available(&mut self) -> Result<&[u8], SendError> {
        while self.at == self.open.len() && self.next_segment().await? {}
        Ok(self.open.get(self.at..).unwrap_or_default())
    }

    /// So many of them are done with.
    pub(super) fn consume(&mut self, count: usize) {
        self.at = self.open.len().min(self.at + count);
    }
}

impl Source for Staged {
    async fn fill(&mut self, room: &mut [u8]) -> Result<(), SendError> {
        let mut filled = 0;
        while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let available = self.available().await?;
            let count = rest.len().min(available.len());
            match (rest.get_mut(..count), available.get(..count)) {
                (Some(to), Some(from)) if count > 0 => to.copy_from_slice(from),
                _ => return Err(SendError::ContentChanged),
            }
            filled += count;
            self.consume(count);
        }
        Ok(())
    }

    async fn is_at_end(&mut self) -> Result<bool, SendError> {
        Ok(self.at == self.open.len() && self.segments.len() == 0)
    }
}

fn seal_segment(key: &ContentKey, plain: &[u8]) -> Result<Vec<u8>, SendError> {
    let prelude = Prelude {
        message_type: None,
        thread: None,
        reply_to: None,
        file_name: None,
        kind: ContentKind::Bytes,
        content_length: plain.len() as u64,
        compressed_length: None,
    };
    let mut sealer = BodySealer::new(&BodySeal::Sealed(key), &prelude)?;
    let (mut sealed, mut rest) = (Vec::new(), plain);
    while let Some(room) = sealer.room() {
        let (now, later) = rest.split_at_checked(room.len()).ok_or(SendError::ContentChanged)?;
        room.copy_from_slice(now);
        rest = later;
        let piece = sealer.seal().map_err(|error: PrimitivesError| SendError::Seal(error.into()))?;
        sealed.extend_from_slice(piece);
    }
    Ok(sealed)
}

fn open_segment(key: &ContentKey, sealed: &[u8]) -> Result<SecretBytes, SendError> {
    let mut opener = BodyOpener::new(&BodySeal::Sealed(key), sealed.len() as u64)?;
    let mut plain = Vec::with_capacity(limits::SEGMENT);
    let mut rest = sealed;
    while opener.needed() > 0 {
        let cut = || SendError::Spool(io::ErrorKind::UnexpectedEof.into());
        let (piece, later) = rest.split_at_checked(opener.needed()).ok_or_else(cut)?;
        plain.extend_from_slice(&opener.open(piece)?);
        rest = later;
    }
    Ok(SecretBytes::from(plain))
}
