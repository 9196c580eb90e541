//! Every limit of the wire formats, and of what a relay and its agents count on from each other, with its reason.

use std::time::Duration;

/// Recipients of one message. Raising it lengthens the header that each of them fetches.
pub const RECIPIENTS: usize = 1_000;

/// Bytes of an application-defined message type: a reverse-DNS name fits, a payload does not.
pub const MESSAGE_TYPE: usize = 64;

/// Bytes of a ciphertext inside one envelope. Larger contents travel as a body; a gRPC message of 4 MiB, the
/// common default of clients, still holds the envelope and its base64 form in JSON.
pub const CIPHERTEXT: usize = 1 << 20;

/// Bytes of one encoded envelope: the ciphertext, and at most 1,300 bytes of header with an opening in it.
pub const ENVELOPE: usize = CIPHERTEXT + 2_048;

/// Bytes of the envelope of a control message: 1,300 of header with an opening in it, and more than anything that runtimes
/// say to each other. A relay keeps one of each sender for each recipient, beside all quotas.
pub const CONTROL_ENVELOPE: usize = 2_048;

/// Bytes of an encoded header: the recipients, and 512 bytes for the rest, of which some 300 are in use.
pub const HEADER: usize = RECIPIENTS * 32 + 512;

/// Bytes of an inline body. Larger bodies are uploaded in pieces.
pub const INLINE_BODY: usize = 1 << 20;

/// Bytes of one piece of a body, but the last: a subtree of BLAKE3, and with its frame below the 4 MiB that gRPC clients
/// accept by default. Raised, more is sent again after an interruption; lowered, each costs a flush of the disk.
pub const BODY_PIECE: u64 = 1 << 20;

/// Bytes of a sealed body: 65,536 pieces, whose hashes are 2 MiB in memory when the body is complete.
pub const BODY: u64 = 64 << 30;

/// Suites in a manifest: two exist; room for a decade of them.
pub const SUITES: usize = 8;

/// One-time prekeys of each kind in one upload: twice a full refill.
pub const ONE_TIME_PREKEYS_PER_UPLOAD: usize = 200;

/// Receipts in one batch: one page of the mailbox, twice over, so that a page and its acknowledgements fit.
pub const RECEIPTS_PER_BATCH: usize = 200;

/// Levels of a Merkle path: 2^16 leaves are more than a batch or a list of recipients can have.
pub const MERKLE_LEVELS: usize = 16;

/// Bytes of an origin (`scheme://host:port`): a DNS name has at most 253.
pub const ORIGIN: usize = 300;

/// Life of a message: 30 days, in which most sleepers come back. A manifest and the retired prekeys are kept to match.
pub const MESSAGE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a message's id and what became of it are remembered, by a relay after acceptance and by an agent after its time:
/// its longest life, and five days for late receipts. A replay of an id that is older than this is refused by its time.
pub const REMEMBERED: Duration = Duration::from_secs(35 * 24 * 3600);

/// Life of a one-time prekey: half a year. Its private half must be kept as long, and a month beyond for messages that
/// wait; a longer life keeps a key that may be stolen good for longer, a shorter one leaves a long sleeper without.
pub const ONE_TIME_PREKEY_LIFE: Duration = Duration::from_secs(180 * 24 * 3600);

/// Life of a manifest: rotated weekly, so a month survives four missed rotations.
pub const MANIFEST_LIFE: Duration = Duration::from_secs(31 * 24 * 3600);

/// Life of a delegation key's certificate, and so of every delegation under it: a season, after which an agent decides anew.
/// Raised, a forgotten delegation is good for longer; lowered, those who act for it must be given new ones more often.
pub const DELEGATION_KEY_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// Blocks of a delegation token: the first, those of eight holders who narrow it, and the one that binds it to a claim.
pub const DELEGATION_BLOCKS: usize = 10;

/// Bytes of a delegation token: some 200 for each block.
pub const DELEGATION_TOKEN: usize = 4 << 10;

/// Bytes that the last block adds, which binds a token to a claim, and its seal: some 200. What is kept leaves room for it.
pub const DELEGATION_BINDING: usize = 256;

/// Delegations that one request revokes: all that one hand-over of duties may concern.
pub const REVOKED_PER_REQUEST: usize = 100;

/// Characters of what was sent that an error quotes.
pub const QUOTED: usize = 64;

/// Bytes of one request over gRPC. A submission to 1,000 recipients that opens a session with each has 2.4 MB of parts; with
/// the largest inline body it stays below this.
pub const REQUEST_BYTES: usize = 8 << 20;

/// Entries of one page of a mailbox. A page is held in memory once per waiting client; at the largest envelope it stays
/// within [`PAGE_BYTES`].
pub const PAGE_ENTRIES: usize = 100;

/// Bytes of headers and parts in one page, after which it ends early, though never before one entry: a page in base64 stays
/// below the 4 MiB that gRPC clients accept by default.
pub const PAGE_BYTES: usize = 2 << 20;

/// Changes in one page of the event feed; a page of fewer is the last.
pub const FEED_CHANGES: usize = 100;

/// How long a reader may wait for mail in one call. Below the idle timeouts of common proxies (60 s).
pub const RECEIVE_WAIT: Duration = Duration::from_secs(50);

/// Messages that wait in one mailbox: what five senders may leave unanswered under one session each. Raised, a sleeper's
/// backlog costs the relay more rows; what finds no room waits with its sender.
pub const MAILBOX_MESSAGES: u64 = 10_000;

/// How far ahead of the relay's clock the time of a message or of a key may be. NTP keeps hosts within seconds; five minutes
/// forgive a drifting one. Raising it lets a sender choose ids that outlive the memory of ids.
pub const CLOCK_AHEAD: Duration = Duration::from_secs(5 * 60);

const _: () = assert!(RECIPIENTS <= u16::MAX as usize, "lists carry a u16 count");
const _: () = assert!(INLINE_BODY as u64 <= BODY_PIECE, "an inline body is one piece");
const _: () = assert!(BODY_PIECE.is_power_of_two() && BODY_PIECE >= 1_024, "a piece is a subtree of BLAKE3");
const _: () = assert!(RECEIPTS_PER_BATCH <= 1 << MERKLE_LEVELS, "a batch's path fits");
const _: () = assert!(RECIPIENTS <= 1 << MERKLE_LEVELS, "a parts path fits");
const _: () = assert!(
    REMEMBERED.as_secs() > MESSAGE_LIFE.as_secs() + CLOCK_AHEAD.as_secs(),
    "an id must be remembered for longer than a message with it is acceptable"
);
const _: () = assert!(PAGE_BYTES > ENVELOPE + HEADER, "every entry fits a page");
