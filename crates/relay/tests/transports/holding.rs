//! Clients that hold up what they send: they are in nobody else's way.

use std::time::Duration;

use sealpost_api::v1::{self, uploads_client::UploadsClient};
use sealpost_core::conformance::{Agent, Letter};
use sealpost_protocol::limits::BODY_PIECE;
use sealpost_relay::limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    slow_clients::send_head,
    test_relay::{TestRelay, send_request},
    uploads,
};

/// Bytes that a holder announces, and that it sends. It keeps the rest to itself.
const ANNOUNCED: usize = 10_000_000;
const SENT: usize = 9_200_000;

/// Begins requests of `agent`, and goes on with each of them until the relay has it all, or has refused it. Those that it
/// refused, with its answer.
async fn hold(relay: &TestRelay, agent: &Agent, requests: usize) -> (Vec<TcpStream>, Vec<String>) {
    let session = relay.session(agent).await;
    let (mut held, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..requests {
        let mut stream = TcpStream::connect(relay.relay.address()).await.unwrap();
        let begin = send_head(&session, ANNOUNCED) + r#"{"header":""#;
        stream.write_all(begin.as_bytes()).await.unwrap();
        let sent = stream.write_all(&vec![b'A'; SENT]).await;
        let mut answer = vec![0; 4_096];
        match tokio::time::timeout(Duration::from_millis(300), stream.read(&mut answer)).await {
            Err(_) if sent.is_ok() => held.push(stream),
            read => {
                let length = read.ok().and_then(Result::ok).unwrap_or_default();
                refused.push(String::from_utf8_lossy(&answer[..length]).into_owned());
            }
        }
    }
    (held, refused)
}

#[tokio::test]
async fn agents_that_hold_up_large_requests_are_in_no_other_s_way() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    let (held, refused) = hold(&relay, &Agent::numbered(0), 5).await;
    assert_eq!(held.len(), limits::AGENT_MEMORY / SENT, "{refused:?}");
    let mut holding = held;
    for number in 1..6 {
        holding.extend(hold(&relay, &Agent::numbered(number), 3).await.0);
    }
    assert_eq!(holding.len(), limits::BODY_MEMORY / (SENT - limits::BODY_BEGINNING), "all there is for large ones");
    for wire in relay.wires().await {
        let letter = Letter::new(&Agent::alice(), &[&Agent::bob()]).body(&[7; 1_024]);
        wire.ask(&alice, send_request(&letter)).await.unwrap();
        let received = wire.ask(&bob, v1::ReceiveRequest::default()).await.unwrap();
        assert_eq!(received["entries"].as_array().unwrap().len(), 1);
        let (sender, message_id) = (String::new(), letter.message().id.to_string());
        wire.ask(&alice, v1::GetStatusRequest { sender, message_id }).await.unwrap();
    }
    let more = Agent::numbered(6);
    assert!(hold(&relay, &more, 1).await.0.is_empty(), "the holders have that");
    drop(holding);
    while hold(&relay, &more, 1).await.0.is_empty() {}
}

#[tokio::test]
async fn a_stream_of_pieces_may_bring_more_than_an_agent_may_hold_at_a_time() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let pieces = limits::AGENT_MEMORY as u64 / BODY_PIECE + 3;
    let begin = v1::BeginUploadRequest { length: pieces * BODY_PIECE, ..uploads::begin() };
    let upload_id = begin.upload_id.clone();
    relay.rest().ask(&alice, begin).await.unwrap();
    let append = move |place: u64| v1::AppendRequest {
        upload_id: upload_id.clone(),
        offset: place * BODY_PIECE,
        piece: vec![7; BODY_PIECE as usize],
    };
    let call = uploads::authorized(&alice, "Uploads/AppendAll", futures::stream::iter((0..pieces).map(append)));
    let mut answers = UploadsClient::new(relay.channel().await).append_all(call).await.unwrap().into_inner();
    for place in 0..pieces {
        assert_eq!(answers.message().await.unwrap().unwrap().offset, place * BODY_PIECE);
    }
}
