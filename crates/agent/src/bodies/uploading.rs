//! Moving the body of an outgoing message to the relay, before the message itself: the relay says which pieces it lacks,
//! and these go, a few at a time. Whatever interrupts it, the next call goes on where it was.

use std::{fs::File, io};

use futures::{StreamExt, stream::FuturesUnordered};
use sealpost_api::v1;
use sealpost_protocol::{
    BodyDescription, ErrorCode, Header, MessageId, Scheme, UploadId,
    encoding::{Decode, DecodeError},
    limits as wire,
};

use super::{
    spool::{SpoolFile, Spooled, blocking},
    transfers::{Stop, Transfer, TransferKind},
};
use crate::{
    Agent, RelayError, SendError,
    conflicts::retry_conflicts,
    limits,
    outbox::is_final,
    records::{OutgoingRecord, UploadRecord},
    relay_client::RelayClient,
    store::{Changes, Versioned},
};

/// How far an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uploaded {
    /// The relay has all of it, or the message waits no more.
    Whole,
    /// It was asked to rest.
    InPart,
    /// Another process of the agent is at it.
    ByAnother,
}

/// What is uploaded.
struct Upload {
    message: MessageId,
    id: UploadId,
    scheme: Scheme,
    body: BodyDescription,
    file: SpoolFile,
}

impl Agent {
    /// Uploads what the relay lacks of a sealed message's body. If that is refused for good, the message is noted as
    /// unsent. Holds no turn: it may take hours.
    pub(crate) async fn upload_body(&self, id: MessageId, is_wanted: bool, stop: &Stop) -> Result<Uploaded, SendError> {
        let Some(row) = self.store.find::<OutgoingRecord>(id.as_bytes()).await? else { return Ok(Uploaded::Whole) };
        let header = Header::from_bytes(&row.value.header)?;
        let Some(body) = header.fields().body else { return Ok(Uploaded::Whole) };
        let result = match self.spool.open(Spooled::Outgoing(id)).await {
            Ok(None) => return Ok(Uploaded::ByAnother),
            Ok(Some(file)) => self.try_upload(&row, &header, body, file, stop).await,
            Err(error) => Err(SendError::Spool(error)),
        };
        self.transfers.end();
        if let Err(error) = &result
            && is_final(error)
        {
            let _turn = self.turns.take().await?;
            retry_conflicts(|| async {
                match self.store.find::<OutgoingRecord>(id.as_bytes()).await? {
                    Some(row) => self.note_refused(id, &row, error, is_wanted).await,
                    None => Ok(()),
                }
            })
            .await?;
        }
        result
    }

    async fn try_upload(
        &self,
        row: &Versioned<OutgoingRecord>,
        header: &Header,
        body: BodyDescription,
        file: SpoolFile,
        stop: &Stop,
    ) -> Result<Uploaded, SendError> {
        self.check_life(header.fields().expires).await?;
        let message = header.message().id;
        let id = match row.value.upload {
            Some(upload) => upload.id,
            None => {
                let mut id = [0; 16];
                self.primitives.fill_random(&mut id).map_err(|error| SendError::Seal(error.into()))?;
                UploadId(id)
            }
        };
        let upload = Upload { message, id, scheme: header.fields().scheme, body, file };
        let relay = self.relay().await?;
        let mut status = if row.value.upload.is_none() {
            // Noted before it begins: one that has begun, and is gone, may have become the message's body.
            self.note_upload(message, UploadRecord { id, is_complete: false }).await?;
            relay.begin_upload(upload.beginning()).await?
        } else {
            match relay.upload_status(upload.named()).await {
                Err(error) if error.code() == Some(ErrorCode::NotFound) => {
                    // Sending tells whether it became that; if not, the upload begins anew.
                    self.note_upload(message, UploadRecord { id, is_complete: true }).await?;
                    return Ok(Uploaded::Whole);
                }
                status => status?,
            }
        };
        while !status.missing.is_empty() {
            if !self.upload_missing(relay, &upload, &status, stop).await? {
                return Ok(Uploaded::InPart);
            }
            self.check_life(header.fields().expires).await?;
            if self.store.find::<OutgoingRecord>(message.as_bytes()).await?.is_none() {
                // Taken back meanwhile.
                relay.cancel_upload(upload.named()).await?;
                return Ok(Uploaded::Whole);
            }
            status = relay.upload_status(upload.named()).await?;
        }
        self.note_upload(message, UploadRecord { id, is_complete: true }).await?;
        Ok(Uploaded::Whole)
    }

