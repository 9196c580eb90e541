//! A delegation, as whoever holds it has it.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use biscuit_auth::{
    Biscuit, KeyPair, PublicKey,
    builder::{Algorithm, BlockBuilder},
};
use sealpost_api::Origin;
use sealpost_protocol::{
    AccessClaim, AgentId, DelegationCertificate, DelegationError, DelegationId, DelegationStatement, DelegationTerms,
    NodeId, Right, Rights, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
    limits as wire,
};
use thiserror::Error;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;

/// The right to act for an agent at its relay, and what proves it. It is as secret as a key: whoever has it may do what it
/// grants, narrow it and pass it on.
#[derive(Clone)]
pub struct Delegation {
    certificate: DelegationCertificate,
    token: Biscuit,
    terms: DelegationTerms,
    node: NodeId,
    origin: String,
}

/// Where a delegation was made for.
#[derive(Clone, Copy)]
pub(super) struct RelayName<'a> {
    pub(super) node: NodeId,
    pub(super) origin: &'a str,
}

/// Why something is no delegation, or cannot be narrowed so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidDelegation {
    /// It is not the text of one.
    #[error("this is no delegation: {0}")]
    Text(&'static str),
    /// What it holds is not well-formed.
    #[error("the delegation is damaged: {0}")]
    Encoding(#[from] DecodeError),
    /// Its token is no Biscuit under the certified key.
    #[error("the delegation's token does not verify: {0}")]
    Token(#[from] biscuit_auth::error::Token),
    /// Its token is bound to one request, and cannot be used or narrowed.
    #[error("the delegation was made for one request, and is worth nothing beyond it")]
    Bound,
    /// It leaves no room to be bound to a request.
    #[error("the delegation is too long: at most {} bytes", wire::DELEGATION_TOKEN - wire::DELEGATION_BINDING)]
    TooLong,
    /// What it says is not understood, or grants nothing.
    #[error("the delegation is worth nothing: {0}")]
    Terms(#[from] DelegationError),
}

impl Delegation {
    /// Grants `rights` until a time under a certified key.
    pub(super) fn grant(
        key: &KeyPair,
        certificate: DelegationCertificate,
        rights: Rights,
        until: Timestamp,
        relay: RelayName<'_>,
    ) -> Result<Self, InvalidDelegation> {
        let grants = rights.iter().map(DelegationStatement::Grant);
        let statements = grants.chain([DelegationStatement::Until(until)]);
        let token = Biscuit::builder().code(source(statements))?.build(key)?;
        Self::new(certificate, token, relay)
    }

    fn new(
        certificate: DelegationCertificate,
        token: Biscuit,
        relay: RelayName<'_>,
    ) -> Result<Self, InvalidDelegation> {
        let blocks = (0..token.block_count()).map(|place| token.print_block_source(place));
        let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
        let terms = DelegationTerms::read(blocks.iter().map(String::as_str))?;
        if blocks.len() >= wire::DELEGATION_BLOCKS {
            return Err(DelegationError::TooManyBlocks.into()); // one more binds it to a claim
        }
        if terms.claim.is_some() || token.container().proof.is_sealed() {
            return Err(InvalidDelegation::Bound);
        }
        if token.to_vec()?.len() + wire::DELEGATION_BINDING > wire::DELEGATION_TOKEN {
            return Err(InvalidDelegation::TooLong);
        }
        let origin = relay.origin.to_owned();
        Ok(Self { certificate, token, terms, node: relay.node, origin })
    }

    /// For whom it lets its holder act.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.certificate.fields().identity.agent_id()
    }

    /// What it grants.
    #[must_use]
    pub fn rights(&self) -> Rights {
        self.terms.rights
    }

    /// From when on it is worth nothing.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.terms.until.min(self.certificate.fields().expires)
    }

    /// Its name: what the agent revokes to end it, and everything that was narrowed from it.
    #[must_use]
    pub fn id(&self) -> DelegationId {
        let blocks = self.token.revocation_identifiers();
        DelegationId::of_block(blocks.last().map(Vec::as_slice).unwrap_or_default())
    }

    /// The relay it was made at: its node, and the origin that the agent dialled.
    #[must_use]
    pub fn relay(&self) -> (NodeId, &str) {
        (self.node, &self.origin)
    }

    /// The same with less in it, to be passed on: of its rights `only` this one, and not from `until` on. With neither it is
    /// the same under a name of its own.
    ///
    /// # Errors
    /// [`InvalidDelegation::Terms`] if nothing would be left of it, or if it was narrowed too often.
    pub fn narrow(&self, only: Option<Right>, until: Option<Timestamp>) -> Result<Self, InvalidDelegation> {
        let only = only.map(DelegationStatement::Only);
        let statements = only.into_iter().chain(until.map(DelegationStatement::Until));
        let token = self.token.append(BlockBuilder::new().code(source(statements))?)?;
        let relay = RelayName { node: self.node, origin: &self.origin };
        Self::new(self.certificate.clone(), token, relay)
    }

    /// What is shown with one access claim, and is worth nothing with another.
    pub(crate) fn bind(&self, claim: &AccessClaim) -> Result<(Vec<u8>, Vec<u8>), InvalidDelegation> {
        let block = BlockBuilder::new().code(source([DelegationStatement::Claim(claim.hash())]))?;
        let token = self.token.append(block)?.seal()?.to_vec()?;
        Ok((self.certificate.to_bytes(), token))
    }

    pub(crate) fn certificate(&self) -> &DelegationCertificate {
        &self.certificate
    }

    /// As text, on one line that ends with a line feed.
    ///
    /// # Errors
    /// [`InvalidDelegation::Token`].
    pub fn to_text(&self) -> Result<Zeroizing<String>, InvalidDelegation> {
        let token = Zeroizing::new(self.token.to_vec()?);
        let mut writer = Writer::with_capacity(1 + 256 + token.len() + wire::ORIGIN);
        writer.u8(FORMAT).value(&self.certificate).bytes(&token).value(&self.node).bytes(self.origin.as_bytes());
        let bytes = Zeroizing::new(writer.into_bytes());
        // The buffer has room from the beginning: one that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4 + 1));
        URL_SAFE_NO_PAD.encode_string(&bytes, &mut text);
        text.push('\n');
        Ok(text)
    }
}

fn source(statements: impl IntoIterator<Item = DelegationStatement>) -> String {
    statements.into_iter().map(|statement| format!("{statement};\n")).collect()
}

impl FromStr for Delegation {
    type Err = InvalidDelegation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| InvalidDelegation::Text("not base64url"))?;
        let bytes = Zeroizing::new(bytes);
        let mut reader = Reader::new(&bytes);
        if reader.u8()? != FORMAT {
            return Err(InvalidDelegation::Text("of another version"));
        }
        let certificate = DelegationCertificate::decode(&mut reader)?;
        let token = reader.bytes("delegation token", wire::DELEGATION_TOKEN)?;
        let node = NodeId::decode(&mut reader)?;
        let origin = reader.text("origin", wire::ORIGIN)?;
        reader.finish()?;
        origin.parse::<Origin>().map_err(|_| InvalidDelegation::Text("its relay's address is none"))?;
        let root = PublicKey::from_bytes(certificate.fields().key.as_bytes(), Algorithm::Ed25519)
            .map_err(biscuit_auth::error::Token::from)?;
        let token = Biscuit::from(token, root)?;
        Self::new(certificate, token, RelayName { node, origin })
    }
}

