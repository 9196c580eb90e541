//! Every limit of the relay's transports and of authentication, with its reason.

use std::time::Duration;

use sealpost_protocol::limits as wire;

/// Bytes of one request over REST: that of gRPC in base64.
pub const REST_REQUEST_BYTES: usize = wire::REQUEST_BYTES / 3 * 4;

/// Bytes of a request that carries no payload. A token request, the largest that anyone may send, has some 600.
pub const SMALL_REQUEST_BYTES: usize = 16 << 10;

/// Bytes of answers and of the beginnings of requests that are on their way at a time, over all connections. What is
/// decoded from a request exists beside it, so the process takes up to three times this and [`BODY_MEMORY`]. Lower, a few
/// slow clients with large pages are in each other's way; higher, they take the machine's memory. New requests are refused
/// as `unavailable` when less than one request's bytes are free.
pub const MEMORY: usize = 128 << 20;

/// The same for what bodies of requests have beyond their beginnings, apart so that clients that hold up large bodies, under
/// however many names, are in the way of large bodies alone. Twelve of the largest at a time.
pub const BODY_MEMORY: usize = 128 << 20;

/// What of a body counts as its beginning: a message of usual length, or receipts for a page. Higher, and it takes fewer
/// clients to fill [`MEMORY`] with beginnings; lower, and more requests depend on [`BODY_MEMORY`].
pub const BODY_BEGINNING: usize = 64 << 10;

/// Bytes of both that one agent's requests and answers hold at a time: three of the largest requests. Lower, an agent that
/// works on many things at once is refused; higher, fewer agents hold all.
pub const AGENT_MEMORY: usize = (MEMORY + BODY_MEMORY) / 8;

/// The pace of a request's body: so many bytes, or its end, in each [`BODY_PACE_TIME`]. Whoever holds memory by an unfinished
/// request pays for it in bandwidth. Higher, and clients behind slow lines (4 KB/s) are cut off.
pub const BODY_PACE: usize = 64 << 10;

/// See [`BODY_PACE`]. Longer than a radio line's usual silence.
pub const BODY_PACE_TIME: Duration = Duration::from_secs(15);

/// The same for requests that anyone may send, so that strangers have no part of the members' memory. A thousand of the
/// largest at a time; their answers are small.
pub const OPEN_MEMORY: usize = 16 << 20;

/// Bytes of all deliveries of the largest message, with what proves each receipt: some 700 each. And of how its part and the
/// first pieces of its body are stored: some 600 each in JSON, for a handle names eight blocks at most.
pub const STATUS_BYTES: usize = (wire::RECIPIENTS + sealpost_core::limits::DESCRIBED_PIECES + 1) * 1_024;

/// Submissions and receipts that are being stored at a time. Enough to fill the store's groups; each may hold a whole
/// request, and goes on when its client has gone.
pub const WRITES: usize = 64;

/// Connections at a time. Each idle one costs some 30 KiB; the default limit of open files on Linux is 1,024, which a
/// service manager raises.
pub const CONNECTIONS: usize = 10_000;

/// Connections of one IPv4 address or IPv6 /64 at a time; those from this machine, a proxy's perhaps, are not bounded. Many
/// agents may share an address; lower, a large site or a proxy on another machine is cut off, higher, fewer strangers hold
/// all connections.
pub const CONNECTIONS_PER_PEER: usize = 1_000;

/// How long a connection stays open on which no token is good and no request has begun. An HTTP/1 one is closed earlier.
/// Longer than any request of a stranger takes; higher, and strangers hold connections for longer at no cost.
pub const STRANGER_IDLE: Duration = Duration::from_secs(90);

/// How long to let connections end when another could not be accepted: out of open files, most likely.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Requests at a time on one HTTP/2 connection.
pub const STREAMS_PER_CONNECTION: u32 = 256;

/// Bytes of one request's headers, names and values: a token and a proof take 1 KiB.
pub const HEADER_BYTES: usize = 16 << 10;

/// Bytes of headers that are read at all, and the read buffer of an HTTP/1 connection. Above it the HTTP library itself
/// answers 431, without a problem document.
pub const HEADER_BUFFER: usize = 4 * HEADER_BYTES;

