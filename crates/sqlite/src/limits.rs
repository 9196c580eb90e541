//! Every limit of this crate, why it is this number, and what happens if it moves.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    time::Duration,
};

/// Jobs in one transaction. Measured: 64 inserts of 1 KiB per commit run six times as fast as one. Fewer wastes the
/// flush they share; more lengthens the wait of the first in the group, and the 99th percentile jumps, as a checkpoint
/// then falls into almost every commit.
pub(crate) const GROUP: usize = 64;

/// Jobs waiting for the writer; the next caller waits in its own future, which is how it feels a slow disk. Sixteen
/// groups are about 30 ms of writing. Higher hides a slow disk behind memory, as each job holds what it will write;
/// lower than a few groups and the writer idles while callers wake up.
pub(crate) const QUEUE: usize = 16 * GROUP;

/// How long a statement waits for another process that holds the write lock. Longer than any group takes on a busy
/// disk; higher and a stuck neighbour looks like a hang, lower and a large migration next door looks like a failure.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages in the write-ahead log that call for a checkpoint, unless the caller knows better: SQLite's own number, 4 MiB.
/// Lower checkpoints more often, higher for longer; [`crate::OpenOptions`] has the measurements.
pub(crate) const CHECKPOINT_PAGES: NonZeroU16 = NonZeroU16::MIN.saturating_add(999);

/// Bytes of log, per page that calls for a checkpoint, that stay on disk once the log starts over: four pages of 4 KiB.
/// The log outgrows its checkpoint only while a reader holds an old state; higher and one slow reader costs that space
/// until the database closes, lower than one page and every round pays for growing the file again.
pub(crate) const LOG_BYTES_PER_PAGE: u32 = 4 * 4096;

/// KiB of pages one connection may keep in memory. Taken page by page, so a small database never reaches it. Higher
/// costs this much per reader and writer; lower and the inner pages of a large index are read again for each insert.
pub(crate) const CACHE_KIB: i32 = 16 * 1024;

/// Prepared statements one connection keeps. Above the number of distinct statements either store has; lower and they
/// are parsed again and again, higher costs a few KiB each.
pub(crate) const STATEMENTS: usize = 128;

/// Reads at once, unless the caller knows better: as many as can run on a small machine while the writer works. Each
/// costs a connection with its own cache and, while it runs, a thread.
pub(crate) const READERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

const _: () = assert!(QUEUE >= 2 * GROUP, "a group must be able to fill while the one before it commits");
