//! The peer's last ratchet keys before the newest, and how many messages their chains had: a message under one of them,
//! for which there is no key, is a repetition or was lost, if its chain had it.

use std::collections::VecDeque;

use sealpost_protocol::{
    CurveKey,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use crate::limits;

/// A ratchet key that the peer has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetiredKey {
    pub(super) ratchet_key: CurveKey,
    /// The number after the last that its chain had.
    pub(super) end: u32,
}

/// At most [`limits::RETIRED_RATCHET_KEYS`], oldest first.
#[derive(Default)]
pub(super) struct RetiredKeys(pub(super) VecDeque<RetiredKey>);

impl RetiredKeys {
    /// Bytes of one encoded key.
    pub(super) const ENCODED_KEY: usize = 32 + 4;

    /// Puts a key in; the oldest goes when there is no room.
    pub(super) fn push(&mut self, key: RetiredKey) {
        if self.0.len() >= limits::RETIRED_RATCHET_KEYS {
            self.0.pop_front();
        }
        self.0.push_back(key);
    }

    /// The number after the last of a chain, if its key is among them.
    pub(super) fn end_of(&self, key: &CurveKey) -> Option<u32> {
        self.0.iter().find(|retired| retired.ratchet_key == *key).map(|retired| retired.end)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Encode for RetiredKeys {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(u16::try_from(self.0.len()).unwrap_or(u16::MAX));
        for key in &self.0 {
            writer.value(&key.ratchet_key).u32(key.end);
        }
    }
}

impl Decode for RetiredKeys {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.list("retired ratchet keys", limits::RETIRED_RATCHET_KEYS).map(|keys| Self(keys.into()))
    }
}

impl Decode for RetiredKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { ratchet_key: CurveKey::decode(reader)?, end: reader.u32()? })
    }
}
