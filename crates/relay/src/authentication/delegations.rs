//! Delegations: Biscuits under a key that an agent's identity has certified.
//!
//! Signatures and the order of blocks are the library's to check. What the blocks say is read as one of a few statements,
//! and never run: the library bounds no single query, and a token of a few hundred bytes can ask for one without end.

use biscuit_auth::{Biscuit, PublicKey, builder::Algorithm};
use sealpost_core::ports::ShownDelegation;
use sealpost_protocol::{
    AccessClaim, DelegationCertificate, DelegationId, DelegationTerms, Rights, Timestamp, limits as wire,
};

use super::AuthenticationError;

/// By what right somebody else than the identity asks for a token.
#[derive(Clone)]
pub(crate) struct Delegation {
    pub(crate) certificate: DelegationCertificate,
    pub(crate) token: Vec<u8>,
}

/// A delegation that is good for one access claim, unless it was revoked.
pub(super) struct CheckedDelegation {
    pub(super) rights: Rights,
    pub(super) until: Timestamp,
    pub(super) shown: ShownDelegation,
}

impl Delegation {
    /// Checks that it lets its bearer, who has the key that its last block is signed with, make this claim now.
    pub(super) fn check(&self, claim: &AccessClaim, now: Timestamp) -> Result<CheckedDelegation, AuthenticationError> {
        let refuse = |reason: &str| Err(AuthenticationError::BadDelegation(reason.to_owned()));
        let certificate = self.certificate.fields();
        if certificate.identity != claim.identity {
            return refuse("is certified by another identity than the claim names");
        }
        if certificate.created > now.saturating_add(wire::CLOCK_AHEAD) {
            return refuse("has a certificate that was made in the future");
        }
        if self.token.len() > wire::DELEGATION_TOKEN {
            return refuse("is too long");
        }
        let bad = |_| AuthenticationError::BadDelegation("is no Biscuit under the certified key".to_owned());
        let root = PublicKey::from_bytes(certificate.key.as_bytes(), Algorithm::Ed25519);
        let token = Biscuit::from(&self.token, root.map_err(|error| bad(error.into()))?).map_err(bad)?;
        if !token.container().proof.is_sealed() {
            return refuse("is not sealed: whoever sees it could use it");
        }
        if token.external_public_keys().iter().any(Option::is_some) {
            return refuse("has a block of a third party");
        }
        let blocks = (0..token.block_count()).map(|place| token.print_block_source(place));
        let blocks = blocks.collect::<Result<Vec<_>, _>>().map_err(bad)?;
        let terms = DelegationTerms::read(blocks.iter().map(String::as_str))
            .map_err(|error| AuthenticationError::BadDelegation(format!("is not understood: {error}")))?;
        if terms.claim != Some(claim.hash()) {
            return refuse("is not bound to this access claim");
        }
        // A token ends on a full second.
        let until = Timestamp::from_millis(terms.until.min(certificate.expires).as_millis() / 1_000 * 1_000);
        if until <= now {
            return Err(AuthenticationError::DelegationExpired);
        }
        let blocks = token.revocation_identifiers().iter().map(|signature| DelegationId::of_block(signature)).collect();
        let shown = ShownDelegation { agent: claim.identity.agent_id(), certified: certificate.created, blocks };
        Ok(CheckedDelegation { rights: terms.rights, until, shown })
    }
}
