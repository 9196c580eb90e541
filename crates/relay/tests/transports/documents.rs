//! The OpenAPI document as it is served, held against the relay.

use http::Method;
use sealpost_core::conformance::Agent;
use sealpost_protocol::ErrorCode;
use serde_json::Value;

use super::test_relay::TestRelay;

const NO_ID: &str = "no-id";
const UNKNOWN_ID: &str = "0190d3a8-0000-7000-8000-000000000001";

async fn document(relay: &TestRelay) -> Value {
    let response = reqwest::get(format!("{}/openapi.json", relay.origin)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    response.json().await.unwrap()
}

/// Every operation, with its parameters filled in; what is no agent is named `id` in a path.
fn operations(document: &Value, id: &str) -> Vec<(Method, String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, operation)| (path, method, operation))
    });
    let filled_in = operations.map(|(path, method, operation)| {
        let (mut path, mut query) = (path.clone(), Vec::new());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let value =
                if parameter["schema"]["type"] == "integer" { "0".to_owned() } else { Agent::bob().id().to_string() };
            match parameter["in"].as_str().unwrap() {
                "path" if name != "agent_id" => path = path.replace(&format!("{{{name}}}"), id),
                "path" => path = path.replace(&format!("{{{name}}}"), &value),
                _ => query.push(format!("{name}={value}")),
            }
        }
        (method.to_uppercase().parse().unwrap(), path, query.join("&"), operation.clone())
    });
    filled_in.collect()
}

#[tokio::test]
async fn the_relay_knows_every_operation_and_parameter_that_it_lists() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let document = document(&relay).await;
    // With the first an unknown path would be `not-found`, with the second an unknown parameter `malformed`.
    for (id, of_id) in [(NO_ID, ErrorCode::Malformed), (UNKNOWN_ID, ErrorCode::NotFound)] {
        for (method, path, query, _) in operations(&document, id) {
            let url = format!("{}{path}?{query}", relay.origin);
            let headers = alice.headers(method.as_str(), &path);
            let request = reqwest::Client::new().request(method.clone(), url).headers(headers);
            let request = if method == Method::POST { request.json(&serde_json::json!({})) } else { request };
            let response = request.send().await.unwrap();
            let code = response.headers().get("sealpost-code").map(|code| code.to_str().unwrap());
            let expected = match (method.as_str(), path.as_str()) {
                // What is not there is cancelled already.
                ("DELETE", path) if path.contains(UNKNOWN_ID) => None,
                (_, path) if path.contains(id) => Some(of_id),
                // An empty document is no request, and no web socket was asked for.
                ("POST", _) | (_, "/events") => Some(ErrorCode::Malformed),
                (_, path) if path.starts_with("/messaging/prekeys/") => Some(ErrorCode::UnknownRecipient),
                _ => None,
            };
            assert_eq!(code, expected.map(ErrorCode::as_str), "{method} {path}?{query}");
        }
    }
}

#[tokio::test]
async fn an_operation_is_refused_without_a_token_unless_the_document_says_otherwise() {
    let relay = TestRelay::start().await;
    for (method, path, _, operation) in operations(&document(&relay).await, NO_ID) {
        let url = format!("{}{path}", relay.origin);
        let response = reqwest::Client::new().request(method.clone(), url).send().await.unwrap();
        let is_open = response.headers().get("sealpost-code").is_none_or(|code| code != "unauthenticated");
        assert_eq!(operation["security"].is_array(), is_open, "{method} {path}");
    }
}
