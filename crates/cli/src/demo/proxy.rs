//! A proxy between agents and relay that speaks gRPC and can do what a hostile network can: see everything, hold back,
//! reorder, repeat, alter, lie.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, body::Body, extract::State, response::IntoResponse, serve::ListenerExt};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost::{Message, bytes::Bytes};
use sealpost_api::v1;
use sealpost_protocol::Scheme;
use tokio::net::TcpListener;

/// Bytes before a gRPC message: a flag and a length.
const PREFIX: usize = 5;

/// Where the scheme stands in a header with one recipient.
const SCHEME_IN_HEADER: usize = 1 + 32 + 16 + 2 + 32;

/// What the proxy does to what passes, and what it has seen.
#[derive(Default)]
pub(super) struct Interference {
    /// Hands pages of mail out in reverse, numbered as if that were the order.
    pub(super) reverse: bool,
    /// Flips one bit of each envelope's last byte.
    pub(super) tamper: bool,
    /// Says in each header that the message is not sealed.
    pub(super) downgrade: bool,
    /// Adds these entries to every page.
    pub(super) replay: Vec<v1::MailboxEntry>,
    /// Claims that everything was delivered.
    pub(super) forge_delivered: bool,
    /// Entries that have passed, as the relay handed them out.
    pub(super) seen: Vec<v1::MailboxEntry>,
    /// The last token and proof that have passed.
    pub(super) credentials: Option<Credentials>,
}

/// What an eavesdropper has of a caller.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) authorization: String,
    pub(super) proof: String,
}

/// A running proxy; it ends with the process.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) origin: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<String>,
    interference: Mutex<Interference>,
    client: Client<HttpConnector, Body>,
}

impl Proxy {
    /// Listens on a free port. Nothing is forwarded until [`Proxy::forward_to`].
    pub(super) async fn start() -> Result<Self, String> {
        let listener =
            TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
        let shared = Arc::new(Shared { upstream: Mutex::default(), interference: Mutex::default(), client });
        let router = Router::new().fallback(forward).with_state(Arc::clone(&shared));
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { origin: format!("http://{address}"), shared })
    }

    /// Forwards to `address` from now on.
    pub(super) fn forward_to(&self, address: &str) {
        address.clone_into(&mut self.shared.upstream.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What it does and has seen.
    pub(super) fn interference(&self) -> MutexGuard<'_, Interference> {
        self.shared.interference.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn forward(State(shared): State<Arc<Shared>>, mut request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    shared.eavesdrop(&request);
    let upstream = shared.upstream.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Ok(uri) = format!("http://{upstream}{path}").parse::<Uri>() else { return bad_gateway() };
    *request.uri_mut() = uri;
    let Ok(response) = shared.client.request(request).await else { return bad_gateway() };
    match path.as_str() {
        "/sealpost.v1.DeliveryRouter/Receive" => shared.rewrite(response, Interference::rewrite_page).await,
        "/sealpost.v1.Messages/GetStatus" => shared.rewrite(response, Interference::rewrite_status).await,
        _ => response.map(Body::new),
    }
}

fn bad_gateway() -> Response<Body> {
    StatusCode::BAD_GATEWAY.into_response()
}

impl Shared {
    fn eavesdrop(&self, request: &Request<Body>) {
        let text = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
        if let (Some(authorization), Some(proof)) = (text(header::AUTHORIZATION.as_str()), text("dpop")) {
            let mut interference = self.interference.lock().unwrap_or_else(PoisonError::into_inner);
            interference.credentials = Some(Credentials { authorization, proof });
        }
    }

    /// Takes a unary answer apart, lets `change` at its message, and puts it together again, trailers included.
    async fn rewrite<M: Message + Default>(
        &self,
        response: Response<hyper::body::Incoming>,
        change: impl FnOnce(&mut Interference, &mut M),
    ) -> Response<Body> {
        let (parts, body) = response.into_parts();
        let Ok(collected) = body.collect().await else { return bad_gateway() };
        let trailers = collected.trailers().cloned();
        let bytes = collected.to_bytes();
        let message = bytes.get(PREFIX..).and_then(|message| M::decode(message).ok());
        let bytes = match message.filter(|_| !bytes.is_empty()) {
            None => bytes,
            Some(mut message) => {
                change(&mut self.interference.lock().unwrap_or_else(PoisonError::into_inner), &mut message);
                frame(&message)
            }
        };
        let body = Full::new(bytes).with_trailers(async move { trailers.map(Ok) });
        Response::from_parts(parts, Body::new(body))
    }
}

/// A gRPC message with its prefix, uncompressed.
fn frame(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), &encoded].concat().into()
}

impl Interference {
    fn rewrite_page(&mut self, page: &mut v1::ReceiveResponse) {
        self.seen.extend(page.entries.iter().cloned());
        if self.reverse {
            let mut places: Vec<u64> = page.entries.iter().map(|entry| entry.mailbox_seq).collect();
            places.sort_unstable();
            page.entries.reverse();
            for (entry, place) in page.entries.iter_mut().zip(places) {
                entry.mailbox_seq = place;
            }
        }
        if self.tamper {
            for byte in page.entries.iter_mut().filter_map(|entry| entry.envelope.last_mut()) {
                *byte ^= 1;
            }
        }
        if self.downgrade {
            for scheme in page.entries.iter_mut().filter_map(|entry| entry.header.get_mut(SCHEME_IN_HEADER)) {
                *scheme = Scheme::None.to_byte();
            }
        }
        page.entries.extend(self.replay.iter().cloned());
    }

    fn rewrite_status(&mut self, status: &mut v1::GetStatusResponse) {
        if self.forge_delivered {
            for delivery in &mut status.deliveries {
                delivery.state = "delivered".to_owned();
                delivery.delivered_at_ms = Some(delivery.queued_at_ms);
            }
        }
    }
}
