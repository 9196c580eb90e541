//! Proof of a token's key: once per connection and token, and good for nothing else.

use std::time::Duration;

use sealpost_core::conformance::NOW;
use sealpost_protocol::Timestamp;
use serde_json::json;

use super::*;

#[test]
fn a_connection_asks_for_proof_once_for_each_token() {
    let (node, alice, bob) = (Node::new(), Agent::alice(), Agent::bob());
    let (first, second, bobs) = (node.token(&alice, 1), node.token(&alice, 2), node.token(&bob, 3));
    for connection in [ConnectionTokens::new(Peer::nearby()), ConnectionTokens::new(Peer::nearby())] {
        for (bought, agent) in [(&first, &alice), (&second, &alice), (&bobs, &bob)] {
            assert_eq!(node.present(&connection, &bought.token, None), Err(AuthenticationError::NoProof));
            let caller = node.present(&connection, &bought.token, Some(&bought.proof(&node))).unwrap();
            assert_eq!(caller.principal.agent(), agent.id());
            assert_eq!(node.present(&connection, &bought.token, None), Ok(caller));
        }
    }
}

#[test]
fn each_wrong_proof_has_its_refusal_and_none_is_remembered() {
    let (node, connection) = (Node::new(), ConnectionTokens::new(Peer::nearby()));
    let (alice, other) = (node.token(&Agent::alice(), 1), node.token(&Agent::alice(), 2));
    let with = |claim: &str, value: Value| {
        let mut claims = alice.claims(&node);
        claims[claim] = value;
        alice.key.sign(&alice.key.header(), &claims)
    };
    let with_header = |field: &str, value: Value| {
        let mut header = alice.key.header();
        header[field] = value;
        alice.key.sign(&header, &alice.claims(&node))
    };
    let other_jwk = other.key.header()["jwk"].clone();
    let cases = [
        ("made with another key", other.key.sign(&other.key.header(), &alice.claims(&node))),
        ("made with another key than it names", other.key.sign(&alice.key.header(), &alice.claims(&node))),
        ("names another key", with_header("jwk", other_jwk)),
        ("names no key", with_header("jwk", Value::Null)),
        ("names an elliptic curve key", with_header("jwk", json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}))),
        ("for another token", with("ath", other.claims(&node)["ath"].clone())),
        ("for no token", with("ath", Value::Null)),
        ("for another method", with("htm", json!("GET"))),
        ("for another path", with("htu", json!(format!("{ORIGIN}/messaging/receive")))),
        ("for another path with the same end", with("htu", json!(format!("{ORIGIN}/relay{PATH}")))),
        ("for another origin", with("htu", json!(format!("https://evil.example:443{PATH}")))),
        ("without a name", with("jti", Value::Null)),
        ("not a proof by its type", with_header("typ", json!("JWT"))),
        ("of no algorithm", with_header("alg", json!("none"))),
        ("of another algorithm", with_header("alg", json!("HS256"))),
        ("too long", with("jti", json!("x".repeat(limits::TOKEN_BYTES)))),
        ("the token itself", alice.token.clone()),
        ("not a JWT", "proof".to_owned()),
        ("empty", String::new()),
    ];
    let mut refusals = Vec::new();
    for (name, proof) in cases {
        let error = node.present(&connection, &alice.token, Some(&proof)).expect_err(name);
        assert_eq!(error.code(), ErrorCode::ProofRequired, "{name}");
        refusals.push(format!("{name}: {error}"));
        assert_eq!(node.present(&connection, &alice.token, None), Err(AuthenticationError::NoProof), "{name}");
    }
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn a_proof_is_good_for_as_long_as_the_limit_says_on_either_side() {
    let node = Node::new();
    let bought = node.token(&Agent::alice(), 1);
    let now = Timestamp::from_millis(NOW.as_millis() / 1_000 * 1_000); // proofs count in seconds
    let second = Duration::from_secs(1);
    let refused = |now| Err(AuthenticationError::ProofTime { now });
    let at_offset = |turned: Timestamp| {
        node.clock.set(now);
        let proof = bought.proof(&node);
        node.clock.set(turned);
        node.present(&ConnectionTokens::new(Peer::nearby()), &bought.token, Some(&proof)).map(|_| ())
    };
    assert_eq!(at_offset(now.saturating_add(limits::PROOF_AGE)), Ok(()));
    assert_eq!(at_offset(now.saturating_sub(limits::PROOF_AGE)), Ok(()));
    for turned in [now.saturating_add(limits::PROOF_AGE + second), now.saturating_sub(limits::PROOF_AGE + second)] {
        assert_eq!(at_offset(turned), refused(turned));
    }
}

