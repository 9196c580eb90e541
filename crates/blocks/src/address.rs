//! Where blocks are inside one node.

use std::fmt;

/// The place of a block: it stays the same however the segment is rewritten, and is never used for another block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The segment's number.
    pub segment: u32,
    /// Where the block's record began when it was first written, in units of 64 bytes.
    pub slot: u32,
}

/// How far a store has come: everything appended before it was durable when [`crate::BlockStore::sync`] returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurableMark {
    segment: u32,
    slot: u32,
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.segment, self.slot)
    }
}

impl DurableMark {
    /// Before everything: of a ledger that has never committed one.
    pub const START: Self = Self { segment: 0, slot: 0 };

    pub(crate) fn new(segment: u32, slot: u32) -> Self {
        Self { segment, slot }
    }

    /// Whether the record at `address` was written before this mark.
    pub(crate) fn covers(self, address: Address) -> bool {
        (address.segment, address.slot) < (self.segment, self.slot)
    }

    pub(crate) fn segment(self) -> u32 {
        self.segment
    }

    /// Eight bytes for the ledger's row.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.segment) << 32 | u64::from(self.slot)).to_be_bytes()
    }

    /// The mark of these bytes. Whether the store has come as far is seen when it is opened.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let both = u64::from_be_bytes(bytes);
        Self { segment: (both >> 32) as u32, slot: both as u32 }
    }
}
