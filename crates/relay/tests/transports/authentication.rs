//! Who may ask: over every transport, on every connection.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use prost::Message;
use prost_types::FileDescriptorSet;
use sealpost_api::v1;
use sealpost_core::conformance::{Agent, NOW};
use sealpost_protocol::{ErrorCode, Timestamp, encoding::Encode};
use sealpost_relay::limits;
use serde_json::Value;

use super::{
    ask::Ask,
    session::{Session, token_request},
    test_relay::{TestRelay, send_raw},
    token_key::TokenKey,
    wire::Wire,
};

/// One request of each kind that needs a token.
pub(crate) fn asks_of_members() -> Vec<Ask> {
    vec![
        v1::UploadPrekeysRequest::default().into(),
        v1::ClaimPrekeyBundleRequest { agent_id: Agent::bob().id().to_string(), ..Default::default() }.into(),
        v1::GetManifestRequest { agent_id: Agent::bob().id().to_string() }.into(),
        v1::SendRequest::default().into(),
        v1::ReceiveRequest::default().into(),
        v1::AcknowledgeRequest::default().into(),
        v1::GetStandingRequest::default().into(),
        v1::BeginUploadRequest::default().into(),
        v1::AppendRequest { upload_id: "x".into(), ..Default::default() }.into(),
        v1::UploadRequest { upload_id: "x".into() }.into(),
        v1::GetStatusRequest { message_id: "x".into(), ..Default::default() }.into(),
        v1::GetBodyRequest { message_id: "x".into(), ..Default::default() }.into(),
        v1::ListEventsRequest::default().into(),
        v1::RevokeRequest::default().into(),
    ]
}

async fn refusal(wire: &Wire, session: &Session, ask: impl Into<Ask>) -> ErrorCode {
    wire.ask(session, ask).await.expect_err("a refusal").code
}

#[tokio::test]
async fn a_token_can_be_had_over_each_transport_and_used_over_the_other() {
    let relay = TestRelay::start().await;
    let wires = relay.wires().await;
    for (issuing, using) in [(&wires[0], &wires[1]), (&wires[1], &wires[0])] {
        let (agent, key) = (Agent::alice(), TokenKey::new(1));
        let challenge = issuing.ask(&relay.nobody(), v1::ChallengeRequest { nonce: vec![7; 32] }).await.unwrap();
        assert_eq!(challenge["node_id"], relay.relay.node_id().to_string());
        let request = token_request(&agent, &key, &relay.origin, &challenge);
        let issued = issuing.ask(&relay.nobody(), request.clone()).await.unwrap();
        let token = issued["token"].as_str().map(str::to_owned);
        let session = Session { token, key: key.into(), ..relay.nobody() };
        assert!(using.ask(&session, v1::ReceiveRequest::default()).await.is_ok());
        assert_eq!(refusal(using, &relay.nobody(), request).await, ErrorCode::ChallengeRejected, "good once");
    }
}

#[tokio::test]
async fn every_request_of_a_member_needs_a_token_of_this_relay_whose_time_is_not_over() {
    let (relay, other) = (TestRelay::start().await, TestRelay::start().await);
    let alice = relay.session(&Agent::alice()).await;
    let of_another_node = other.session(&Agent::alice()).await.token;
    for ask in asks_of_members() {
        for wire in relay.wires().await {
            assert_eq!(refusal(&wire, &relay.nobody(), ask.clone()).await, ErrorCode::Unauthenticated, "{ask:?}");
            let foreign = Session { token: of_another_node.clone(), ..alice.clone() };
            assert_eq!(refusal(&wire, &foreign, ask.clone()).await, ErrorCode::Unauthenticated, "{ask:?}");
            assert_eq!(refusal(&wire, &alice.without_proof(), ask.clone()).await, ErrorCode::ProofRequired, "{ask:?}");
        }
    }
    relay.clock.advance(limits::TOKEN_LIFE);
    for ask in asks_of_members() {
        for wire in relay.wires().await {
            assert_eq!(refusal(&wire, &alice, ask.clone()).await, ErrorCode::TokenExpired, "{ask:?}");
        }
    }
}

