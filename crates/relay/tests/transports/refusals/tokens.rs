//! Claims that buy no token.

use sealpost_api::v1;
use sealpost_protocol::limits;

use super::*;
use crate::{
    bad_keys::BAD_KEYS,
    session::{token_request, token_request_for},
    token_key::TokenKey,
};

#[tokio::test]
async fn claims_that_are_not_right_are_refused_on_both_transports_and_change_nothing() {
    let scene = Scene::set().await;
    let nobody = scene.relay.nobody();
    let challenge = scene.relay.rest().ask(&nobody, v1::ChallengeRequest { nonce: vec![7; 32] }).await.unwrap();
    let key = TokenKey::new(1);
    let right = token_request(&Agent::alice(), &key, &scene.relay.origin, &challenge);
    let elsewhere = token_request(&Agent::alice(), &key, "https://evil.example:443", &challenge);
    let long_origin = v1::IssueTokenRequest { origin: "x".repeat(limits::ORIGIN + 1), ..right.clone() };
    let others_identity = v1::IssueTokenRequest { identity_key: TokenKey::new(2).public().to_vec(), ..right.clone() };

    let mut cases = vec![
        ("for another origin".to_owned(), elsewhere),
        ("for too long an origin".to_owned(), long_origin),
        ("in another's name".to_owned(), others_identity),
        ("before 1970".to_owned(), v1::IssueTokenRequest { expires_at_ms: -1, ..right.clone() }),
        ("too late".to_owned(), v1::IssueTokenRequest { expires_at_ms: 1, ..right.clone() }),
        ("with a made-up challenge".to_owned(), v1::IssueTokenRequest { challenge: vec![1; 56], ..right.clone() }),
        ("without anything".to_owned(), v1::IssueTokenRequest::default()),
    ];
    for (field, length) in [("identity_key", 32), ("token_key", 32), ("signature", 64), ("challenge", 56)] {
        for bytes in wrong_lengths(&vec![1; length]) {
            let mut request = right.clone();
            let wrong = format!("{field} of {} bytes", bytes.len());
            match field {
                "identity_key" => request.identity_key = bytes,
                "token_key" => request.token_key = bytes,
                "signature" => request.signature = bytes,
                _ => request.challenge = bytes,
            }
            cases.push((wrong, request));
        }
    }
    let cases = cases.into_iter().map(|(name, request)| case(name, &nobody, request));
    insta::assert_snapshot!(scene.refusals(cases).await);
    assert!(scene.relay.rest().ask(&nobody, right).await.is_ok(), "the challenge is still good");
}

#[tokio::test]
async fn no_key_in_a_claim_is_a_bad_point() {
    let scene = Scene::set().await;
    let nobody = scene.relay.nobody();
    let challenge = scene.relay.rest().ask(&nobody, v1::ChallengeRequest { nonce: vec![7; 32] }).await.unwrap();
    let (alice, origin) = (Agent::alice(), &scene.relay.origin);
    let right = token_request(&alice, &TokenKey::new(1), origin, &challenge);
    let bad_keys = BAD_KEYS.map(|hex| {
        let digits =
            hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
        <[u8; 32]>::try_from(digits.collect::<Vec<u8>>()).unwrap()
    });
    let cases = bad_keys.into_iter().flat_map(|key| {
        let identity = v1::IssueTokenRequest { identity_key: key.to_vec(), ..right.clone() };
        let token = token_request_for(&alice, key, origin, &challenge);
        [case("the identity", &nobody, identity), case("the token's key", &nobody, token)]
    });
    let refusals = scene.refusals(cases).await;
    assert_eq!(refusals.lines().count(), 2 * BAD_KEYS.len());
    for refusal in refusals.lines() {
        assert!(refusal.contains(r#""code":"malformed""#), "{refusal}");
    }
    assert!(scene.relay.rest().ask(&nobody, right).await.is_ok(), "the challenge is still good");
}
