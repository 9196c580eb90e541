//! gRPC and REST behind one face: the same request, the same answer, the same refusal.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use sealpost_api::CODE_METADATA;
use sealpost_protocol::ErrorCode;
use serde_json::Value;
use tonic::{Status, metadata::MetadataMap, transport::Channel};

use super::{ask::Ask, session::Session};

/// A client of one transport. A gRPC client has one connection.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    /// HTTP/2.
    Grpc(Channel),
    /// HTTP/1.1.
    Rest(reqwest::Client),
}

/// A refusal, as each transport tells it.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    pub(crate) detail: String,
    /// The problem document, over REST.
    pub(crate) document: Value,
}

impl Wire {
    /// Asks as the session's agent, or as nobody.
    pub(crate) async fn ask(&self, session: &Session, ask: impl Into<Ask>) -> Result<Value, Refused> {
        let ask = ask.into();
        match self {
            Self::Grpc(channel) => {
                let headers = session.headers("POST", ask.grpc_path());
                ask.over_grpc(channel.clone(), MetadataMap::from_headers(headers)).await.map_err(Refused::from)
            }
            Self::Rest(client) => {
                let form = ask.rest_form();
                let headers = session.headers(form.method.as_str(), &form.path);
                let url = format!("{}{}?{}", session.origin, form.path, form.query);
                let mut request = client.request(form.method, url).headers(headers);
                if let Some(body) = &form.body {
                    request = request.json(body);
                }
                rest_answer(request.send().await.unwrap()).await
            }
        }
    }
}

/// Reads a REST answer; a refusal says the same in its status, its header and its document.
pub(crate) async fn rest_answer(response: reqwest::Response) -> Result<Value, Refused> {
    let (status, headers) = (response.status(), response.headers().clone());
    let body: Value = response.json().await.expect("JSON");
    if status.is_success() {
        assert_eq!(text(&headers, CONTENT_TYPE.as_str()), Some("application/json"));
        return Ok(body);
    }
    assert_eq!(text(&headers, CONTENT_TYPE.as_str()), Some("application/problem+json"), "{body}");
    assert_eq!(text(&headers, CODE_METADATA), body["code"].as_str(), "{body}");
    assert_eq!(body["status"], status.as_u16(), "{body}");
    let code = body["code"].as_str().unwrap().parse().expect("a stable code");
    Err(Refused { code, detail: body["detail"].as_str().unwrap().to_owned(), document: body })
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let code = status.metadata().get(CODE_METADATA).unwrap_or_else(|| panic!("no stable code: {status:?}"));
        let code = code.to_str().unwrap().parse().expect("a stable code");
        Self { code, detail: status.message().to_owned(), document: Value::Null }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
