//! How agent and node meet: neither is decoded, so each signature holds for every field and no other.

use std::time::Duration;

use sealpost_protocol::{
    AccessClaim, ChallengeAnswer, LedgerId, NodeId, SignatureMismatch, Signer,
    encoding::{Decode, DecodeError, Encode},
};

use super::{check, samples::*};

fn node(byte: u8) -> NodeId {
    NodeId::from_array(*Identity::new(byte).identity_key().as_bytes())
}

fn answer() -> ChallengeAnswer {
    ChallengeAnswer {
        node: node(7),
        ledger: LedgerId([1; 16]),
        nonce: [2; 32],
        challenge: vec![3; 56],
        at: NOW,
        expires: NOW.saturating_add(Duration::from_secs(60)),
    }
}

fn claim() -> AccessClaim {
    AccessClaim {
        node: node(7),
        origin: "https://relay.example:443".to_owned(),
        identity: Identity::new(8).identity_key(),
        challenge: vec![3; 56],
        expires: NOW,
        token_key: [4; 32],
    }
}

#[test]
fn a_ledger_id_is_any_16_bytes() {
    check(&LedgerId([0xff; 16]), &[]);
    assert_eq!(LedgerId::from_bytes(&[0; 15]), Err(DecodeError::Truncated));
}

#[test]
fn a_challenge_s_answer_is_signed_in_every_field() {
    let signature = answer().sign(&Identity::new(7));
    assert_eq!(answer().verify(&signature), Ok(()));
    let spoilt = [
        ("node", ChallengeAnswer { node: node(8), ..answer() }),
        ("node, no key", ChallengeAnswer { node: NodeId::from_array([0xff; 32]), ..answer() }),
        ("ledger", ChallengeAnswer { ledger: LedgerId([2; 16]), ..answer() }),
        ("nonce", ChallengeAnswer { nonce: [3; 32], ..answer() }),
        ("challenge", ChallengeAnswer { challenge: vec![4; 56], ..answer() }),
        ("challenge, shorter", ChallengeAnswer { challenge: vec![3; 55], ..answer() }),
        ("at", ChallengeAnswer { at: answer().expires, ..answer() }),
        ("expires", ChallengeAnswer { expires: NOW, ..answer() }),
    ];
    for (field, other) in spoilt {
        assert_eq!(other.verify(&signature), Err(SignatureMismatch), "{field}");
        assert_ne!(other.to_bytes(), answer().to_bytes(), "{field}");
    }
    let by_another = answer().sign(&Identity::new(8));
    assert_eq!(answer().verify(&by_another), Err(SignatureMismatch));
}

#[test]
fn an_access_claim_is_signed_in_every_field() {
    let signature = claim().sign(&Identity::new(8));
    assert_eq!(claim().verify(&signature), Ok(()));
    let spoilt = [
        ("node", AccessClaim { node: node(8), ..claim() }),
        ("origin", AccessClaim { origin: "https://relay.example:44".to_owned(), ..claim() }),
        ("identity", AccessClaim { identity: Identity::new(7).identity_key(), ..claim() }),
        ("challenge", AccessClaim { challenge: vec![], ..claim() }),
        ("expires", AccessClaim { expires: NOW.saturating_add(Duration::from_millis(1)), ..claim() }),
        ("token key", AccessClaim { token_key: [5; 32], ..claim() }),
    ];
    for (field, other) in spoilt {
        assert_eq!(other.verify(&signature), Err(SignatureMismatch), "{field}");
        assert_ne!(other.to_bytes(), claim().to_bytes(), "{field}");
    }
}

#[test]
fn what_is_between_two_fields_belongs_to_one_of_them() {
    let (mut origin, mut longer) = (claim(), claim());
    origin.origin.push('0');
    longer.origin.clear();
    longer.challenge = [claim().origin.as_bytes(), &claim().challenge].concat();
    for other in [origin, longer] {
        assert_ne!(other.to_bytes(), claim().to_bytes());
    }
    // Two kinds of signed bytes are never the same: an answer's signature is none of a claim.
    let by_node = answer().sign(&Identity::new(8));
    assert_eq!(claim().verify(&by_node), Err(SignatureMismatch));
}
