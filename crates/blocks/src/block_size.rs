//! The four classes of blocks, and which of them a content takes.

use crate::limits;

/// A class of blocks. A block on disk is exactly its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockSize {
    /// 1 KiB: short texts.
    Small,
    /// 64 KiB: standard messages, small attachments.
    Medium,
    /// 1 MiB: documents, images.
    Large,
    /// 16 MiB: large files, videos.
    Huge,
}

/// How a content is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Selection {
    /// Equal blocks of the smallest class that needs at most 256 of them; the last one is of the smallest class that
    /// holds the rest.
    #[default]
    Compact,
    /// One block of the smallest class that holds everything, huge blocks above 16 MiB. Hides the
    /// length in four classes, at a price.
    Fit,
}

impl BlockSize {
    /// Every class, smallest first.
    pub const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Huge];

    /// Bytes of one block.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Small => 1 << 10,
            Self::Medium => 1 << 16,
            Self::Large => 1 << 20,
            Self::Huge => 1 << 24,
        }
    }

    /// The smallest class that holds `length` bytes, or the largest.
    #[must_use]
    pub fn holding(length: u64) -> Self {
        Self::ALL.into_iter().find(|size| size.bytes() as u64 >= length).unwrap_or(Self::Huge)
    }

    /// Bytes that are whitened with one choice of borrowed blocks. Large and huge blocks borrow medium ones, strip by
    /// strip: a pool of their own would not fit in memory, nor pay for itself.
    #[must_use]
    pub(crate) const fn strip(self) -> Self {
        match self {
            Self::Small => Self::Small,
            _ => Self::Medium,
        }
    }

    /// Strips of one block.
    pub(crate) const fn strips(self) -> u32 {
        (self.bytes() / self.strip().bytes()) as u32
    }

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.code() == code)
    }
}

impl Selection {
    /// The class of all blocks but the last of a content of `length` bytes.
    #[must_use]
    pub fn block_size(self, length: u64) -> BlockSize {
        let is_few = |size: &BlockSize| length.div_ceil(size.bytes() as u64) <= limits::COMPACT_BLOCKS;
        match self {
            Self::Compact => BlockSize::ALL.into_iter().find(is_few).unwrap_or(BlockSize::Huge),
            Self::Fit => BlockSize::holding(length),
        }
    }

    /// The class of a block of which `length` bytes are used, in a content of blocks of `size`.
    pub(crate) fn last(self, size: BlockSize, length: u64) -> BlockSize {
        match self {
            Self::Compact => BlockSize::holding(length).min(size),
            Self::Fit => size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_takes_the_smallest_class_of_at_most_256_blocks() {
        let compact = |length| Selection::Compact.block_size(length);
        assert_eq!(compact(0), BlockSize::Small);
        assert_eq!(compact(1_126), BlockSize::Small, "two small blocks, not 64 KiB");
        assert_eq!(compact(256 << 10), BlockSize::Small);
        assert_eq!(compact((256 << 10) + 1), BlockSize::Medium);
        assert_eq!(compact(16 << 20), BlockSize::Medium);
        assert_eq!(compact((16 << 20) + 1), BlockSize::Large);
        assert_eq!(compact(1 << 30), BlockSize::Huge);
        assert_eq!(compact(u64::MAX), BlockSize::Huge);
    }

    #[test]
    fn fit_takes_one_block_of_the_smallest_class() {
        let fit = |length| Selection::Fit.block_size(length);
        assert_eq!(fit(0), BlockSize::Small);
        assert_eq!(fit(1_025), BlockSize::Medium);
        assert_eq!(fit(65_537), BlockSize::Large);
        assert_eq!(fit((1 << 20) + 1), BlockSize::Huge);
        assert_eq!(fit(1 << 40), BlockSize::Huge);
    }

    #[test]
    fn only_compact_cuts_the_last_block_short() {
        assert_eq!(Selection::Compact.last(BlockSize::Large, 1), BlockSize::Small);
        assert_eq!(Selection::Compact.last(BlockSize::Medium, 65_536), BlockSize::Medium);
        assert_eq!(Selection::Fit.last(BlockSize::Huge, 1), BlockSize::Huge);
    }
}
