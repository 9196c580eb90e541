//! Clients that take their time. The connection is made in real time; then time is paused, and runs ahead whenever there
//! is nothing else to do.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use http::{Request, StatusCode};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sealpost_api::v1;
use sealpost_core::conformance::Agent;
use sealpost_protocol::ErrorCode;
use sealpost_relay::limits;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::{session::Session, test_relay::TestRelay};

/// How long the relay bears with a client that sends `bytes` and no more, and what it answers.
async fn patience_with(relay: &TestRelay, bytes: &[u8]) -> (Duration, String) {
    let mut stream = TcpStream::connect(relay.relay.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    tokio::time::pause();
    let (begin, mut answer) = (Instant::now(), Vec::new());
    let closed = tokio::time::timeout(Duration::from_secs(3_600), stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(matches!(closed, Ok(Ok(_) | Err(_))), "still open after an hour: {text}");
    let patience = begin.elapsed();
    tokio::time::resume();
    (patience, text)
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_first_request_s_headers_is_closed() {
    let relay = TestRelay::start().await;
    let beginnings: [&[u8]; 6] = [
        b"",
        b"G",
        b"P", // of POST, or of HTTP/2's preface
        b"GET /heal",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", // the preface and empty settings
    ];
    for bytes in beginnings {
        let (patience, _) = patience_with(&relay, bytes).await;
        let shown = String::from_utf8_lossy(bytes);
        assert!(patience <= limits::HEADER_TIMEOUT + Duration::from_secs(1), "{shown:?}: {patience:?}");
    }
}

#[tokio::test]
async fn an_http_1_connection_is_closed_when_it_has_been_idle() {
    let relay = TestRelay::start().await;
    let (patience, answer) = patience_with(&relay, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");
    assert!(patience <= limits::HEADER_TIMEOUT + Duration::from_secs(1), "{patience:?}");
}

#[tokio::test]
async fn an_http_2_connection_without_a_good_token_is_closed_when_it_has_been_idle() {
    let relay = TestRelay::start().await;
    let stream = TcpStream::connect(relay.relay.address()).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut client, connection) = handshake.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://x/readyz").body(Body::empty()).unwrap();
    // The relay may have begun to count before its answer is here.
    let begin = Instant::now();
    assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::OK);
    tokio::time::pause();
    let closed = tokio::time::timeout(Duration::from_secs(3_600), connection).await;
    assert!(closed.is_ok(), "still open after an hour");
    let patience = begin.elapsed();
    let bounds = limits::STRANGER_IDLE..=limits::STRANGER_IDLE + Duration::from_secs(1);
    assert!(bounds.contains(&patience), "{patience:?}");
}

/// A client's end of a connection, which hears nothing any more once it is deaf: as of one that has gone without a word.
struct Hearing {
    stream: TcpStream,
    is_deaf: Arc<AtomicBool>,
}

impl AsyncRead for Hearing {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.is_deaf.load(Ordering::SeqCst) {
            true => Poll::Pending,
            false => Pin::new(&mut self.stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Hearing {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[tokio::test]
async fn a_member_s_http_2_connection_is_closed_when_nobody_answers_whether_it_lives() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let stream = std::net::TcpStream::connect(relay.relay.address()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut end = TcpStream::from_std(stream.try_clone().unwrap()).unwrap();
    let is_deaf = Arc::<AtomicBool>::default();
    let hearing = Hearing { stream: TcpStream::from_std(stream).unwrap(), is_deaf: is_deaf.clone() };
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(hearing)).await.unwrap();
    let _connection = tokio::spawn(connection);
    let path = "/messaging/receive";
    let mut request = Request::get(format!("{}{path}", relay.origin)).body(Body::empty()).unwrap();
    request.headers_mut().extend(alice.headers("GET", path));
    assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::OK);
    is_deaf.store(true, Ordering::SeqCst);
    tokio::time::pause();
    let begin = Instant::now();
    let closed = async { while end.read(&mut [0; 1_024]).await.is_ok_and(|bytes| bytes > 0) {} };
    let closed = tokio::time::timeout(Duration::from_secs(3_600), closed).await;
    assert!(closed.is_ok(), "still open after an hour");
    let patience = begin.elapsed();
    let bounds = limits::KEEP_ALIVE_TIMEOUT..=limits::KEEP_ALIVE + limits::KEEP_ALIVE_TIMEOUT + Duration::from_secs(1);
    assert!(bounds.contains(&patience), "{patience:?}");
}

#[tokio::test]
async fn a_member_s_connection_stays_open_until_its_token_ends() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let wire = relay.grpc().await;
    wire.ask(&alice, v1::ReceiveRequest::default()).await.unwrap();
    tokio::time::pause();
    tokio::time::sleep(10 * limits::STRANGER_IDLE).await;
    tokio::time::resume();
    let known = wire.ask(&alice.without_proof(), v1::ReceiveRequest::default()).await;
    assert!(known.is_ok(), "it is another connection, which has seen no proof");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_longer_than_the_limit() {
    let relay = TestRelay::start().await;
    let head = b"POST /auth/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    let (patience, answer) = patience_with(&relay, head).await;
    assert_refused_for_its_slowness(&answer);
    assert!(patience <= limits::STRANGER_REQUEST + limits::HEADER_TIMEOUT, "{patience:?}");
}

fn assert_refused_for_its_slowness(answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("HTTP/1.1 503 Service Unavailable"), "{answer}");
    let code = lines.find_map(|line| line.strip_prefix("sealpost-code: "));
    assert_eq!(code, Some(ErrorCode::Unavailable.as_str()), "{answer}");
    let document: serde_json::Value = serde_json::from_str(body).expect("a problem document");
    assert_eq!(document["code"], ErrorCode::Unavailable.as_str(), "{answer}");
}

#[tokio::test]
async fn a_member_s_body_may_come_slowly_but_does_not_stand_still() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let head = send_head(&alice, 9) + "{";
    let (patience, answer) = patience_with(&relay, head.as_bytes()).await;
    assert_refused_for_its_slowness(&answer);
    assert!(answer.contains("did not come in time"), "{answer}");
    assert!(patience >= limits::BODY_PACE_TIME, "{patience:?}");
    assert!(patience <= limits::BODY_PACE_TIME + limits::HEADER_TIMEOUT, "{patience:?}");
}

/// What comes before the body of a message.
pub(crate) fn send_head(session: &Session, content_length: usize) -> String {
    let headers = session.headers("POST", "/messaging/send");
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    format!(
        "POST /messaging/send HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ndpop: {}\r\ncontent-type: application/json\r\n\
         content-length: {content_length}\r\n\r\n",
        header("authorization"),
        header("dpop"),
    )
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_is_closed() {
    const REQUESTS: usize = 4_000;
    let relay = TestRelay::start().await;
    let (_, document) = patience_with(&relay, b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut stream = TcpStream::connect(relay.relay.address()).await.unwrap();
    let requests = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(REQUESTS);
    stream.write_all(&requests).await.unwrap();
    tokio::time::pause();
    tokio::time::sleep(2 * limits::ANSWER_TIMEOUT).await;
    let mut read = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(3_600), stream.read_to_end(&mut read)).await;
    assert!(end.is_ok(), "still open");
    assert!(read.len() < document.len() * REQUESTS, "all of it was sent: {} bytes", read.len());
}

/// What a client of the event feed sends first.
fn websocket_request(session: &Session) -> String {
    let headers = session.headers("GET", "/events");
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    format!(
        "GET /events HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ndpop: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        header("authorization"),
        header("dpop"),
    )
}

#[tokio::test]
async fn a_websocket_whose_client_falls_silent_is_closed() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let request = websocket_request(&alice);
    let (patience, answer) = patience_with(&relay, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(patience <= 2 * limits::KEEP_ALIVE + Duration::from_secs(1), "{patience:?}");
}
