//! Proofs of possession (RFC 9449).

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, Pkcs8V1Der},
    rand,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, OctetKeyPairParameters, OctetKeyPairType},
};
use sealpost_protocol::Timestamp;
use serde::Serialize;

use super::error::RelayError;

/// A key that exists to bind one token.
pub(super) struct ProofKey {
    signing: EncodingKey,
    public: [u8; 32],
}

#[derive(Serialize)]
struct Claims<'a> {
    jti: String,
    htm: &'a str,
    htu: &'a str,
    iat: u64,
    ath: String,
}

impl ProofKey {
    pub(super) fn generate() -> Result<Self, RelayError> {
        let key = Ed25519KeyPair::generate().map_err(|_| RelayError::Key)?;
        let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| RelayError::Key)?;
        let public = key.public_key().as_ref().try_into().map_err(|_| RelayError::Key)?;
        Ok(Self { signing: EncodingKey::from_ed_der(der.as_ref()), public })
    }

    pub(super) fn public(&self) -> [u8; 32] {
        self.public
    }

    /// A proof for one gRPC call with `token`.
    pub(super) fn proof(&self, token: &str, target: &str, now: Timestamp) -> Result<String, RelayError> {
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| RelayError::Key)?;
        let claims = Claims {
            jti: URL_SAFE_NO_PAD.encode(random),
            htm: "POST",
            htu: target,
            iat: now.as_millis() / 1_000,
            ath: URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(Jwk {
            common: CommonParameters::default(),
            algorithm: AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: URL_SAFE_NO_PAD.encode(self.public),
            }),
        });
        jsonwebtoken::encode(&header, &claims, &self.signing).map_err(|_| RelayError::Key)
    }
}
