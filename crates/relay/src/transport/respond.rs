//! From a request to its answer: what holds for each of them, whatever its transport.

use std::{sync::Arc, time::Duration};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    response::IntoResponse,
};
use http::{HeaderMap, Method, Request, Response, header};
use sealpost_protocol::{ErrorCode, limits as wire};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use super::{
    authenticate::{authenticate, is_open},
    bodies,
    connection::Connection,
    echo, grpc,
    refusal::Refusal,
    rest,
};
use crate::{
    app::App,
    limits,
    memory::{BrokenOff, Memory, Share},
};

/// What answers requests.
pub(super) struct Transports {
    pub(super) app: Arc<App>,
    grpc: axum::Router,
    rest: axum::Router,
    echo: Option<axum::Router>,
}

impl Transports {
    pub(super) fn new(app: Arc<App>) -> Self {
        let echo = app.echoes.then(echo::router);
        Self { grpc: grpc::router(&app), rest: rest::router(Arc::clone(&app)), echo, app }
    }

    pub(super) async fn respond<B>(&self, connection: &Arc<Connection>, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        if let Some(echo) = self.echo.as_ref().filter(|_| echo::is_echo(request.uri().path())) {
            return match echo.clone().oneshot(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
        }
        let is_grpc = is_grpc(request.headers());
        let memory = if is_open(request.uri().path()) { &self.app.open_memory } else { &self.app.memory };
        let answered = async {
            let (request, share) = self.admit(connection, memory, request)?;
            let response = self.route(is_grpc, &share, self.patience(connection), request).await?;
            share.shrink_by_body(usize::MAX);
            Ok((response, share))
        };
        let (response, share) = answered.await.unwrap_or_else(|refusal: Refusal| {
            let response = if is_grpc { grpc::refusal(refusal) } else { refusal.into_response() };
            (response, Arc::new(memory.share())) // it is small, whatever the request took
        });
        response.map(|body| bodies::outgoing(body, share, Arc::clone(&connection.untaken)))
    }

    /// Checks who sends a request, and that there is room for it.
    fn admit<B>(
        &self,
        connection: &Arc<Connection>,
        memory: &Memory,
        mut request: Request<B>,
    ) -> Result<(Request<Body>, Arc<Share>), Refusal>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        if header_bytes(request.headers()) > limits::HEADER_BYTES {
            return Err(Refusal::new(ErrorCode::TooLarge, format!("headers: at most {} bytes", limits::HEADER_BYTES)));
        }
        let is_open = is_open(request.uri().path());
        // Also where the answer begins before the request's end, as in a stream.
        let until = is_open.then(|| Instant::now() + self.patience(connection) + limits::STRANGER_REQUEST);
        let mut agent = None;
        if !is_open {
            if !memory.has_free(wire::REQUEST_BYTES) {
                return Err(BrokenOff::MemoryShort.into());
            }
            agent = Some(authenticate(&self.app, &connection.tokens, &mut request)?.agent());
        }
        let share = Arc::new(memory.share_of(agent));
        let has_body = !matches!(*request.method(), Method::GET | Method::HEAD);
        let mut request = request.map(|body| match has_body {
            true => bodies::incoming(Body::new(body), Arc::clone(&share), until),
            false => Body::empty(),
        });
        request.extensions_mut().insert(Arc::clone(&share));
        request.extensions_mut().insert(Arc::clone(connection));
        Ok((request, share))
    }

    /// How long a request may take. A member's has proven its token by now.
    fn patience(&self, connection: &Connection) -> Duration {
        match connection.tokens.has_good(self.app.clock.now()) {
            true => limits::REQUEST_TIMEOUT,
            false => limits::STRANGER_REQUEST,
        }
    }

