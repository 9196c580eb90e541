//! The keys of messages that were overtaken, kept for when they come.
//!
//! At most [`limits::SKIPPED_KEYS`], by (ratchet key, number), oldest evicted; which are gone that way is remembered.
//! Within that bound a search from end to end needs no index.

use std::collections::VecDeque;

use sealpost_protocol::{
    CurveKey, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use crate::{limits, lost_keys::LostKeys, secret::MessageKey};

/// Names a message of a session: the ratchet key of its chain, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessagePosition {
    pub(crate) ratchet_key: CurveKey,
    pub(crate) number: u32,
}

/// A key that waits for its message.
pub(crate) struct SkippedKey {
    pub(crate) position: MessagePosition,
    pub(crate) key: MessageKey,
    pub(crate) skipped_at: Timestamp,
}

/// The skipped keys of a session, oldest first, and which of them are gone unused.
#[derive(Default)]
pub(crate) struct MessageKeyCache {
    keys: VecDeque<SkippedKey>,
    lost: LostKeys,
}

impl MessageKeyCache {
    /// Bytes of one encoded key.
    pub(crate) const ENCODED_KEY: usize = 32 + 4 + 32 + 8;

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Room enough for the encoding.
    pub(crate) fn encoded_capacity(&self) -> usize {
        2 + self.keys.len() * Self::ENCODED_KEY + 2 + self.lost.ranges() * LostKeys::ENCODED_RANGE
    }

    /// Puts a key in; the oldest goes when there is no room.
    pub(crate) fn insert(&mut self, skipped: SkippedKey) {
        if self.keys.len() >= limits::SKIPPED_KEYS
            && let Some(evicted) = self.keys.pop_front()
        {
            self.lost.insert(evicted.position);
        }
        self.keys.push_back(skipped);
    }

    /// Puts all of `newer`'s keys in, in their order.
    pub(crate) fn append(&mut self, newer: Self) {
        self.lost.append(newer.lost);
        for skipped in newer.keys {
            self.insert(skipped);
        }
    }

    /// The key of one message, if it is here.
    pub(crate) fn find(&self, position: &MessagePosition) -> Option<&MessageKey> {
        self.keys.iter().find(|skipped| skipped.position == *position).map(|skipped| &skipped.key)
    }

    /// Whether the key of one message is gone unused.
    pub(crate) fn has_lost(&self, position: &MessagePosition) -> bool {
        self.lost.contains(position)
    }

    /// Erases the key of one message, which was opened.
    pub(crate) fn remove(&mut self, position: &MessagePosition) {
        self.keys.retain(|skipped| skipped.position != *position);
    }

    /// Erases every key that was put in before `time`, and says how many.
    pub(crate) fn expire_before(&mut self, time: Timestamp) -> usize {
        let (before, lost) = (self.keys.len(), &mut self.lost);
        self.keys.retain(|skipped| {
            let stays = skipped.skipped_at >= time;
            if !stays {
                lost.insert(skipped.position);
            }
            stays
        });
        before - self.keys.len()
    }

    /// Forgets what is gone of chains that are not `known`, and keeps the limit of the rest.
    pub(crate) fn settle_lost(&mut self, known: impl Fn(&CurveKey) -> bool) {
        self.lost.settle(known);
    }
}

impl Encode for MessageKeyCache {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(u16::try_from(self.keys.len()).unwrap_or(u16::MAX));
        for skipped in &self.keys {
            let MessagePosition { ratchet_key, number } = &skipped.position;
            writer.value(ratchet_key).u32(*number).value(&skipped.key).value(&skipped.skipped_at);
        }
        writer.value(&self.lost);
    }
}

impl Decode for MessageKeyCache {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut cache = Self::default();
        let keys: Vec<SkippedKey> = reader.list("skipped keys", limits::SKIPPED_KEYS)?;
        for skipped in keys {
            if cache.find(&skipped.position).is_some() {
                return Err(DecodeError::Invalid { field: "skipped keys", reason: "two keys for one message" });
            }
            cache.insert(skipped);
        }
        cache.lost = LostKeys::decode(reader)?;
        Ok(cache)
    }
}

impl Decode for SkippedKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            position: MessagePosition { ratchet_key: CurveKey::decode(reader)?, number: reader.u32()? },
            key: MessageKey::decode(reader)?,
            skipped_at: Timestamp::decode(reader)?,
        })
    }
}

#[cfg(test)]
mod tests;
