//! How an agent and a node meet: the node signs who it is and which ledger it keeps, the agent signs who it is, whom it
//! dialled, and the key that its token shall be bound to.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{
    IdentityKey, NodeId, Signature, SignatureMismatch, Signer, SigningInput, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

const CHALLENGE_LABEL: &str = "sealpost/v1/challenge";
const ACCESS_LABEL: &str = "sealpost/v1/access";

/// One life of a node's ledger, random. A node whose ledger was lost, or was put back from an older copy, goes on under
/// another: numbers of changes and receipts mean nothing across the two.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LedgerId(pub [u8; 16]);

/// 32 hexadecimal digits.
impl fmt::Display for LedgerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for LedgerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Encode for LedgerId {
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.0);
    }
}

impl Decode for LedgerId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

/// What a node signs when it is asked for a challenge. The asker's nonce makes an old answer worthless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeAnswer {
    /// The node.
    pub node: NodeId,
    /// The ledger that it keeps now.
    pub ledger: LedgerId,
    /// What the asker sent.
    pub nonce: [u8; 32],
    /// To be signed in the access claim, good for one use.
    pub challenge: Vec<u8>,
    /// The node's clock.
    pub at: Timestamp,
    /// From when on the challenge is void.
    pub expires: Timestamp,
}

impl ChallengeAnswer {
    /// Signs it with the key of the node it names.
    pub fn sign(&self, node: &dyn Signer) -> Signature {
        node.sign(&self.signing_input())
    }

    /// Checks that the node it names has signed it.
    ///
    /// # Errors
    /// [`SignatureMismatch`], also for a node id that is no key.
    pub fn verify(&self, signature: &Signature) -> Result<(), SignatureMismatch> {
        let key = self.node.key().map_err(|_| SignatureMismatch)?;
        key.verify(&self.signing_input(), signature)
    }

    fn signing_input(&self) -> SigningInput {
        SigningInput::new(CHALLENGE_LABEL, self)
    }
}

impl Encode for ChallengeAnswer {
    fn encode(&self, writer: &mut Writer) {
        writer
            .value(&self.node)
            .value(&self.ledger)
            .array(&self.nonce)
            .bytes(&self.challenge)
            .value(&self.at)
            .value(&self.expires);
    }
}

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

    /// What a delegate binds its token to, in place of the agent's signature: SHA-256 over what the agent would sign.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.signing_input().as_bytes()).into()
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
