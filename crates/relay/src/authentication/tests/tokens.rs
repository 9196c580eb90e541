//! What is taken for a token, and for how long.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sealpost_core::conformance::NOW;
use serde_json::json;

use super::*;

/// What a token of this node says.
fn token_claims(node: &Node, agent: &Agent) -> Value {
    let name = node.authenticator.node_id().to_string();
    let expires = NOW.saturating_add(limits::TOKEN_LIFE).as_millis() / 1_000;
    json!({ "iss": name, "aud": name, "sub": agent.id().to_string(), "iat": 0, "issued_ms": 0, "exp": expires, "cnf": { "jkt": "" },
        "ledger": LEDGER.to_string() })
}

/// The token would be asked for proof, so it is one of the node's.
fn is_known(node: &Node, token: &str) -> bool {
    match node.present(&ConnectionTokens::new(Peer::nearby()), token, None) {
        Err(AuthenticationError::NoProof) => true,
        Err(AuthenticationError::BadToken) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_token_there_is_no_caller() {
    let (node, connection) = (Node::new(), ConnectionTokens::new(Peer::nearby()));
    let bought = node.token(&Agent::alice(), 1);
    let bearer = format!("Bearer {}", bought.token);
    for authorization in [None, Some(""), Some("DPoP"), Some(bearer.as_str()), Some(bought.token.as_str())] {
        let proof = bought.proof(&node);
        let result = node.authenticate(&connection, authorization, Some(&proof));
        assert_eq!(result, Err(AuthenticationError::NoToken));
    }
    assert_eq!(node.present(&connection, "", Some(&bought.proof(&node))), Err(AuthenticationError::BadToken));
}

#[test]
fn the_name_of_the_scheme_has_no_case() {
    let node = Node::new();
    let bought = node.token(&Agent::alice(), 1);
    let authorization = format!("dpop {}", bought.token);
    assert!(
        node.authenticate(&ConnectionTokens::new(Peer::nearby()), Some(&authorization), Some(&bought.proof(&node)))
            .is_ok()
    );
}

#[test]
fn another_node_s_token_is_refused() {
    let (node, other) = (Node::new(), Node::new());
    assert!(!is_known(&node, &other.token(&Agent::alice(), 1).token));
}

#[test]
fn a_token_altered_in_any_character_is_refused() {
    let node = Node::new();
    let token = node.token(&Agent::alice(), 1).token;
    assert!(is_known(&node, &token));
    for position in 0..token.len() {
        let other = if token.as_bytes()[position] == b'A' { "B" } else { "A" };
        let mut altered = token.clone();
        altered.replace_range(position..=position, other);
        assert!(!is_known(&node, &altered), "at {position}");
        assert!(!is_known(&node, &token[..position]), "cut at {position}");
    }
    assert!(!is_known(&node, &format!("{token}{}", "A".repeat(limits::TOKEN_BYTES))));
}

#[test]
fn a_token_of_another_algorithm_is_refused() {
    let (node, alice, mallory) = (Node::new(), Agent::alice(), TokenKey::new(0x3a));
    let claims = token_claims(&node, &alice);
    let by_node = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &node.keys.token_signing).unwrap();
    assert!(is_known(&node, &by_node), "the claims are right");

    let body = by_node.split('.').nth(1).unwrap();
    for algorithm in ["none", "None", "EdDSA"] {
        let header = URL_SAFE_NO_PAD.encode(json!({ "typ": "JWT", "alg": algorithm }).to_string());
        assert!(!is_known(&node, &format!("{header}.{body}.")), "unsigned, {algorithm}");
    }
    // Whoever knows the node's public keys could sign with them, if they were taken for a shared secret.
    let node_id = *node.authenticator.node_id().as_bytes();
    for secret in [node.keys.token_checking.try_get_as_bytes().unwrap(), node_id.as_slice()] {
        let secret = EncodingKey::from_secret(secret);
        let confused = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret).unwrap();
        assert!(!is_known(&node, &confused));
    }
    assert!(!is_known(&node, &mallory.sign(&mallory.header(), &claims)), "signed with the key that its header brings");
}

#[test]
fn a_token_for_anything_else_is_refused_although_the_node_signed_it() {
    let (node, alice) = (Node::new(), Agent::alice());
    let right = token_claims(&node, &alice);
    for (claim, value) in [
        ("iss", json!(Node::new().authenticator.node_id().to_string())),
        ("aud", json!("another service")),
        ("sub", json!(node.authenticator.node_id().to_string())),
        ("exp", json!("never")),
        ("cnf", json!({})),
    ] {
        for value in [value, Value::Null] {
            let mut claims = right.clone();
            claims[claim] = value;
            let token = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &node.keys.token_signing);
            assert!(!is_known(&node, &token.unwrap()), "{claims}");
        }
    }
}

#[test]
fn a_token_ends_on_new_connections_and_on_those_that_know_it() {
    let (node, connection) = (Node::new(), ConnectionTokens::new(Peer::nearby()));
    let bought = node.token(&Agent::alice(), 1);
    let until = node.present(&connection, &bought.token, Some(&bought.proof(&node))).unwrap().until;

    node.clock.set(until.saturating_sub(Duration::from_millis(1)));
    assert!(node.present(&connection, &bought.token, None).is_ok());
    node.clock.set(until);
    assert_eq!(node.present(&connection, &bought.token, None), Err(AuthenticationError::TokenExpired));
    let proof = bought.proof(&node);
    let elsewhere = node.present(&ConnectionTokens::new(Peer::nearby()), &bought.token, Some(&proof));
    assert_eq!(elsewhere, Err(AuthenticationError::TokenExpired));
}

#[test]
fn a_token_of_another_ledger_of_the_node_is_refused() {
    let mut node = Node::new();
    let token = node.token(&Agent::alice(), 1).token;
    assert!(is_known(&node, &token));
    let origins = BTreeSet::from([ORIGIN.parse().unwrap()]);
    node.authenticator = Authenticator::new(Arc::clone(&node.keys), LedgerId([9; 16]), node.clock.clone(), origins);
    assert!(!is_known(&node, &token));
}
