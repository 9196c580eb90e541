//! From a challenge to a token.

use std::{sync::Barrier, time::Duration};

use sealpost_core::conformance::NOW;
use sealpost_protocol::Timestamp;

use super::{bad_keys::BAD_KEYS, *};

#[test]
fn a_right_claim_buys_a_token_that_names_its_agent_until_its_end() {
    let (node, alice) = (Node::new(), Agent::alice());
    let key = TokenKey::new(1);
    let claim = node.claim(&alice, &key);
    assert_eq!(claim.expires, NOW.saturating_add(limits::CHALLENGE_LIFE));

    let issued = node.buy(signed(&claim, &alice)).unwrap();
    let life = issued.expires.since(NOW);
    assert!(life <= limits::TOKEN_LIFE && life > limits::TOKEN_LIFE - Duration::from_secs(1), "{life:?}");

    let bought = Bought { token: issued.value, key };
    let caller = node.present(&ConnectionTokens::new(Peer::nearby()), &bought.token, Some(&bought.proof(&node)));
    let caller = caller.unwrap();
    assert_eq!((caller.itself().unwrap().agent(), caller.until), (alice.id(), issued.expires));
}

#[test]
fn each_wrong_claim_has_its_refusal_and_none_uses_up_the_challenge() {
    let (node, alice) = (Node::new(), Agent::alice());
    let claim = node.claim(&alice, &TokenKey::new(1));
    let right = signed(&claim, &alice);
    // (1, 0) is a point of small order: every signature of it is good for every text.
    let small_order = std::array::from_fn(|index| u8::from(index == 0));
    let cases = [
        ("another origin", AccessClaim { origin: "https://evil.example:443".into(), ..claim.clone() }),
        ("an origin that only looks alike", AccessClaim { origin: format!("{ORIGIN}/"), ..claim.clone() }),
        ("an expired claim", AccessClaim { expires: NOW, ..claim.clone() }),
        ("a token key of small order", AccessClaim { token_key: small_order, ..claim.clone() }),
        ("a token key that is no point", AccessClaim { token_key: [2; 32], ..claim.clone() }),
    ];
    let mut refusals = Vec::new();
    for (name, claim) in cases {
        let error = node.refusal_of(signed(&claim, &alice));
        refusals.push(format!("{name}: {error} [{}]", error.code()));
    }
    let error = node.refusal_of(signed(&claim, &Agent::mallory()));
    refusals.push(format!("another's signature: {error} [{}]", error.code()));
    insta::assert_snapshot!(refusals.join("\n"));

    assert!(node.buy(right).is_ok(), "the challenge is still good");
}

#[test]
fn no_token_is_bound_to_a_bad_point() {
    let (node, alice) = (Node::new(), Agent::alice());
    let claim = node.claim(&alice, &TokenKey::new(1));
    for digits in BAD_KEYS {
        let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
        let token_key = std::array::from_fn(byte);
        let request = signed(&AccessClaim { token_key, ..claim.clone() }, &alice);
        assert_eq!(node.refusal_of(request), AuthenticationError::TokenKey, "{digits}");
    }
    assert!(node.buy(signed(&claim, &alice)).is_ok(), "none has used it up");
}

#[test]
fn the_signature_covers_every_field() {
    let (node, alice) = (Node::new(), Agent::alice());
    let claim = node.claim(&alice, &TokenKey::new(1));
    let right = || signed(&claim, &alice);
    let other_challenge = node.authenticator.challenge(NONCE).unwrap().0.challenge;
    let later = Timestamp::from_millis(claim.expires.as_millis() + 1);
    let altered = [
        TokenRequest { identity: Agent::mallory().identity_key(), ..right() },
        TokenRequest { origin: OTHER_ORIGIN.into(), ..right() },
        TokenRequest { challenge: other_challenge, ..right() },
        TokenRequest { expires: later, ..right() },
        TokenRequest { token_key: TokenKey::new(2).public(), ..right() },
    ];
    for request in altered {
        assert_eq!(node.refusal_of(request), AuthenticationError::Signature);
    }
    let for_another_node = AccessClaim { node: Node::new().authenticator.node_id(), ..claim.clone() };
    assert_eq!(node.refusal_of(signed(&for_another_node, &alice)), AuthenticationError::Signature);
    assert!(node.buy(right()).is_ok(), "the challenge is still good");
}

