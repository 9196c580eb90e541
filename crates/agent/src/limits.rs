//! Every limit of the runtime, with its reason.

use std::time::Duration;

use sealpost_protocol::limits as wire;

/// Bytes of one message's content: what fits an envelope.
pub const CONTENT: usize = sealpost_crypto::limits::CONTENT;

/// One-time prekeys of each kind that a full set has: as many strangers may write to a sleeper before the last-resort keys
/// serve. Raised, a set takes longer to make and to upload.
pub const ONE_TIME_PREKEYS: usize = 100;

/// Below so many the set is filled up again: half, so that a refill is worth its round trip and comes well before the end.
pub const REFILL_BELOW: u64 = 50;

/// Below so many the runtime warns: refills must have failed for a while.
pub const WARN_BELOW: u64 = 10;

/// How often an agent is told anew that its prekeys are refused or nearly out, while they are: a day is soon enough to act
/// before a manifest ends, and seldom enough to be read.
pub const PREKEY_WARNING_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// How often the signed prekey, the last-resort key and the sealing key are replaced: a week. What was opened with a stolen
/// one is bounded by it; more often, and more retired keys are kept.
pub const ROTATION: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a manifest and its keys may be used after they were made: four missed rotations.
pub const MANIFEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a retired private prekey is kept after the relay confirmed its replacement: a message that was opened with it
/// on the last day waits up to 30 days.
pub const RETIRED_KEPT: Duration = Duration::from_secs(31 * 24 * 3600);

/// How far the clock here may part from the time that has passed since it was compared with a relay's, until they are compared
/// anew: what a proof's time may be off by. A clock that is slewed stays far below.
pub const CLOCK_JUMP: Duration = Duration::from_secs(60);

/// Delegations that an agent remembers, revoked ones among them: one for each of a large number of helpers, every month. Raised,
/// it is slower to list them; what is forgotten can only be revoked with all others.
pub const DELEGATIONS: usize = 1_000;

/// Rows of what was revoked that are looked through at a time: as many delegations, and all of each relay that was ever used.
pub const REVOCATIONS: usize = 2 * DELEGATIONS;

/// Bytes of what an agent calls a delegation: a line for people.
pub const DELEGATION_LABEL: usize = 100;

/// How often a change to the store is tried again when another process of the same agent was faster.
pub const CONFLICT_RETRIES: usize = 16;

/// Rows read from the store at a time.
pub const ROWS: usize = 100;

/// Pages of the feed of changes that one round reads: what a message to a thousand makes, several times over. The rest is
/// left to the next round, so that mail is not kept waiting.
pub const FEED_PAGES: usize = 64;

/// Pages in a row that bring no new message and end no further on than those before, until a round ends. One may come from
/// receipts whose answer was lost; a relay that hands the same mail out for ever must not hold its reader. A page of which
/// everything was refused is none of these: mail may come after it.
pub const FRUITLESS_PAGES: usize = 2;

/// Pages that one round reads: as many messages as a mailbox holds, so that a backlog is read in one round, and a steady
/// stream of mail does not keep a round from its end.
pub const SYNC_PAGES: u64 = wire::MAILBOX_MESSAGES / wire::PAGE_ENTRIES as u64;

/// Receipts signed in one batch; one page of the mailbox.
pub const RECEIPTS: usize = wire::PAGE_ENTRIES;

/// Messages of one page of the inbox, and bytes of contents that end one: what a page of the mailbox may bring.
pub const INBOX_PAGE: (usize, usize) = (wire::PAGE_ENTRIES, wire::PAGE_BYTES);

/// Bytes of one part of a message beside its ciphertext, at most: 1,300 of an envelope that opens a session, and a hundred
/// of its recipient's name and the interface's own.
pub const PART_OVERHEAD: usize = 1_400;

/// Bytes of a padded key of a body, as it is sealed for each recipient.
pub const BODY_KEY: usize = 112;

/// Bytes that sealing a content once, as a body, must save beside sealing it for each recipient. A body costs its sender a
/// file and a sync, and each recipient a call of its own; at 20 Mbit/s this many bytes take as long as one such call.
pub const BODY_SAVES: usize = 64 << 10;

/// Bytes of a body that is held in memory when it is fetched: the longest that a payload of the greatest length makes, so
/// that whatever was sent as a payload is received as one.
pub const SHORT_BODY: u64 = wire::CIPHERTEXT as u64 + 1_024;

/// Bytes of received bodies in the spool at most: the longest body fits when nothing else is there. Beyond it a message waits
/// at the relay until others are taken; higher, and strangers fill a disk that is the agent's.
pub const SPOOL: u64 = wire::BODY;