#[tokio::test]
async fn every_call_but_those_for_tokens_needs_one_streams_too() {
    let relay = TestRelay::start().await;
    let channel = relay.channel().await;
    let grpc: HeaderMap = [(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))].into_iter().collect();
    let calls = FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap();
    let services = calls.file.iter().flat_map(|file| &file.service);
    let calls: Vec<_> = services
        .flat_map(|service| {
            service.method.iter().map(|method| format!("/sealpost.v1.{}/{}", service.name(), method.name()))
        })
        .filter(|call| !call.contains("Authentication/"))
        .collect();
    assert!(calls.len() >= 19, "{calls:?}");
    for path in &calls {
        let answer = send_raw(&channel, "POST", path, grpc.clone(), vec![0; 5]).await;
        assert_eq!(answer.headers()["grpc-status"], "16", "{path}");
        assert_eq!(answer.headers()["sealpost-code"], "unauthenticated", "{path}");
    }
    let document: Value = reqwest::get(format!("{}/openapi.json", relay.origin)).await.unwrap().json().await.unwrap();
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| !path.starts_with("/auth/"));
    let mut asked = 0;
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let answer = send_raw(&channel, &method.to_uppercase(), path, HeaderMap::new(), "").await;
            match path.as_str() {
                "/healthz" | "/readyz" | "/openapi.json" => assert_eq!(answer.status(), StatusCode::OK, "{path}"),
                _ => assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}"),
            }
            asked += 1;
        }
    }
    assert!(asked >= 15, "{asked}");
}

#[tokio::test]
async fn a_refusal_for_want_of_a_token_says_how_to_bring_one() {
    let relay = TestRelay::start().await;
    let response = reqwest::get(format!("{}/messaging/receive", relay.origin)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], r#"DPoP algs="EdDSA""#);
}

#[tokio::test]
async fn tokens_on_one_connection_do_not_mix() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    let wire = relay.grpc().await;
    let bobs = v1::UploadPrekeysRequest { manifest: Agent::bob().manifest(2).to_bytes(), ..Default::default() };
    assert_eq!(refusal(&wire, &alice, bobs.clone()).await, ErrorCode::Forbidden, "alice is not bob");
    assert_eq!(
        refusal(&wire, &bob.without_proof(), bobs.clone()).await,
        ErrorCode::ProofRequired,
        "alice's proof is not bob's"
    );
    let with_the_other_s_key = Session { key: alice.key.clone(), ..bob.clone() };
    assert_eq!(refusal(&wire, &with_the_other_s_key, bobs.clone()).await, ErrorCode::ProofRequired);
    assert!(wire.ask(&bob, bobs.clone()).await.is_ok());
    assert_eq!(
        refusal(&wire, &alice.without_proof(), bobs.clone()).await,
        ErrorCode::Forbidden,
        "alice is still alice"
    );
    assert!(wire.ask(&bob.without_proof(), bobs).await.is_ok(), "and bob still bob");
}

#[tokio::test]
async fn what_a_connection_has_proven_holds_for_all_its_requests_and_for_no_other_connection() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let channel = relay.channel().await;
    let headers = alice.headers("GET", "/messaging/receive");
    let proven = send_raw(&channel, "GET", "/messaging/receive", headers.clone(), "").await;
    assert_eq!(proven.status(), StatusCode::OK, "REST over HTTP/2");
    let grpc = Wire::Grpc(channel);
    assert!(grpc.ask(&alice.without_proof(), v1::ReceiveRequest::default()).await.is_ok(), "gRPC on the same");

    let elsewhere = relay.channel().await;
    let replayed = send_raw(&elsewhere, "GET", "/messaging/receive", headers, "").await;
    assert_eq!(replayed.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(replayed.headers()["sealpost-code"], "proof-required");
}

#[tokio::test]
async fn whoever_asks_how_the_relay_is_needs_no_token() {
    let relay = TestRelay::start().await;
    let channel = relay.channel().await;
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(send_raw(&channel, "GET", path, HeaderMap::new(), "").await.status(), StatusCode::OK, "{path}");
    }
    let grpc: HeaderMap = [(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))].into_iter().collect();
    let response = send_raw(&channel, "POST", "/grpc.health.v1.Health/Check", grpc, vec![0; 5]).await;
    assert_eq!(response.headers().get("grpc-status"), None, "the status is in the trailers of an answer");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_path_that_only_begins_like_an_open_one_leads_nowhere() {
    let relay = TestRelay::start().await;
    let channel = relay.channel().await;
    for path in [
        "/auth/../messaging/receive",
        "/auth//messaging/receive",
        "/healthz/../messaging/receive",
        "/auth/%2e%2e/events",
    ] {
        let answer = send_raw(&channel, "GET", path, HeaderMap::new(), "").await;
        assert_eq!(answer.headers()["sealpost-code"], "not-found", "{path}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let end = NOW.saturating_add(limits::TOKEN_LIFE).as_millis() / 1_000 * 1_000; // tokens end on a full second
    relay.clock.set(Timestamp::from_millis(end - 20));
    let path = "/sealpost.v1.Events/Subscribe";
    let mut request = tonic::Request::new(v1::SubscribeRequest::default());
    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(alice.headers("POST", path));
    let mut client = v1::events_client::EventsClient::new(relay.channel().await);
    let mut events = client.subscribe(request).await.unwrap().into_inner();
    let end = tokio::time::timeout(Duration::from_secs(5), events.message()).await.expect("an end");
    let end = end.expect_err("the token's end");
    assert_eq!(end.metadata().get("sealpost-code").unwrap(), "token-expired");
}
