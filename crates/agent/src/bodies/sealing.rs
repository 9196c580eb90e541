//! Sealing a content into the spool, as it is read.

use std::io;

use sealpost_crypto::{BodySeal, BodySealer, Payload, Prelude, SecretBytes};
use sealpost_protocol::{BodyDescription, BodyHasher, MessageId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufWriter};

use super::{
    Streamed,
    compression::{Compressing, Restored},
    spool::{SpoolFile, Spooled},
    staging::Staged,
    transfers::{Transfer, TransferKind, Transfers},
};
use crate::{
    Agent, SendError, limits,
    records::{BodyKeyRecord, BodyRecord, ContentRecord},
};

/// Where a content comes from.
pub(super) trait Source: Send {
    /// Writes the next bytes over the whole of `room`.
    fn fill(&mut self, room: &mut [u8]) -> impl Future<Output = Result<(), SendError>> + Send;

    /// Whether nothing more comes.
    fn is_at_end(&mut self) -> impl Future<Output = Result<bool, SendError>> + Send;
}

impl<R: AsyncRead + Unpin + Send> Source for R {
    async fn fill(&mut self, room: &mut [u8]) -> Result<(), SendError> {
        match self.read_exact(room).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(SendError::ContentChanged),
            Err(error) => Err(SendError::Input(error)),
        }
    }

    async fn is_at_end(&mut self) -> Result<bool, SendError> {
        Ok(self.read(&mut [0]).await.map_err(SendError::Input)? == 0)
    }
}

impl Agent {
    /// Seals what a stream brings under `key`, which seals nothing else. The file is durable, and goes when it is not kept.
    pub(crate) async fn seal_stream<R: AsyncRead + Unpin + Send>(
        &self,
        id: MessageId,
        streamed: Streamed<R>,
        compress: bool,
        key: BodyKeyRecord,
    ) -> Result<(SpoolFile, ContentRecord), SendError> {
        let Streamed { message_type, thread, reply_to, file_name, length, mut content } = streamed;
        let kind = sealpost_crypto::ContentKind::Bytes;
        let compressed_length = None;
        let prelude = |content_length| Prelude {
            message_type,
            thread,
            reply_to,
            file_name,
            kind,
            content_length,
            compressed_length,
        };
        match length {
            Some(length) if length > limits::BODY_CONTENT => Err(SendError::ContentTooLong),
            _ if compress => {
                let mut content =
                    Compressing::new(content, length.unwrap_or(limits::BODY_CONTENT)).map_err(SendError::Input)?;
                let staged = Staged::read(self, id, &mut content).await?;
                let found = content.length();
                match length {
                    None if found > limits::BODY_CONTENT => return Err(SendError::ContentTooLong),
                    Some(length) if length != found => return Err(SendError::ContentChanged),
                    _ => {}
                }
                self.seal_shorter(id, prelude(found), staged, key).await
            }
            Some(length) => self.seal_body(id, &prelude(length), &mut content, key).await,
            None => {
                let mut staged = Staged::read(self, id, &mut content).await?;
                self.seal_body(id, &prelude(staged.length()), &mut staged, key).await
            }
        }
    }

    /// Seals a content of which `frame` is the compressed form, as it is where that is no longer.
    async fn seal_shorter(
        &self,
        id: MessageId,
        prelude: Prelude,
        mut frame: Staged,
        key: BodyKeyRecord,
    ) -> Result<(SpoolFile, ContentRecord), SendError> {
        let (length, compressed) = (prelude.content_length, frame.length());
        if compressed < length {
            let prelude = Prelude { compressed_length: Some(compressed), ..prelude };
            return self.seal_body(id, &prelude, &mut frame, key).await;
        }
        self.seal_body(id, &prelude, &mut Restored::new(frame, length)?, key).await
    }

    /// Seals a payload as a body under `key`, which seals nothing else; as a frame, if it has been made one.
    pub(crate) async fn seal_payload_as_body(
        &self,
        id: MessageId,
        payload: &Payload,
        frame: Option<&SecretBytes>,
        key: BodyKeyRecord,
    ) -> Result<(SpoolFile, ContentRecord), SendError> {
        let mut content = frame.map_or(payload.content.as_bytes(), |frame| frame);
        self.seal_body(id, &prelude_of(payload, frame), &mut content, key).await
    }

    async fn seal_body(
        &self,
        id: MessageId,
        prelude: &Prelude,
        source: &mut impl Source,
        key: BodyKeyRecord,
    ) -> Result<(SpoolFile, ContentRecord), SendError> {
        let file = self.spool.create(Spooled::Outgoing(id)).await.map_err(SendError::Spool)?;
        let sealer = BodySealer::new(&key.seal(), prelude)?;
        let transfer = Transfer { message: id, done: 0, length: prelude.length_in_body(), kind: TransferKind::Sealing };
        let sealed = seal_into(&file, sealer, source, (&self.transfers, transfer)).await;
        self.transfers.end();
        let description = sealed?;
        let record = BodyRecord { description, key };
        Ok((file, ContentRecord::Body(record)))
    }
}

/// Seals all that `source` has, makes it durable, and shows how far it is.
async fn seal_into(
    file: &SpoolFile,
    mut sealer: BodySealer,
    source: &mut impl Source,
    (transfers, mut transfer): (&Transfers, Transfer),
) -> Result<BodyDescription, SendError> {
    let handle = tokio::fs::File::from_std(file.handle().map_err(SendError::Spool)?);
    let mut out = BufWriter::with_capacity(limits::SPOOL_BUFFER, handle);
    let mut hasher = BodyHasher::default();
    while let Some(room) = sealer.room() {
        source.fill(room).await?;
        transfer.done += room.len() as u64;
        let sealed = sealer.seal().map_err(|error| SendError::Seal(error.into()))?;
        hasher.update(sealed);
        out.write_all(sealed).await.map_err(SendError::Spool)?;
        transfers.show(transfer);
    }
    if !source.is_at_end().await? {
        return Err(SendError::ContentChanged);
    }
    out.flush().await.map_err(SendError::Spool)?;
    file.sync().await.map_err(SendError::Spool)?;
    Ok(hasher.description())
}

/// Whether sealing a payload once, as a body, is worth its while, beside sealing it for each of its recipients. A frame
/// travels in a body alone, and who asks for compression asks for fewer bytes.
pub(crate) fn saves_by_a_body(payload: &Payload, frame: Option<&SecretBytes>, recipients: usize) -> bool {
    let copies = payload.to_plaintext().padded_length().saturating_mul(recipients);
    let prelude = prelude_of(payload, frame);
    let Ok(sealer) = BodySealer::new(&BodySeal::Open, &prelude) else { return false };
    let body = usize::try_from(sealer.body_length()).unwrap_or(usize::MAX);
    let once = body.saturating_add(limits::BODY_KEY.saturating_mul(recipients));
    let least = frame.map_or(limits::BODY_SAVES, |_| 1);
    copies >= once.saturating_add(least)
}

fn prelude_of(payload: &Payload, frame: Option<&SecretBytes>) -> Prelude {
    Prelude { compressed_length: frame.map(|frame| frame.len() as u64), ..payload.prelude() }
}
