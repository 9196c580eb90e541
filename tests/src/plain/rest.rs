//! The interface over REST and WebSocket. JSON is written and read by hand, from the documented names; every request
//! proves the token's key.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::StreamExt;
use reqwest::{Client, Method};
use sealpost_api::v1;
use sealpost_protocol::{AgentId, ErrorCode};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use super::{
    carrier::{Carrier, Events},
    credentials::Credentials,
};
use crate::within;

/// A REST client.
#[derive(Debug)]
pub struct Rest {
    origin: String,
    client: Client,
    credentials: Option<Credentials>,
}

impl Rest {
    async fn get(&self, path: &str, query: &str) -> Result<Json, ErrorCode> {
        self.call(Method::GET, path, query, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Json, ErrorCode> {
        self.call(Method::POST, path, "", Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, query: &str, body: Option<Value>) -> Result<Json, ErrorCode> {
        let name = format!("{method} {path}");
        let mut request = self.client.request(method.clone(), format!("{}{path}{query}", self.origin));
        for (header, value) in self.headers(method.as_str(), path) {
            request = request.header(header, value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = within(&name, request.send()).await.unwrap();
        let status = response.status();
        let code = response.headers().get("sealpost-code").map(|code| code.to_str().unwrap().to_owned());
        let json = Json(within(&name, response.json()).await.unwrap());
        if status.is_success() {
            return Ok(json);
        }
        assert_eq!(json.0["status"], status.as_u16(), "the problem document and the status of {name}");
        assert_eq!(Some(json.text("code")), code, "the problem document and the header of {name}");
        Err(json.text("code").parse().unwrap())
    }

    /// Who calls; the proof is over the path without its query.
    fn headers(&self, method: &str, path: &str) -> Vec<(&'static str, String)> {
        let Some(credentials) = &self.credentials else { return Vec::new() };
        let proof = credentials.proof(method, &format!("{}{path}", self.origin));
        let authorization = ("authorization", credentials.authorization());
        [authorization].into_iter().chain(proof.map(|proof| ("dpop", proof))).collect()
    }
}

/// A document with the proto's field names.
struct Json(Value);

impl Json {
    fn text(&self, field: &str) -> String {
        self.0[field].as_str().unwrap_or_else(|| panic!("{field} is no text in {}", self.0)).to_owned()
    }

    fn number<N: TryFrom<i128>>(&self, field: &str) -> N {
        self.optional_number(field).unwrap_or_else(|| panic!("{field} is no such number in {}", self.0))
    }

    fn optional_number<N: TryFrom<i128>>(&self, field: &str) -> Option<N> {
        let value = &self.0[field];
        let number = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from))?;
        N::try_from(number).ok()
    }

    fn bytes(&self, field: &str) -> Vec<u8> {
        STANDARD.decode(self.text(field)).unwrap_or_else(|_| panic!("{field} is no base64 in {}", self.0))
    }

    fn list(&self, field: &str) -> Vec<Self> {
        let items = self.0[field].as_array().unwrap_or_else(|| panic!("{field} is no list in {}", self.0));
        items.iter().cloned().map(Self).collect()
    }

    fn counts(&self, field: &str) -> v1::PrekeyCounts {
        let counts = Self(self.0[field].clone());
        v1::PrekeyCounts {
            one_time_curve: counts.number("one_time_curve"),
            one_time_kem: counts.number("one_time_kem"),
        }
    }

    fn event(&self) -> v1::Event {
        v1::Event {
            seq: self.number("seq"),
            r#type: self.text("type"),
            sender: self.text("sender"),
            message_id: self.text("message_id"),
            recipient: self.text("recipient"),
            attempt: self.number("attempt"),
            reason: self.text("reason"),
        }
    }

    fn mailbox_entry(&self) -> v1::MailboxEntry {
        v1::MailboxEntry {
            mailbox_seq: self.number("mailbox_seq"),
            attempt: self.number("attempt"),
            queued_at_ms: self.number("queued_at_ms"),
            header: self.bytes("header"),
            envelope: self.bytes("envelope"),
        }
    }

    fn delivery_status(&self) -> v1::DeliveryStatus {
        v1::DeliveryStatus {
            recipient: self.text("recipient"),
            attempt: self.number("attempt"),
            state: self.text("state"),
            reason: self.text("reason"),
            late: self.0["late"].as_bool().unwrap(),
            queued_at_ms: self.number("queued_at_ms"),
            handed_over_at_ms: self.optional_number("handed_over_at_ms"),
            delivered_at_ms: self.optional_number("delivered_at_ms"),
            acknowledged_at_ms: self.optional_number("acknowledged_at_ms"),
            change_seq: self.number("change_seq"),
            receipt: self.bytes("receipt"),
        }
    }
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

impl Carrier for Rest {
    async fn dial(origin: &str) -> Self {
        Self { origin: origin.to_owned(), client: Client::new(), credentials: None }
    }

    fn present(&mut self, credentials: Credentials) {
        self.credentials = Some(credentials);
    }

    async fn challenge(&mut self) -> Result<v1::ChallengeResponse, ErrorCode> {
        let answer = self.post("/auth/challenge", json!({ "nonce": base64([7; 32]) })).await?;
        Ok(v1::ChallengeResponse {
            node_id: answer.text("node_id"),
            challenge: answer.bytes("challenge"),
            expires_at_ms: answer.number("expires_at_ms"),
            ledger_id: answer.bytes("ledger_id"),
            at_ms: answer.number("at_ms"),
            signature: answer.bytes("signature"),
        })
    }

    async fn issue_token(&mut self, request: v1::IssueTokenRequest) -> Result<v1::IssueTokenResponse, ErrorCode> {
        let body = json!({
            "identity_key": base64(request.identity_key),
            "origin": request.origin,
            "challenge": base64(request.challenge),
            "expires_at_ms": request.expires_at_ms,
            "token_key": base64(request.token_key),
            "signature": base64(request.signature),
        });
        let answer = self.post("/auth/token", body).await?;
        Ok(v1::IssueTokenResponse { token: answer.text("token"), expires_at_ms: answer.number("expires_at_ms") })
    }

    async fn upload_prekeys(&mut self, request: v1::UploadPrekeysRequest) -> Result<v1::PrekeyCounts, ErrorCode> {
        let body = json!({
            "manifest": base64(request.manifest),
            "one_time_curve": request.one_time_curve.iter().map(base64).collect::<Vec<_>>(),
            "one_time_kem": request.one_time_kem.iter().map(base64).collect::<Vec<_>>(),
            "forget_unused": request.forget_unused,
        });
        Ok(self.post("/messaging/upload-prekeys", body).await?.counts("counts"))
    }

    async fn claim_bundle(&mut self, agent: AgentId, claim_id: [u8; 16]) -> Result<v1::PrekeyBundle, ErrorCode> {
        let body = json!({ "claim_id": base64(claim_id) });
        let answer = self.post(&format!("/messaging/prekeys/{agent}"), body).await?;
        Ok(v1::PrekeyBundle {
            manifest: answer.bytes("manifest"),
            one_time_curve: answer.bytes("one_time_curve"),
            one_time_kem: answer.bytes("one_time_kem"),
        })
    }

    async fn manifest(&mut self, agent: AgentId) -> Result<Vec<u8>, ErrorCode> {
        Ok(self.get(&format!("/messaging/prekeys/{agent}"), "").await?.bytes("manifest"))
    }

    async fn send(&mut self, request: v1::SendRequest) -> Result<i64, ErrorCode> {
        let part = |part: &v1::Part| json!({ "recipient": part.recipient, "attempt": part.attempt, "envelope": base64(&part.envelope) });
        let parts: Vec<Value> = request.parts.iter().map(part).collect();
        let body = json!({ "header": base64(request.header), "parts": parts });
        Ok(self.post("/messaging/send", body).await?.number("accepted_at_ms"))
    }

    async fn receive(&mut self, request: v1::ReceiveRequest) -> Result<v1::ReceiveResponse, ErrorCode> {
        let query = format!("?after={}&limit={}&wait_ms={}", request.after, request.limit, request.wait_ms);
        let answer = self.get("/messaging/receive", &query).await?;
        Ok(v1::ReceiveResponse {
            entries: answer.list("entries").iter().map(Json::mailbox_entry).collect(),
            prekeys: Some(answer.counts("prekeys")),
        })
    }

    async fn acknowledge(&mut self, receipts: Vec<u8>) -> Result<v1::AcknowledgeResponse, ErrorCode> {
        let answer = self.post("/messaging/ack", json!({ "receipts": base64(receipts) })).await?;
        Ok(v1::AcknowledgeResponse {
            number: answer.number("number"),
            countersignature: answer.bytes("countersignature"),
            refused: answer
                .list("refused")
                .iter()
                .map(|refused| v1::RefusedReceipt { index: refused.number("index"), code: refused.text("code") })
                .collect(),
        })
    }

    async fn status(&mut self, request: v1::GetStatusRequest) -> Result<Vec<v1::DeliveryStatus>, ErrorCode> {
        let query = format!("?sender={}", request.sender);
        let answer = self.get(&format!("/api/messages/{}", request.message_id), &query).await?;
        Ok(answer.list("deliveries").iter().map(Json::delivery_status).collect())
    }

    async fn body(&mut self, request: v1::GetBodyRequest) -> Result<Vec<u8>, ErrorCode> {
        let path = format!("/api/messages/{}/content", request.message_id);
        Ok(self.get(&path, &format!("?sender={}", request.sender)).await?.bytes("body"))
    }

    async fn list_events(&mut self, after: u64) -> Result<Vec<v1::Event>, ErrorCode> {
        let answer = self.get("/api/events", &format!("?after={after}")).await?;
        Ok(answer.list("events").iter().map(Json::event).collect())
    }

    async fn subscribe(&mut self, after: u64) -> Result<Events, ErrorCode> {
        let socket = self.origin.replace("http://", "ws://");
        let mut request = format!("{socket}/events?after={after}").into_client_request().unwrap();
        for (header, value) in self.headers("GET", "/events") {
            request.headers_mut().insert(header, value.parse().unwrap());
        }
        match within("the WebSocket", connect_async(request)).await {
            Ok((socket, _)) => Ok(socket.filter_map(async |message| event_in(message)).boxed()),
            Err(tungstenite::Error::Http(response)) => {
                Err(response.headers()["sealpost-code"].to_str().unwrap().parse().unwrap())
            }
            Err(error) => panic!("no WebSocket: {error}"),
        }
    }
}

/// The event that a message is; pings, and the end, are none.
fn event_in(message: tungstenite::Result<Message>) -> Option<v1::Event> {
    let Ok(Message::Text(text)) = message else { return None };
    Some(Json(serde_json::from_str(&text).unwrap()).event())
}
