//! Tokens: JWTs signed by the node (EdDSA), bound to a key by its thumbprint.

use jsonwebtoken::{Algorithm, Header, Validation};
use sealpost_core::Principal;
use sealpost_protocol::{LedgerId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{AuthenticationError, Authority, Caller, CheckedClaim, Issued, proofs::key_thumbprint};
use crate::{limits, node_keys::NodeKeys};

/// Issues and checks tokens.
pub(super) struct Tokens {
    node: String,
    ledger: String,
    signing: jsonwebtoken::EncodingKey,
    checking: jsonwebtoken::DecodingKey,
    validation: Validation,
}

/// A token that this node issued and whose time is not over.
pub(super) struct CheckedToken {
    pub(super) caller: Caller,
    pub(super) key_thumbprint: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    /// The same as `iat`, in milliseconds: what is revoked within a second of it must be told from what is not.
    issued_ms: u64,
    /// What a delegate may do; the agent itself may do everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    cnf: Confirmation,
    /// A token of another ledger is refused, so that its holder asks again and learns of this one.
    ledger: String,
}

#[derive(Serialize, Deserialize)]
struct Confirmation {
    jkt: String,
}

impl Tokens {
    pub(super) fn new(keys: &NodeKeys, ledger: LedgerId) -> Self {
        let node = keys.node_id().to_string();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false; // compared below, with the relay's own clock
        validation.set_required_spec_claims(&["iss", "aud", "sub"]);
        validation.set_issuer(&[&node]);
        validation.set_audience(&[&node]);
        let (signing, checking) = (keys.token_signing.clone(), keys.token_checking.clone());
        Self { node, ledger: ledger.to_string(), signing, checking, validation }
    }

    pub(super) fn issue(&self, claim: &CheckedClaim) -> Result<Issued<String>, AuthenticationError> {
        let expires = Timestamp::from_millis(claim.until.as_millis() / 1_000 * 1_000);
        let claims = Claims {
            iss: self.node.clone(),
            aud: self.node.clone(),
            sub: claim.agent.to_string(),
            iat: claim.at.as_millis() / 1_000,
            exp: expires.as_millis() / 1_000,
            issued_ms: claim.at.as_millis(),
            scope: match claim.authority {
                Authority::Identity => None,
                Authority::Delegate(rights) => Some(rights.to_string()),
            },
            cnf: Confirmation { jkt: key_thumbprint(&claim.token_key) },
            ledger: self.ledger.clone(),
        };
        let value = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.signing)
            .map_err(|_| AuthenticationError::Internal)?;
        Ok(Issued { value, expires })
    }

    pub(super) fn check(&self, token: &str, now: Timestamp) -> Result<CheckedToken, AuthenticationError> {
        if token.len() > limits::TOKEN_BYTES {
            return Err(AuthenticationError::BadToken);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation)
            .map_err(|_| AuthenticationError::BadToken)?
            .claims;
        if claims.ledger != self.ledger {
            return Err(AuthenticationError::BadToken);
        }
        let until = Timestamp::from_millis(claims.exp.saturating_mul(1_000));
        if until <= now {
            return Err(AuthenticationError::TokenExpired);
        }
        let agent = claims.sub.parse().map_err(|_| AuthenticationError::BadToken)?;
        let authority = match claims.scope {
            None => Authority::Identity,
            Some(rights) => Authority::Delegate(rights.parse().map_err(|_| AuthenticationError::BadToken)?),
        };
        let issued = Timestamp::from_millis(claims.issued_ms);
        let caller = Caller { principal: Principal::authenticated(agent), authority, issued, until };
        Ok(CheckedToken { caller, key_thumbprint: claims.cnf.jkt })
    }
}
