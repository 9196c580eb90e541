//! Which messages were overtaken and can be opened no more, because their keys were evicted or have grown too old.
//!
//! It tells a gap from a repetition: a message whose key is gone was never opened if it is among these, and was opened if
//! it is not. Where there are more ranges than the limit, neighbours are joined, so that a few messages that were opened
//! count as lost; never the other way round, for a sender seals a lost message anew, and a repeated one not.

use sealpost_protocol::{
    CurveKey,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use crate::{limits, message_key_cache::MessagePosition};

/// Messages of one chain that follow one another, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LostRange {
    ratchet_key: CurveKey,
    first: u32,
    last: u32,
}

/// At most [`limits::LOST_RANGES`] once settled; those of one chain stand together.
#[derive(Default)]
pub(crate) struct LostKeys(Vec<LostRange>);

impl LostKeys {
    /// Bytes of one encoded range.
    pub(crate) const ENCODED_RANGE: usize = 32 + 4 + 4;

    /// How many ranges there are.
    pub(crate) fn ranges(&self) -> usize {
        self.0.len()
    }

    /// Whether a message is among them.
    pub(crate) fn contains(&self, position: &MessagePosition) -> bool {
        let MessagePosition { ratchet_key, number } = position;
        self.0.iter().any(|range| range.ratchet_key == *ratchet_key && (range.first..=range.last).contains(number))
    }

    /// Puts a message in.
    pub(crate) fn insert(&mut self, MessagePosition { ratchet_key, number }: MessagePosition) {
        self.insert_range(LostRange { ratchet_key, first: number, last: number });
    }

    /// Puts all of `newer`'s messages in.
    pub(crate) fn append(&mut self, newer: Self) {
        newer.0.into_iter().for_each(|range| self.insert_range(range));
    }

    /// Forgets the chains that are not `known`, under which nothing can be opened or repeated, and keeps the limit.
    pub(crate) fn settle(&mut self, known: impl Fn(&CurveKey) -> bool) {
        self.0.retain(|range| known(&range.ratchet_key));
        while self.0.len() > limits::LOST_RANGES && self.join_neighbours() {}
    }

    fn insert_range(&mut self, new: LostRange) {
        if let Some(range) = self.0.iter_mut().find(|range| range.touches(&new)) {
            range.join(&new);
            return;
        }
        let last_of_chain = self.0.iter().rposition(|range| range.ratchet_key == new.ratchet_key);
        self.0.insert(last_of_chain.map_or(self.0.len(), |index| index + 1), new);
    }

    /// Joins the oldest two ranges of one chain; there are such while there are more ranges than chains.
    fn join_neighbours(&mut self) -> bool {
        let of_one_chain = |pair: &[LostRange]| matches!(pair, [one, other] if one.ratchet_key == other.ratchet_key);
        let Some(index) = self.0.windows(2).position(of_one_chain) else { return false };
        let newer = self.0.remove(index + 1);
        if let Some(older) = self.0.get_mut(index) {
            older.join(&newer);
        }
        true
    }
}

impl LostRange {
    /// Whether nothing lies between two ranges.
    fn touches(&self, other: &Self) -> bool {
        self.ratchet_key == other.ratchet_key
            && self.first <= other.last.saturating_add(1)
            && other.first <= self.last.saturating_add(1)
    }

    fn join(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl Encode for LostKeys {
    fn encode(&self, writer: &mut Writer) {
        writer.list(&self.0);
    }
}

impl Decode for LostKeys {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.list("lost keys", limits::LOST_RANGES).map(Self)
    }
}

impl Encode for LostRange {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.ratchet_key).u32(self.first).u32(self.last);
    }
}

impl Decode for LostRange {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let range = Self { ratchet_key: CurveKey::decode(reader)?, first: reader.u32()?, last: reader.u32()? };
        if range.first > range.last {
            return Err(DecodeError::Invalid { field: "lost keys", reason: "a range that ends before it begins" });
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{curve::CurvePrivateKey, testing::SeededPrimitives};

    fn chain(seed: u64) -> CurveKey {
        CurvePrivateKey::generate(&SeededPrimitives::new(seed)).unwrap().public_key()
    }

    fn lost(ratchet_key: CurveKey, numbers: impl IntoIterator<Item = u32>) -> LostKeys {
        let mut lost = LostKeys::default();
        numbers.into_iter().for_each(|number| lost.insert(MessagePosition { ratchet_key, number }));
        lost
    }

    fn contained(lost: &LostKeys, ratchet_key: CurveKey) -> Vec<u32> {
        (0..400).filter(|number| lost.contains(&MessagePosition { ratchet_key, number: *number })).collect()
    }

    #[test]
    fn what_follows_one_another_is_one_range_in_whatever_order_it_came() {
        let key = chain(1);
        let mut keys = lost(key, [5, 4, 9, 6, 20]);
        assert_eq!(keys.ranges(), 3);
        assert_eq!(contained(&keys, key), [4, 5, 6, 9, 20]);
        assert!(contained(&keys, chain(2)).is_empty());
        keys.append(lost(key, [7, 8]));
        assert_eq!(contained(&keys, key), [4, 5, 6, 7, 8, 9, 20]);
    }

    #[test]
    fn beyond_the_limit_neighbours_are_joined_and_nothing_lost_is_forgotten() {
        let (one, other) = (chain(1), chain(2));
        let limit = u32::try_from(limits::LOST_RANGES).unwrap();
        let all: Vec<u32> = (0..limit + 10).map(|number| number * 3).collect();
        let mut keys = lost(one, all.iter().copied());
        keys.append(lost(other, [1]));
        keys.settle(|_| true);
        assert_eq!(keys.ranges(), limits::LOST_RANGES);
        let contained_now = contained(&keys, one);
        assert!(all.iter().all(|number| contained_now.contains(number)));
        assert_eq!(contained(&keys, other), [1]);
        keys.settle(|key| *key == other);
        assert_eq!((contained(&keys, one), contained(&keys, other)), (vec![], vec![1]));
    }

    #[test]
    fn stored_ranges_read_back_and_an_inverted_one_is_refused() {
        let keys = lost(chain(1), [1, 2, 7]);
        let stored = keys.to_bytes();
        assert_eq!(stored.len(), 2 + 2 * LostKeys::ENCODED_RANGE);
        assert_eq!(LostKeys::from_bytes(&stored).unwrap().0, keys.0);
        let inverted = LostKeys(vec![LostRange { ratchet_key: chain(1), first: 2, last: 1 }]).to_bytes();
        assert!(LostKeys::from_bytes(&inverted).is_err());
    }
}