/// Bytes of one body that is fetched unasked from an agent that is neither a contact nor was ever written to, and of the
/// content that it is decompressed to: above the 25 MB
/// that mail servers commonly take as an attachment. Higher, and strangers fill lines and disks that are the agent's.
pub const STRANGER_BODY: u64 = 32 << 20;

/// Bytes of such bodies in the spool, all strangers together: identities cost nothing, so each one's own bound bounds nothing.
pub const STRANGER_BODIES: u64 = 256 << 20;

/// Bytes that the spool leaves free on its disk: the agent's store must still take small messages in, and the machine has
/// other uses. The relay keeps as many.
pub const DISK_RESERVE: u64 = 256 << 20;

/// Bytes that the disk keeps free even for a body that was asked for: what the agent's store writes meanwhile. Less, and
/// its own commits fail when the body is here.
pub const FETCH_MARGIN: u64 = 16 << 20;

/// How long a round moves bodies before it looks after everything else, if no mail comes earlier.
pub const TRANSFER_SLICE: Duration = Duration::from_secs(5);

/// Bytes that are written to the spool at a time.
pub const SPOOL_BUFFER: usize = 1 << 20;

/// Bytes of a content of unknown length that are sealed at a time before it has ended, each under a key that is held in
/// memory: 32 bytes of keys for each megabyte.
pub const SEGMENT: usize = 1 << 20;

/// Bytes of a body's content: the longest body that a relay takes (`docs/protocol.md`, section 17) less what pads and seals
/// it, a thirtieth at most.
pub const BODY_CONTENT: u64 = wire::BODY / 32 * 31;

/// zstd's level: its own default. Higher costs seconds for a few percent.
pub const COMPRESSION_LEVEL: i32 = 3;

/// The greatest window of a frame that is decompressed, as a power of two: 8 MiB, which RFC 8878 asks every decoder to have.
/// Raised, a sender may take more memory of its recipients; frames of ours have at most 2 MiB.
pub const COMPRESSION_WINDOW_LOG: u32 = 23;

/// Bytes that are compressed or decompressed at a time: what a chunk of a body has.
pub const COMPRESSION_STEP: usize = 64 << 10;

/// Bundles that are claimed at a time for a message to many: enough that a relay stores them in groups, and few beside the
/// requests that it takes on one connection.
pub const CLAIMS_AT_A_TIME: usize = 16;

/// Pieces of a body that are on their way at a time. Each waits for a disk at the relay and is held in memory here; more
/// bring nothing on one connection.
pub const PIECES_AT_A_TIME: usize = 4;

/// How often the pieces are fetched again in which a part of a body lies that does not open, in one attempt. Damage on the way
/// is gone the first time; whoever answers otherwise each time is left for a while.
pub const PIECE_REPETITIONS: usize = 2;

/// Attempts to fetch a body of which something is not as its header describes it, before it is left at the relay: with the
/// pauses between them a few minutes, in which a fault on the way may be mended. Raised, a relay that lies costs more lines.
pub const BODY_ATTEMPTS: u64 = 8;

/// Bodies that were fetched in part and are at hand, opened and hashed so far: the one that is on its way, and those whose
/// senders' bodies rest after a failure. Each takes a few kilobytes, or up to 8 MiB if its content is compressed; of others
/// what is in the spool is read once more.
pub const FOLLOWED_BODIES: usize = 4;

/// Lost bodies that were told of when they were fetched, and of which the relay's feed has yet to tell: two pages of it. Of
/// one that is forgotten the application hears twice.
pub const LOST_BODIES: usize = 200;

/// Bytes of the spool that are read through before somebody else's mail is looked after: some 20 ms.
pub const READ_AT_A_TIME: u64 = 16 << 20;

/// How often old rows are swept out.
pub const SWEEP: Duration = Duration::from_secs(24 * 3600);

/// Rows that one round looks at while it sweeps: a few milliseconds.
pub const SWEPT_ROWS: usize = 500;

/// Key ids that a copy of an agent, imported or put back, leaves free above those it brought: the other copy may have used
/// so many meanwhile, and no id may be used twice. Thousands of copies fit.
pub const COPY_GAP: u32 = 1 << 20;

/// How often one-time keys are called back because a message names one that was never made here: a week, so that whoever makes
/// names up costs an agent no more than its own rotation does. Lower, and strangers have it make, upload and keep keys, and
/// take one gap of ids after the other; higher, and of two old copies put back in a row the second is found out late.
pub const RECALL_INTERVAL: Duration = ROTATION;

/// How long a message rests whose recipient lacked its group's key, before it goes again: a key that is on its way has come
/// by the first time; by the second its founder has been back.
pub const FIRST_REPEAT: Duration = Duration::from_secs(60);

/// The same after the second refusal.
pub const SECOND_REPEAT: Duration = Duration::from_secs(3_600);