    /// Uploads the pieces that `status` names. Returns whether it got to their end.
    async fn upload_missing(
        &self,
        relay: &RelayClient,
        upload: &Upload,
        status: &v1::UploadStatus,
        stop: &Stop,
    ) -> Result<bool, SendError> {
        let missing: u64 = status.missing.iter().map(|range| range.length).sum();
        let mut transfer = Transfer {
            message: upload.message,
            done: upload.body.sealed_length.saturating_sub(missing),
            length: upload.body.sealed_length,
            kind: TransferKind::Upload,
        };
        self.transfers.show(transfer);
        let mut offsets = offsets_of(status);
        let mut on_their_way = FuturesUnordered::new();
        loop {
            while on_their_way.len() < limits::PIECES_AT_A_TIME
                && !stop.rests()
                && let Some(offset) = offsets.next()
            {
                on_their_way.push(upload_piece(relay, upload, offset));
            }
            match on_their_way.next().await {
                Some(length) => transfer.done += length?,
                None => return Ok(!stop.rests()),
            }
            stop.moved();
            self.transfers.show(transfer);
        }
    }

    /// Notes how far the upload of a message's body has come, if the message still waits.
    pub(crate) async fn note_upload(&self, id: MessageId, upload: UploadRecord) -> Result<(), SendError> {
        retry_conflicts(|| async {
            let Some(row) = self.store.find::<OutgoingRecord>(id.as_bytes()).await? else { return Ok(()) };
            let mut changes = Changes::default();
            changes.replace(&row, &OutgoingRecord { upload: Some(upload), ..row.value.clone() });
            Ok(self.store.commit(changes).await?)
        })
        .await
    }

    /// Lets go of what the relay has of a body whose message was taken back. If that fails, the relay lets go by itself.
    pub(crate) async fn drop_upload(&self, row: &OutgoingRecord) {
        let Some(upload) = row.upload else { return };
        let request = v1::UploadRequest { upload_id: upload.id.to_string() };
        let dropped = match self.relay().await {
            Ok(relay) => relay.cancel_upload(request).await.map_err(SendError::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = dropped {
            tracing::debug!(%error, "an upload is left to the relay");
        }
    }
}

impl Upload {
    fn beginning(&self) -> v1::BeginUploadRequest {
        v1::BeginUploadRequest {
            upload_id: self.id.to_string(),
            scheme: self.scheme.as_str().to_owned(),
            length: self.body.sealed_length,
            hash: self.body.hash.to_vec(),
        }
    }

    fn named(&self) -> v1::UploadRequest {
        v1::UploadRequest { upload_id: self.id.to_string() }
    }
}

/// Where the missing pieces begin.
fn offsets_of(status: &v1::UploadStatus) -> std::vec::IntoIter<u64> {
    let step = usize::try_from(wire::BODY_PIECE).unwrap_or(usize::MAX);
    let mut offsets = Vec::new();
    for range in &status.missing {
        offsets.extend((range.offset..range.offset.saturating_add(range.length)).step_by(step));
    }
    offsets.into_iter()
}

async fn upload_piece(relay: &RelayClient, upload: &Upload, offset: u64) -> Result<u64, SendError> {
    let file = upload.file.handle().map_err(SendError::Spool)?;
    let piece = read_piece(file, upload.body, offset).await?;
    let length = piece.len() as u64;
    relay.append(v1::AppendRequest { upload_id: upload.id.to_string(), offset, piece }).await?;
    Ok(length)
}

/// The piece of a spooled body that begins at `offset`. A relay that asks for one that begins elsewhere makes no sense.
async fn read_piece(file: File, body: BodyDescription, offset: u64) -> Result<Vec<u8>, SendError> {
    let place = offset / wire::BODY_PIECE;
    let length = body.piece_length(place).filter(|_| offset.is_multiple_of(wire::BODY_PIECE));
    let length = length.ok_or(RelayError::Answer("no piece of the body begins there"))?;
    let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
    blocking(move || read_at(&file, offset, length)).await.map_err(SendError::Spool)
}

/// Reads at a place of its own: several read one file at a time.
pub(super) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut at = 0;
    while let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(file, rest, offset + at as u64)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(file, rest, offset + at as u64)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += read;
    }
    Ok(bytes)
}
