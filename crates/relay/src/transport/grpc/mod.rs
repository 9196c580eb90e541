//! The gRPC services: shells around the endpoints.

mod health;
mod services;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Response};
use sealpost_api::{
    CODE_METADATA,
    v1::{
        FILE_DESCRIPTOR_SET, authentication_server::AuthenticationServer, delegations_server::DelegationsServer,
        delivery_router_server::DeliveryRouterServer, events_server::EventsServer,
        key_agreement_server::KeyAgreementServer, messages_server::MessagesServer, uploads_server::UploadsServer,
    },
};
use sealpost_protocol::{ErrorCode, limits as wire};
use tonic::{Code, Status, service::Routes};
use tonic_health::pb::health_server::HealthServer;

use self::services::Grpc;
use super::refusal::Refusal;
use crate::{app::App, limits};

/// All services, health and reflection. A request that carries no payload is small.
pub(crate) fn router(app: &Arc<App>) -> axum::Router {
    let grpc = Grpc(Arc::clone(app));
    let health = HealthServer::new(health::Health(Arc::clone(app)));
    let small = limits::SMALL_REQUEST_BYTES;
    let mut routes = Routes::new(AuthenticationServer::new(grpc.clone()).max_decoding_message_size(small))
        .add_service(DelegationsServer::new(grpc.clone()).max_decoding_message_size(small))
        .add_service(KeyAgreementServer::new(grpc.clone()).max_decoding_message_size(wire::REQUEST_BYTES))
        .add_service(UploadsServer::new(grpc.clone()).max_decoding_message_size(wire::REQUEST_BYTES))
        .add_service(DeliveryRouterServer::new(grpc.clone()).max_decoding_message_size(wire::REQUEST_BYTES))
        .add_service(MessagesServer::new(grpc.clone()).max_decoding_message_size(small))
        .add_service(EventsServer::new(grpc).max_decoding_message_size(small))
        .add_service(health.max_decoding_message_size(small));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1();
    match reflection {
        Ok(reflection) => routes = routes.add_service(reflection.max_decoding_message_size(small)),
        Err(error) => tracing::error!(%error, "no reflection"),
    }
    routes.prepare().into_axum_router()
}

/// A refusal as a response without a body.
pub(crate) fn refusal(refusal: Refusal) -> Response<Body> {
    Status::from(refusal).into_http()
}

/// Gives a stable code to what the gRPC library refuses by itself: messages that do not decode or are too long, and
/// methods that do not exist.
pub(crate) fn name_refusal(response: Response<Body>) -> Response<Body> {
    if response.headers().contains_key(CODE_METADATA) {
        return response;
    }
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let (code, status) = match (status.code(), status.message()) {
        (Code::Ok, _) => return response,
        (Code::Unimplemented, "") => (ErrorCode::NotFound, Status::unimplemented("there is no such method")),
        (Code::OutOfRange | Code::ResourceExhausted, detail) => (ErrorCode::TooLarge, Status::invalid_argument(detail)),
        (Code::Internal | Code::InvalidArgument, detail) => (ErrorCode::Malformed, Status::invalid_argument(detail)),
        (Code::Unimplemented, _) => (ErrorCode::Malformed, status), // a compression that is not served
        (Code::NotFound, _) => (ErrorCode::NotFound, status),
        _ => (ErrorCode::Unavailable, status),
    };
    let mut response = status.into_http();
    response.headers_mut().insert(CODE_METADATA, HeaderValue::from_static(code.as_str()));
    response
}
