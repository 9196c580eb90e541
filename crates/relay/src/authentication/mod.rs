//! Authentication: a signed claim buys a short-lived token, and the token works only with proof of its key.
//!
//! 1. The agent asks for a challenge; the node signs its answer, so that the agent knows which node it met, and which
//!    ledger. The agent signs an access claim: this node, the origin it dialled, itself, the challenge, an expiry, a fresh
//!    key.
//! 2. The node answers with a token, a JWT bound to that key (RFC 7800, `cnf.jkt`).
//! 3. The first use of a token on a connection carries a proof (RFC 9449, DPoP); the connection remembers it.
//!
//! Whom the agent has made its delegate shows a delegation in place of the agent's signature, and may do with its token what
//! the delegation grants. What the agent revokes ends at once: no new token, and no request or stream under an old one.
//!
//! A stolen token is worth nothing without its key; a stolen proof nothing on another connection. This holds while a
//! connection has one client at its other end: a proxy that sends several clients' requests down one connection would lend
//! each of them what the others have proven.

mod challenges;
mod connection;
mod delegations;
mod proofs;
mod revoked;
mod single_use;
mod tokens;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use sealpost_api::Origin;
use sealpost_core::{Principal, ports::ShownDelegation};
use sealpost_protocol::{
    AccessClaim, AgentId, ChallengeAnswer, Clock, ErrorCode, IdentityKey, LedgerId, NodeId, Right, Rights, Signature,
    Timestamp,
};
use thiserror::Error;

pub(crate) use connection::ConnectionTokens;
pub(crate) use delegations::Delegation;

use self::{
    challenges::{Challenges, FreshChallenge},
    proofs::{Expected, Proofs},
    revoked::RevokedTokens,
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
    revoked: RevokedTokens,
}

/// Who calls, and until when that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    principal: Principal,
    authority: Authority,
    /// When its token was asked for.
    issued: Timestamp,
    /// When its token ends.
    pub(crate) until: Timestamp,
}

/// In which capacity somebody calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Authority {
    /// The agent itself.
    Identity,
    /// One that the agent lets do this for it.
    Delegate(Rights),
}

impl Caller {
    /// For which agent.
    pub(crate) fn agent(&self) -> AgentId {
        self.principal.agent()
    }

    /// The agent, for what it may leave to a delegate, and has if this is one.
    pub(crate) fn may(&self, right: Right) -> Result<Principal, AuthenticationError> {
        match self.authority {
            Authority::Delegate(rights) if !rights.contain(right) => Err(AuthenticationError::NotGranted(right)),
            Authority::Identity | Authority::Delegate(_) => Ok(self.principal),
        }
    }

