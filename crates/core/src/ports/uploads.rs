//! Bodies on their way in: piece by piece, in any order, each durable by itself.

use async_trait::async_trait;
use sealpost_protocol::{AgentId, BodyDescription, PieceHash, Scheme, Timestamp, UploadId};
use thiserror::Error;

use super::{BackendError, ContentHandle, ContentsMark};

/// The full name of an upload: ids are unique per owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadName {
    /// Whose.
    pub owner: AgentId,
    /// The owner's id for it.
    pub id: UploadId,
}

/// What a body will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadDescription {
    /// The scheme of the message that it is for.
    pub scheme: Scheme,
    /// Length and hash.
    pub body: BodyDescription,
}

/// An upload as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRecord {
    /// What is to come.
    pub description: UploadDescription,
    /// When what has come is let go of.
    pub expires: Timestamp,
    /// What has come: place and hash, ascending.
    pub pieces: Vec<(u64, PieceHash)>,
}

/// One place of an upload as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPlace {
    /// What is to come.
    pub description: UploadDescription,
    /// When what has come is let go of.
    pub expires: Timestamp,
    /// The hash of the piece that has come to it.
    pub piece: Option<PieceHash>,
}

/// A piece that is stored already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPiece {
    /// Its place in the body, from 0.
    pub place: u64,
    /// Its hash in that place.
    pub hash: PieceHash,
    /// Where it lies.
    pub content: ContentHandle,
    /// What it came with.
    pub mark: ContentsMark,
}

/// What one owner may have on the way and in bodies of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyQuota {
    /// Uploads at a time.
    pub uploads: u64,
    /// Bytes of all bodies, those that are announced included.
    pub bytes: u64,
}

/// Why an upload did not begin; nothing has changed then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BeginUploadError {
    /// The id is in use for another body.
    #[error("the upload's id is in use for another body")]
    Conflict,
    /// The owner has as many uploads, or as many bytes, as it may have.
    #[error("the owner's uploads and bodies leave no room for this one")]
    Quota,
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why a piece was not added; nothing has changed then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddPieceError {
    /// There is no such upload: it was never begun, has become a message's body, or has expired.
    #[error("there is no such upload")]
    Unknown,
    /// Another piece has this place.
    #[error("another piece was uploaded to this place")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Uploads; a part of the ledger, since accepting a message takes its body from them.
#[async_trait]
pub trait Uploads: Send + Sync {
    /// Begins an upload within `quota`. The same again changes its end and nothing else.
    async fn begin_upload(
        &self,
        name: UploadName,
        description: UploadDescription,
        expires: Timestamp,
        quota: BodyQuota,
    ) -> Result<UploadRecord, BeginUploadError>;

    /// Records a piece, and puts off the end of the upload to `expires`. Gives back the content if the piece is there
    /// already.
    async fn add_piece(
        &self,
        name: UploadName,
        piece: StoredPiece,
        expires: Timestamp,
    ) -> Result<Option<ContentHandle>, AddPieceError>;

    /// One place of an upload that has not expired by `now`; how much else has come costs nothing.
    async fn upload_place(
        &self,
        name: UploadName,
        place: u64,
        now: Timestamp,
    ) -> Result<Option<UploadPlace>, BackendError>;

    /// An upload that has not expired by `now`.
    async fn upload(&self, name: UploadName, now: Timestamp) -> Result<Option<UploadRecord>, BackendError>;

    /// Forgets an upload and gives back what has come of it; nothing if there is none.
    async fn cancel_upload(&self, name: UploadName) -> Result<Vec<ContentHandle>, BackendError>;

    /// Forgets an upload that has expired by `now`, and gives back what has come of it; `None` if there is none.
    async fn expire_upload(&self, now: Timestamp) -> Result<Option<Vec<ContentHandle>>, BackendError>;
}
