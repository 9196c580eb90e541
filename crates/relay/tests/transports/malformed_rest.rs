//! REST requests that are none: each gets a problem document, and none does anything.

use std::fmt::Write;

use reqwest::{Method, RequestBuilder, StatusCode};
use sealpost_api::v1::{self, delivery_router_client::DeliveryRouterClient};
use sealpost_core::conformance::{Agent, Letter};
use sealpost_protocol::{Clock, ErrorCode};
use sealpost_relay::limits;
use serde_json::{Value, json};

use super::{
    session::Session,
    test_relay::{TestRelay, send_request},
    wire::rest_answer,
};

/// A request of `session` that lacks its body.
fn request(session: &Session, method: Method, path: &str) -> RequestBuilder {
    let without_query = path.split('?').next().unwrap();
    let headers = session.headers(method.as_str(), without_query);
    reqwest::Client::new().request(method, format!("{}{path}", session.origin)).headers(headers)
}

fn post(session: &Session, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    request(session, Method::POST, path).header("content-type", "application/json").body(body)
}

async fn document(request: RequestBuilder) -> Value {
    rest_answer(request.send().await.unwrap()).await.expect_err("a refusal").document
}

#[tokio::test]
async fn bodies_that_are_no_such_json() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    let before = relay.view(&[&alice, &bob]).await;
    let right = send_request(&Letter::new(&Agent::alice(), &[&Agent::bob()]));
    let text = serde_json::to_string(&right).unwrap();
    let with = |field: &str, value: Value| {
        let mut body = json!(right);
        body[field] = value;
        body.to_string()
    };
    let bodies = [
        ("empty", String::new()),
        ("no JSON", "header=AAAA".to_owned()),
        ("cut", text[..text.len() - 1].to_owned()),
        ("followed by something", format!("{text}{text}")),
        ("null", "null".to_owned()),
        ("a field twice", text.replacen('{', r#"{"header":"","#, 1)),
        ("an unknown field", with("subject", json!("hello"))),
        ("a field in another case", text.replace("\"header\"", "\"Header\"")),
        ("an unknown field inside", with("parts", json!([{ "agent": "bob" }]))),
        ("bytes as a list of numbers", with("header", json!([1, 2, 3]))),
        ("bytes as null", with("header", Value::Null)),
        ("text that is no base64", with("header", json!("not base64"))),
        ("base64 without padding", with("header", json!("AA"))),
        ("base64 for addresses", with("header", json!("-_-_"))),
        ("base64 with a line break", with("header", json!("AAAA\nAAAA"))),
        ("base64 with bits to spare", with("header", json!("AB=="))),
        ("a number with a fraction", with("parts", json!([{ "attempt": 1.5 }]))),
        ("a number below zero", with("parts", json!([{ "attempt": -1 }]))),
        ("a number beyond its range", with("parts", json!([{ "attempt": 1_u64 << 32 }]))),
        ("nested without end", format!("{{\"parts\":{}", "[".repeat(100_000))),
    ];
    let mut lines = String::new();
    for (name, body) in bodies {
        writeln!(lines, "{name}: {}", document(post(&alice, "/messaging/send", body)).await).unwrap();
    }
    let untyped = request(&alice, Method::POST, "/messaging/send").body(text.clone());
    writeln!(lines, "without a content type: {}", document(untyped).await).unwrap();
    let plain =
        request(&alice, Method::POST, "/messaging/send").header("content-type", "text/plain").body(text.clone());
    writeln!(lines, "of another content type: {}", document(plain).await).unwrap();
    insta::assert_snapshot!(lines);

    assert!(relay.view(&[&alice, &bob]).await == before);
    let sent = post(&alice, "/messaging/send", text).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::OK, "the text itself was right");
}

