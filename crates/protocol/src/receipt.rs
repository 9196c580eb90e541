//! Receipts: the recipient's signed word on what became of the messages handed to it.
//!
//! A batch signs one Merkle root, with its number and the root before it, so that a cut, reordered or forked sequence of
//! batches shows. A sender is given its own leaf and path; the random blind in every leaf keeps it from guessing others.

use thiserror::Error;

use crate::{
    AgentId, Attempt, HeaderHash, IdentityKey, MessageRef, NodeId, PartHash, Signature, SignatureMismatch, Signer,
    SigningInput, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer, byte_enum},
    limits,
    merkle::{self, InclusionPath},
};

const HEAD_LABEL: &str = "sealpost/v1/receipt-head";
const COUNTERSIGNATURE_LABEL: &str = "sealpost/v1/receipt-countersignature";

byte_enum! {
    /// Why a recipient's runtime would not take a message.
    RefusalReason, "refusal reason" {
        /// It did not open.
        Undecryptable = 1, "undecryptable";
        /// It opens with a prekey that the recipient does not have.
        UnknownPrekey = 2, "unknown-prekey";
        /// It belongs to a session that the recipient does not have.
        UnknownSession = 3, "unknown-session";
        /// It was opened before under another name.
        Replay = 4, "replay";
        /// The recipient does not want it.
        Policy = 5, "policy";
        /// The sender, or the recipient itself, does not belong to the group whose key it is under.
        NotMember = 6, "not-member";
    }
}

/// What a recipient says of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The runtime has it in durable storage.
    Stored,
    /// The agent itself has taken it; said after [`Verdict::Stored`].
    Acknowledged,
    /// The runtime would not take it.
    Refused(RefusalReason),
}

impl Encode for Verdict {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Stored => writer.u8(1),
            Self::Acknowledged => writer.u8(2),
            Self::Refused(reason) => writer.u8(3).value(reason),
        };
    }
}

impl Decode for Verdict {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Stored),
            2 => Ok(Self::Acknowledged),
            3 => RefusalReason::decode(reader).map(Self::Refused),
            found => Err(DecodeError::UnknownValue { field: "verdict", found }),
        }
    }
}

/// One receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptLeaf {
    /// The message.
    pub message: MessageRef,
    /// The attempt, as the relay numbered it.
    pub attempt: Attempt,
    /// The header as it arrived.
    pub header: HeaderHash,
    /// The part as it arrived.
    pub part: PartHash,
    /// What became of it.
    pub verdict: Verdict,
    /// The recipient's clock.
    pub at: Timestamp,
    /// Random: makes the leaf's hash say nothing to those who do not have the leaf.
    pub blind: [u8; 16],
}

impl ReceiptLeaf {
    fn hash(&self) -> merkle::Hash {
        merkle::leaf_hash(&self.to_bytes())
    }
}

impl Encode for ReceiptLeaf {
    fn encode(&self, writer: &mut Writer) {
        writer
            .value(&self.message)
            .value(&self.attempt)
            .value(&self.header)
            .value(&self.part)
            .value(&self.verdict)
            .value(&self.at)
            .array(&self.blind);
    }
}

impl Decode for ReceiptLeaf {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            message: MessageRef::decode(reader)?,
            attempt: Attempt::decode(reader)?,
            header: HeaderHash::decode(reader)?,
            part: PartHash::decode(reader)?,
            verdict: Verdict::decode(reader)?,
            at: Timestamp::decode(reader)?,
            blind: reader.array()?,
        })
    }
}

/// What a batch's signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptHead {
    /// Whose receipts they are.
    pub recipient: AgentId,
    /// The batch's number among the recipient's, from 1.
    pub number: u64,
    /// The root of the batch before; zeros before the first.
    pub previous_root: merkle::Hash,
    /// The root over this batch's leaves.
    pub root: merkle::Hash,
}

impl ReceiptHead {
    /// The root that the first batch names as the previous one.
    pub const NO_ROOT: merkle::Hash = [0; 32];

    /// The node's signature over it, by which the node cannot deny having seen it.
    pub fn countersign(&self, node: &dyn Signer) -> Signature {
        node.sign(&SigningInput::new(COUNTERSIGNATURE_LABEL, self))
    }

    /// Checks a node's countersignature.
    ///
    /// # Errors
    /// [`SignatureMismatch`], also for a node id that is no key.
    pub fn verify_countersignature(&self, node: &NodeId, signature: &Signature) -> Result<(), SignatureMismatch> {
        let key = node.key().map_err(|_| SignatureMismatch)?;
        key.verify(&SigningInput::new(COUNTERSIGNATURE_LABEL, self), signature)
    }
}

impl Encode for ReceiptHead {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.recipient).u64(self.number).array(&self.previous_root).array(&self.root);
    }
}

impl Decode for ReceiptHead {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            recipient: AgentId::decode(reader)?,
            number: reader.u64()?,
            previous_root: reader.array()?,
            root: reader.array()?,
        })
    }
}

/// A head with its recipient's signature, not yet checked against a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedReceiptHead {
    /// What is signed.
    pub head: ReceiptHead,
    /// The recipient's signature.
    pub signature: Signature,
}

impl SignedReceiptHead {
    /// Checks the signature under the key that the head's recipient id certifies.
    ///
    /// # Errors
    /// [`SignatureMismatch`], also when `identity` is another agent's.
    pub fn verify(&self, identity: &IdentityKey) -> Result<(), SignatureMismatch> {
        if identity.agent_id() != self.head.recipient {
            return Err(SignatureMismatch);
        }
        identity.verify(&SigningInput::new(HEAD_LABEL, &self.head), &self.signature)
    }
}

