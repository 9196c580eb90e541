//! Authentication: a signed claim buys a short-lived token, and the token works only with proof of its key.
//!
//! 1. The agent asks for a challenge; the node signs its answer, so that the agent knows which node it met, and which
//!    ledger. The agent signs an access claim: this node, the origin it dialled, itself, the challenge, an expiry, a fresh
//!    key.
//! 2. The node answers with a token, a JWT bound to that key (RFC 7800, `cnf.jkt`).
//! 3. The first use of a token on a connection carries a proof (RFC 9449, DPoP); the connection remembers it.
//!
//! A stolen token is worth nothing without its key; a stolen proof nothing on another connection. This holds while a
//! connection has one client at its other end: a proxy that sends several clients' requests down one connection would lend
//! each of them what the others have proven.

mod challenges;
mod connection;
mod proofs;
mod single_use;
mod tokens;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use sealpost_api::Origin;
use sealpost_core::Principal;
use sealpost_protocol::{
    AccessClaim, ChallengeAnswer, Clock, ErrorCode, IdentityKey, LedgerId, NodeId, Signature, Timestamp,
};
use thiserror::Error;

pub(crate) use connection::ConnectionTokens;

use self::{
    challenges::Challenges,
    proofs::{Expected, Proofs},
    tokens::Tokens,
};
use crate::{limits, node_keys::NodeKeys, peer::Peer};

/// Makes and checks tokens.
pub(crate) struct Authenticator {
    clock: Arc<dyn Clock>,
    keys: Arc<NodeKeys>,
    ledger: LedgerId,
    origins: BTreeSet<Origin>,
    challenges: Challenges,
    tokens: Tokens,
    proofs: Proofs,
}

/// Who calls, and until when that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The agent.
    pub(crate) principal: Principal,
    /// When its token ends.
    pub(crate) until: Timestamp,
}

/// What an agent hands in for a token.
#[derive(Clone)]
pub(crate) struct TokenRequest {
    pub(crate) identity: IdentityKey,
    pub(crate) origin: String,
    pub(crate) challenge: Vec<u8>,
    pub(crate) expires: Timestamp,
    pub(crate) token_key: [u8; 32],
    pub(crate) signature: Signature,
}

/// A challenge or a token that is good until a time.
pub(crate) struct Issued<T> {
    pub(crate) value: T,
    pub(crate) expires: Timestamp,
}

/// The parts of a request that authentication looks at.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a> {
    /// The header `authorization`.
    pub(crate) authorization: Option<&'a str>,
    /// The header `dpop`.
    pub(crate) proof: Option<&'a str>,
    /// The request's method.
    pub(crate) method: &'a str,
    /// The request's path, without query.
    pub(crate) path: &'a str,
}

/// Why a caller is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum AuthenticationError {
    #[error("a token is needed: authorization: DPoP <token>")]
    NoToken,
    #[error("the token is not one of this node's")]
    BadToken,
    #[error("the token's time is over")]
    TokenExpired,
    #[error("this connection has not shown proof of the token's key: send it in the header dpop")]
    NoProof,
    #[error("the proof {0}")]
    BadProof(&'static str),
    #[error(
        "the proof's time is too far from the node's clock, {now}: at most {} seconds; set this machine's clock",
        limits::PROOF_AGE.as_secs()
    )]
    ProofTime { now: Timestamp },
    #[error("the challenge was used, is too old, or is another node's")]
    Challenge,
    #[error("the origin {0:?} is not one of this relay's: configure it if it should be")]
    Origin(String),
    #[error("the claim has expired")]
    ClaimExpired,
    #[error("the claim's signature does not verify")]
    Signature,
    #[error("the token key is not a usable Ed25519 key")]
    TokenKey,
    #[error("too many new connections and tokens at once")]
    Busy,
    #[error("the node could not make what was asked for")]
    Internal,
}

impl AuthenticationError {
    /// Its name on the wire.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::NoToken | Self::BadToken => ErrorCode::Unauthenticated,
            Self::TokenExpired => ErrorCode::TokenExpired,
            Self::NoProof | Self::BadProof(_) => ErrorCode::ProofRequired,
            Self::ProofTime { .. } => ErrorCode::ClockSkew,
            Self::Challenge | Self::ClaimExpired => ErrorCode::ChallengeRejected,
            Self::Origin(_) => ErrorCode::Forbidden,
            Self::Signature => ErrorCode::BadSignature,
            Self::TokenKey => ErrorCode::Malformed,
            Self::Busy => ErrorCode::RateLimited,
            Self::Internal => ErrorCode::Internal,
        }
    }
}