#[cfg(test)]
mod tests {
    use biscuit_auth::PrivateKey;
    use sealpost_crypto::IdentityPrivateKey;
    use sealpost_protocol::Signer;

    use super::*;

    const SEED: [u8; 32] = [7; 32];

    fn with(source: &str, origin: &str) -> Result<Delegation, InvalidDelegation> {
        let (identity, key) = [1, 7].map(|byte| IdentityPrivateKey::from_seed(&[byte; 32]).unwrap()).into();
        let certificate = DelegationCertificate::sign(key.identity_key(), Timestamp::from_millis(1), &identity);
        let pair = KeyPair::from(&PrivateKey::from_bytes(&SEED, Algorithm::Ed25519).unwrap());
        let token = Biscuit::builder().code(source).unwrap().build(&pair).unwrap();
        Delegation::new(certificate, token, RelayName { node: key.identity_key().into(), origin })
    }

    #[test]
    fn what_leaves_no_room_to_be_used_is_none() {
        let until = |count: u64| -> String {
            let ends =
                (0..count).map(|number| format!("check if time($time), $time < {}; ", 1_795_351_425_123 + number));
            ends.chain(["right(\"read\")".to_owned()]).collect()
        };
        let origin = "http://127.0.0.1:7117";
        assert!(matches!(with(&until(96), origin), Err(InvalidDelegation::TooLong)));
        let longest = (1..96).rev().find_map(|count| with(&until(count), origin).ok()).unwrap();
        let claim = AccessClaim {
            node: longest.relay().0,
            origin: origin.to_owned(),
            identity: longest.certificate().fields().identity,
            challenge: vec![1; 56],
            expires: Timestamp::from_millis(2),
            token_key: [3; 32],
        };
        let (_, token) = longest.bind(&claim).unwrap();
        assert!(token.len() <= wire::DELEGATION_TOKEN, "{}", token.len());
    }

    #[test]
    fn a_delegation_for_no_relay_is_none() {
        let source = "right(\"read\"); check if time($time), $time < 5";
        for origin in ["", "junk", "http://127.0.0.1:7117/path"] {
            let text = with(source, origin).unwrap().to_text().unwrap();
            assert!(matches!(text.parse::<Delegation>(), Err(InvalidDelegation::Text(_))), "{origin:?}");
        }
        assert!(with(source, "http://127.0.0.1:7117").unwrap().to_text().unwrap().parse::<Delegation>().is_ok());
    }
}