/// Manifests fetched at a time for one message: a thousand recipients take some sixty round trips.
pub const MANIFESTS_AT_A_TIME: usize = 16;

/// Groups that an agent belongs to, each with a roster of up to 40 KiB; at the limit further hand-overs are refused.
pub const GROUPS: usize = 1_000;

/// Groups of one founder that is neither a contact nor was ever written to: a team or two of somebody who has not been answered
/// yet. Raised, a few strangers use up what all of them have.
pub const STRANGER_GROUPS: usize = 8;

/// Such groups, all strangers together: identities cost nothing, so each one's own bound bounds nothing. Nine tenths of the
/// places are left to those whom the agent knows.
pub const STRANGERS_GROUPS: usize = 100;

/// Groups that are kept, those that the agent has left or was removed from among them: they do not count above, and the
/// first makes way when there would be more.
pub const KEPT_GROUPS: usize = 2 * GROUPS;

/// Keys of one group that are here at a time: one epoch an hour for as long as they are kept is fewer. One more, and that of
/// the earliest epoch goes: late mail under it is refused as `unknown-prekey`.
pub const GROUP_EPOCHS: usize = 1_000;

/// The same of a group whose founder is neither a contact nor was ever written to: a new key every day for as long as they are
/// kept. Raised, strangers' groups fill the store with keys at the price of one message each.
pub const STRANGER_GROUP_EPOCHS: usize = 32;

/// How long a look at the store waits for whoever folds the log into the file: they are done in milliseconds.
pub(crate) const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows that are sealed anew at a time when the store's key is replaced: some megabytes, at the longest rows.
pub(crate) const RESEALED_ROWS: i64 = 100;

/// How often a locked file of the spool is tried again, and after which pause: longer than a piece takes to be written.
pub(crate) const SPOOL_LOCK: (usize, Duration) = (10, Duration::from_millis(20));

/// Bytes of a text or byte string in a row of the store: an envelope or a padded plaintext is the longest.
pub(crate) const RECORD_BYTES: usize = wire::ENVELOPE;

/// Bytes of what a relay says of one delivery: an id, two names and five numbers.
pub(crate) const DELIVERY_RECORD: usize = 512;

/// Bytes of a signed part, and a wrapped key in it.
pub(crate) const SIGNED_PART: usize = 256;

/// Bytes of a store key as it is sealed under a master key: its number, the key, nonce and tag have ample room.
pub const SEALED_STORE_KEY: usize = 256;

/// Bytes of a row's key in an exported identity.
pub const ROW_KEY: usize = 512;

/// Bytes of a refusal's code.
pub const CODE: usize = 64;

/// Bytes of the sentence that says what gave an old copy away.
pub const SIGN: usize = 256;

/// How long a control message may wait for its recipient: whoever is away for longer asks again when it writes again.
pub const CONTROL_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a connection may take to come about.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one request may take beyond the wait it asks for.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(25);

/// The longest wait for mail that one request asks for: an answer comes before the relay's own end of it.
pub const RECEIVE_WAIT: Duration = Duration::from_secs(45);

/// How often an idle connection is asked whether it lives.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The first pause after a failure of the connection, and the longest; it doubles in between.
pub const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// A token is replaced when it ends within this time, so that a request does not cross its end.
pub const TOKEN_MARGIN: Duration = Duration::from_secs(30);

const _: () = assert!(RETIRED_KEPT.as_secs() > wire::MESSAGE_LIFE.as_secs(), "mail outlives its key");
const _: () = assert!(RECEIVE_WAIT.as_secs() < wire::RECEIVE_WAIT.as_secs(), "a relay grants the wait");
const _: () = assert!(MANIFEST_LIFE.as_secs() <= wire::MANIFEST_LIFE.as_secs(), "a manifest's life");
const _: () = assert!(
    // Sealed once for each recipient, a content is at most so much longer than a body beside its keys.
    wire::CIPHERTEXT + BODY_SAVES + wire::INLINE_BODY + wire::RECIPIENTS * (BODY_KEY + PART_OVERHEAD) + wire::HEADER
        <= wire::REQUEST_BYTES,
    "every message that is sealed fits one request"
);

/// How long a peer is shown as writing after its last mark: a mark that waited for longer says nothing any more.
pub const TYPING_LIFE: Duration = Duration::from_secs(30);

/// How soon a peer is told again that the agent is still writing. Lowered, each keystroke is a control message; raised towards
/// [`TYPING_LIFE`], one that is late makes the peer believe that the writing has stopped.
pub const TYPING_INTERVAL: Duration = Duration::from_secs(5);

const _: () = assert!(TYPING_INTERVAL.as_secs() * 2 < TYPING_LIFE.as_secs(), "one mark may be lost");