impl Encode for SignedReceiptHead {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.head).value(&self.signature);
    }
}

impl Decode for SignedReceiptHead {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { head: ReceiptHead::decode(reader)?, signature: Signature::decode(reader)? })
    }
}

/// A head under both signatures, as both ends keep the last one: neither can deny what it has said up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountersignedHead {
    /// The head, with its recipient's signature.
    pub signed: SignedReceiptHead,
    /// The node's signature.
    pub countersignature: Signature,
}

impl CountersignedHead {
    /// Checks both signatures.
    ///
    /// # Errors
    /// [`SignatureMismatch`].
    pub fn verify(&self, identity: &IdentityKey, node: &NodeId) -> Result<(), SignatureMismatch> {
        self.signed.verify(identity)?;
        self.signed.head.verify_countersignature(node, &self.countersignature)
    }
}

impl Encode for CountersignedHead {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.signed).value(&self.countersignature);
    }
}

impl Decode for CountersignedHead {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { signed: SignedReceiptHead::decode(reader)?, countersignature: Signature::decode(reader)? })
    }
}

/// Receipts on their way to the relay; the leaves fit the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptBatch {
    signed: SignedReceiptHead,
    leaves: Vec<ReceiptLeaf>,
}

/// Why receipts are not what they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// No leaf, or more than [`limits::RECEIPTS_PER_BATCH`].
    #[error("a batch has 1 to {} receipts", limits::RECEIPTS_PER_BATCH)]
    Count,
    /// The leaf or leaves do not lead to the signed root.
    #[error("the receipts do not lead to the signed root")]
    Root,
    /// The signature is not the recipient's.
    #[error("the receipts' signature does not verify")]
    Signature,
}

impl ReceiptBatch {
    /// Signs `leaves` as batch `number` after the one whose root is `previous_root`.
    ///
    /// # Errors
    /// [`ReceiptError::Count`].
    pub fn sign(
        leaves: Vec<ReceiptLeaf>,
        number: u64,
        previous_root: merkle::Hash,
        signer: &dyn Signer,
    ) -> Result<Self, ReceiptError> {
        check_count(&leaves)?;
        let recipient = signer.identity_key().agent_id();
        let head = ReceiptHead { recipient, number, previous_root, root: root_of(&leaves) };
        let signature = signer.sign(&SigningInput::new(HEAD_LABEL, &head));
        Ok(Self { signed: SignedReceiptHead { head, signature }, leaves })
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`ReceiptError::Signature`].
    pub fn verify(&self, identity: &IdentityKey) -> Result<(), ReceiptError> {
        self.signed.verify(identity).map_err(|SignatureMismatch| ReceiptError::Signature)
    }

    /// The signed head.
    #[must_use]
    pub fn signed_head(&self) -> &SignedReceiptHead {
        &self.signed
    }

    /// The receipts, in the order of their leaves.
    #[must_use]
    pub fn leaves(&self) -> &[ReceiptLeaf] {
        &self.leaves
    }

    /// What each leaf's sender is given, in the order of the leaves.
    #[must_use]
    pub fn proofs(&self) -> Vec<ReceiptProof> {
        let hashes: Vec<_> = self.leaves.iter().map(ReceiptLeaf::hash).collect();
        let leaves = self.leaves.iter().zip(InclusionPath::all(&hashes));
        leaves.map(|(leaf, path)| ReceiptProof { leaf: leaf.clone(), path, signed: self.signed }).collect()
    }
}

fn check_count(leaves: &[ReceiptLeaf]) -> Result<(), ReceiptError> {
    let fits = (1..=limits::RECEIPTS_PER_BATCH).contains(&leaves.len());
    if fits { Ok(()) } else { Err(ReceiptError::Count) }
}

fn root_of(leaves: &[ReceiptLeaf]) -> merkle::Hash {
    let hashes: Vec<_> = leaves.iter().map(ReceiptLeaf::hash).collect();
    merkle::root(&hashes)
}

impl Encode for ReceiptBatch {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.signed).list(&self.leaves);
    }
}

impl Decode for ReceiptBatch {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let signed = SignedReceiptHead::decode(reader)?;
        let leaves = reader.list("receipts", limits::RECEIPTS_PER_BATCH)?;
        if check_count(&leaves).is_err() || root_of(&leaves) != signed.head.root {
            return Err(DecodeError::Invalid { field: "receipts", reason: "do not lead to the signed root" });
        }
        Ok(Self { signed, leaves })
    }
}

/// One receipt with what shows that its recipient signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptProof {
    /// The receipt.
    pub leaf: ReceiptLeaf,
    /// Its way to the root.
    pub path: InclusionPath,
    /// The signed root.
    pub signed: SignedReceiptHead,
}

impl ReceiptProof {
    /// Checks that `identity` signed this receipt.
    ///
    /// # Errors
    /// [`ReceiptError::Root`], [`ReceiptError::Signature`].
    pub fn verify(&self, identity: &IdentityKey) -> Result<(), ReceiptError> {
        if self.path.root_of(self.leaf.hash()) != Some(self.signed.head.root) {
            return Err(ReceiptError::Root);
        }
        self.signed.verify(identity).map_err(|SignatureMismatch| ReceiptError::Signature)
    }
}

impl Encode for ReceiptProof {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.leaf).value(&self.path).value(&self.signed);
    }
}

impl Decode for ReceiptProof {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            leaf: ReceiptLeaf::decode(reader)?,
            path: InclusionPath::decode(reader)?,
            signed: SignedReceiptHead::decode(reader)?,
        })
    }
}
