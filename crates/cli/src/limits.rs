//! Every limit of the command, with its reason.

use std::time::Duration;

/// Bytes of an agent's name here: it is the name of a folder.
pub(crate) const AGENT_NAME: usize = 64;

/// Bytes of a passphrase file at most: its first line counts, and what never ends is none.
pub(crate) const PASSPHRASE_FILE: usize = 64 << 10;

/// Bytes of an exported identity at most: its prekeys and some thousands of names are far below.
pub(crate) const IDENTITY_FILE: usize = 16 << 20;

/// Bytes of a delegation's file at most: its token, certificate and relay in base64.
pub(crate) const DELEGATION_FILE: usize = 16 << 10;

/// Bytes of a file's name, as the usual file systems have it.
pub(crate) const FILE_NAME: usize = 255;

/// Names that are tried for one file before it gets one of its message's own.
pub(crate) const FILE_NAMES: usize = 100;

/// Messages, bodies or events that are shown before they are taken together: what is shown again if the command is killed in
/// between.
pub(crate) const PAGE: usize = 100;

/// How long one round reads mail of which nothing can be shown: a full mailbox of what is refused is read in less, and somebody
/// who sends such mail without end does not hold the command for good.
pub(crate) const FRUITLESS: Duration = Duration::from_secs(60);

/// How long a work runs before its progress is shown: what is done sooner needs none.
pub(crate) const PROGRESS_DELAY: Duration = Duration::from_secs(1);

/// How often is looked how far something has come.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How long a relay may take to start: it opens a small database.
pub(crate) const DEMO_RELAY_START: Duration = Duration::from_secs(10);

/// How long a relay may take to stop when asked.
pub(crate) const DEMO_RELAY_STOP: Duration = Duration::from_secs(15);

/// How long a step waits for mail that must come.
pub(crate) const DEMO_PATIENCE: Duration = Duration::from_secs(5);
