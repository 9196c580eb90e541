//! How a session is stored: one canonical encoding of all its state, to be sealed before it touches a disk.

use sealpost_protocol::{
    Opening, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use super::{Session, Side, Steps};
use crate::{
    limits,
    secret::{SecretBytes, encode_secret},
    session_ad::SessionAd,
    state_machine::Ratchet,
};

const FORMAT: u8 = 2;

const INITIATOR: u8 = 1;
const RESPONDER: u8 = 2;

/// Bytes of an opening, the greatest part of which is the KEM ciphertext, and a margin.
const OPENING_CAPACITY: usize = 1_300;

impl Session {
    /// The whole state, secrets included, in a buffer that is wiped when dropped. Equal states have equal encodings.
    #[must_use]
    pub fn encode(&self) -> SecretBytes {
        let capacity = 64 + limits::SESSION_AD + OPENING_CAPACITY + self.ratchet.encoded_capacity();
        encode_secret(capacity, |writer| {
            writer
                .u8(FORMAT)
                .value(&self.ad)
                .value(&self.side)
                .value(&self.created)
                .value(&self.steps)
                .u8(self.retired.into())
                .value(&self.ratchet);
        })
    }

    /// The session whose encoding `bytes` is.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Self::encode`] does not give.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "session format", found }),
        }
        let session = Self {
            ad: SessionAd::decode(&mut reader)?,
            side: Side::decode(&mut reader)?,
            created: Timestamp::decode(&mut reader)?,
            steps: Steps::decode(&mut reader)?,
            retired: flag(&mut reader, "session retired")?,
            ratchet: Ratchet::decode(&mut reader)?,
        };
        reader.finish()?;
        session.check()
    }

    /// What one field says of another.
    fn check(self) -> Result<Self, DecodeError> {
        let agrees = match &self.side {
            Side::Initiator { opening: None } | Side::Responder { .. } => self.is_answered(),
            Side::Initiator { opening: Some(opening) } => {
                !self.is_answered() && opening.suite == self.suite() && opening.initiator.agent_id() == self.agent()
            }
        };
        if agrees {
            Ok(self)
        } else {
            Err(DecodeError::Invalid { field: "session opening", reason: "does not agree with the rest" })
        }
    }
}

/// One byte, 0 or 1.
fn flag(reader: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(DecodeError::UnknownValue { field, found }),
    }
}

impl Encode for Side {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Initiator { opening } => writer.u8(INITIATOR).option(opening.as_deref()),
            Self::Responder { opening_hash } => writer.u8(RESPONDER).array(opening_hash),
        };
    }
}

impl Decode for Side {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            INITIATOR => {
                let opening = reader.option::<Opening>("session opening")?;
                Ok(Self::Initiator { opening: opening.map(Box::new) })
            }
            RESPONDER => Ok(Self::Responder { opening_hash: reader.array()? }),
            found => Err(DecodeError::UnknownValue { field: "session side", found }),
        }
    }
}
