//! Who a client is: the signed claim that buys a token, and proofs of the token's key (RFC 9449).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use sealpost_agent::SystemClock;
use sealpost_api::v1;
use sealpost_crypto::{IdentityPrivateKey, Primitives, SystemPrimitives};
use sealpost_protocol::{AccessClaim, Clock, Signer as _, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A fresh Ed25519 key that a token is bound to.
#[derive(Clone)]
pub struct ProofKey(SigningKey);

/// A token, and the key that goes with it.
#[derive(Clone)]
pub struct Credentials {
    /// As the relay issued it.
    pub token: String,
    /// The key that proofs are made with; `None` shows none.
    pub key: Option<ProofKey>,
}

/// The request for a token: `identity`'s signature over the node's challenge, the origin that was dialled, and a new key.
///
/// # Panics
/// When the challenge is not what the interface says.
#[must_use]
pub fn sign_claim(
    identity: &IdentityPrivateKey,
    challenge: v1::ChallengeResponse,
    origin: &str,
    key: &ProofKey,
) -> v1::IssueTokenRequest {
    let claim = AccessClaim {
        node: challenge.node_id.parse().unwrap(),
        origin: origin.to_owned(),
        identity: identity.identity_key(),
        challenge: challenge.challenge,
        expires: Timestamp::from_millis(challenge.expires_at_ms.try_into().unwrap()),
        token_key: key.0.verifying_key().to_bytes(),
    };
    v1::IssueTokenRequest {
        identity_key: claim.identity.as_bytes().to_vec(),
        origin: claim.origin.clone(),
        expires_at_ms: challenge.expires_at_ms,
        token_key: claim.token_key.to_vec(),
        signature: claim.sign(identity).0.to_vec(),
        delegation: None,
        challenge: claim.challenge,
    }
}

impl ProofKey {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        Self(SigningKey::from_bytes(&random()))
    }

    /// A DPoP proof: a JWT over one request, signed with this key.
    fn proof(&self, token: &str, method: &str, target: &str) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.0.verifying_key().to_bytes());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let header = json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk });
        let claims = json!({
            "jti": URL_SAFE_NO_PAD.encode(random::<16>()),
            "htm": method,
            "htu": target,
            "iat": SystemClock.now().as_millis() / 1_000,
            "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(token)),
        });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).to_bytes()))
    }
}

impl Credentials {
    /// The value of the header `authorization`.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!("DPoP {}", self.token)
    }

    /// The value of the header `dpop` for one request.
    #[must_use]
    pub fn proof(&self, method: &str, target: &str) -> Option<String> {
        self.key.as_ref().map(|key| key.proof(&self.token, method, target))
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProofKey(…)")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(…)")
    }
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemPrimitives.fill_random(&mut bytes).unwrap();
    bytes
}
