//! A client's key for its tokens, and the proofs it signs. They are put together by hand, so that a test can get any one
//! thing wrong; the library that the relay checks them with has no part in it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use sealpost_protocol::Timestamp;
use serde_json::{Value, json};

/// An Ed25519 key that a token is bound to.
pub(crate) struct TokenKey(SigningKey);

impl TokenKey {
    /// The key whose private half is 32 times `seed`.
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The header of a right proof.
    pub(crate) fn header(&self) -> Value {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.public()) });
        json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk })
    }

    /// Signs any header over any claims (RFC 7515, compact).
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).unwrap())).join(".");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).to_bytes()))
    }
}

/// What a proof says (RFC 9449, section 4.2); `name` is for one use.
pub(crate) fn proof_claims(name: &str, method: &str, target: &str, token: &str, at: Timestamp) -> Value {
    let token_hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
    json!({ "jti": name, "htm": method, "htu": target, "iat": at.as_millis() / 1_000, "ath": token_hash })
}
