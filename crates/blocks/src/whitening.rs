//! Whitening: a stored block is the data XORed with random blocks.
//!
//! A tuple of size `n` is the stored block and the `n − 1` random ones it was XORed with. `pooled` borrows all of them
//! from an epoch's pool; each use takes the next subset of the pool, so none repeats. `fresh` takes one random block of
//! the content's own, and borrows the others.

use crate::{block_size::BlockSize, limits};

/// How many blocks give one block of data: 2 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TupleSize(u8);

/// Where a tuple's random blocks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhiteningPolicy {
    /// All are borrowed: stored bytes are near the content's. For contents that are sealed.
    Pooled,
    /// One is the content's own: stored bytes are near twice the content's. Overwriting it leaves nothing that could
    /// be put together again.
    Fresh,
}

/// What an epoch's blocks are for: its strips, how many of them each use takes, and whether a use may repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Purpose {
    pub(crate) strip: BlockSize,
    pub(crate) borrowed: u8,
    pub(crate) repeats: bool,
}

impl Default for TupleSize {
    /// Three: the data is hidden behind two random blocks.
    fn default() -> Self {
        Self(3)
    }
}

impl TupleSize {
    /// A tuple of `size` blocks; `None` below 2 and above 10.
    #[must_use]
    pub fn new(size: u8) -> Option<Self> {
        (2..=10).contains(&size).then_some(Self(size))
    }

    /// Blocks in a tuple.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl WhiteningPolicy {
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Pooled, Self::Fresh].into_iter().find(|policy| policy.code() == code)
    }

    /// What a block of this class borrows; `None` if nothing.
    pub(crate) fn purpose(self, tuple_size: TupleSize, size: BlockSize) -> Option<Purpose> {
        let (borrowed, repeats) = match self {
            Self::Pooled => (tuple_size.0 - 1, false),
            Self::Fresh => (tuple_size.0 - 2, true),
        };
        (borrowed > 0).then_some(Purpose { strip: size.strip(), borrowed, repeats })
    }
}

impl Purpose {
    /// Uses of one epoch before another must begin.
    pub(crate) fn uses(self) -> u32 {
        if self.repeats {
            return limits::EPOCH_USES;
        }
        subsets(limits::POOL_BLOCKS, self.borrowed).min(u64::from(limits::EPOCH_USES)) as u32
    }

    /// The pool's blocks that this use takes, by index, largest first.
    ///
    /// Subsets are counted in colexicographic order: the first ones need the fewest blocks, so a pool grows with its
    /// use.
    pub(crate) fn subset(self, counter: u32) -> Vec<u32> {
        let mut rank = u64::from(counter);
        if self.repeats {
            rank %= subsets(limits::FRESH_POOL_BLOCKS, self.borrowed);
        }
        let mut indexes = Vec::with_capacity(usize::from(self.borrowed));
        for taken in (1..=self.borrowed).rev() {
            let index = largest(|index| subsets(index, taken) <= rank);
            rank -= subsets(index, taken);
            indexes.push(index);
        }
        indexes
    }

    /// The most recent block that uses up to this one have taken.
    pub(crate) fn blocks(self, counter: u32) -> u32 {
        if self.repeats {
            return limits::FRESH_POOL_BLOCKS;
        }
        self.subset(counter).first().map_or(0, |index| index + 1)
    }

    /// One byte for a record; the strip is the record's own class.
    pub(crate) fn code(self) -> u8 {
        self.borrowed << 1 | u8::from(self.repeats)
    }

    pub(crate) fn from_code(code: u8, strip: BlockSize) -> Option<Self> {
        let purpose = Self { strip, borrowed: code >> 1, repeats: code & 1 == 1 };
        ((1..=9).contains(&purpose.borrowed) && strip.strip() == strip).then_some(purpose)
    }
}

/// The largest index of a pool for which `holds`, which is true of 0 and of none after the first of which it is not.
fn largest(holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, limits::POOL_BLOCKS);
    while high - low > 1 {
        let middle = u32::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}

/// How many subsets of `taken` there are among `all`; at most [`u64::MAX`], which only pools of unused sizes reach.
fn subsets(all: u32, taken: u8) -> u64 {
    let mut count: u128 = 1;
    for step in 0..u32::from(taken) {
        count = count * u128::from(all.saturating_sub(step)) / u128::from(step + 1);
    }
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// XORs `other` into `block`, as far as both reach.
pub(crate) fn xor(block: &mut [u8], other: &[u8]) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte ^= other;
    }
}

/// XORs two into `block`, in one pass.
pub(crate) fn xor_both(block: &mut [u8], one: &[u8], other: &[u8]) {
    for ((byte, one), other) in block.iter_mut().zip(one).zip(other) {
        *byte ^= one ^ other;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn purpose(borrowed: u8) -> Purpose {
        Purpose { strip: BlockSize::Small, borrowed, repeats: false }
    }

    #[test]
    fn no_subset_of_an_epoch_repeats() {
        for borrowed in 1..=9 {
            let purpose = purpose(borrowed);
            let mut seen = HashSet::new();
            for counter in 0..purpose.uses() {
                let subset = purpose.subset(counter);
                assert_eq!(subset.len(), usize::from(borrowed));
                assert!(subset.is_sorted_by(|one, other| one > other), "distinct blocks");
                assert!(subset[0] < limits::POOL_BLOCKS);
                assert!(seen.insert(subset), "{borrowed} at {counter}");
            }
        }
    }

    #[test]
    fn a_pool_grows_with_its_use_and_no_faster() {
        let pairs = purpose(2);
        assert_eq!(pairs.uses(), 130_816);
        assert_eq!(pairs.blocks(0), 2);
        assert_eq!(pairs.blocks(16_383), 182, "1 GiB in strips of 64 KiB borrows from 11 MiB");
        for counter in 1..pairs.uses() {
            let step = pairs.blocks(counter) - pairs.blocks(counter - 1);
            assert!(step <= 1);
        }
    }

    #[test]
    fn what_repeats_stays_among_a_few_blocks() {
        let purpose = Purpose { repeats: true, ..purpose(1) };
        assert!((0..1_000).all(|counter| purpose.subset(counter)[0] < limits::FRESH_POOL_BLOCKS));
    }

    #[test]
    fn tuples_are_of_two_to_ten_blocks() {
        assert_eq!(
            [0, 1, 2, 10, 11, 255].map(|size| TupleSize::new(size).is_some()),
            [false, false, true, true, false, false]
        );
    }
}
