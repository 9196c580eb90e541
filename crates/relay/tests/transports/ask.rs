//! What can be asked of a relay, in the form of each transport.

use reqwest::Method;
use sealpost_api::v1::{
    self, authentication_client::AuthenticationClient, delegations_client::DelegationsClient,
    delivery_router_client::DeliveryRouterClient, events_client::EventsClient,
    key_agreement_client::KeyAgreementClient, messages_client::MessagesClient, uploads_client::UploadsClient,
};
use serde_json::{Value, json};
use tonic::{Request, Status, metadata::MetadataMap, transport::Channel};

macro_rules! asks {
    ($($request:ident: $client:ident.$call:ident, $path:literal;)+) => {
        /// One request.
        #[derive(Debug, Clone)]
        #[expect(clippy::enum_variant_names, reason = "each has its message's name")]
        pub(crate) enum Ask { $($request(v1::$request),)+ }

        $(impl From<v1::$request> for Ask {
            fn from(request: v1::$request) -> Self {
                Self::$request(request)
            }
        })+

        impl Ask {
            /// Where a gRPC request goes.
            pub(crate) fn grpc_path(&self) -> &'static str {
                match self { $(Self::$request(_) => concat!("/sealpost.v1.", $path),)+ }
            }

            /// Asks over gRPC; the answer is shown in its JSON form.
            pub(crate) async fn over_grpc(self, channel: Channel, metadata: MetadataMap) -> Result<Value, Status> {
                match self { $(Self::$request(message) => {
                    let mut request = Request::new(message);
                    *request.metadata_mut() = metadata;
                    let answer = $client::new(channel).$call(request).await?;
                    Ok(serde_json::to_value(answer.into_inner()).unwrap())
                })+ }
            }
        }
    };
}

asks! {
    ChallengeRequest: AuthenticationClient.challenge, "Authentication/Challenge";
    IssueTokenRequest: AuthenticationClient.issue_token, "Authentication/IssueToken";
    RevokeRequest: DelegationsClient.revoke, "Delegations/Revoke";
    UploadPrekeysRequest: KeyAgreementClient.upload_prekeys, "KeyAgreement/UploadPrekeys";
    ClaimPrekeyBundleRequest: KeyAgreementClient.claim_prekey_bundle, "KeyAgreement/ClaimPrekeyBundle";
    GetManifestRequest: KeyAgreementClient.get_manifest, "KeyAgreement/GetManifest";
    SendRequest: DeliveryRouterClient.send, "DeliveryRouter/Send";
    ReceiveRequest: DeliveryRouterClient.receive, "DeliveryRouter/Receive";
    AcknowledgeRequest: DeliveryRouterClient.acknowledge, "DeliveryRouter/Acknowledge";
    GetStandingRequest: DeliveryRouterClient.get_standing, "DeliveryRouter/GetStanding";
    GetStatusRequest: MessagesClient.get_status, "Messages/GetStatus";
    GetBodyRequest: MessagesClient.get_body, "Messages/GetBody";
    ListEventsRequest: EventsClient.list, "Events/List";
    BeginUploadRequest: UploadsClient.begin, "Uploads/Begin";
    AppendRequest: UploadsClient.append, "Uploads/Append";
    UploadRequest: UploadsClient.get, "Uploads/Get";
}

/// A REST request, but for its credentials.
pub(crate) struct RestForm {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Option<Value>,
}

impl Ask {
    /// The same request in REST.
    pub(crate) fn rest_form(&self) -> RestForm {
        match self {
            Self::ChallengeRequest(request) => post("/auth/challenge", json!(request)),
            Self::IssueTokenRequest(request) => post("/auth/token", json!(request)),
            Self::RevokeRequest(request) => post("/api/revocations", json!(request)),
            Self::UploadPrekeysRequest(request) => post("/messaging/upload-prekeys", json!(request)),
            Self::ClaimPrekeyBundleRequest(request) => {
                post(&format!("/messaging/prekeys/{}", request.agent_id), json!(request))
            }
            Self::GetManifestRequest(request) => get(&format!("/messaging/prekeys/{}", request.agent_id), ""),
            Self::SendRequest(request) => post("/messaging/send", json!(request)),
            Self::ReceiveRequest(request) => {
                let v1::ReceiveRequest { after, limit, wait_ms, control_taken } = request;
                let query = format!("after={after}&limit={limit}&wait_ms={wait_ms}&control_taken={control_taken}");
                get("/messaging/receive", &query)
            }
            Self::AcknowledgeRequest(request) => post("/messaging/ack", json!(request)),
            Self::GetStandingRequest(_) => get("/messaging/standing", ""),
            Self::GetStatusRequest(request) => {
                get(&format!("/api/messages/{}", request.message_id), &format!("sender={}", request.sender))
            }
            Self::GetBodyRequest(request) => {
                let v1::GetBodyRequest { sender, message_id, offset } = request;
                get(&format!("/api/messages/{message_id}/content"), &format!("sender={sender}&offset={offset}"))
            }
            Self::BeginUploadRequest(request) => post("/api/uploads", json!(request)),
            Self::AppendRequest(request) => post(&format!("/api/uploads/{}/pieces", request.upload_id), json!(request)),
            Self::UploadRequest(request) => get(&format!("/api/uploads/{}", request.upload_id), ""),
            Self::ListEventsRequest(request) => get("/api/events", &format!("after={}", request.after)),
        }
    }
}

fn post(path: &str, body: Value) -> RestForm {
    RestForm { method: Method::POST, path: path.to_owned(), query: String::new(), body: Some(body) }
}

fn get(path: &str, query: &str) -> RestForm {
    RestForm { method: Method::GET, path: path.to_owned(), query: query.to_owned(), body: None }
}
