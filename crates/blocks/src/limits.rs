//! Every limit of the store, with its reason.

use crate::{block_size::BlockSize, message_cbl, record};

/// Bytes after which a segment is closed: what one compaction step copies, and what a start after a crash looks
/// through at most. Four huge blocks fit. Larger segments mean fewer files and longer steps.
pub const SEGMENT: u64 = 4 * (BlockSize::Huge.bytes() as u64 + record::HEADER as u64) + record::UNIT;

/// The dead share of a segment above which a background step writes it anew. So of what is stored in full segments at most a
/// fifth is dead: with headers and tables, 1.25 × 1.12 = 1.40 bytes for each byte of contents of 1 KiB when every segment is
/// just below it, and far less when most of a segment has died at once. At 0.1 the worst would be 1.24, and each byte given
/// back would cost nine copied instead of four.
pub const DEAD: f64 = 0.2;

/// Dead bytes of the growing segment for which a background step closes it before it is full. Lower, and a store that holds
/// little for long becomes many small files; higher, and up to this much more is kept of what was let go of.
pub const CLOSED_EARLY: u64 = SEGMENT / 4;

/// Bytes of appended records that are gathered before they are written: one write per group of small messages.
pub const PENDING: usize = 1 << 20;

/// Blocks that a content of equal blocks may need before `compact` takes the next larger class: the list of 256 tuples
/// stays near 13 KiB.
pub const COMPACT_BLOCKS: u64 = 256;

/// Tuples that stand in a handle itself; more go to CBLs. Eight hold a sealed envelope of 8 KiB without another block, and
/// keep a handle below 1 KiB.
pub const INLINE_TUPLES: usize = 8;

/// Tuples in one CBL of a content whose blocks are borrowed for: what a small block holds.
pub const CBL_POOLED: usize = 16;

/// Tuples in one CBL of a content with random blocks of its own: what a small block holds.
pub const CBL_FRESH: usize = 9;

/// Levels of CBLs over each other: 9^20 blocks are more than 64 bits of bytes, so a deeper handle is a forgery.
pub const CBL_LEVELS: u8 = 20;

/// Random blocks in one epoch of a pool: 32 MiB in memory for the largest strip. They make 130,816 pairs; as a pool
/// grows with its use, its share of the store falls like the square root of that use, to 0.4 %.
pub const POOL_BLOCKS: u32 = 512;

/// Uses of one epoch, whatever the tuple size: the pairs of a full pool. Larger tuples could go on for much longer, and
/// their epoch would never die.
pub const EPOCH_USES: u32 = POOL_BLOCKS * (POOL_BLOCKS - 1) / 2;

/// Random blocks that `fresh` borrows from, over and over: each block has one of its own beside them.
pub const FRESH_POOL_BLOCKS: u32 = 16;

/// Bytes of pool blocks kept in memory: one whole epoch of the largest strip, and some of the small one.
pub const POOL_CACHE: usize = 40 << 20;

/// Bytes after which the generator takes a new seed from the operating system. A seed costs microseconds; a leaked state
/// tells at most this much.
pub const RESEED: usize = 16 << 20;

/// Segments that one collection between two marks goes through: what it remembers of them is at most 8 MiB, when all their
/// blocks are the smallest. Higher takes more memory, lower asks more often what is needed.
pub const COLLECTED_SEGMENTS: u32 = 4;

/// Addresses in one record of what was let go of: what a small block holds.
pub const DISCARDS: usize = (BlockSize::Small.bytes() - 4) / 8;

/// Blocks that are overwritten under one flush when a content is shredded: a megabyte of the smallest, whose places are held
/// in memory until then.
pub const SHREDDED_AT_ONCE: usize = 1024;

/// Tables of compacted segments kept in memory, 8 bytes for each block: at most 16 MiB.
pub const TABLES: usize = 32;

/// Open segment files.
pub const OPEN_FILES: usize = 128;

/// Bytes read at once when a whole segment is looked through.
pub const SCAN: usize = 1 << 20;

/// Bytes of one object that holds a part of a segment: what a flush uploads at once, and what memory holds of it before; and as
/// much again of the part that was overwritten last.
pub const OBJECT_PART: usize = 16 << 20;

/// Bytes of a compressed content that are decompressed at once on the way to where a range begins; they lie on the stack.
pub const PASSED_OVER: usize = 8 << 10;

/// Bytes of zstd's window and tables while decompressing: contents that ask for more are refused (2^23 = 8 MiB window).
pub const ZSTD_WINDOW_LOG: u32 = 23;

const _: () = assert!(message_cbl::fits(CBL_POOLED, false) && message_cbl::fits(CBL_FRESH, true));
const _: () = assert!(CBL_FRESH > INLINE_TUPLES, "a full CBL is never what a handle could hold");
const _: () = assert!(SEGMENT / record::UNIT < u32::MAX as u64, "a slot fits 32 bits");