/// How long a client may take to send a request's headers, and its first request. A slow or silent connection is closed
/// then, an idle HTTP/1 one too.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a TLS handshake may take.
pub const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request may take from its headers to the first byte of its answer: the longest wait for mail, and time for
/// a slow upload.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(75);

/// The same on a connection on which no token is good: what strangers may send has some hundred bytes. Higher, and their
/// unfinished requests keep memory from other strangers for longer.
pub const STRANGER_REQUEST: Duration = Duration::from_secs(10);

/// How long a piece of an answer may wait until its client takes it; then the connection is closed, and the client comes
/// back and goes on where it was. The largest page takes so long at 40 KB/s.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// How often an idle HTTP/2 or WebSocket connection is asked whether it lives; NATs forget after 60 s or more.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long the answer to that may take, and a WebSocket to take an event.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long open requests may take to end when the relay stops; what is open then is dropped.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Life of a challenge: a client answers at once.
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(60);

/// Life of a token. Longer ones are worth more to a thief of the token's key; shorter ones cost signatures.
pub const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// How far a proof's time may be from the relay's clock.
pub const PROOF_AGE: Duration = Duration::from_secs(60);

/// Bytes of a token or a proof; ours have some 400.
pub const TOKEN_BYTES: usize = 4 << 10;

/// Used challenges and proofs that are remembered until they expire. At the limit new ones are refused as
/// `rate-limited`: forgetting one would allow its replay.
pub const REMEMBERED_PROOFS: usize = 200_000;

/// The same for one IPv4 address or IPv6 /64, so that no single one stops all logins: some 160 a second.
pub const REMEMBERED_PROOFS_PER_PEER: usize = REMEMBERED_PROOFS / 10;

/// How long it is remembered that an agent's tokens were revoked: longer than any of them lasts, with room for one whose claim
/// was checked just before.
pub const REVOKED_REMEMBERED: Duration = Duration::from_secs(2 * TOKEN_LIFE.as_secs());

/// Tokens that one connection is known to hold the keys of. A connection that many agents share proves again beyond it.
pub const TOKENS_PER_CONNECTION: usize = 256;

/// Bytes of one message that a client sends over a WebSocket; nothing is expected but pings and a close.
pub const WEBSOCKET_MESSAGE_BYTES: usize = 4 << 10;

/// How long a WebSocket stays open for the frame that closes it, or answers one that does: a round trip to anywhere.
pub const WEBSOCKET_LINGER: Duration = Duration::from_secs(1);

/// Characters of a refusal's detail. Some details quote what they refuse, which may be as long as a request.
pub const DETAIL_CHARACTERS: usize = 500;

/// How often expired messages are looked for. Expired ones are not handed out in the meantime.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// How often what a crash has left of contents is looked for. It costs space only; each look reads all handles once.
pub const COLLECTION_INTERVAL: Duration = Duration::from_secs(3600);

/// How long the relay has been up before it first looks: clients that come back have the disk until then.
pub const COLLECTION_DELAY: Duration = Duration::from_secs(60);

/// What lies between two reads of such a look, of 256 handles each: a million take 80 s, and nobody notices.
pub const COLLECTION_PAUSE: Duration = Duration::from_millis(20);

/// How often the relay looks whether it is ready, for those who watch its health. So late they learn that the disk is full;
/// each look costs one read of the ledger and one question to the file system.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

const _: () = assert!(BODY_MEMORY >= 8 * REST_REQUEST_BYTES, "a few of the largest requests fit at a time");
const _: () = assert!(
    AGENT_MEMORY >= REST_REQUEST_BYTES + 2 * wire::PAGE_BYTES,
    "an agent may send its largest request while it reads its mail"
);
const _: () = assert!(BODY_PACE_TIME.as_secs() < REQUEST_TIMEOUT.as_secs(), "a body that stands still ends first");
const _: () =
    assert!(STRANGER_IDLE.as_secs() > REQUEST_TIMEOUT.as_secs(), "a request is answered before its connection ends");
const _: () =
    assert!(REQUEST_TIMEOUT.as_secs() > wire::RECEIVE_WAIT.as_secs(), "a reader's wait ends before its request's time");
