//! Every limit of the agent's side of the protocol, with its reason.

use std::time::Duration;

use sealpost_protocol::limits as wire;

/// Messages that a sender may seal under one chain without an answer; then it opens a new session.
///
/// Raised, a backlog that was lost or has expired carries a recipient beyond [`JUMP`] and kills the session, or [`JUMP`]
/// must be raised with it; lowered, a sender drains its peer's one-time keys.
pub const UNANSWERED_MESSAGES: u32 = 2_000;

/// Keys that one envelope may make a recipient skip: what is left of the old chain, and what precedes it in the new
/// one.
///
/// Lower than twice [`UNANSWERED_MESSAGES`], an honest conversation could die of lost messages. It is also the work
/// that one forged envelope can cause: some milliseconds of key derivation, thrown away.
pub const JUMP: u32 = 2 * UNANSWERED_MESSAGES;

/// Keys of skipped messages that a session keeps, oldest evicted.
///
/// Raised, more messages can come late, and more keys lie about for someone who takes the state; the cache is searched
/// from end to end, so thousands would want an index.
pub const SKIPPED_KEYS: usize = 100;

/// How long the key of a skipped message is kept: the life of a message, and a day for clocks that differ and mail that
/// waits to be fetched.
///
/// Lowered, a message that the mailbox still holds comes too late; raised, keys lie about for messages that no relay
/// hands out any more.
pub const SKIPPED_KEY_LIFE: Duration = Duration::from_secs(31 * 24 * 3600);

/// Ranges of skipped messages whose keys are gone, which a session remembers to tell a gap from a repetition.
///
/// Lowered, more messages that were opened count as lost, and a repetition of one is answered as a gap; the inbox
/// recognises it by its id all the same. It must exceed the chains that are known, or ranges could not be joined.
pub const LOST_RANGES: usize = 32;

/// Messages in a session without a ratchet step, after which a sender asks for one.
///
/// Lowered, more control messages go about; raised, a stolen state reads more of what follows.
pub const MESSAGES_WITHOUT_STEP: u32 = 100;

/// Control messages in a row that the next message counts: seven bits. More of them are lost in a row only where nobody has
/// received for as many requests, and then the rest counts as missing messages.
pub const CONTROLS_COUNTED: u8 = 127;

/// Control messages in a row after which no mark is sealed, until a message is, or the peer has answered: what a peer that is
/// away is shown of another's reading and writing.
///
/// Raised to [`CONTROLS_COUNTED`], answers to requests that follow are not counted; lowered, a peer that only listens is
/// shown less.
pub const MARKS_IN_A_ROW: u8 = 100;

/// Unanswered messages of a session beyond which no mark is sealed: the rest of [`UNANSWERED_MESSAGES`] is for mail, so that
/// marks do not bring about new sessions, which take one-time keys.
pub const UNANSWERED_WITH_MARKS: u32 = UNANSWERED_MESSAGES / 2;

/// Time in a session without a ratchet step, after which the next message asks for one: an
/// hour's mail is what a stolen state may read of a quiet conversation. Lowered, more control messages go about.
pub const TIME_WITHOUT_STEP: Duration = Duration::from_secs(3600);

/// Sessions of a peer that only receive, besides the one that sends: the least recently used go. Two stay behind when
/// both agents open at once or one renews; four leave room for both in a row.
pub const RECEIVING_SESSIONS: usize = 4;

/// How long a session that only receives is kept after its last use: as long as a message that was sealed in it may
/// come. Beyond, the peer gets `unknown-session`, and renews.
pub const RECEIVING_SESSION_LIFE: Duration = SKIPPED_KEY_LIFE;

/// How often a refused message is sealed anew: attempts 2 and 3.
///
/// Raised, a peer that refuses everything drains its own one-time keys with our help.
pub const SEALED_ANEW: u16 = 2;

/// How old a session must be before a refusal renews it: what a peer refuses in one that is younger waits.
///
/// Lowered, whoever refuses everything has us claim a bundle for each message; raised, a message waits longer.
pub const SESSION_RENEWAL_INTERVAL: Duration = Duration::from_secs(60);

/// Ratchet keys of the peer that a session remembers after it has moved on, to tell a repeated message from a forged
/// one.
///
/// Lowered to nothing, a repetition from an older chain costs a Diffie-Hellman step and is reported as undecryptable.
pub const RETIRED_RATCHET_KEYS: usize = 16;

/// Bytes of a payload's content. What else a payload holds must fit beside it in [`wire::CIPHERTEXT`]; padding adds
/// nothing at that length, for a power of two is a padded length itself.
pub const CONTENT: usize = wire::CIPHERTEXT - 512;