    async fn route(
        &self,
        is_grpc: bool,
        share: &Share,
        patience: Duration,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let router = if is_grpc { &self.grpc } else { &self.rest };
        let answered = timeout(patience, router.clone().oneshot(request)).await;
        if let Some(why) = share.broken_off() {
            return Err(why.into());
        }
        match answered {
            Ok(Ok(response)) if is_grpc => Ok(grpc::name_refusal(response)),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(never)) => match never {},
            Err(_) => Err(Refusal::new(
                ErrorCode::Unavailable,
                "the request took too long; it may have been done, and may yet be",
            )),
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/grpc"))
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use http::StatusCode;
    use sealpost_api::CODE_METADATA;

    use super::*;
    use crate::app::tests::app;

    /// What a relay that has so many bytes left answers.
    async fn answer_with(bytes_left: usize, request: Request<Body>) -> Response<Bytes> {
        let transports = Transports::new(Arc::new(app()));
        let app = &transports.app;
        let is_open = is_open(request.uri().path());
        let (memory, all) =
            if is_open { (&app.open_memory, limits::OPEN_MEMORY) } else { (&app.memory, limits::MEMORY) };
        let others = memory.share();
        others.grow(all - bytes_left).unwrap();
        let connection = Arc::new(Connection::for_test(&transports.app.tasks).await);
        let (head, body) = transports.respond(&connection, request).await.into_parts();
        let body = Bytes::copy_from_slice(&to_bytes(body, usize::MAX).await.unwrap());
        assert!(memory.has_free(bytes_left), "the request's own share was not given back");
        Response::from_parts(head, body)
    }

    fn request(method: &str, path: &str, content_type: &str, body: Body) -> Request<Body> {
        Request::builder().method(method).uri(path).header("content-type", content_type).body(body).unwrap()
    }

    fn code_of(answer: &Response<Bytes>) -> (StatusCode, &str) {
        (answer.status(), answer.headers()[CODE_METADATA].to_str().unwrap())
    }

    #[tokio::test]
    async fn when_memory_is_short_members_are_refused() {
        for (content_type, status) in
            [("text/plain", StatusCode::SERVICE_UNAVAILABLE), ("application/grpc", StatusCode::OK)]
        {
            let receive = request("GET", "/messaging/receive", content_type, Body::empty());
            let answer = answer_with(wire::REQUEST_BYTES - 1, receive).await;
            assert_eq!(code_of(&answer), (status, "unavailable"));
        }
    }

    #[tokio::test]
    async fn members_and_strangers_have_no_part_of_each_other_s_memory() {
        let transports = Transports::new(Arc::new(app()));
        let connection = Arc::new(Connection::for_test(&transports.app.tasks).await);
        let members = transports.app.memory.share();
        members.grow(limits::MEMORY).unwrap();
        let answer = transports.respond(&connection, request("GET", "/healthz", "", Body::empty())).await;
        assert_eq!(to_bytes(answer.into_body(), 100).await.unwrap(), "ok\n");
        drop(members);
        let strangers = transports.app.open_memory.share();
        strangers.grow(limits::OPEN_MEMORY).unwrap();
        let receive = request("GET", "/messaging/receive", "text/plain", Body::empty());
        let answer = transports.respond(&connection, receive).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "it is looked at");
    }

    #[tokio::test]
    async fn a_request_that_finds_no_memory_on_its_way_is_refused_by_name() {
        let body = || Body::from(vec![b' '; 2_048]);
        let rest = request("POST", "/auth/token", "application/json", body());
        let answer = answer_with(1_024, rest).await;
        assert_eq!(code_of(&answer), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        let grpc = request("POST", "/sealpost.v1.Authentication/IssueToken", "application/grpc", body());
        let answer = answer_with(1_024, grpc).await;
        assert_eq!(code_of(&answer), (StatusCode::OK, "unavailable"));
    }

    #[tokio::test]
    async fn a_relay_whose_store_failed_to_write_is_not_ready() {
        let transports = Transports::new(Arc::new(app()));
        let connection = Arc::new(Connection::for_test(&transports.app.tasks).await);
        for (works, status) in [(false, StatusCode::SERVICE_UNAVAILABLE), (true, StatusCode::OK)] {
            transports.app.store_works.send_replace(works);
            let answer = transports.respond(&connection, request("GET", "/readyz", "", Body::empty())).await;
            assert_eq!(answer.status(), status);
        }
    }

    #[tokio::test]
    async fn what_a_get_brings_along_is_dropped_before_it_is_answered() {
        let transports = Transports::new(Arc::new(app()));
        let connection = Arc::new(Connection::for_test(&transports.app.tasks).await);
        let (held, is_dropped) = tokio::sync::oneshot::channel::<()>();
        let body = Body::from_stream(futures::stream::once(async move {
            let _held = held;
            Ok::<_, BoxError>(Bytes::new())
        }));
        let memory = &transports.app.open_memory;
        let admitted = transports.admit(&connection, memory, request("GET", "/healthz", "", body));
        assert!(is_dropped.await.is_err());
        drop(admitted);
    }
}
