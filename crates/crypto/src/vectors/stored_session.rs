//! A session's stored form, read field by field.

use sealpost_protocol::{
    CurveKey, Opening, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};
use serde_json::{Value, json};

use super::{encoded, hex};
use crate::{
    Session,
    kdf_chain::{KdfChain, Link},
    limits,
    message_key_cache::SkippedKey,
    session_ad::SessionAd,
};

pub(super) struct StoredSession {
    pub(super) ad: SessionAd,
    pub(super) root: [u8; 32],
    pub(super) remote: CurveKey,
    receiving: Option<Chain>,
    pub(super) sending: Option<Sending>,
    previous_counter: u32,
    retired: Vec<RetiredKey>,
    skipped: Vec<SkippedKey>,
}

struct RetiredKey(CurveKey);

/// The key before message `next`, and that number.
pub(super) struct Chain {
    key: [u8; 32],
    next: u32,
}

pub(super) struct Sending {
    pub(super) own: [u8; 32],
    pub(super) chain: Chain,
}

impl StoredSession {
    pub(super) fn of(session: &Session) -> Self {
        Self::from_bytes(&session.encode()).unwrap()
    }

    /// All that changes in the course of a conversation.
    pub(super) fn ratchet(&self) -> Value {
        let skipped = |key: &SkippedKey| {
            json!({
                "ratchet_key": encoded(&key.position.ratchet_key),
                "number": key.position.number,
                "message_key": hex(key.key.expose()),
            })
        };
        json!({
            "root_key": hex(self.root),
            "remote": encoded(&self.remote),
            "receiving": self.receiving.as_ref().map(Chain::shown),
            "sending": self.sending.as_ref().map(|sending| sending.chain.shown()),
            "ratchet_private": self.sending.as_ref().map(|sending| hex(sending.own)),
            "previous_counter": self.previous_counter,
            "retired": self.retired.iter().map(|key| encoded(&key.0)).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(skipped).collect::<Vec<_>>(),
        })
    }
}

impl Chain {
    pub(super) fn link(&self) -> Link {
        KdfChain::from_bytes(&self.to_bytes()).unwrap().link().unwrap()
    }

    fn shown(&self) -> Value {
        json!({ "chain_key": hex(self.key), "next": self.next })
    }
}

impl Decode for StoredSession {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        assert_eq!(reader.u8()?, 2, "the format");
        let ad = SessionAd::decode(reader)?;
        match reader.u8()? {
            1 => drop(reader.option::<Opening>("opening")?),
            _ => drop(reader.take(32)?),
        }
        let _created_and_last_step = (Timestamp::decode(reader)?, Timestamp::decode(reader)?, reader.u32()?);
        assert_eq!(reader.array()?, [0, 0, 0], "no step is asked for or owed, and nothing is retired");
        let stored = Self {
            ad,
            root: reader.array()?,
            remote: CurveKey::decode(reader)?,
            receiving: reader.option("receiving chain")?,
            sending: reader.option("sending chain")?,
            previous_counter: reader.u32()?,
            retired: reader.list("retired ratchet keys", limits::RETIRED_RATCHET_KEYS)?,
            skipped: reader.list("skipped keys", limits::SKIPPED_KEYS)?,
        };
        assert_eq!(reader.u16()?, 0, "no key is lost");
        Ok(stored)
    }
}

impl Decode for RetiredKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = CurveKey::decode(reader)?;
        reader.u32().map(|_end| Self(key))
    }
}

impl Decode for Sending {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { own: reader.array()?, chain: Chain::decode(reader)? })
    }
}

impl Decode for Chain {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { key: reader.array()?, next: reader.u32()? })
    }
}

impl Encode for Chain {
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.key).u32(self.next);
    }
}
