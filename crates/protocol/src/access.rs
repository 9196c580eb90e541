//! How an agent asks a node for a token: it signs who it is, whom it dialled, and the key the token shall be bound to.

use crate::{
    IdentityKey, NodeId, Signature, SignatureMismatch, Signer, SigningInput, Timestamp,
    encoding::{Encode, Writer},
};

const ACCESS_LABEL: &str = "sealpost/v1/access";

/// What an agent signs. Node and origin are the audience: a node that passes the signature on to another gains nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaim {
    /// The node that is asked.
    pub node: NodeId,
    /// The origin the agent dialled, `scheme://host:port`.
    pub origin: String,
    /// The agent.
    pub identity: IdentityKey,
    /// The node's challenge, good for one use.
    pub challenge: Vec<u8>,
    /// From when on the claim is void.
    pub expires: Timestamp,
    /// A fresh Ed25519 public key that the token shall be bound to.
    pub token_key: [u8; 32],
}

impl AccessClaim {
    /// Signs it.
    pub fn sign(&self, signer: &dyn Signer) -> Signature {
        signer.sign(&self.signing_input())
    }

    /// Checks the agent's signature.
    ///
    /// # Errors
    /// [`SignatureMismatch`].
    pub fn verify(&self, signature: &Signature) -> Result<(), SignatureMismatch> {
        self.identity.verify(&self.signing_input(), signature)
    }

    fn signing_input(&self) -> SigningInput {
        SigningInput::new(ACCESS_LABEL, self)
    }
}

impl Encode for AccessClaim {
    fn encode(&self, writer: &mut Writer) {
        writer
            .value(&self.node)
            .bytes(self.origin.as_bytes())
            .value(&self.identity.agent_id())
            .value(&self.identity)
            .bytes(&self.challenge)
            .value(&self.expires)
            .array(&self.token_key);
    }
}
