//! gRPC requests that are none: each gets a status with a stable code, and none does anything.

use sealpost_protocol::limits as wire;
use std::fmt::Write;

use http::{HeaderMap, HeaderValue, StatusCode};
use sealpost_core::conformance::{Agent, Letter};
use sealpost_relay::limits;
use tonic::{Status, transport::Channel};

use super::{
    session::Session,
    test_relay::{TestRelay, send_raw, send_request},
};

const SEND: &str = "/sealpost.v1.DeliveryRouter/Send";

/// A message as gRPC frames it.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

fn headers(session: &Session, path: &str) -> HeaderMap {
    let mut headers = session.headers("POST", path);
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers
}

/// The status and stable code with which a body is refused.
async fn refusal(channel: &Channel, path: &str, headers: HeaderMap, body: Vec<u8>) -> String {
    let response = send_raw(channel, "POST", path, headers, body).await;
    assert_eq!(response.status(), StatusCode::OK, "gRPC has its own status");
    let status = Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok("it was done"));
    let code = response.headers().get("sealpost-code").map(|code| code.to_str().unwrap());
    format!("{:?} [{}] {}", status.code(), code.unwrap_or("NO CODE"), status.message())
}

#[tokio::test]
async fn bodies_that_are_no_such_message() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    let (channel, before) = (relay.channel().await, relay.view(&[&alice, &bob]).await);
    let right = prost::Message::encode_to_vec(&send_request(&Letter::new(&Agent::alice(), &[&Agent::bob()])));
    let compressed = [&[1], &frame(&right)[1..]].concat();
    let length_of_more = [&[0, 0, 0, 4, 0], right.as_slice()].concat();
    let beyond_the_limit = [&[0], u32::try_from(wire::REQUEST_BYTES + 1).unwrap().to_be_bytes().as_slice()].concat();
    let bodies = [
        ("no frame", Vec::new()),
        ("half a frame's head", vec![0, 0, 0]),
        ("a frame that is cut", frame(&right)[..right.len()].to_vec()),
        ("a frame that announces more", length_of_more),
        ("a frame that announces more than may be", beyond_the_limit),
        ("a message that is cut", frame(&right[..right.len() - 1])),
        ("noise", frame(&[0xff; 64])),
        ("a field of another type", frame(&[0x08, 0x01])), // header = varint 1
        ("text that is not UTF-8", frame(&[0x1a, 0x03, 0x0a, 0x01, 0xff])), // parts[0].recipient = ff
        ("compressed without saying how", compressed.clone()),
        ("with an unknown flag", [&[7], &frame(&right)[1..]].concat()),
    ];
    let mut lines = String::new();
    for (name, body) in bodies {
        writeln!(lines, "{name}: {}", refusal(&channel, SEND, headers(&alice, SEND), body).await).unwrap();
    }
    let mut gzip = headers(&alice, SEND);
    gzip.insert("grpc-encoding", HeaderValue::from_static("gzip"));
    writeln!(lines, "compressed: {}", refusal(&channel, SEND, gzip, compressed).await).unwrap();
    insta::assert_snapshot!(lines);
    assert!(relay.view(&[&alice, &bob]).await == before);
}

#[tokio::test]
async fn services_and_methods_that_do_not_exist() {
    let relay = TestRelay::start().await;
    let (alice, channel) = (relay.member(&Agent::alice()).await, relay.channel().await);
    let mut lines = String::new();
    for path in ["/", "/sealpost.v1.DeliveryRouter/Sent", "/sealpost.v2.DeliveryRouter/Send", "/messaging/send"] {
        writeln!(lines, "{path}: {}", refusal(&channel, path, headers(&alice, path), frame(&[])).await).unwrap();
        let nobody = refusal(&channel, path, headers(&relay.nobody(), path), frame(&[])).await;
        writeln!(lines, "{path}, without a token: {nobody}").unwrap();
    }
    let health = "/grpc.health.v1.Health/Check";
    let unknown_service = refusal(&channel, health, headers(&relay.nobody(), health), frame(b"\x0a\x01x")).await;
    writeln!(lines, "health of an unknown service: {unknown_service}").unwrap();
    insta::assert_snapshot!(lines);
}

#[tokio::test]
async fn what_is_larger_than_it_may_be() {
    let relay = TestRelay::start().await;
    let (alice, channel) = (relay.member(&Agent::alice()).await, relay.channel().await);
    let too_large = async |path: &str, session: &Session, body: Vec<u8>| {
        let refusal = refusal(&channel, path, headers(session, path), body).await;
        assert!(refusal.starts_with("InvalidArgument [too-large]"), "{refusal}");
    };
    too_large(SEND, &alice, frame(&vec![0; wire::REQUEST_BYTES + 1])).await;
    let small = vec![0; limits::SMALL_REQUEST_BYTES + 1];
    too_large("/sealpost.v1.Messages/GetStatus", &alice, frame(&small)).await;
    too_large("/sealpost.v1.Events/List", &alice, frame(&small)).await;
    for open in ["/sealpost.v1.Authentication/IssueToken", "/grpc.health.v1.Health/Check"] {
        too_large(open, &relay.nobody(), frame(&small)).await;
    }
    let mut padded = headers(&alice, SEND);
    padded.insert("x-padding", "x".repeat(limits::HEADER_BYTES).parse().unwrap());
    let refusal = refusal(&channel, SEND, padded, frame(&[])).await;
    assert!(refusal.starts_with("InvalidArgument [too-large]"), "{refusal}");
}
