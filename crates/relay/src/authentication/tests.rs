//! The authenticator from end to end, under a clock that is turned by hand. Each refusal that comes about here is looked
//! through for secrets.

mod claims;
mod cost;
mod delegations;
mod proofs;
mod tokens;

#[path = "../../tests/transports/bad_keys.rs"]
mod bad_keys;
#[path = "../../tests/transports/token_key.rs"]
mod token_key;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use sealpost_core::conformance::{Agent, HandClock};
use sealpost_protocol::{AccessClaim, Clock, Signer};
use serde_json::Value;
use tempfile::TempDir;

use self::token_key::{TokenKey, proof_claims};
use super::*;
use crate::limits;

const ORIGIN: &str = "https://post.example:443";
const OTHER_ORIGIN: &str = "http://localhost:7117";
const LEDGER: LedgerId = LedgerId([7; 16]);
const NONCE: [u8; 32] = [8; 32];
const METHOD: &str = "POST";
const PATH: &str = "/messaging/send";

/// A node's authentication, its clock, and its keys.
struct Node {
    authenticator: Authenticator,
    clock: Arc<HandClock>,
    keys: Arc<NodeKeys>,
    _folder: TempDir,
}

/// A token and the key that it is bound to.
struct Bought {
    token: String,
    key: TokenKey,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(NodeKeys::create(folder.path()).unwrap());
        let clock = Arc::<HandClock>::default();
        let origins = [ORIGIN, OTHER_ORIGIN].map(|origin| origin.parse().unwrap()).into();
        let authenticator = Authenticator::new(Arc::clone(&keys), LEDGER, clock.clone(), origins);
        Self { authenticator, clock, keys, _folder: folder }
    }

    /// What `agent` claims if all is right: a fresh challenge, and the challenge's own life.
    fn claim(&self, agent: &Agent, key: &TokenKey) -> AccessClaim {
        let (answer, _) = self.authenticator.challenge(NONCE).unwrap();
        AccessClaim {
            node: self.authenticator.node_id(),
            origin: ORIGIN.to_owned(),
            identity: agent.identity_key(),
            challenge: answer.challenge,
            expires: answer.expires,
            token_key: key.public(),
        }
    }

    /// A token for a request, which nobody has revoked anything about.
    fn buy(&self, request: TokenRequest) -> Result<Issued<String>, AuthenticationError> {
        self.authenticator.issue_token(Peer::nearby(), self.authenticator.check_claim(request)?)
    }

    /// A token of `agent`, bound to the key of this seed.
    fn token(&self, agent: &Agent, seed: u8) -> Bought {
        let key = TokenKey::new(seed);
        let issued = self.buy(signed(&self.claim(agent, &key), agent)).unwrap();
        Bought { token: issued.value, key }
    }

    /// Sends a request of which nothing but `authorization` and `proof` matters.
    fn authenticate(
        &self,
        connection: &ConnectionTokens,
        authorization: Option<&str>,
        proof: Option<&str>,
    ) -> Result<Caller, AuthenticationError> {
        let credentials = Credentials { authorization, proof, method: METHOD, path: PATH };
        let result = self.authenticator.authenticate(connection, credentials);
        if let Err(error) = &result {
            let token = authorization.map(|value| value.split_once(' ').map_or(value, |(_, token)| token));
            says_nothing_of(error, [token, proof].into_iter().flatten());
        }
        result
    }

    /// Uses a token, with proof if there is one.
    fn present(
        &self,
        connection: &ConnectionTokens,
        token: &str,
        proof: Option<&str>,
    ) -> Result<Caller, AuthenticationError> {
        self.authenticate(connection, Some(&format!("DPoP {token}")), proof)
    }

    /// Hands in a claim that is refused.
    fn refusal_of(&self, request: TokenRequest) -> AuthenticationError {
        let warrant = match &request.warrant {
            Warrant::Signature(signature) => signature.0.to_vec(),
            Warrant::Delegation(delegation) => delegation.token.clone(),
        };
        let secrets = [&request.challenge, &request.token_key.to_vec(), &warrant]
            .map(|bytes| [STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes), format!("{bytes:?}")]);
        let error = self.buy(request).err().expect("a refusal");
        says_nothing_of(&error, secrets.as_flattened().iter().map(String::as_str));
        error
    }
}

impl Bought {
    /// What a right proof for the request says.
    fn claims(&self, node: &Node) -> Value {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let name = NAMES.fetch_add(1, Ordering::Relaxed).to_string();
        proof_claims(&name, METHOD, &format!("{ORIGIN}{PATH}"), &self.token, node.clock.now())
    }

    /// A right proof for the request.
    fn proof(&self, node: &Node) -> String {
        self.key.sign(&self.key.header(), &self.claims(node))
    }
}

fn signed(claim: &AccessClaim, signer: &Agent) -> TokenRequest {
    TokenRequest {
        identity: claim.identity,
        origin: claim.origin.clone(),
        challenge: claim.challenge.clone(),
        expires: claim.expires,
        token_key: claim.token_key,
        warrant: Warrant::Signature(claim.sign(signer)),
    }
}

/// No part of what was handed in, 12 characters or longer, comes back in an error's text.
fn says_nothing_of<'a>(error: &AuthenticationError, secrets: impl Iterator<Item = &'a str>) {
    let text = format!("{error} {error:?}");
    for secret in secrets {
        let parts = secret.as_bytes().windows(12).filter_map(|part| str::from_utf8(part).ok());
        assert_eq!(parts.filter(|part| text.contains(part)).count(), 0, "{text}");
    }
}