#[test]
fn a_challenge_that_the_node_did_not_make_is_refused() {
    let (node, alice) = (Node::new(), Agent::alice());
    let claim = node.claim(&alice, &TokenKey::new(1));
    let refuse = |challenge: Vec<u8>| {
        let request = signed(&AccessClaim { challenge, ..claim.clone() }, &alice);
        assert_eq!(node.refusal_of(request), AuthenticationError::Challenge);
    };
    refuse(Node::new().authenticator.challenge(NONCE).unwrap().0.challenge);
    for position in 0..claim.challenge.len() {
        let mut forged = claim.challenge.clone();
        forged[position] ^= 1;
        refuse(forged);
        refuse(claim.challenge[..position].to_vec());
    }
    refuse([claim.challenge.as_slice(), &[0]].concat());
}

#[test]
fn a_challenge_is_good_until_its_end() {
    let (node, alice) = (Node::new(), Agent::alice());
    let claims: Vec<_> = (1..=2).map(|seed| node.claim(&alice, &TokenKey::new(seed))).collect();
    let end = claims[0].expires;
    let lasting =
        |claim: &AccessClaim| AccessClaim { expires: end.saturating_add(limits::TOKEN_LIFE), ..claim.clone() };

    node.clock.set(Timestamp::from_millis(end.as_millis() - 1));
    assert!(node.buy(signed(&lasting(&claims[0]), &alice)).is_ok());
    node.clock.set(end);
    assert_eq!(node.refusal_of(signed(&lasting(&claims[1]), &alice)), AuthenticationError::Challenge);
}

#[test]
fn a_challenge_is_good_once() {
    let (node, alice) = (Node::new(), Agent::alice());
    let claim = node.claim(&alice, &TokenKey::new(1));
    assert!(node.buy(signed(&claim, &alice)).is_ok());
    assert_eq!(node.refusal_of(signed(&claim, &alice)), AuthenticationError::Challenge);

    let other = AccessClaim { identity: Agent::bob().identity_key(), ..claim };
    assert_eq!(
        node.refusal_of(signed(&other, &Agent::bob())),
        AuthenticationError::Challenge,
        "for nobody else either"
    );
}

#[test]
fn of_concurrent_claims_over_one_challenge_exactly_one_gets_a_token() {
    const CLAIMS: usize = 8;
    let (node, alice) = (Node::new(), Agent::alice());
    let challenge = node.claim(&alice, &TokenKey::new(1));
    let start = Barrier::new(CLAIMS);
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=CLAIMS)
            .map(|seed| {
                let token_key = TokenKey::new(u8::try_from(seed).unwrap()).public();
                let request = signed(&AccessClaim { token_key, ..challenge.clone() }, &alice);
                let (node, start) = (&node, &start);
                scope.spawn(move || {
                    start.wait();
                    node.buy(request).map(|_| ())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(
        results.iter().flat_map(|result| result.as_ref().err()).all(|error| *error == AuthenticationError::Challenge)
    );
}

#[test]
fn the_node_signs_who_it_is_which_ledger_it_keeps_and_when() {
    let node = Node::new();
    let (answer, signature) = node.authenticator.challenge(NONCE).unwrap();
    assert_eq!((answer.node, answer.ledger, answer.nonce), (node.keys.node_id(), LEDGER, NONCE));
    assert_eq!((answer.at, answer.expires.since(answer.at)), (node.clock.now(), limits::CHALLENGE_LIFE));
    assert_eq!(answer.verify(&signature), Ok(()));
    let altered = [
        ChallengeAnswer { node: Node::new().keys.node_id(), ..answer.clone() },
        ChallengeAnswer { ledger: LedgerId([9; 16]), ..answer.clone() },
        ChallengeAnswer { nonce: [9; 32], ..answer.clone() },
        ChallengeAnswer { challenge: vec![9; 56], ..answer.clone() },
        ChallengeAnswer { at: answer.expires, ..answer.clone() },
        ChallengeAnswer { expires: answer.at, ..answer },
    ];
    for answer in altered {
        assert!(answer.verify(&signature).is_err(), "{answer:?}");
    }
}
