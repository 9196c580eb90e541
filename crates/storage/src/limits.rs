//! Every limit of the adapters, with its reason.

use std::num::NonZeroU16;

/// Bytes of the disk that stay free of new messages: the log, which a checkpoint leaves at 16 MiB and a slow reader lets
/// grow, a segment that is compacted, and the receipts and deletes of a full store. Higher wastes a small disk; lower, and
/// the store fails in what makes room.
pub(crate) const RESERVE: u64 = 256 << 20;

/// Jobs that share a flush: as many as share a commit of the ledger, which follows.
pub(crate) const GROUP: usize = 64;

/// Jobs that wait for a worker; the next caller waits in its own future. Sixteen groups, as before the ledger.
pub(crate) const QUEUE: usize = 16 * GROUP;

/// Handles that a collection in the background reads at once: some 40 KB, so that no reader of the ledger is held up.
pub(crate) const COLLECTED_AT_ONCE: u32 = 256;

/// How often a repair looks again for what it can mend: what one round mends may show what the next one can. Two rounds are
/// the rule; more than a few are something that comes back, and is told as left.
pub(crate) const MENDINGS: usize = 5;

/// Pages in the write-ahead log that call for a checkpoint: 16 MiB. An accepted message changes pages of several
/// agents' indexes; the longer the log, the more messages share a page when it is copied, and the longer a checkpoint
/// holds the writer. With 64 callers `cargo bench -p sealpost-storage --bench ledger` accepted 8,800 messages a second at SQLite's own 1,000 pages
/// (99th percentile 21 ms, 26 KB written for each), 12,700 at this (31 ms, 22 KB) and 13,100 at 16,000 (41 ms, 19 KB),
/// in one run each.
pub(crate) const CHECKPOINT_PAGES: NonZeroU16 = NonZeroU16::MIN.saturating_add(3_999);

/// Bytes that a backup copies at once, and has in memory.
pub(crate) const COPIED_AT_ONCE: usize = 1 << 20;

/// Deliveries that one step deletes before it takes no further message: a message has up to a thousand, and a step must
/// not hold the writer for long.
pub(crate) const FORGOTTEN_AT_ONCE: u64 = 1_000;

/// Agents that are remembered, some 40 bytes each: 4 MB. More are written to at a time by no relay that one machine
/// carries; beyond it all are looked up once more.
pub(crate) const KNOWN_AGENTS: usize = 100_000;

/// Contents that a verification reads of the ledger at once, before it rebuilds each: some 20 KB.
pub(crate) const VERIFIED_AT_ONCE: u64 = 64;

/// Findings of one kind that a report lists; the others are counted. Enough to see what they have in common.
pub(crate) const LISTED_FINDINGS: usize = 100;

/// Findings of one check that one repair mends, so that a ledger full of them does not fill the memory. Another repair
/// mends the next.
pub(crate) const MENDED_FINDINGS: usize = 10_000;

/// Findings that are mended in one transaction: it must not hold the writer for long.
pub(crate) const MENDED_AT_ONCE: usize = 64;

/// Contents that a repair lets go of under one flush.
pub(crate) const RELEASED_AT_ONCE: usize = 500;
