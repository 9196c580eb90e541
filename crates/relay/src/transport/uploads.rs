//! The endpoints of uploads. Those of messages are in [`endpoints`](super::endpoints).

use std::sync::Arc;

use sealpost_api::{
    convert::{array, millis},
    v1,
};
use sealpost_core::{UploadStatus, ports::UploadDescription};
use sealpost_protocol::{BodyDescription, ErrorCode, Right, Scheme, UploadId, limits};

use super::{endpoints::write, refusal::Refusal};
use crate::{app::App, authentication::Caller, memory::Share};

pub(crate) async fn begin(
    app: &Arc<App>,
    caller: Caller,
    share: Arc<Share>,
    request: v1::BeginUploadRequest,
) -> Result<v1::UploadStatus, Refusal> {
    let caller = caller.may(Right::Send)?;
    let id = upload_id(&request.upload_id)?;
    let unknown = || Refusal::new(ErrorCode::Malformed, "scheme: none, shared-key, recipient-keys or ratchet");
    let scheme = Scheme::from_name(&request.scheme).ok_or_else(unknown)?;
    let body = BodyDescription { sealed_length: request.length, hash: array("hash", &request.hash)? };
    let description = UploadDescription { scheme, body };
    let begin = |app: Arc<App>| async move { app.services.uploading.begin(&caller, id, description).await };
    Ok(status_message(write(app, share, begin).await?))
}

pub(crate) async fn append(
    app: &Arc<App>,
    caller: Caller,
    share: Arc<Share>,
    request: v1::AppendRequest,
) -> Result<v1::AppendResponse, Refusal> {
    let caller = caller.may(Right::Send)?;
    let v1::AppendRequest { upload_id: id, offset, piece } = request;
    let id = upload_id(&id)?;
    if piece.len() as u64 > limits::BODY_PIECE {
        return Err(Refusal::new(ErrorCode::TooLarge, format!("piece: at most {} bytes", limits::BODY_PIECE)));
    }
    let append = move |app: Arc<App>| async move { app.services.uploading.append(&caller, id, offset, piece).await };
    let expires = write(app, share, append).await?;
    Ok(v1::AppendResponse { offset, expires_at_ms: millis(expires) })
}

pub(crate) async fn get(app: &App, caller: Caller, request: v1::UploadRequest) -> Result<v1::UploadStatus, Refusal> {
    let caller = &caller.may(Right::Send)?;
    let status = app.services.uploading.status(caller, upload_id(&request.upload_id)?).await?;
    Ok(status_message(status))
}

pub(crate) async fn cancel(
    app: &Arc<App>,
    caller: Caller,
    share: Arc<Share>,
    request: v1::UploadRequest,
) -> Result<v1::CancelUploadResponse, Refusal> {
    let caller = caller.may(Right::Send)?;
    let id = upload_id(&request.upload_id)?;
    write(app, share, |app: Arc<App>| async move { app.services.uploading.cancel(&caller, id).await }).await?;
    Ok(v1::CancelUploadResponse {})
}

pub(super) fn upload_id(text: &str) -> Result<UploadId, Refusal> {
    text.parse().map_err(|_| Refusal::new(ErrorCode::Malformed, "upload_id: not a UUID"))
}

fn status_message(status: UploadStatus) -> v1::UploadStatus {
    let range =
        |range: &std::ops::Range<u64>| v1::MissingRange { offset: range.start, length: range.end - range.start };
    v1::UploadStatus {
        length: status.length,
        piece: limits::BODY_PIECE,
        missing: status.missing.iter().map(range).collect(),
        expires_at_ms: millis(status.expires),
    }
}
