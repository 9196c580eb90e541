//! The envelope: one message under one ratchet, as the relay carries it.
//!
//! Sender, recipient and time stand once in the message's header, which is in the associated data; `docs/protocol.md`,
//! section 7, has the bytes, and decision 003 the reasons.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{
    CurveKey, IdentityKey, KemCiphertext, KemPrekeyKind, KeyId, Suite,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
    limits,
};

const FORMAT: u8 = 1;
const PART_LABEL: &[u8] = b"sealpost/v1/part";

/// Bytes of the longest opening, with a KEM ciphertext and a one-time key.
const OPENING_CAPACITY: usize = 1_168;

/// The part of an envelope that is authenticated and not encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeHeader {
    /// The session: the first 16 bytes of the SHA-256 of its associated data.
    pub session: [u8; 16],
    /// The sender's current ratchet key.
    pub ratchet_key: CurveKey,
    /// The message's number in the current sending chain, from 0.
    pub counter: u32,
    /// How many messages the sender's previous chain had.
    pub previous_counter: u32,
    /// Whether the envelope carries an opening.
    pub opens_session: bool,
}

impl EnvelopeHeader {
    /// Bytes of its encoding.
    pub const LENGTH: usize = 1 + 16 + 32 + 4 + 4 + 1;
}

impl Encode for EnvelopeHeader {
    fn encode(&self, writer: &mut Writer) {
        writer
            .u8(FORMAT)
            .array(&self.session)
            .value(&self.ratchet_key)
            .u32(self.counter)
            .u32(self.previous_counter)
            .u8(u8::from(self.opens_session));
    }
}

impl Decode for EnvelopeHeader {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "envelope format", found }),
        }
        Ok(Self {
            session: reader.array()?,
            ratchet_key: CurveKey::decode(reader)?,
            counter: reader.u32()?,
            previous_counter: reader.u32()?,
            opens_session: match reader.u8()? {
                0 => false,
                1 => true,
                found => return Err(DecodeError::UnknownValue { field: "opening flag", found }),
            },
        })
    }
}

/// What a recipient needs to make the session's secret; in every envelope until the initiator has opened an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The handshake.
    pub suite: Suite,
    /// The initiator.
    pub initiator: IdentityKey,
    /// The initiator's key for this session alone.
    pub ephemeral: CurveKey,
    /// Which signed prekey it used.
    pub signed_prekey: KeyId,
    /// Which one-time curve key it used, if any.
    pub one_time_curve: Option<KeyId>,
    /// Which KEM key it used; there if and only if the suite needs one.
    pub kem: Option<KemOpening>,
}

/// The KEM half of an opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KemOpening {
    /// One-time or last-resort.
    pub kind: KemPrekeyKind,
    /// Which key.
    pub id: KeyId,
    /// The encapsulated secret.
    pub ciphertext: KemCiphertext,
}

impl Encode for KemOpening {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.kind).value(&self.id).value(&self.ciphertext);
    }
}

impl Decode for KemOpening {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: KemPrekeyKind::decode(reader)?,
            id: KeyId::decode(reader)?,
            ciphertext: KemCiphertext::decode(reader)?,
        })
    }
}

impl Encode for Opening {
    fn encode(&self, writer: &mut Writer) {
        writer
            .value(&self.suite)
            .value(&self.initiator)
            .value(&self.ephemeral)
            .value(&self.signed_prekey)
            .option(self.one_time_curve.as_ref())
            .option(self.kem.as_ref());
    }
}

impl Decode for Opening {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let opening = Self {
            suite: Suite::decode(reader)?,
            initiator: IdentityKey::decode(reader)?,
            ephemeral: CurveKey::decode(reader)?,
            signed_prekey: KeyId::decode(reader)?,
            one_time_curve: reader.option("one-time curve key id")?,
            kem: reader.option("KEM opening")?,
        };
        if opening.suite.uses_kem() != opening.kem.is_some() {
            return Err(DecodeError::Invalid { field: "KEM opening", reason: "does not match the suite" });
        }
        Ok(opening)
    }
}

/// One recipient's part of a `ratchet` message.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Session, ratchet key and counters.
    pub header: EnvelopeHeader,
    /// The opening; there if and only if the header says so.
    pub opening: Option<Opening>,
    /// Random, 96 bits, under a key that is used once.
    pub nonce: [u8; 12],
    /// The sealed payload, without its tag.
    pub ciphertext: Vec<u8>,
    /// Poly1305's tag.
    pub tag: [u8; 16],
}

impl fmt::Debug for Envelope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Envelope")
            .field("header", &self.header)
            .field("ciphertext_length", &self.ciphertext.len())
            .finish_non_exhaustive()
    }
}

impl Encode for Envelope {
    fn to_bytes(&self) -> Vec<u8> {
        let opening = if self.opening.is_some() { OPENING_CAPACITY } else { 0 };
        let mut writer = Writer::with_capacity(EnvelopeHeader::LENGTH + opening + 12 + 4 + self.ciphertext.len() + 16);
        self.encode(&mut writer);
        writer.into_bytes()
    }

    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.header);
        if let Some(opening) = &self.opening {
            writer.value(opening);
        }
        writer.array(&self.nonce).bytes(&self.ciphertext).array(&self.tag);
    }
}

impl Decode for Envelope {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = EnvelopeHeader::decode(reader)?;
        let opening = if header.opens_session { Some(Opening::decode(reader)?) } else { None };
        Ok(Self {
            header,
            opening,
            nonce: reader.array()?,
            ciphertext: reader.bytes("ciphertext", limits::CIPHERTEXT)?.to_vec(),
            tag: reader.array()?,
        })
    }
}

/// SHA-256 over a label and a part's encoding: names the bytes of one transmission in receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartHash(pub [u8; 32]);

impl PartHash {
    /// The hash of an encoded part.
    #[must_use]
    pub fn of(encoded: &[u8]) -> Self {
        let label_length = u32::try_from(PART_LABEL.len()).unwrap_or(u32::MAX).to_be_bytes();
        Self(Sha256::new().chain_update(label_length).chain_update(PART_LABEL).chain_update(encoded).finalize().into())
    }
}

impl Encode for PartHash {
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.0);
    }
}

impl Decode for PartHash {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}
