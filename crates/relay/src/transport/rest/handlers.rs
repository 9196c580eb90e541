//! One handler for each operation: it takes a request apart and gives it to its endpoint.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    response::Response,
};
use sealpost_api::v1;
use sealpost_protocol::{ErrorCode, Right};
use serde::Deserialize;

use super::{
    super::{connection::Connection, endpoints, refusal::Refusal, uploads, websocket},
    extract::{JsonBody, PathText, QueryString},
};
use crate::{app::App, authentication::Caller, limits, memory::Share};

type Answer<T> = Result<Json<T>, Refusal>;

pub(super) async fn challenge(
    State(app): State<Arc<App>>,
    JsonBody(request): JsonBody<v1::ChallengeRequest>,
) -> Answer<v1::ChallengeResponse> {
    endpoints::challenge(&app, request).map(Json)
}

pub(super) async fn issue_token(
    State(app): State<Arc<App>>,
    Extension(connection): Extension<Arc<Connection>>,
    JsonBody(request): JsonBody<v1::IssueTokenRequest>,
) -> Answer<v1::IssueTokenResponse> {
    endpoints::issue_token(&app, connection.tokens.peer, request).await.map(Json)
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(connection): Extension<Arc<Connection>>,
    Extension(share): Extension<Arc<Share>>,
    JsonBody(request): JsonBody<v1::RevokeRequest>,
) -> Answer<v1::RevokeResponse> {
    endpoints::revoke(&app, caller, connection.tokens.peer, share, request).await.map(Json)
}

pub(super) async fn upload_prekeys(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<v1::UploadPrekeysRequest>,
) -> Answer<v1::UploadPrekeysResponse> {
    endpoints::upload_prekeys(&app, caller, request).await.map(Json)
}

pub(super) async fn claim_prekey_bundle(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    PathText(agent_id): PathText,
    JsonBody(request): JsonBody<v1::ClaimPrekeyBundleRequest>,
) -> Answer<v1::PrekeyBundle> {
    if !request.agent_id.is_empty() && request.agent_id != agent_id {
        return Err(Refusal::new(ErrorCode::Malformed, "agent_id: the path names another"));
    }
    let request = v1::ClaimPrekeyBundleRequest { agent_id, ..request };
    endpoints::claim_prekey_bundle(&app, caller, request).await.map(Json)
}

pub(super) async fn get_manifest(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    PathText(agent_id): PathText,
) -> Answer<v1::GetManifestResponse> {
    endpoints::get_manifest(&app, caller, v1::GetManifestRequest { agent_id }).await.map(Json)
}

pub(super) async fn send(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(share): Extension<Arc<Share>>,
    JsonBody(request): JsonBody<v1::SendRequest>,
) -> Answer<v1::SendResponse> {
    endpoints::send(&app, caller, share, request).await.map(Json)
}

pub(super) async fn begin_upload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(share): Extension<Arc<Share>>,
    JsonBody(request): JsonBody<v1::BeginUploadRequest>,
) -> Answer<v1::UploadStatus> {
    uploads::begin(&app, caller, share, request).await.map(Json)
}

pub(super) async fn append_piece(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(share): Extension<Arc<Share>>,
    PathText(upload_id): PathText,
    JsonBody(request): JsonBody<v1::AppendRequest>,
) -> Answer<v1::AppendResponse> {
    if !request.upload_id.is_empty() && request.upload_id != upload_id {
        return Err(Refusal::new(ErrorCode::Malformed, "upload_id: the path names another"));
    }
    uploads::append(&app, caller, share, v1::AppendRequest { upload_id, ..request }).await.map(Json)
}

pub(super) async fn get_upload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    PathText(upload_id): PathText,
) -> Answer<v1::UploadStatus> {
    uploads::get(&app, caller, v1::UploadRequest { upload_id }).await.map(Json)
}

pub(super) async fn cancel_upload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(share): Extension<Arc<Share>>,
    PathText(upload_id): PathText,
) -> Answer<v1::CancelUploadResponse> {
    uploads::cancel(&app, caller, share, v1::UploadRequest { upload_id }).await.map(Json)
}

pub(super) async fn receive(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(share): Extension<Arc<Share>>,
    QueryString(request): QueryString<v1::ReceiveRequest>,
) -> Answer<v1::ReceiveResponse> {
    endpoints::receive(&app, caller, &share, request).await.map(Json)
}

pub(super) async fn acknowledge(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(share): Extension<Arc<Share>>,
    JsonBody(request): JsonBody<v1::AcknowledgeRequest>,
) -> Answer<v1::AcknowledgeResponse> {
    endpoints::acknowledge(&app, caller, share, request).await.map(Json)
}

pub(super) async fn get_standing(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    QueryString(v1::GetStandingRequest {}): QueryString<v1::GetStandingRequest>,
) -> Answer<v1::GetStandingResponse> {
    endpoints::get_standing(&app, caller).await.map(Json)
}

/// Whose message an id names, where it is not the caller's.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SenderQuery {
    sender: String,
}

pub(super) async fn get_status(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(share): Extension<Arc<Share>>,
    PathText(message_id): PathText,
    QueryString(query): QueryString<SenderQuery>,
) -> Answer<v1::GetStatusResponse> {
    let request = v1::GetStatusRequest { sender: query.sender, message_id };
    endpoints::get_status(&app, caller, &share, request).await.map(Json)
}

/// Whose message an id names, and from where on its body is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BodyQuery {
    sender: String,
    offset: u64,
}

pub(super) async fn get_body(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(share): Extension<Arc<Share>>,
    PathText(message_id): PathText,
    QueryString(query): QueryString<BodyQuery>,
) -> Answer<v1::GetBodyResponse> {
    let request = v1::GetBodyRequest { sender: query.sender, message_id, offset: query.offset };
    endpoints::get_body(&app, caller, &share, request).await.map(Json)
}

pub(super) async fn list_events(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    QueryString(request): QueryString<v1::ListEventsRequest>,
) -> Answer<v1::ListEventsResponse> {
    endpoints::list_events(&app, caller, request).await.map(Json)
}

/// The connection goes on as a WebSocket, and keeps its place.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(connection): Extension<Arc<Connection>>,
    QueryString(request): QueryString<v1::SubscribeRequest>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    caller.may(Right::Read)?;
    let upgrade = upgrade.map_err(|error| Refusal::new(ErrorCode::Malformed, error.body_text()))?;
    let size = limits::WEBSOCKET_MESSAGE_BYTES;
    Ok(upgrade.max_frame_size(size).max_message_size(size).on_upgrade(async move |socket| {
        let dropping = app.tasks.dropping().clone();
        dropping.run_until_cancelled(websocket::serve_events(app, caller, request.after, socket)).await;
        drop(connection);
    }))
}

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Refusal> {
    app.ready().await.map(|()| "ready\n")
}
