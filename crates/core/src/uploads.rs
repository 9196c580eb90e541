//! Uploading a body before the message that it belongs to: in pieces, in any order, from several connections, and from
//! where it stopped after an interruption. Sending the message ends it.

use std::{ops::Range, sync::Arc};

use sealpost_protocol::{BodyDescription, Clock, ErrorCode, PieceHash, Timestamp, UploadId, limits as wire};
use thiserror::Error;

use crate::{
    Principal, limits,
    ports::{
        AddPieceError, BackendError, BeginUploadError, BodyQuota, ContentPolicy, Contents, Ledger, StoredPiece,
        UploadDescription, UploadName, UploadRecord,
    },
    release,
};

/// What one agent may have in uploads and bodies.
pub(crate) const QUOTA: BodyQuota = BodyQuota { uploads: limits::UPLOADS, bytes: limits::SENDER_BODY_BYTES };

/// Takes bodies in.
pub struct Uploading {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) contents: Arc<dyn Contents>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How an upload stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadStatus {
    /// Bytes of the whole body.
    pub length: u64,
    /// What is missing, ascending: [`limits::MISSING_RANGES`] ranges at most; nothing when the body is complete.
    pub missing: Vec<Range<u64>>,
    /// When what has come is let go of, unless more comes.
    pub expires: Timestamp,
}

/// Why an upload does not go on; nothing has changed then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The body is empty or longer than any may be.
    #[error("a body has 1 to {} bytes, not {found}", wire::BODY)]
    Length {
        /// Its bytes, as announced.
        found: u64,
    },
    /// There is no such upload, or it has expired.
    #[error("there is no such upload")]
    Unknown,
    /// The piece is not one of the body's.
    #[error(
        "a piece begins at a multiple of {} bytes, has as many, and ends with the body at the latest",
        wire::BODY_PIECE
    )]
    Piece,
    /// Id or place are in use for something else.
    #[error("{0}")]
    Conflict(&'static str),
    /// The agent's quota leaves no room.
    #[error(
        "{} uploads at a time and {} bytes in bodies is all that one agent may have",
        limits::UPLOADS,
        limits::SENDER_BODY_BYTES
    )]
    Quota,
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl UploadError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Length { found: 0 } | Self::Piece => ErrorCode::Malformed,
            Self::Length { .. } => ErrorCode::TooLarge,
            Self::Unknown => ErrorCode::NotFound,
            Self::Conflict(_) => ErrorCode::Conflict,
            Self::Quota => ErrorCode::QuotaExceeded,
            Self::Backend(_) => ErrorCode::Unavailable,
        }
    }
}

impl Uploading {
    /// Begins an upload, or finds it begun.
    ///
    /// # Errors
    /// [`UploadError::Length`], [`UploadError::Conflict`], [`UploadError::Quota`], [`UploadError::Backend`].
    pub async fn begin(
        &self,
        caller: &Principal,
        id: UploadId,
        description: UploadDescription,
    ) -> Result<UploadStatus, UploadError> {
        let found = description.body.sealed_length;
        if !(1..=wire::BODY).contains(&found) {
            return Err(UploadError::Length { found });
        }
        let begun = self.ledger.begin_upload(name(caller, id), description, self.expiry(), QUOTA).await;
        let record = begun.map_err(|error| match error {
            BeginUploadError::Conflict => UploadError::Conflict("the upload's id is in use for another body"),
            BeginUploadError::Quota => UploadError::Quota,
            BeginUploadError::Backend(error) => error.into(),
        })?;
        Ok(status(&record))
    }

