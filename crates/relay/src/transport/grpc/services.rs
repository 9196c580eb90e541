//! One implementation of every service.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use sealpost_api::v1::{
    self, authentication_server::Authentication, delegations_server::Delegations,
    delivery_router_server::DeliveryRouter, events_server::Events, key_agreement_server::KeyAgreement,
    messages_server::Messages, uploads_server::Uploads,
};
use sealpost_protocol::ErrorCode;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::super::{connection::Connection, endpoints, refusal::Refusal, streams, uploads};
use crate::{app::App, authentication::Caller, memory::Share};

/// The services' state.
#[derive(Clone)]
pub(super) struct Grpc(pub(super) Arc<App>);

type Answer<T> = Result<Response<T>, Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Who calls; authentication has put it there for every path but the open ones.
fn caller<T>(request: &Request<T>) -> Result<Caller, Refusal> {
    let caller = request.extensions().get::<Caller>().copied();
    caller.ok_or_else(|| Refusal::new(ErrorCode::Unauthenticated, "no caller is known"))
}

/// What every request has.
fn known<K: Clone + Send + Sync + 'static, T>(request: &Request<T>) -> Result<K, Refusal> {
    let known = request.extensions().get::<K>().cloned();
    known.ok_or_else(|| Refusal::new(ErrorCode::Internal, "the relay failed"))
}

fn answer<T>(result: Result<T, Refusal>) -> Answer<T> {
    result.map(Response::new).map_err(Status::from)
}

fn streamed<T>(items: impl Stream<Item = Result<T, Refusal>> + Send + 'static) -> Answer<Streamed<T>> {
    Ok(Response::new(Box::pin(items.map(|item| item.map_err(Status::from)))))
}

#[async_trait]
impl Authentication for Grpc {
    async fn challenge(&self, request: Request<v1::ChallengeRequest>) -> Answer<v1::ChallengeResponse> {
        answer(endpoints::challenge(&self.0, request.into_inner()))
    }

    async fn issue_token(&self, request: Request<v1::IssueTokenRequest>) -> Answer<v1::IssueTokenResponse> {
        let peer = known::<Arc<Connection>, _>(&request)?.tokens.peer;
        answer(endpoints::issue_token(&self.0, peer, request.into_inner()).await)
    }
}

#[async_trait]
impl Delegations for Grpc {
    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Answer<v1::RevokeResponse> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        let peer = known::<Arc<Connection>, _>(&request)?.tokens.peer;
        answer(endpoints::revoke(&self.0, caller, peer, share, request.into_inner()).await)
    }
}

#[async_trait]
impl KeyAgreement for Grpc {
    async fn upload_prekeys(&self, request: Request<v1::UploadPrekeysRequest>) -> Answer<v1::UploadPrekeysResponse> {
        let caller = caller(&request)?;
        answer(endpoints::upload_prekeys(&self.0, caller, request.into_inner()).await)
    }

    async fn claim_prekey_bundle(&self, request: Request<v1::ClaimPrekeyBundleRequest>) -> Answer<v1::PrekeyBundle> {
        let caller = caller(&request)?;
        answer(endpoints::claim_prekey_bundle(&self.0, caller, request.into_inner()).await)
    }

    async fn get_manifest(&self, request: Request<v1::GetManifestRequest>) -> Answer<v1::GetManifestResponse> {
        let caller = caller(&request)?;
        answer(endpoints::get_manifest(&self.0, caller, request.into_inner()).await)
    }
}

#[async_trait]
impl DeliveryRouter for Grpc {
    async fn send(&self, request: Request<v1::SendRequest>) -> Answer<v1::SendResponse> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        answer(endpoints::send(&self.0, caller, share, request.into_inner()).await)
    }

    async fn receive(&self, request: Request<v1::ReceiveRequest>) -> Answer<v1::ReceiveResponse> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        answer(endpoints::receive(&self.0, caller, &share, request.into_inner()).await)
    }

    type FollowStream = Streamed<v1::ReceiveResponse>;

    async fn follow(&self, request: Request<v1::FollowRequest>) -> Answer<Self::FollowStream> {
        let caller = caller(&request)?;
        streamed(streams::mail(Arc::clone(&self.0), caller, request.into_inner().after)?)
    }

    async fn acknowledge(&self, request: Request<v1::AcknowledgeRequest>) -> Answer<v1::AcknowledgeResponse> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        answer(endpoints::acknowledge(&self.0, caller, share, request.into_inner()).await)
    }

    async fn get_standing(&self, request: Request<v1::GetStandingRequest>) -> Answer<v1::GetStandingResponse> {
        let caller = caller(&request)?;
        answer(endpoints::get_standing(&self.0, caller).await)
    }
}

#[async_trait]
impl Messages for Grpc {
    async fn get_status(&self, request: Request<v1::GetStatusRequest>) -> Answer<v1::GetStatusResponse> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        answer(endpoints::get_status(&self.0, caller, &share, request.into_inner()).await)
    }

    async fn get_body(&self, request: Request<v1::GetBodyRequest>) -> Answer<v1::GetBodyResponse> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        answer(endpoints::get_body(&self.0, caller, &share, request.into_inner()).await)
    }

    type StreamBodyStream = Streamed<v1::GetBodyResponse>;

    async fn stream_body(&self, request: Request<v1::GetBodyRequest>) -> Answer<Self::StreamBodyStream> {
        let caller = caller(&request)?;
        streamed(streams::body(Arc::clone(&self.0), caller, request.into_inner())?)
    }
}

#[async_trait]
impl Uploads for Grpc {
    async fn begin(&self, request: Request<v1::BeginUploadRequest>) -> Answer<v1::UploadStatus> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        answer(uploads::begin(&self.0, caller, share, request.into_inner()).await)
    }

    async fn append(&self, request: Request<v1::AppendRequest>) -> Answer<v1::AppendResponse> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        answer(uploads::append(&self.0, caller, share, request.into_inner()).await)
    }

    type AppendAllStream = Streamed<v1::AppendResponse>;

    async fn append_all(&self, request: Request<Streaming<v1::AppendRequest>>) -> Answer<Self::AppendAllStream> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        streamed(streams::pieces(Arc::clone(&self.0), caller, share, request.into_inner())?)
    }

    async fn get(&self, request: Request<v1::UploadRequest>) -> Answer<v1::UploadStatus> {
        let caller = caller(&request)?;
        answer(uploads::get(&self.0, caller, request.into_inner()).await)
    }

    async fn cancel(&self, request: Request<v1::UploadRequest>) -> Answer<v1::CancelUploadResponse> {
        let (caller, share) = (caller(&request)?, known::<Arc<Share>, _>(&request)?);
        answer(uploads::cancel(&self.0, caller, share, request.into_inner()).await)
    }
}

#[async_trait]
impl Events for Grpc {
    type SubscribeStream = Streamed<v1::Event>;

    async fn subscribe(&self, request: Request<v1::SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        let caller = caller(&request)?;
        streamed(streams::events(&self.0, caller, request.into_inner().after)?)
    }

    async fn list(&self, request: Request<v1::ListEventsRequest>) -> Answer<v1::ListEventsResponse> {
        let caller = caller(&request)?;
        answer(endpoints::list_events(&self.0, caller, request.into_inner()).await)
    }
}
