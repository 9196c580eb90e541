//! A relay for one test.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use reqwest::header::HeaderMap;
use sealpost_api::v1;
use sealpost_core::{
    SubmittedBody,
    conformance::{Agent, HandClock, Letter},
    ports::PrekeyUpload,
};
use sealpost_protocol::encoding::Encode;
use sealpost_relay::{Config, Relay};
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;

use super::{
    session::{Session, token_request},
    token_key::TokenKey,
    wire::Wire,
};

/// A relay that serves on a free port, and all that is its own.
pub(crate) struct TestRelay {
    pub(crate) relay: Relay,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) origin: String,
    pub(crate) data_dir: TempDir,
}

impl TestRelay {
    pub(crate) async fn start() -> Self {
        let (data_dir, clock) = (tempfile::tempdir().unwrap(), Arc::<HandClock>::default());
        let relay = Relay::start_with_clock(config(&data_dir), clock.clone()).await.unwrap();
        Self { origin: format!("http://{}", relay.address()), relay, clock, data_dir }
    }

    /// Lets time pass by every clock, the one that does not jump included; tokens and connections end with it.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// A new HTTP/2 connection.
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.origin.clone()).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn grpc(&self) -> Wire {
        Wire::Grpc(self.channel().await)
    }

    pub(crate) fn rest(&self) -> Wire {
        Wire::Rest(reqwest::Client::new())
    }

    pub(crate) async fn wires(&self) -> [Wire; 2] {
        [self.grpc().await, self.rest()]
    }

    /// One who has no token.
    pub(crate) fn nobody(&self) -> Session {
        let (origin, clock) = (self.origin.clone(), self.clock.clone());
        Session { origin, token: None, key: Arc::new(TokenKey::new(0)), proves: true, clock }
    }

    /// A new token for `agent`.
    pub(crate) async fn session(&self, agent: &Agent) -> Session {
        let (nobody, key) = (self.nobody(), TokenKey::new(agent.id().as_bytes()[0]));
        let challenge = self.rest().ask(&nobody, v1::ChallengeRequest { nonce: vec![7; 32] }).await.unwrap();
        let request = token_request(agent, &key, &self.origin, &challenge);
        let issued = self.rest().ask(&nobody, request).await.unwrap();
        Session { token: issued["token"].as_str().map(str::to_owned), key: Arc::new(key), ..nobody }
    }

    /// A token for `agent`, who has published its prekeys.
    pub(crate) async fn member(&self, agent: &Agent) -> Session {
        let session = self.session(agent).await;
        self.rest().ask(&session, upload_request(&agent.upload(1, 1..=5))).await.unwrap();
        session
    }

    /// All that these agents can see: their mailboxes, their prekeys, what changed. Looking twice shows the same.
    pub(crate) async fn view(&self, sessions: &[&Session]) -> Vec<Value> {
        let (wire, mut seen) = (self.rest(), Vec::new());
        for session in sessions {
            seen.push(wire.ask(session, v1::ReceiveRequest::default()).await.unwrap());
        }
        for session in sessions {
            seen.push(wire.ask(session, v1::ListEventsRequest::default()).await.unwrap());
        }
        seen
    }
}

pub(crate) fn config(data_dir: &TempDir) -> Config {
    Config { data_dir: data_dir.path().to_owned(), listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
}

/// Sends any request over an HTTP/2 connection.
pub(crate) async fn send_raw(
    channel: &Channel,
    method: &str,
    path: &str,
    headers: HeaderMap,
    body: impl Into<axum::body::Body>,
) -> Response<tonic::body::Body> {
    let mut request = Request::builder().method(method).uri(path).body(tonic::body::Body::new(body.into())).unwrap();
    request.headers_mut().extend(headers);
    channel.clone().oneshot(request).await.unwrap()
}

pub(crate) fn upload_request(upload: &PrekeyUpload) -> v1::UploadPrekeysRequest {
    v1::UploadPrekeysRequest {
        manifest: upload.manifest.to_bytes(),
        one_time_curve: upload.one_time_curve.iter().map(Encode::to_bytes).collect(),
        one_time_kem: upload.one_time_kem.iter().map(Encode::to_bytes).collect(),
        forget_unused: upload.forget_unused,
    }
}

pub(crate) fn send_request(letter: &Letter) -> v1::SendRequest {
    let submission = letter.submission();
    let part = |part: &sealpost_core::Part| v1::Part {
        recipient: part.recipient.to_string(),
        attempt: part.attempt.number().into(),
        envelope: part.content.clone(),
    };
    let (body, upload_id) = match submission.body() {
        None => (None, None),
        Some(SubmittedBody::Inline(body)) => (Some(body.clone()), None),
        Some(SubmittedBody::Uploaded(id)) => (None, Some(id.to_string())),
    };
    v1::SendRequest {
        header: submission.header().to_bytes(),
        body,
        upload_id,
        parts: submission.parts().iter().map(part).collect(),
        retention: Some(submission.retention().to_string()),
    }
}
