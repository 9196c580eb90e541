//! The interface over gRPC. The token's key is proven with the connection's first call, and not again.

use futures::StreamExt;
use sealpost_api::v1::{
    self, authentication_client::AuthenticationClient, delivery_router_client::DeliveryRouterClient,
    events_client::EventsClient, key_agreement_client::KeyAgreementClient, messages_client::MessagesClient,
};
use sealpost_protocol::{AgentId, ErrorCode};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint},
};

use super::{
    carrier::{Carrier, Events},
    credentials::Credentials,
};
use crate::within;

/// A gRPC connection.
#[derive(Debug)]
pub struct Grpc {
    origin: String,
    channel: Channel,
    credentials: Option<Credentials>,
    /// Whether the relay has seen proof of the token's key on this connection.
    is_proven: bool,
}

impl Grpc {
    fn request<T>(&self, service_and_method: &str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let Some(credentials) = &self.credentials else { return request };
        request.metadata_mut().insert("authorization", credentials.authorization().parse().unwrap());
        let target = format!("{}/sealpost.v1.{service_and_method}", self.origin);
        if let Some(proof) = credentials.proof("POST", &target).filter(|_| !self.is_proven) {
            request.metadata_mut().insert("dpop", proof.parse().unwrap());
        }
        request
    }

    async fn call<Q, A>(
        &mut self,
        service_and_method: &str,
        message: Q,
        call: impl AsyncFnOnce(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, ErrorCode> {
        let request = self.request(service_and_method, message);
        match within(service_and_method, call(self.channel.clone(), request)).await {
            Ok(answer) => {
                self.is_proven = self.credentials.is_some();
                Ok(answer.into_inner())
            }
            Err(status) => Err(code_of(&status)),
        }
    }
}

fn code_of(status: &Status) -> ErrorCode {
    let code = status.metadata().get("sealpost-code").unwrap_or_else(|| panic!("a refusal without a code: {status:?}"));
    code.to_str().unwrap().parse().unwrap()
}

impl Carrier for Grpc {
    async fn dial(origin: &str) -> Self {
        let channel = Endpoint::from_shared(origin.to_owned()).unwrap().connect_lazy();
        Self { origin: origin.to_owned(), channel, credentials: None, is_proven: false }
    }

    fn present(&mut self, credentials: Credentials) {
        (self.credentials, self.is_proven) = (Some(credentials), false);
    }

    async fn challenge(&mut self) -> Result<v1::ChallengeResponse, ErrorCode> {
        self.call("Authentication/Challenge", v1::ChallengeRequest { nonce: vec![7; 32] }, async |channel, request| {
            AuthenticationClient::new(channel).challenge(request).await
        })
        .await
    }

    async fn issue_token(&mut self, request: v1::IssueTokenRequest) -> Result<v1::IssueTokenResponse, ErrorCode> {
        self.call("Authentication/IssueToken", request, async |channel, request| {
            AuthenticationClient::new(channel).issue_token(request).await
        })
        .await
    }

    async fn upload_prekeys(&mut self, request: v1::UploadPrekeysRequest) -> Result<v1::PrekeyCounts, ErrorCode> {
        let answer = self.call("KeyAgreement/UploadPrekeys", request, async |channel, request| {
            KeyAgreementClient::new(channel).upload_prekeys(request).await
        });
        Ok(answer.await?.counts.unwrap())
    }

    async fn claim_bundle(&mut self, agent: AgentId, claim_id: [u8; 16]) -> Result<v1::PrekeyBundle, ErrorCode> {
        let request = v1::ClaimPrekeyBundleRequest { agent_id: agent.to_string(), claim_id: claim_id.to_vec() };
        self.call("KeyAgreement/ClaimPrekeyBundle", request, async |channel, request| {
            KeyAgreementClient::new(channel).claim_prekey_bundle(request).await
        })
        .await
    }

    async fn manifest(&mut self, agent: AgentId) -> Result<Vec<u8>, ErrorCode> {
        let request = v1::GetManifestRequest { agent_id: agent.to_string() };
        let answer = self.call("KeyAgreement/GetManifest", request, async |channel, request| {
            KeyAgreementClient::new(channel).get_manifest(request).await
        });
        Ok(answer.await?.manifest)
    }

    async fn send(&mut self, request: v1::SendRequest) -> Result<i64, ErrorCode> {
        let answer = self.call("DeliveryRouter/Send", request, async |channel, request| {
            DeliveryRouterClient::new(channel).send(request).await
        });
        Ok(answer.await?.accepted_at_ms)
    }

    async fn receive(&mut self, request: v1::ReceiveRequest) -> Result<v1::ReceiveResponse, ErrorCode> {
        self.call("DeliveryRouter/Receive", request, async |channel, request| {
            DeliveryRouterClient::new(channel).receive(request).await
        })
        .await
    }

    async fn acknowledge(&mut self, receipts: Vec<u8>) -> Result<v1::AcknowledgeResponse, ErrorCode> {
        self.call("DeliveryRouter/Acknowledge", v1::AcknowledgeRequest { receipts }, async |channel, request| {
            DeliveryRouterClient::new(channel).acknowledge(request).await
        })
        .await
    }

    async fn status(&mut self, request: v1::GetStatusRequest) -> Result<Vec<v1::DeliveryStatus>, ErrorCode> {
        let answer = self.call("Messages/GetStatus", request, async |channel, request| {
            MessagesClient::new(channel).get_status(request).await
        });
        Ok(answer.await?.deliveries)
    }

    async fn body(&mut self, request: v1::GetBodyRequest) -> Result<Vec<u8>, ErrorCode> {
        let answer = self.call("Messages/GetBody", request, async |channel, request| {
            MessagesClient::new(channel).get_body(request).await
        });
        Ok(answer.await?.body)
    }

    async fn list_events(&mut self, after: u64) -> Result<Vec<v1::Event>, ErrorCode> {
        let answer = self.call("Events/List", v1::ListEventsRequest { after }, async |channel, request| {
            EventsClient::new(channel).list(request).await
        });
        Ok(answer.await?.events)
    }

    async fn subscribe(&mut self, after: u64) -> Result<Events, ErrorCode> {
        let request = v1::SubscribeRequest { after };
        let stream = self.call("Events/Subscribe", request, async |channel, request| {
            EventsClient::new(channel).subscribe(request).await
        });
        Ok(stream.await?.take_while(|event| std::future::ready(event.is_ok())).map(Result::unwrap).boxed())
    }
}
