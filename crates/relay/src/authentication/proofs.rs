//! Proofs of possession (RFC 9449): a JWT that a client signs with the token's key over one request.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use sealpost_api::Origin;
use sealpost_protocol::Timestamp;
use serde::Deserialize;

use super::{AuthenticationError, single_use::SingleUse};
use crate::{limits, peer::Peer};

/// Checks proofs, each once.
#[derive(Default)]
pub(super) struct Proofs {
    used: SingleUse,
}

/// What a proof must have been made for.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    /// From where.
    pub(super) peer: Peer,
    /// The token.
    pub(super) token: &'a str,
    /// The thumbprint of the token's key.
    pub(super) key_thumbprint: &'a str,
    /// The request's method.
    pub(super) method: &'a str,
    /// The request's path.
    pub(super) path: &'a str,
    /// Under which the node is reached.
    pub(super) origins: &'a BTreeSet<Origin>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: u64,
    ath: String,
}

impl Proofs {
    /// Checks that `proof` was made for `expected`, and now.
    pub(super) fn check(&self, proof: &str, expected: Expected<'_>, now: Timestamp) -> Result<(), AuthenticationError> {
        let refuse = |reason| Err(AuthenticationError::BadProof(reason));
        if proof.len() > limits::TOKEN_BYTES {
            return refuse("is too long");
        }
        let (claims, key) = verify(proof)?;
        if key_thumbprint(&key) != expected.key_thumbprint {
            return refuse("is made with another key than the token's");
        }
        if claims.ath != URL_SAFE_NO_PAD.encode(digest(&SHA256, expected.token.as_bytes())) {
            return refuse("is for another token (ath)");
        }
        let origin = claims.htu.strip_suffix(expected.path).and_then(|origin| origin.parse().ok());
        if claims.htm != expected.method {
            return refuse("is for another method (htm)");
        }
        if !origin.is_some_and(|origin| expected.origins.contains(&origin)) {
            return refuse("is for another address (htu), which is origin and path without the query");
        }
        let made = Timestamp::from_millis(claims.iat.saturating_mul(1_000));
        if made.since(now) > limits::PROOF_AGE || now.since(made) > limits::PROOF_AGE {
            return Err(AuthenticationError::ProofTime { now });
        }
        let forget = made.saturating_add(2 * limits::PROOF_AGE);
        let name = format!("{} {}", expected.key_thumbprint, claims.jti); // nobody can use up another's names
        if !self.used.use_up(expected.peer, name.as_bytes(), forget, now)? {
            return refuse("was used before");
        }
        Ok(())
    }
}

/// Checks the proof's signature under the Ed25519 key that it names.
fn verify(proof: &str) -> Result<(Claims, [u8; 32]), AuthenticationError> {
    let bad = AuthenticationError::BadProof;
    let header = jsonwebtoken::decode_header(proof).map_err(|_| bad("is no JWT"))?;
    if header.typ.as_deref() != Some("dpop+jwt") || header.alg != Algorithm::EdDSA {
        return Err(bad("is not of the type dpop+jwt, signed with EdDSA"));
    }
    let key = header.jwk.as_ref().and_then(ed25519_key).ok_or(bad("names no Ed25519 key (jwk)"))?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false; // proofs carry their own time instead
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let data = jsonwebtoken::decode::<Claims>(proof, &DecodingKey::from_ed_der(&key), &validation);
    let data = data.map_err(|error| match error.kind() {
        ErrorKind::Json(_) => bad("lacks jti, htm, htu, iat (a whole number of seconds) or ath"),
        _ => bad("does not bear the signature of the key that it names"),
    })?;
    Ok((data.claims, key))
}

fn ed25519_key(jwk: &Jwk) -> Option<[u8; 32]> {
    match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => {
            URL_SAFE_NO_PAD.decode(&parameters.x).ok()?.try_into().ok()
        }
        _ => None,
    }
}

/// The JWK thumbprint of an Ed25519 key (RFC 7638, RFC 8037).
pub(super) fn key_thumbprint(key: &[u8; 32]) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(key));
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let key = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(key_thumbprint(&key.try_into().unwrap()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
