//! The operators' endpoint: JSON over HTTP on an address of its own, on loopback only. Whoever reaches it may use it, so a
//! page in a browser must not: requests under another host's name, and those that a page has sent, are refused.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sealpost_protocol::MessageId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    operators::{Operations, OperatorError},
    tasks::Tasks,
};

/// Where a backup goes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    /// A folder of the relay's machine, as an absolute path.
    to: std::path::PathBuf,
}

/// Serves until the relay stops.
pub(crate) async fn serve(listener: TcpListener, operations: Operations, tasks: Tasks) {
    let stopping = tasks.stopping().clone();
    let router = router(operations).layer(Extension(stopping.clone()));
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "the operators' endpoint has ended");
    }
}

fn router(operations: Operations) -> Router {
    Router::new()
        .route("/blocks/stats", get(async |State(it): State<Arc<Operations>>| answer(it.stats().await)))
        .route("/blocks/verify", post(async |State(it): State<Arc<Operations>>| answer(it.verify().await)))
        .route("/blocks/repair", post(async |State(it): State<Arc<Operations>>| answer(it.repair().await)))
        .route("/blocks/gc", post(async |State(it): State<Arc<Operations>>| answer(it.collect().await)))
        .route("/blocks/contents/{message}", get(contents_of))
        .route("/backup", post(back_up))
        .layer(middleware::from_fn(refuse_pages))
        .with_state(Arc::new(operations))
}

async fn contents_of(State(operations): State<Arc<Operations>>, Path(message): Path<String>) -> Response {
    match message.parse::<MessageId>() {
        Ok(message) => answer(operations.contents_of(message).await),
        Err(error) => refusal(StatusCode::BAD_REQUEST, "malformed", &error.to_string()),
    }
}

/// Ends with its request, and when the relay stops.
async fn back_up(
    State(operations): State<Arc<Operations>>,
    Extension(stopping): Extension<CancellationToken>,
    Json(backup): Json<Backup>,
) -> Response {
    if !backup.to.is_absolute() {
        return refusal(StatusCode::BAD_REQUEST, "malformed", "the folder is not an absolute path");
    }
    match stopping.run_until_cancelled(operations.back_up(backup.to)).await {
        Some(made) => answer(made),
        None => refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the relay stops, and no backup was made"),
    }
}

fn answer<T: Serialize>(result: Result<T, OperatorError>) -> Response {
    match result {
        Ok(report) => Json(report).into_response(),
        Err(error) => {
            let text = chain(&error);
            tracing::error!(error = text, "an operator's request failed");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "failed", &text)
        }
    }
}

fn refusal(status: StatusCode, code: &str, detail: &str) -> Response {
    (status, Json(json!({ "code": code, "detail": detail }))).into_response()
}

/// An error and what lies behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let below = error.source().map(chain);
    below.map_or_else(|| error.to_string(), |below| format!("{error}: {below}"))
}

async fn refuse_pages(request: Request, next: Next) -> Response {
    if is_local(request.headers()) {
        return next.run(request).await;
    }
    refusal(StatusCode::FORBIDDEN, "forbidden", "this endpoint serves no pages, and answers to loopback names only")
}

fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    !headers.contains_key(header::ORIGIN) && matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn pages_and_other_hosts_names_are_refused() {
        for host in ["127.0.0.1:7118", "localhost:7118", "[::1]:7118", "localhost"] {
            assert!(is_local(&headers(&[("host", host)])), "{host}");
            assert!(!is_local(&headers(&[("host", host), ("origin", "http://localhost:7118")])));
        }
        for host in ["evil.example:7118", "127.0.0.1.evil.example", "", "10.0.0.1:7118"] {
            assert!(!is_local(&headers(&[("host", host)])), "{host}");
        }
    }
}