    /// The agent, for what it must do itself.
    pub(crate) fn itself(&self) -> Result<Principal, AuthenticationError> {
        match self.authority {
            Authority::Identity => Ok(self.principal),
            Authority::Delegate(_) => Err(AuthenticationError::NotTheIdentity),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(agent: AgentId) -> Self {
        let (issued, until) = (Timestamp::default(), Timestamp::from_millis(u64::MAX));
        Self { principal: Principal::authenticated(agent), authority: Authority::Identity, issued, until }
    }
}

/// What an agent hands in for a token.
#[derive(Clone)]
pub(crate) struct TokenRequest {
    pub(crate) identity: IdentityKey,
    pub(crate) origin: String,
    pub(crate) challenge: Vec<u8>,
    pub(crate) expires: Timestamp,
    pub(crate) token_key: [u8; 32],
    pub(crate) warrant: Warrant,
}

/// What makes a claim good.
#[derive(Clone)]
pub(crate) enum Warrant {
    /// The identity's signature.
    Signature(Signature),
    /// What the identity has left to whoever asks.
    Delegation(Box<Delegation>),
}

/// A claim that holds. Its challenge is not used up yet.
pub(crate) struct CheckedClaim {
    agent: AgentId,
    challenge: FreshChallenge,
    token_key: [u8; 32],
    authority: Authority,
    /// When it was checked.
    at: Timestamp,
    /// The longest that a token for it may last.
    until: Timestamp,
    /// By what right, if not by the identity's: it must not have been revoked.
    pub(crate) shown: Option<ShownDelegation>,
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
    #[error("the token was revoked")]
    TokenRevoked,
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
    #[error("the delegation's token {0}")]
    BadDelegation(String),
    #[error("the delegation's time is over")]
    DelegationExpired,
    #[error("the delegation was revoked")]
    DelegationRevoked,
    #[error("the delegation does not grant this: it takes the right to {0}")]
    NotGranted(Right),
    #[error("an agent does this itself, not by a delegate")]
    NotTheIdentity,
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
            Self::TokenExpired | Self::TokenRevoked => ErrorCode::TokenExpired,
            Self::NoProof | Self::BadProof(_) => ErrorCode::ProofRequired,
            Self::ProofTime { .. } => ErrorCode::ClockSkew,
            Self::Challenge | Self::ClaimExpired => ErrorCode::ChallengeRejected,
            Self::Origin(_)
            | Self::BadDelegation(_)
            | Self::DelegationRevoked
            | Self::NotGranted(_)
            | Self::NotTheIdentity => ErrorCode::Forbidden,
            Self::DelegationExpired => ErrorCode::Expired,
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
            revoked: RevokedTokens::default(),
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

    /// Checks what an agent, or a delegate of its, hands in. The challenge is not used up by a claim that does not hold.
    pub(crate) fn check_claim(&self, request: TokenRequest) -> Result<CheckedClaim, AuthenticationError> {
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
        let life = now.saturating_add(limits::TOKEN_LIFE);
        let (authority, until, shown) = match request.warrant {
            Warrant::Signature(signature) => {
                claim.verify(&signature).map_err(|_| AuthenticationError::Signature)?;
                (Authority::Identity, life, None)
            }
            Warrant::Delegation(delegation) => {
                let checked = delegation.check(&claim, now)?;
                (Authority::Delegate(checked.rights), life.min(checked.until), Some(checked.shown))
            }
        };
        IdentityKey::from_array(claim.token_key).map_err(|_| AuthenticationError::TokenKey)?;
        let (agent, token_key) = (claim.identity.agent_id(), claim.token_key);
        Ok(CheckedClaim { agent, challenge, token_key, authority, at: now, until, shown })
    }

    /// A token for a claim that was sent from `peer`, and uses up its challenge.
    pub(crate) fn issue_token(&self, peer: Peer, claim: CheckedClaim) -> Result<Issued<String>, AuthenticationError> {
        let token = self.tokens.issue(&claim)?;
        self.challenges.use_up(peer, claim.challenge, claim.at)?;
        Ok(token)
    }

    /// Makes sure that there is room to remember that an agent revokes something.
    pub(crate) fn admit_revocation(&self, peer: Peer, agent: AgentId) -> Result<(), AuthenticationError> {
        self.revoked.admit(peer, agent, self.clock.now())
    }

    /// Ends the tokens of these agents that were asked for until these times.
    pub(crate) fn end_tokens(&self, revoked: impl IntoIterator<Item = (AgentId, Timestamp)>) {
        self.revoked.end(revoked, self.clock.now());
    }

    /// Waits until a caller's token is revoked.
    pub(crate) async fn revoked(&self, caller: Caller) -> AuthenticationError {
        self.revoked.wait_for(caller).await;
        AuthenticationError::TokenRevoked
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
            return self.if_good(caller, now);
        }
        let checked = self.tokens.check(token, now)?;
        self.if_good(checked.caller, now)?;
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

    fn if_good(&self, caller: Caller, now: Timestamp) -> Result<Caller, AuthenticationError> {
        if caller.until <= now {
            Err(AuthenticationError::TokenExpired)
        } else if self.revoked.include(&caller) {
            Err(AuthenticationError::TokenRevoked)
        } else {
            Ok(caller)
        }
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