#[test]
fn a_proof_is_good_on_one_connection_for_all_of_its_life() {
    let node = Node::new();
    let bought = node.token(&Agent::alice(), 1);
    let begin = Timestamp::from_millis(NOW.as_millis() / 1_000 * 1_000);
    node.clock.set(begin.saturating_add(limits::PROOF_AGE));
    let proof = bought.proof(&node);
    node.clock.set(begin); // made by a clock that is ahead: the longest life that a proof can have
    assert!(node.present(&ConnectionTokens::new(Peer::nearby()), &bought.token, Some(&proof)).is_ok());
    for later in [Duration::ZERO, limits::PROOF_AGE, 2 * limits::PROOF_AGE] {
        node.clock.set(begin.saturating_add(later));
        let replayed = node.present(&ConnectionTokens::new(Peer::nearby()), &bought.token, Some(&proof));
        assert_eq!(replayed, Err(AuthenticationError::BadProof("was used before")), "after {later:?}");
    }
}

#[test]
fn nobody_can_use_up_the_name_of_another_s_proof() {
    let node = Node::new();
    for bought in [node.token(&Agent::mallory(), 1), node.token(&Agent::alice(), 2)] {
        let mut claims = bought.claims(&node);
        claims["jti"] = json!("1");
        let proof = bought.key.sign(&bought.key.header(), &claims);
        assert!(node.present(&ConnectionTokens::new(Peer::nearby()), &bought.token, Some(&proof)).is_ok());
    }
}

#[test]
fn a_connection_remembers_no_more_tokens_than_its_limit_and_forgets_expired_ones_first() {
    let (node, connection, alice) = (Node::new(), ConnectionTokens::new(Peer::nearby()), Agent::alice());
    let prove = |bought: &Bought| node.present(&connection, &bought.token, Some(&bought.proof(&node))).unwrap().until;
    let is_remembered = |bought: &Bought| node.present(&connection, &bought.token, None).is_ok();

    let old = node.token(&alice, 0);
    let end_of_old = prove(&old);
    node.clock.set(end_of_old.saturating_sub(Duration::from_secs(2)));
    let key = |number: usize| u8::try_from(number).unwrap();
    let fresh: Vec<_> = (1..limits::TOKENS_PER_CONNECTION).map(|number| node.token(&alice, key(number))).collect();
    for bought in &fresh {
        prove(bought);
    }
    assert!(is_remembered(&old), "there is room for all of them");

    node.clock.set(end_of_old);
    let last = node.token(&alice, 0xff);
    prove(&last);
    assert!(fresh.iter().chain([&last]).all(is_remembered), "the expired one made room");

    let one_more = node.token(&Agent::bob(), 0xff);
    prove(&one_more);
    assert!(is_remembered(&one_more));
    let remembered = fresh.iter().chain([&last, &one_more]).filter(|bought| is_remembered(bought)).count();
    assert!(remembered <= limits::TOKENS_PER_CONNECTION, "{remembered}");
}

#[test]
fn an_origin_is_known_however_it_is_written() {
    let node = Node::new();
    let key = TokenKey::new(1);
    for written in ["https://post.example", "HTTPS://POST.example:443"] {
        let claim = AccessClaim { origin: written.to_owned(), ..node.claim(&Agent::alice(), &key) };
        let token = node.buy(signed(&claim, &Agent::alice())).unwrap().value;
        let claims = proof_claims(written, METHOD, &format!("{written}{PATH}"), &token, node.clock.now());
        let proof = key.sign(&key.header(), &claims);
        assert!(node.present(&ConnectionTokens::new(Peer::nearby()), &token, Some(&proof)).is_ok(), "{written}");
    }
}
