//! REST: the documents' paths, JSON with base64 bytes, and problem documents. Shells around the endpoints.
//!
//! One list of operations makes both the router and `/openapi.json`.

mod extract;
mod handlers;
mod openapi;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    routing::{self, MethodRouter},
};
use sealpost_protocol::ErrorCode;

use super::refusal::Refusal;
use crate::{app::App, limits};

/// What a client can ask for: where, and where what it means is written.
struct Operation {
    method: &'static str,
    path: &'static str,
    meaning: Meaning,
    handler: MethodRouter<Arc<App>>,
}

/// What an operation does and what it takes. A parameter in a path has its field's name.
enum Meaning {
    /// The same as this call of the gRPC interface, `Service.Method`.
    Call(&'static str),
    /// This; it takes nothing.
    Text(&'static str),
}

use Meaning::{Call, Text};

fn operations() -> Vec<Operation> {
    let small = || DefaultBodyLimit::max(limits::SMALL_REQUEST_BYTES);
    vec![
        post("/auth/challenge", Call("Authentication.Challenge"), handlers::challenge.layer(small())),
        post("/auth/token", Call("Authentication.IssueToken"), handlers::issue_token.layer(small())),
        post("/api/revocations", Call("Delegations.Revoke"), handlers::revoke.layer(small())),
        post("/messaging/upload-prekeys", Call("KeyAgreement.UploadPrekeys"), handlers::upload_prekeys),
        post(
            "/messaging/prekeys/{agent_id}",
            Call("KeyAgreement.ClaimPrekeyBundle"),
            handlers::claim_prekey_bundle.layer(small()),
        ),
        get("/messaging/prekeys/{agent_id}", Call("KeyAgreement.GetManifest"), handlers::get_manifest),
        post("/messaging/send", Call("DeliveryRouter.Send"), handlers::send),
        post("/api/uploads", Call("Uploads.Begin"), handlers::begin_upload.layer(small())),
        post("/api/uploads/{upload_id}/pieces", Call("Uploads.Append"), handlers::append_piece),
        get("/api/uploads/{upload_id}", Call("Uploads.Get"), handlers::get_upload),
        delete("/api/uploads/{upload_id}", Call("Uploads.Cancel"), handlers::cancel_upload),
        get("/messaging/receive", Call("DeliveryRouter.Receive"), handlers::receive),
        post("/messaging/ack", Call("DeliveryRouter.Acknowledge"), handlers::acknowledge),
        get("/messaging/standing", Call("DeliveryRouter.GetStanding"), handlers::get_standing),
        get("/api/messages/{message_id}", Call("Messages.GetStatus"), handlers::get_status),
        get("/api/messages/{message_id}/content", Call("Messages.GetBody"), handlers::get_body),
        get("/api/events", Call("Events.List"), handlers::list_events),
        get("/events", Call("Events.Subscribe"), handlers::events),
        get("/healthz", Text("Whether the relay runs."), handlers::healthz),
        get(
            "/readyz",
            Text("Whether the relay can serve: its store answers, writes, and has room for new messages."),
            handlers::readyz,
        ),
        get("/openapi.json", Text("This document."), openapi::serve),
    ]
}

fn get<T: 'static>(path: &'static str, meaning: Meaning, handler: impl Handler<T, Arc<App>>) -> Operation {
    Operation { method: "get", path, meaning, handler: routing::get(handler) }
}

fn post<T: 'static>(path: &'static str, meaning: Meaning, handler: impl Handler<T, Arc<App>>) -> Operation {
    Operation { method: "post", path, meaning, handler: routing::post(handler) }
}

fn delete<T: 'static>(path: &'static str, meaning: Meaning, handler: impl Handler<T, Arc<App>>) -> Operation {
    Operation { method: "delete", path, meaning, handler: routing::delete(handler) }
}

/// All paths.
pub(crate) fn router(app: Arc<App>) -> Router {
    let add = |router: Router<_>, operation: Operation| router.route(operation.path, operation.handler);
    operations()
        .into_iter()
        .fold(Router::new(), add)
        .fallback(async || Refusal::new(ErrorCode::NotFound, "there is no such path"))
        .method_not_allowed_fallback(async || {
            Refusal::new(ErrorCode::MethodNotAllowed, "the path does not know this method")
        })
        .layer(DefaultBodyLimit::max(limits::REST_REQUEST_BYTES))
        .with_state(app)
}
