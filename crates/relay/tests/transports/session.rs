//! An agent's token, and the headers it sends with each request.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use reqwest::header::HeaderMap;
use sealpost_api::v1;
use sealpost_core::conformance::{Agent, HandClock};
use sealpost_protocol::{AccessClaim, Clock, Signer, Timestamp};
use serde_json::Value;

use super::token_key::{TokenKey, proof_claims};

/// Who asks: an agent with its token, or nobody. A test changes a field to ask in another way.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) origin: String,
    pub(crate) token: Option<String>,
    pub(crate) key: Arc<TokenKey>,
    /// Whether each request carries a proof; else none does.
    pub(crate) proves: bool,
    pub(crate) clock: Arc<HandClock>,
}

impl Session {
    /// The headers of one request.
    pub(crate) fn headers(&self, method: &str, path: &str) -> HeaderMap {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let mut headers = HeaderMap::new();
        let Some(token) = &self.token else { return headers };
        headers.insert("authorization", format!("DPoP {token}").parse().unwrap());
        if self.proves {
            let name = NAMES.fetch_add(1, Ordering::Relaxed).to_string();
            let claims = proof_claims(&name, method, &format!("{}{path}", self.origin), token, self.clock.now());
            headers.insert("dpop", self.key.sign(&self.key.header(), &claims).parse().unwrap());
        }
        headers
    }

    /// The same agent and token; no request carries a proof.
    pub(crate) fn without_proof(&self) -> Self {
        Self { proves: false, ..self.clone() }
    }
}

/// What `agent` signs to get a token for `key`, after this answer to its request for a challenge.
pub(crate) fn token_request(agent: &Agent, key: &TokenKey, origin: &str, challenge: &Value) -> v1::IssueTokenRequest {
    token_request_for(agent, key.public(), origin, challenge)
}

/// The same for any bytes as the token's key.
pub(crate) fn token_request_for(
    agent: &Agent,
    token_key: [u8; 32],
    origin: &str,
    challenge: &Value,
) -> v1::IssueTokenRequest {
    let challenge: v1::ChallengeResponse = serde_json::from_value(challenge.clone()).unwrap();
    let claim = AccessClaim {
        node: challenge.node_id.parse().unwrap(),
        origin: origin.to_owned(),
        identity: agent.identity_key(),
        challenge: challenge.challenge,
        expires: Timestamp::from_millis(challenge.expires_at_ms.try_into().unwrap()),
        token_key,
    };
    v1::IssueTokenRequest {
        identity_key: claim.identity.as_bytes().to_vec(),
        origin: claim.origin.clone(),
        signature: claim.sign(agent).0.to_vec(),
        expires_at_ms: challenge.expires_at_ms,
        token_key: claim.token_key.to_vec(),
        challenge: claim.challenge,
        delegation: None,
    }
}
