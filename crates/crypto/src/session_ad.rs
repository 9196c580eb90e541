//! A session's associated data: everything that both ends must agree on before they can read each other.
//!
//! It names both agents and both their keys (identity keys alone would let one agent pass a session off as another's),
//! the suite, and every key the handshake used. It is authenticated with every message, and its hash is the session's
//! id.

use std::fmt;

use sealpost_protocol::{
    AgentId, EnvelopeHeader, HeaderHash, IdentityKey, KemKey, KemPrekeyKind, KeyId, Opening, Suite,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};
use sha2::{Digest, Sha256};

use crate::limits;

const LABEL: &[u8] = b"sealpost/v1/session";

/// The length before an envelope header, which is no field of its own in the envelope.
const HEADER_LENGTH: u32 = EnvelopeHeader::LENGTH as u32;

/// Names a session: the first 16 bytes of the SHA-256 of its associated data. Two agents that open sessions to each
/// other at once use the lower one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SessionId({self})")
    }
}

/// The associated data, and what is read from it.
#[derive(Debug, Clone)]
pub(crate) struct SessionAd {
    bytes: Vec<u8>,
    id: SessionId,
    suite: Suite,
    initiator: AgentId,
    responder: AgentId,
}

impl SessionAd {
    /// What both ends compute from the opening, the responder's identity, and the KEM key that the opening used.
    pub(crate) fn new(opening: &Opening, responder: &IdentityKey, kem_key: Option<&KemKey>) -> Self {
        let (initiator_id, responder_id) = (opening.initiator.agent_id(), responder.agent_id());
        let kem = opening.kem.as_ref();
        let kem_hash = kem.zip(kem_key).map(|(kem, key)| {
            Sha256::new().chain_update(key.as_bytes()).chain_update(kem.ciphertext.as_bytes()).finalize()
        });
        let mut writer = Writer::with_capacity(limits::SESSION_AD);
        writer
            .bytes(LABEL)
            .bytes(&[opening.suite.to_byte()])
            .bytes(initiator_id.as_bytes())
            .bytes(responder_id.as_bytes())
            .bytes(opening.initiator.as_bytes())
            .bytes(responder.as_bytes())
            .bytes(&opening.signed_prekey.to_bytes())
            .bytes(&option_bytes(opening.one_time_curve.as_ref()))
            .bytes(&option_bytes(kem.map(|kem| KemName { kind: kem.kind, id: kem.id }).as_ref()))
            .bytes(opening.ephemeral.as_bytes())
            .bytes(kem_hash.as_deref().unwrap_or_default());
        let bytes = writer.into_bytes();
        Self { id: id_of(&bytes), bytes, suite: opening.suite, initiator: initiator_id, responder: responder_id }
    }

    /// The session's name.
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// Its handshake.
    pub(crate) fn suite(&self) -> Suite {
        self.suite
    }

    /// Who opened it.
    pub(crate) fn initiator(&self) -> AgentId {
        self.initiator
    }

    /// Whom it was opened to.
    pub(crate) fn responder(&self) -> AgentId {
        self.responder
    }

    /// The associated data of one message: session, envelope header and message header, each with its length.
    pub(crate) fn of_message(&self, envelope: &EnvelopeHeader, message: &HeaderHash) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.bytes.len() + EnvelopeHeader::LENGTH + 32 + 3 * 4);
        writer.bytes(&self.bytes).u32(HEADER_LENGTH).value(envelope).bytes(&message.0);
        writer.into_bytes()
    }
}

/// Which KEM key an opening used.
struct KemName {
    kind: KemPrekeyKind,
    id: KeyId,
}

impl Encode for KemName {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.kind).value(&self.id);
    }
}

fn option_bytes<T: Encode>(value: Option<&T>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.option(value);
    writer.into_bytes()
}

fn id_of(bytes: &[u8]) -> SessionId {
    let mut id = [0; 16];
    id.copy_from_slice(Sha256::digest(bytes).split_at(16).0);
    SessionId(id)
}

impl Encode for SessionAd {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.bytes);
    }
}

impl Decode for SessionAd {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = reader.bytes("session associated data", limits::SESSION_AD)?;
        let mut fields = Reader::new(bytes);
        if fields.bytes("session label", LABEL.len())? != LABEL {
            return Err(DecodeError::Invalid { field: "session label", reason: "not the label of a session" });
        }
        let suite = Suite::from_bytes(fields.bytes("suite", 1)?)?;
        let initiator = AgentId::from_bytes(fields.bytes("initiator", 32)?)?;
        let responder = AgentId::from_bytes(fields.bytes("responder", 32)?)?;
        for field in
            ["initiator key", "responder key", "signed prekey", "one-time key", "KEM key", "ephemeral", "KEM hash"]
        {
            fields.bytes(field, 32)?;
        }
        fields.finish()?;
        Ok(Self { id: id_of(bytes), bytes: bytes.to_vec(), suite, initiator, responder })
    }
}

#[cfg(test)]
mod tests;
