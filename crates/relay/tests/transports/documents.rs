//! The OpenAPI document as it is served, held against the relay.

use http::Method;
use sealpost_core::conformance::Agent;
use serde_json::Value;

use super::{test_relay::TestRelay, wire::rest_answer};

async fn document(relay: &TestRelay) -> Value {
    let response = reqwest::get(format!("{}/openapi.json", relay.origin)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    response.json().await.unwrap()
}

/// Every operation, with its parameters filled in.
fn operations(document: &Value) -> Vec<(Method, String, String, Value)> {
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
    for (method, path, query, _) in operations(&document(&relay).await) {
        let url = format!("{}{path}?{query}", relay.origin);
        let headers = alice.headers(method.as_str(), &path);
        let request = reqwest::Client::new().request(method.clone(), url).headers(headers);
        let request = if method == Method::POST { request.json(&serde_json::json!({})) } else { request };
        let response = request.send().await.unwrap();
        if !response.status().is_success() {
            let detail = rest_answer(response).await.unwrap_err().detail;
            let unknown = ["unknown field", "no such path", "does not know this method"];
            assert!(!unknown.iter().any(|text| detail.contains(text)), "{method} {path}?{query}: {detail}");
        }
    }
}

#[tokio::test]
async fn an_operation_is_refused_without_a_token_unless_the_document_says_otherwise() {
    let relay = TestRelay::start().await;
    for (method, path, _, operation) in operations(&document(&relay).await) {
        let url = format!("{}{path}", relay.origin);
        let response = reqwest::Client::new().request(method.clone(), url).send().await.unwrap();
        let is_open = response.headers().get("sealpost-code").is_none_or(|code| code != "unauthenticated");
        assert_eq!(operation["security"].is_array(), is_open, "{method} {path}");
    }
}