impl Authenticator {
    pub(crate) fn new(keys: Arc<NodeKeys>, ledger: LedgerId, clock: Arc<dyn Clock>, origins: BTreeSet<Origin>) -> Self {
        Self {
            challenges: Challenges::new(keys.challenge_marking.clone()),
            tokens: Tokens::new(&keys, ledger),
            proofs: Proofs::default(),
            keys,
            ledger,
            clock,
            origins,
        }
    }

    fn node_id(&self) -> NodeId {
        self.keys.node_id()
    }

    /// A challenge to sign, and who asks for the signature.
    pub(crate) fn challenge(&self, nonce: [u8; 32]) -> Result<(ChallengeAnswer, Signature), AuthenticationError> {
        let at = self.clock.now();
        let Issued { value: challenge, expires } = self.challenges.issue(at)?;
        let answer = ChallengeAnswer { node: self.node_id(), ledger: self.ledger, nonce, challenge, at, expires };
        let signature = answer.sign(self.keys.as_ref());
        Ok((answer, signature))
    }

    /// A token for whoever signed the claim, and has sent it from `peer`. The challenge is used up only by a claim that holds.
    pub(crate) fn issue_token(&self, peer: Peer, request: TokenRequest) -> Result<Issued<String>, AuthenticationError> {
        let now = self.clock.now();
        if !request.origin.parse().is_ok_and(|origin| self.origins.contains(&origin)) {
            return Err(AuthenticationError::Origin(request.origin));
        }
        if request.expires <= now {
            return Err(AuthenticationError::ClaimExpired);
        }
        let claim = AccessClaim {
            node: self.node_id(),
            origin: request.origin,
            identity: request.identity,
            challenge: request.challenge,
            expires: request.expires,
            token_key: request.token_key,
        };
        let challenge = self.challenges.check(&claim.challenge, now)?;
        claim.verify(&request.signature).map_err(|_| AuthenticationError::Signature)?;
        IdentityKey::from_array(claim.token_key).map_err(|_| AuthenticationError::TokenKey)?;
        let token = self.tokens.issue(claim.identity.agent_id(), &claim.token_key, now)?;
        self.challenges.use_up(peer, challenge, now)?;
        Ok(token)
    }

    /// Who sent a request over `connection`.
    pub(crate) fn authenticate(
        &self,
        connection: &ConnectionTokens,
        credentials: Credentials<'_>,
    ) -> Result<Caller, AuthenticationError> {
        let now = self.clock.now();
        let token = credentials.authorization.and_then(token_of).ok_or(AuthenticationError::NoToken)?;
        if let Some(caller) = connection.caller(token) {
            return if caller.until > now { Ok(caller) } else { Err(AuthenticationError::TokenExpired) };
        }
        let checked = self.tokens.check(token, now)?;
        let proof = credentials.proof.ok_or(AuthenticationError::NoProof)?;
        let expected = Expected {
            peer: connection.peer,
            token,
            key_thumbprint: &checked.key_thumbprint,
            method: credentials.method,
            path: credentials.path,
            origins: &self.origins,
        };
        self.proofs.check(proof, expected, now)?;
        connection.remember(token, checked.caller, now);
        Ok(checked.caller)
    }
}

/// The token in an `authorization` header; a scheme's name has no case (RFC 9110, section 11.1).
fn token_of(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("DPoP").then_some(token)
}

/// The origins under which a relay that listens on `address` is reached directly.
pub(crate) fn own_origins(address: SocketAddr, tls: bool) -> impl Iterator<Item = Origin> {
    let scheme = if tls { "https" } else { "http" };
    let named = address.ip().is_loopback().then(|| format!("{scheme}://localhost:{}", address.port()));
    let origins = [format!("{scheme}://{address}")].into_iter().chain(named);
    origins.filter_map(|origin| origin.parse().ok())
}

#[cfg(test)]
mod tests;
