-- The relay's ledger and prekeys.
--
-- Large values lie in rowid tables that grow at their end; whatever is looked up by another key has a narrow index.
-- Accepting a message touches three secondary indexes: `messages_by_name`, `waiting` and `sent`. One whose contents stay to the
-- end of its life touches a fourth, `retained_by_end`; one whose body was uploaded leaves the upload's two.
-- Times are milliseconds since 1970. States and reasons have the names that the protocol gives them.

-- The number of the last change. Numbers are never used twice, also when all rows that had them are gone.
CREATE TABLE change_numbers (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    last INTEGER NOT NULL
) STRICT;

INSERT INTO change_numbers VALUES (1, 0);

-- One row per message, never updated. Its id is the number of the change that queued its first delivery.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    sender BLOB NOT NULL,
    message_id BLOB NOT NULL,
    recipients INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    header_hash BLOB NOT NULL,
    header BLOB NOT NULL
) STRICT;

-- An id begins with its time: in this order new names enter at the end, on one page, where with the sender first each
-- sender would have a page of its own.
CREATE UNIQUE INDEX messages_by_name ON messages (message_id, sender);

-- The status of each (message, recipient), and its place in the mailbox while it waits there. The deliveries of message
-- m have the ids m, m + 1, …, ascending by recipient: who knows the message finds a recipient by binary search.
-- No bytes of a message are here: these rows change several times, and every change writes the whole row.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    sender BLOB NOT NULL,
    recipient BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    late INTEGER NOT NULL,
    part_hash BLOB NOT NULL,
    part_length INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    handed_over_at INTEGER,
    delivered_at INTEGER,
    acknowledged_at INTEGER,
    expires_at INTEGER NOT NULL,
    mailbox_seq INTEGER, -- NULL when it waits no more
    change_seq INTEGER NOT NULL,
    receipt BLOB
) STRICT;

CREATE INDEX waiting ON deliveries (recipient, mailbox_seq) WHERE mailbox_seq IS NOT NULL;
CREATE INDEX sent ON deliveries (sender, change_seq);
-- What was handed over and still waits, for the recipient's feed; what is pending has its place as its change number.
CREATE INDEX in_transit ON deliveries (recipient, change_seq) WHERE state = 'in-transit';

-- Handles of parts, while they wait.
CREATE TABLE parts (
    delivery INTEGER PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

-- Handles of bodies, while someone waits for them.
CREATE TABLE bodies (
    message INTEGER PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

-- How full each mailbox is, to the byte, and a time before which nothing in it expires.
CREATE TABLE mailboxes (
    recipient BLOB PRIMARY KEY,
    messages INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    next_expiry INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The head of each recipient's last batch of receipts.
CREATE TABLE receipt_heads (
    recipient BLOB PRIMARY KEY,
    number INTEGER NOT NULL,
    previous_root BLOB NOT NULL,
    root BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The manifest each agent published last. The version has 64 bits without a sign, and stands here as the signed number
-- of the same bits: it is not to be compared in SQL.
CREATE TABLE agents (
    id INTEGER PRIMARY KEY,
    agent BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    manifest BLOB NOT NULL
) STRICT;

-- One-time prekeys. A key that was handed out long ago, or has expired, is forgotten; its row stays, so that its id
-- is not used again.
CREATE TABLE one_time_prekeys (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL REFERENCES agents (id),
    kind TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    claimed_at INTEGER,
    content BLOB -- NULL when forgotten
) STRICT;

CREATE UNIQUE INDEX one_time_prekeys_by_name ON one_time_prekeys (owner, kind, key_id);
CREATE INDEX unused ON one_time_prekeys (owner, kind, expires_at) WHERE claimed_at IS NULL AND content IS NOT NULL;
CREATE INDEX forgettable ON one_time_prekeys (coalesce(claimed_at, expires_at)) WHERE content IS NOT NULL;

-- What each claim was given, so that its repetition is given the same.
CREATE TABLE claims (
    id INTEGER PRIMARY KEY,
    requester BLOB NOT NULL,
    claim_id BLOB NOT NULL,
    target BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    manifest BLOB NOT NULL,
    one_time_curve BLOB,
    one_time_kem BLOB
) STRICT;

CREATE UNIQUE INDEX claims_by_name ON claims (requester, claim_id, target);
CREATE INDEX claims_by_age ON claims (made_at);
