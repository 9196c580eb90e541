//! Every limit of the relay's domain, with its reason. What a relay and its agents count on from each
//! other is in `sealpost_protocol::limits`.

use std::time::Duration;

/// Bytes that wait in one mailbox.
pub const MAILBOX_BYTES: u64 = 1 << 30;

/// Control messages that wait in one mailbox, beside its messages. Each sender has one, so this is how many peers may
/// answer a sleeper; what finds no room is made good by a later one.
pub const MAILBOX_CONTROL: u64 = 100;

/// Uploads that one agent may have open at a time: a few files at once, and not a mailbox's worth of beginnings.
pub const UPLOADS: u64 = 16;

/// Bytes that one agent may have in uploads and in bodies that still wait for someone. A body counts once, however many
/// it is for, and for its sender: a recipient cannot help what it is sent.
pub const SENDER_BODY_BYTES: u64 = 64 << 30;

/// How long an upload waits for its next piece: a night, and the morning after it.
pub const UPLOAD_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Ranges of what is missing that one answer lists. Who fills them asks again.
pub const MISSING_RANGES: usize = 100;

/// Pieces of a body, from its beginning, of which a status tells how they are stored: 16 MiB, the largest block.
/// All the pieces of the largest body are 65,536, whose block ids alone are some megabytes.
pub const DESCRIBED_PIECES: usize = 16;

/// Unused one-time prekeys of each kind that an agent may leave: a refill to 100 that crosses another fits twice.
pub const ONE_TIME_PREKEYS: usize = 200;

/// How long a claim is remembered, so that its repetition returns the same keys. A client that retries does so within
/// minutes; a day covers one that was restarted.
pub const CLAIM_REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// How long after its end a one-time key's id is remembered: what was sealed with it on its last day waits for 30 days, and
/// another key under its id must not be tried on that. Lower, and such a message is refused and sealed anew for nothing.
pub const KEY_ID_REMEMBERED: Duration = sealpost_protocol::limits::REMEMBERED;

/// The span over which claims are counted. Shorter, and a retry storm of an hour counts as several; longer, and one bad
/// minute shuts a requester out for long.
pub const CLAIM_WINDOW: Duration = Duration::from_secs(3_600);

/// Bundles that one requester may claim in that time: a message to the most recipients there may be opens a session with
/// each, and may be followed by a second one to others. Higher, and one identity drains more agents' one-time keys.
pub const CLAIMS_PER_REQUESTER: usize = 2 * sealpost_protocol::limits::RECIPIENTS;

/// Bundles of one target that one requester may claim in that time. A session carries 2,000 unanswered messages, so this
/// is 50,000 messages to a sleeper; whoever needs more is draining the target's one-time keys.
pub const CLAIMS_PER_PAIR: usize = 25;

/// Bundles with one-time keys of one target that go out in that time, to all requesters together; beyond it the
/// last-resort keys serve, so that nobody is shut out. Two full sets: what the target's runtime is made to refill is bounded.
pub const ONE_TIME_CLAIMS_PER_TARGET: usize = 200;

/// Delegations that an agent may have revoked one by one, and not all of them: each is looked up when a delegate asks for a
/// token. More than an agent hands out in a season; who needs more revokes all, and hands out anew.
pub const REVOKED_DELEGATIONS: usize = 1_000;

/// How long a revocation is remembered: as long as a delegation key's certificate may live, and a day for clocks that differ.
pub const REVOCATION_REMEMBERED: Duration =
    Duration::from_secs(sealpost_protocol::limits::DELEGATION_KEY_LIFE.as_secs() + 24 * 3600);

/// Rows that one step of a background sweep touches: small, so that it never holds the writer for long.
pub const SWEEP_ROWS: usize = 500;

/// Compaction steps of one sweep. A step copies one segment of 64 MiB at most, so a sweep gives back up to 1 GiB and is
/// busy with it for seconds; lower, and space comes back more slowly than it is let go of.
pub const COMPACTION_STEPS: usize = 16;

/// How far the wall clock may part from the monotonic one between two sweeps before it is doubted. A
/// clock that is kept in step moves by seconds; lower and a slow correction pauses the sweep, higher and a jump of this
/// size ends mail early.
pub const CLOCK_JUMP: Duration = Duration::from_secs(5 * 60);

/// How long a wall clock that has jumped must run on steadily until it is believed: an operator has a day to see the
/// warning and to set it right. Higher, and a relay that was down for a while keeps what has expired for longer; lower, and
/// a wrong clock ends a month of mail before anyone looks.
pub const CLOCK_DOUBT: Duration = Duration::from_secs(24 * 3600);

/// Parts of a message that are written in one transaction; a message of more is written in as many as it takes, and seen
/// with the last. Lower, and a message to a thousand flushes more often; higher, and others' messages wait longer behind it.
/// Decision 030 has the measurements.
pub const FAN_OUT_PARTS: usize = 64;

/// The span in which an agent is named once whose receipts are further on than the ledger. Any agent can sign such receipts as
/// often as it likes; shorter, and it fills the operator's log.
pub const ADVICE_WINDOW: Duration = Duration::from_secs(3_600);

/// Agents that are named in that time; of more it is said once that they are many. If the ledger was put back from a copy a few
/// are enough to tell, and identities cost nothing.
pub const ADVISED_AGENTS: usize = 32;

const _: () = assert!(SENDER_BODY_BYTES >= sealpost_protocol::limits::BODY, "the largest body can be sent");
