//! A bare gRPC echo: what a call costs at least on this listener, before anything of the relay's own. Served only to a
//! benchmark, which asks for it when it starts the relay.

use sealpost_api::echo::{
    EchoMessage,
    echo_server::{Echo, EchoServer},
};
use sealpost_protocol::limits as wire;
use tonic::{Request, Response, Status, async_trait, service::Routes};

const PATH: &str = "/sealpost.bench.v1.Echo/";

struct Mirror;

#[async_trait]
impl Echo for Mirror {
    async fn echo(&self, request: Request<EchoMessage>) -> Result<Response<EchoMessage>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

pub(super) fn router() -> axum::Router {
    let echo = EchoServer::new(Mirror).max_decoding_message_size(wire::REQUEST_BYTES);
    Routes::new(echo).prepare().into_axum_router()
}

/// Whether a path is the echo's.
pub(super) fn is_echo(path: &str) -> bool {
    path.starts_with(PATH)
}
