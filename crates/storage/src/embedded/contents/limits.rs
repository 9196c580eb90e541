//! Limits of the contents' adapter, with their reasons.

/// Bytes of the disk that stay free of new messages: the log, which a checkpoint leaves at 16 MiB and a slow reader lets
/// grow, a segment that is compacted, and the receipts and deletes of a full store. Higher wastes a small disk; lower, and
/// the store fails in what makes room.
pub(super) const RESERVE: u64 = 256 << 20;

/// Jobs that share a flush: as many as share a commit of the ledger, which follows.
pub(super) const GROUP: usize = 64;

/// Jobs that wait for a worker; the next caller waits in its own future. Sixteen groups, as before the ledger.
pub(super) const QUEUE: usize = 16 * GROUP;

/// Handles that a collection in the background reads at once: some 40 KB, so that no reader of the ledger is held up.
pub(super) const COLLECTED_AT_ONCE: u32 = 256;

/// How often a repair looks again for what it can mend: what one round mends may show what the next one can. Two rounds are
/// the rule; more than a few are something that comes back, and is told as left.
pub(super) const MENDINGS: usize = 5;