/// Bytes of a payload beside its content, at most.
pub const METADATA: usize = wire::CIPHERTEXT - CONTENT;

/// Bytes of a file's name, as common file systems have it.
pub const FILE_NAME: usize = 255;

/// Bytes of the shortest padded payload: shorter ones are all alike, which is cheap beside the envelope's 120 bytes.
pub const SHORTEST_PADDED: usize = 32;

/// Bytes of plaintext in one chunk of a body. Raised, a reader holds more before it can trust any of it; lowered, tags
/// cost more: here they are a fortieth of a percent.
pub const BODY_CHUNK: usize = 64 * 1_024;

/// Bytes of a body's content: beyond what any store holds, and far from every overflow.
pub const BODY_CONTENT: u64 = 1 << 48;

/// Bytes of a group's name: a line of text.
pub const GROUP_NAME: usize = 64;

/// Bytes of an encoded group key: format, group, epoch and secret.
pub const GROUP_KEY: usize = 1 + 16 + 4 + 32;

/// Bytes of an encoded session's associated data: eleven fields, each of at most 40 bytes with its length.
pub const SESSION_AD: usize = 11 * 40;

/// Argon2id's memory in KiB for a new passphrase: RFC 9106's second recommendation, which a small server still has.
pub const ARGON2_MEMORY_KIB: u32 = 64 * 1_024;

/// Argon2id's passes for a new passphrase: RFC 9106 pairs three with 64 MiB.
pub const ARGON2_PASSES: u32 = 3;

/// Argon2id's lanes for a new passphrase: they are computed one after the other here, so more would buy nothing.
pub const ARGON2_LANES: u32 = 1;

/// The least memory, in KiB, that is accepted: OWASP's floor of 2023. The parameters lie in the open, and whoever can
/// write them must not be able to make the next passphrase cheap to guess.
pub const ARGON2_LEAST_MEMORY_KIB: u32 = 19 * 1_024;

/// The fewest passes that are accepted: OWASP's floor with that memory.
pub const ARGON2_FEWEST_PASSES: u32 = 2;

/// The most memory, in KiB, that is accepted: more would let a planted file exhaust the machine.
pub const ARGON2_MOST_MEMORY_KIB: u32 = 1_024 * 1_024;

/// The most passes that are accepted: with the most memory, some seconds.
pub const ARGON2_MOST_PASSES: u32 = 16;

/// The most lanes that are accepted.
pub const ARGON2_MOST_LANES: u32 = 16;

const _: () = assert!(JUMP >= 2 * UNANSWERED_MESSAGES, "losing two full chains must not kill a session");
const _: () =
    assert!(LOST_RANGES > RETIRED_RATCHET_KEYS + 1, "more ranges than chains: two of one chain can be joined");
const _: () = assert!(SKIPPED_KEY_LIFE.as_secs() > wire::MESSAGE_LIFE.as_secs(), "no message outlives its key");
const _: () = assert!(MESSAGES_WITHOUT_STEP < UNANSWERED_MESSAGES, "a step is asked for before the chain ends");
const _: () = assert!(MARKS_IN_A_ROW < CONTROLS_COUNTED, "what follows a row of marks counts them all");
const _: () = assert!(SKIPPED_KEYS <= u16::MAX as usize, "lists carry a u16 count");
const _: () = assert!(RETIRED_RATCHET_KEYS <= u16::MAX as usize, "lists carry a u16 count");
const _: () = assert!(wire::CIPHERTEXT.is_power_of_two(), "a padded payload of the greatest length is not longer");
const _: () = assert!(
    3 + (1 + 4 + wire::MESSAGE_TYPE) + (1 + 16) + (1 + 48) + (1 + 4 + FILE_NAME) + (1 + 4) <= METADATA,
    "the greatest payload fits in an envelope"
);
const _: () = assert!(
    1 + (1 + 4 + wire::MESSAGE_TYPE) + (1 + 16) + (1 + 48) + (1 + 4 + FILE_NAME) + 1 + 8 + 8 <= BODY_CHUNK,
    "what stands before a content fits in the first chunk"
);
const _: () = assert!(ARGON2_LEAST_MEMORY_KIB <= ARGON2_MEMORY_KIB && ARGON2_MEMORY_KIB <= ARGON2_MOST_MEMORY_KIB);
const _: () = assert!(ARGON2_FEWEST_PASSES <= ARGON2_PASSES && ARGON2_PASSES <= ARGON2_MOST_PASSES);
const _: () = assert!(1 <= ARGON2_LANES && ARGON2_LANES <= ARGON2_MOST_LANES);
