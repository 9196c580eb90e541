//! What records hold several of: parts of messages, deliveries, manifests that were seen.

use prost::Message as _;
use sealpost_protocol::limits as wire;

use super::*;
use crate::limits;

/// What the relay said of one delivery, and what its receipt was found to be.
#[derive(Clone)]
pub(crate) struct DeliveryRecord {
    /// As it came, without the receipt.
    pub(crate) status: v1::DeliveryStatus,
    pub(crate) receipt: ReceiptCheck,
}

impl Encode for DeliveryRecord {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.status.encode_to_vec()).u8(self.receipt.to_byte());
    }
}

impl Decode for DeliveryRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = |_| DecodeError::Invalid { field: "a delivery", reason: "not of the interface's form" };
        let status =
            v1::DeliveryStatus::decode(reader.bytes("a delivery", limits::DELIVERY_RECORD)?).map_err(invalid)?;
        Ok(Self { status, receipt: ReceiptCheck::from_byte(reader.u8()?)? })
    }
}

/// One recipient for whom a message is sealed anew, and the refusal that is why.
#[derive(Clone)]
pub(crate) struct RenewedPartRecord {
    pub(crate) recipient: AgentId,
    /// The attempt that was refused.
    pub(crate) refused: Attempt,
    pub(crate) reason: RefusalReason,
    /// The session that it was sealed in.
    pub(crate) session: [u8; 16],
}

impl Encode for RenewedPartRecord {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.recipient).value(&self.refused).value(&self.reason).array(&self.session);
    }
}

impl Decode for RenewedPartRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            recipient: AgentId::decode(reader)?,
            refused: Attempt::decode(reader)?,
            reason: RefusalReason::decode(reader)?,
            session: reader.array()?,
        })
    }
}

/// One recipient's part of an outgoing message.
#[derive(Clone)]
pub(crate) struct PartRecord {
    pub(crate) recipient: AgentId,
    pub(crate) attempt: Attempt,
    pub(crate) envelope: Vec<u8>,
}

impl Encode for PartRecord {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.recipient).value(&self.attempt).bytes(&self.envelope);
    }
}

impl Decode for PartRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            recipient: AgentId::decode(reader)?,
            attempt: Attempt::decode(reader)?,
            envelope: reader.bytes("envelope", wire::ENVELOPE)?.to_vec(),
        })
    }
}

/// What names one recipient's part of an accepted message in receipts.
#[derive(Clone)]
pub(crate) struct SentPartRecord {
    pub(crate) recipient: AgentId,
    pub(crate) attempt: Attempt,
    pub(crate) part: PartHash,
    pub(crate) sealing: PartSealing,
}

/// What it takes to send a part anew.
#[derive(Clone)]
pub(crate) enum PartSealing {
    /// The session that it was sealed in: it is sealed anew in another.
    Session([u8; 16]),
    /// The part itself, which is signed and goes again as it is.
    Signed(Vec<u8>),
}

impl Encode for SentPartRecord {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.recipient).value(&self.attempt).value(&self.part);
        match &self.sealing {
            PartSealing::Session(session) => writer.u8(0).array(session),
            PartSealing::Signed(part) => writer.u8(1).bytes(part),
        };
    }
}

impl Decode for SentPartRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            recipient: AgentId::decode(reader)?,
            attempt: Attempt::decode(reader)?,
            part: PartHash::decode(reader)?,
            sealing: match reader.u8()? {
                0 => PartSealing::Session(reader.array()?),
                1 => PartSealing::Signed(reader.bytes("a signed part", limits::SIGNED_PART)?.to_vec()),
                found => return Err(DecodeError::UnknownValue { field: "a part's sealing", found }),
            },
        })
    }
}

/// A manifest that was seen.
#[derive(Clone, Copy)]
pub(crate) struct SeenManifestRecord(pub(crate) SeenManifest);

impl Encode for SeenManifestRecord {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.0.version).value(&self.0.hash);
    }
}

impl Decode for SeenManifestRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(SeenManifest { version: reader.u64()?, hash: ManifestHash::decode(reader)? }))
    }
}