#[tokio::test]
async fn paths_methods_and_queries_that_do_not_exist() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let bob = Agent::bob().id();
    let mut lines = String::new();
    for (method, path) in [
        (Method::GET, "/".to_owned()),
        (Method::GET, "/messaging".to_owned()),
        (Method::GET, "/messaging/receive/".to_owned()),
        (Method::GET, "//messaging/receive".to_owned()),
        (Method::GET, "/healthz/x".to_owned()),
        (Method::POST, "/messaging/receive".to_owned()),
        (Method::POST, "/sealpost.v1.DeliveryRouter/Send".to_owned()), // gRPC's, without its content type
        (Method::DELETE, "/api/messages/x".to_owned()),
        (Method::GET, "/messaging/send".to_owned()),
        (Method::GET, "/messaging/prekeys/%ff".to_owned()),
        (Method::GET, "/api/messages/%ff/content".to_owned()),
        (Method::GET, "/messaging/receive?from=1".to_owned()),
        (Method::GET, "/messaging/receive?after=-1".to_owned()),
        (Method::GET, "/messaging/receive?after=1&after=2".to_owned()),
        (Method::GET, "/messaging/receive?limit=many".to_owned()),
        (Method::GET, "/api/events?after=18446744073709551616".to_owned()),
        (Method::GET, "/events?since=1".to_owned()),
        (Method::GET, "/events".to_owned()),
        (Method::GET, format!("/api/messages/x?agent={bob}")),
    ] {
        let answer = document(request(&alice, method.clone(), &path)).await;
        writeln!(lines, "{method} {path}: {answer}").unwrap();
    }
    insta::assert_snapshot!(lines);
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_told_which_it_knows() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let prekeys = format!("/messaging/prekeys/{}", Agent::bob().id());
    for (path, allowed) in
        [("/messaging/send", "POST"), ("/messaging/receive", "GET,HEAD"), (&prekeys, "POST,GET,HEAD")]
    {
        let answer = request(&alice, Method::DELETE, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers()["allow"], allowed, "{path}");
        assert_eq!(document(request(&alice, Method::DELETE, path)).await["code"], "method-not-allowed");
    }
}

#[tokio::test]
async fn a_client_whose_clock_is_wrong_is_told_the_time_on_each_transport() {
    let relay = TestRelay::start().await;
    let slow = relay.session(&Agent::alice()).await;
    let headers = slow.headers("GET", "/messaging/receive");
    let grpc = slow.headers("POST", "/sealpost.v1.DeliveryRouter/Receive");
    let later = relay.clock.now().saturating_add(2 * limits::PROOF_AGE);
    relay.clock.set(later);
    let url = format!("{}/messaging/receive", relay.origin);
    let answer = reqwest::Client::new().get(url).headers(headers).send().await.unwrap();
    let time = later.as_millis().to_string();
    assert_eq!(answer.headers()["sealpost-time-ms"], time.as_str());
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["code"], "clock-skew", "{told}");
    assert_eq!((told["server_time_ms"].as_u64(), told["allowed_ms"].as_u64()), (Some(later.as_millis()), Some(60_000)));
    let mut client = DeliveryRouterClient::new(relay.channel().await);
    let mut asked = tonic::Request::new(v1::ReceiveRequest::default());
    *asked.metadata_mut() = tonic::metadata::MetadataMap::from_headers(grpc);
    let refused = client.receive(asked).await.unwrap_err();
    let metadata = |name: &str| refused.metadata().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!([metadata("sealpost-code"), metadata("sealpost-time-ms")], ["clock-skew".to_owned(), time]);
    assert_eq!(metadata("sealpost-allowed-ms"), "60000");
}

#[tokio::test]
async fn a_claim_for_two_agents() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    let before = relay.view(&[&bob]).await;
    let path = format!("/messaging/prekeys/{}", Agent::bob().id());
    let body = json!({ "agent_id": Agent::carol().id().to_string(), "claim_id": "AAAAAAAAAAAAAAAAAAAAAA==" });
    assert_eq!(document(post(&alice, &path, body.to_string())).await["code"], "malformed");
    assert!(relay.view(&[&bob]).await == before);
}

#[tokio::test]
async fn what_is_larger_than_it_may_be() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let too_large = async |request: RequestBuilder| {
        let document = document(request).await;
        assert_eq!(document["code"], ErrorCode::TooLarge.as_str(), "{document}");
    };
    too_large(post(&alice, "/messaging/send", vec![b' '; limits::REST_REQUEST_BYTES + 1])).await;
    let path = format!("/messaging/prekeys/{}", Agent::bob().id());
    too_large(post(&alice, &path, vec![b' '; limits::SMALL_REQUEST_BYTES + 1])).await;
    too_large(post(&relay.nobody(), "/auth/token", vec![b' '; limits::SMALL_REQUEST_BYTES + 1])).await;
    let padding = "x".repeat(limits::HEADER_BYTES);
    too_large(request(&alice, Method::GET, "/messaging/receive").header("x-padding", padding)).await;

    let padding = "x".repeat(limits::HEADER_BUFFER);
    let answer = request(&alice, Method::GET, "/messaging/receive").header("x-padding", padding).send().await.unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "said by the HTTP library, without a code"
    );
}

#[tokio::test]
async fn a_refusal_does_not_repeat_what_it_refuses_at_length() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let body = json!({ "x".repeat(1 << 20): 1 }).to_string();
    let detail = document(post(&alice, "/messaging/send", body)).await["detail"].as_str().unwrap().len();
    assert!(detail <= limits::DETAIL_CHARACTERS, "{detail}");
}
