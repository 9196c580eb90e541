//! From a challenge to a token: what the node signs, and what the agent.

use sealpost_protocol::{AccessClaim, ChallengeAnswer, LedgerId, NodeId, Signer};
use serde_json::{Value, json};

use super::{encoded, hex, prekeys::Drawn};
use crate::{
    IdentityPrivateKey,
    testing::{NOW, SeededPrimitives, TestAgent},
};

const ORIGIN: &str = "https://relay.example:7117";

pub(super) fn vectors() -> Value {
    let (alice, node) = (TestAgent::new(1), TestAgent::new(3));
    let drawn = SeededPrimitives::new(8);
    let expires = NOW.saturating_add(std::time::Duration::from_secs(60));
    let answer = ChallengeAnswer {
        node: NodeId::from(node.identity.identity_key()),
        ledger: LedgerId(drawn.array()),
        nonce: drawn.array(),
        challenge: drawn.array::<56>().to_vec(),
        at: NOW,
        expires,
    };
    let token_seed = drawn.array();
    let claim = AccessClaim {
        node: answer.node,
        origin: ORIGIN.to_owned(),
        identity: alice.identity.identity_key(),
        challenge: answer.challenge.clone(),
        expires,
        token_key: *IdentityPrivateKey::from_seed(&token_seed).unwrap().identity_key().as_bytes(),
    };
    json!({
        "identity": "alice",
        "node_seed": hex(Drawn::by(3).identity),
        "node_id": encoded(&answer.node),
        "ledger": encoded(&answer.ledger),
        "nonce": hex(answer.nonce),
        "challenge": hex(&answer.challenge),
        "at": answer.at.as_millis(),
        "expires": expires.as_millis(),
        "answer": encoded(&answer),
        "answer_signature": encoded(&answer.sign(&node.identity)),
        "origin": ORIGIN,
        "token_key_seed": hex(token_seed),
        "token_key": hex(claim.token_key),
        "claim": encoded(&claim),
        "claim_signature": encoded(&claim.sign(&alice.identity)),
    })
}
