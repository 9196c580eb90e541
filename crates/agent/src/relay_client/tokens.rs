//! A token and its use.

use std::sync::Arc;

use sealpost_protocol::Timestamp;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
};

use super::{error::RelayError, proofs::ProofKey};

/// A token, bound to a key that only this process has.
pub(super) struct Token {
    text: String,
    pub(super) expires: Timestamp,
    key: Arc<ProofKey>,
}

impl Token {
    pub(super) fn new(text: String, expires: Timestamp, key: ProofKey) -> Self {
        Self { text, expires, key: Arc::new(key) }
    }

    pub(super) fn authorize<T>(&self, request: &mut Request<T>) -> Result<(), RelayError> {
        request.metadata_mut().insert("authorization", header(&format!("DPoP {}", self.text))?);
        Ok(())
    }

    /// Shows, for a call of `target`, that the caller has the token's key.
    pub(super) fn prove<T>(&self, request: &mut Request<T>, target: &str, now: Timestamp) -> Result<(), RelayError> {
        request.metadata_mut().insert("dpop", header(&self.key.proof(&self.text, target, now)?)?);
        Ok(())
    }
}

fn header(text: &str) -> Result<MetadataValue<Ascii>, RelayError> {
    let mut value: MetadataValue<Ascii> = text.parse().map_err(|_| RelayError::Answer("the token is not text"))?;
    value.set_sensitive(true);
    Ok(value)
}