    /// Takes in the piece that begins at `offset`: when this returns, it is durable. The same again is no error.
    ///
    /// # Errors
    /// [`UploadError::Unknown`], [`UploadError::Piece`], [`UploadError::Conflict`], [`UploadError::Backend`].
    pub async fn append(
        &self,
        caller: &Principal,
        id: UploadId,
        offset: u64,
        piece: Vec<u8>,
    ) -> Result<Timestamp, UploadError> {
        let name = name(caller, id);
        let place = offset / wire::BODY_PIECE;
        let known = self.ledger.upload_place(name, place, self.clock.now()).await?.ok_or(UploadError::Unknown)?;
        let hash = known.description.body.piece_hash(place, &piece).filter(|_| offset.is_multiple_of(wire::BODY_PIECE));
        let hash = hash.ok_or(UploadError::Piece)?;
        let expires = self.expiry();
        if let Some(there) = known.piece {
            return if there == hash { Ok(known.expires) } else { Err(OTHER_PIECE) };
        }
        let stored = self.contents.append(ContentPolicy::of(known.description.scheme), vec![piece]).await?;
        let (content, mark) = (stored.handles.into_iter().next().ok_or_else(no_handle)?, stored.mark);
        let piece = StoredPiece { place, hash, content: content.clone(), mark };
        let added = self.ledger.add_piece(name, piece, expires).await;
        match added {
            Ok(unused) => release::let_go(&*self.ledger, &*self.contents, unused.into_iter().collect()).await,
            Err(AddPieceError::Backend(error)) => return Err(error.into()),
            Err(refusal) => {
                release::drop_unrecorded(&*self.contents, vec![content]).await;
                let is_conflict = matches!(refusal, AddPieceError::Conflict);
                return Err(if is_conflict { OTHER_PIECE } else { UploadError::Unknown });
            }
        }
        Ok(expires)
    }

    /// How an upload stands.
    ///
    /// # Errors
    /// [`UploadError::Unknown`], [`UploadError::Backend`].
    pub async fn status(&self, caller: &Principal, id: UploadId) -> Result<UploadStatus, UploadError> {
        let record = self.ledger.upload(name(caller, id), self.clock.now()).await?;
        record.as_ref().map(status).ok_or(UploadError::Unknown)
    }

    /// Lets go of what has come. An upload that is not there is no error.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn cancel(&self, caller: &Principal, id: UploadId) -> Result<(), BackendError> {
        let released = self.ledger.cancel_upload(name(caller, id)).await?;
        release::let_go(&*self.ledger, &*self.contents, released).await;
        Ok(())
    }

    fn expiry(&self) -> Timestamp {
        self.clock.now().saturating_add(limits::UPLOAD_LIFE)
    }
}

const OTHER_PIECE: UploadError = UploadError::Conflict("another piece was uploaded to this place");

fn no_handle() -> BackendError {
    BackendError::new("a content without a handle")
}

fn name(caller: &Principal, id: UploadId) -> UploadName {
    UploadName { owner: caller.agent(), id }
}

fn status(record: &UploadRecord) -> UploadStatus {
    let body = record.description.body;
    let ranges = missing(body, &record.pieces);
    UploadStatus {
        length: body.sealed_length,
        missing: ranges.take(limits::MISSING_RANGES).collect(),
        expires: record.expires,
    }
}

/// The ranges between the pieces that are there.
fn missing(body: BodyDescription, pieces: &[(u64, PieceHash)]) -> impl Iterator<Item = Range<u64>> {
    let begins = std::iter::once(0).chain(pieces.iter().map(|(place, _)| place + 1));
    let ends = pieces.iter().map(|(place, _)| *place).chain([body.pieces()]);
    let bytes = move |place: u64| (place * wire::BODY_PIECE).min(body.sealed_length);
    begins.zip(ends).filter(|(begin, end)| begin < end).map(move |(begin, end)| bytes(begin)..bytes(end))
}

/// Whether a record is all of a body, and its hash the one that was announced.
pub(crate) fn is_complete(record: &UploadRecord) -> bool {
    let hashes: Vec<PieceHash> = record.pieces.iter().map(|(_, hash)| *hash).collect();
    record.description.body.is_made_of(&hashes)
}
