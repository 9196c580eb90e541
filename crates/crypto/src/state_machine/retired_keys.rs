//! The peer's last ratchet keys before the newest: a message under one of them, for which there is no key, is a
//! repetition.

use std::collections::VecDeque;

use sealpost_protocol::{
    CurveKey,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use crate::limits;

/// At most [`limits::RETIRED_RATCHET_KEYS`], oldest first.
#[derive(Default)]
pub(super) struct RetiredKeys(pub(super) VecDeque<CurveKey>);

impl RetiredKeys {
    /// Puts a key in; the oldest goes when there is no room.
    pub(super) fn push(&mut self, key: CurveKey) {
        if self.0.len() >= limits::RETIRED_RATCHET_KEYS {
            self.0.pop_front();
        }
        self.0.push_back(key);
    }

    /// Whether a key is among them.
    pub(super) fn contains(&self, key: &CurveKey) -> bool {
        self.0.contains(key)
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
            writer.value(key);
        }
    }
}

impl Decode for RetiredKeys {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.list("retired ratchet keys", limits::RETIRED_RATCHET_KEYS).map(|keys| Self(keys.into()))
    }
}
