//! Events over WebSocket.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use sealpost_api::v1;
use sealpost_core::conformance::{Agent, Letter, NOW, ReceiptBook};
use sealpost_protocol::{Timestamp, Verdict, encoding::Encode};
use sealpost_relay::limits;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::client::Request,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

use super::{
    session::Session,
    test_relay::{TestRelay, send_request},
};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn upgrade(session: &Session, query: &str) -> Request {
    let address = session.origin.replacen("http", "ws", 1);
    let mut request = format!("{address}/events?{query}").into_client_request().unwrap();
    request.headers_mut().extend(session.headers("GET", "/events"));
    request
}

/// A WebSocket that shows what changes after a number.
pub(crate) async fn subscribe(session: &Session, after: u64) -> Socket {
    connect_async(upgrade(session, &format!("after={after}"))).await.unwrap().0
}

/// The refusal of an upgrade.
async fn refusal(request: Request) -> Value {
    let Err(Error::Http(response)) = connect_async(request).await else { panic!("not refused") };
    let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
    assert_eq!(body["status"], response.status().as_u16());
    assert_eq!(body["code"], response.headers()["sealpost-code"].to_str().unwrap());
    body
}

async fn next_event(socket: &mut Socket) -> v1::Event {
    let message = socket.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

/// The frame that ends a WebSocket, after whatever comes before it.
pub(crate) async fn close_frame(mut socket: Socket) -> Option<CloseFrame> {
    while let Some(message) = socket.next().await {
        if let Message::Close(frame) = message.unwrap() {
            return frame;
        }
    }
    None
}

#[tokio::test]
async fn an_upgrade_that_may_not_be_is_refused_like_any_request() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    assert_eq!(refusal(upgrade(&relay.nobody(), "")).await["code"], "unauthenticated");
    assert_eq!(refusal(upgrade(&alice.without_proof(), "")).await["code"], "proof-required");
    assert_eq!(refusal(upgrade(&alice, "after=soon")).await["code"], "malformed");
    assert_eq!(refusal(upgrade(&alice, "since=1")).await["code"], "malformed");
    relay.clock.advance(limits::TOKEN_LIFE);
    assert_eq!(refusal(upgrade(&alice, "")).await["code"], "token-expired");
}

#[tokio::test]
async fn events_come_as_they_happen_and_from_where_one_left() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    let mut socket = subscribe(&alice, 0).await;
    let (wire, bobs_agent) = (relay.rest(), Agent::bob());
    let letter = Letter::new(&Agent::alice(), &[&bobs_agent]);

    wire.ask(&alice, send_request(&letter)).await.unwrap();
    let sent = next_event(&mut socket).await;
    assert_eq!((sent.r#type.as_str(), sent.message_id), ("message:sent", letter.message().id.to_string()));
    wire.ask(&bob, v1::ReceiveRequest::default()).await.unwrap();
    assert_eq!(next_event(&mut socket).await.r#type, "message:in-transit");
    let batch = ReceiptBook::new(&bobs_agent).sign(vec![letter.receipt(&bobs_agent, Verdict::Stored)]);
    wire.ask(&bob, v1::AcknowledgeRequest { receipts: batch.to_bytes() }).await.unwrap();
    let delivered = next_event(&mut socket).await;
    assert_eq!(delivered.r#type, "message:delivered");

    assert_eq!(next_event(&mut subscribe(&alice, sent.seq).await).await, delivered, "the latest state, once");
    let listed = wire.ask(&alice, v1::ListEventsRequest::default()).await.unwrap();
    assert_eq!(listed["events"], json!([delivered]));
}

#[tokio::test]
async fn a_websocket_ends_with_its_token() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let end = NOW.saturating_add(limits::TOKEN_LIFE).as_millis() / 1_000 * 1_000; // tokens end on a full second
    relay.clock.set(Timestamp::from_millis(end - 20));
    let end = close_frame(subscribe(&alice, 0).await);
    let frame = tokio::time::timeout(Duration::from_secs(5), end).await.expect("an end").unwrap();
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1008, "token-expired"));
}

#[tokio::test]
async fn a_client_that_says_more_than_it_may_is_cut_off() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let mut socket = subscribe(&alice, 0).await;
    socket.send(Message::text("x".repeat(limits::WEBSOCKET_MESSAGE_BYTES))).await.unwrap();
    socket.send(Message::Ping("still there".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("still there".into()), "not looked at");
    // As one frame, and as two that are none too long each.
    let message = Message::text("x".repeat(limits::WEBSOCKET_MESSAGE_BYTES + 1));
    socket.send(message).await.unwrap();
    let told = |frame: Option<CloseFrame>| frame.map(|frame| (u16::from(frame.code), frame.reason.as_str().to_owned()));
    let too_large = Some((1009, "too-large".to_owned()));
    assert_eq!(told(close_frame(socket).await), too_large);
    let mut socket = subscribe(&alice, 0).await;
    let half = "x".repeat(limits::WEBSOCKET_MESSAGE_BYTES / 2 + 1);
    socket.send(Message::Frame(Frame::message(half.clone(), OpCode::Data(Data::Text), false))).await.unwrap();
    socket.send(Message::Frame(Frame::message(half, OpCode::Data(Data::Continue), true))).await.unwrap();
    assert_eq!(told(close_frame(socket).await), too_large);
}

#[tokio::test]
async fn a_client_that_says_far_more_than_it_may_hears_why_it_is_cut_off() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let (mut sending, receiving) = subscribe(&alice, 0).await.split();
    // More than lies between the two ends: it does not all get out, and the answer must come all the same.
    let talking = tokio::spawn(async move {
        let _ = sending.send(Message::text("x".repeat(64 << 20))).await;
        sending
    });
    let mut receiving = receiving;
    let heard = tokio::time::timeout(Duration::from_secs(10), receiving.next()).await.expect("an answer").unwrap();
    let Message::Close(Some(frame)) = heard.unwrap() else { panic!("no reason") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1009, "too-large"));
    drop(receiving);
    talking.abort();
}

#[tokio::test]
async fn a_client_that_ends_it_is_answered() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let mut socket = subscribe(&alice, 0).await;
    socket.close(None).await.unwrap();
    while let Some(message) = socket.next().await {
        message.expect("the closing handshake is completed");
    }
}

#[tokio::test]
async fn what_is_no_frame_is_told_as_malformed() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let mask = [0; 4];
    let broken = [
        ("not masked", vec![0x81, 0x01, b'a'], 1002),
        ("a reserved opcode", [&[0x83, 0x80], &mask[..]].concat(), 1002),
        ("a reserved bit", [&[0xc1, 0x80], &mask[..]].concat(), 1002),
        ("the rest of nothing", [&[0x80, 0x80], &mask[..]].concat(), 1002),
        ("a ping in parts", [&[0x09, 0x80], &mask[..]].concat(), 1002),
        ("text that is not UTF-8", [&[0x81, 0x81], &mask[..], &[0xff]].concat(), 1007),
    ];
    for (what, bytes, code) in broken {
        let mut socket = subscribe(&alice, 0).await;
        socket.get_mut().write_all(&bytes).await.unwrap();
        let frame = close_frame(socket).await.unwrap_or_else(|| panic!("{what}: no close frame"));
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, "malformed"), "{what}");
    }
}
