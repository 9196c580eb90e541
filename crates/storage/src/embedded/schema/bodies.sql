-- Bodies come in pieces, and may come before their message: a set of pieces is found by its number, which is given out once
-- like that of a change, and goes from an upload to a message without being touched.

-- Pieces of bodies, and where they lie. The hash is for uploads; a message's body needs it no more.
CREATE TABLE pieces (
    pieces INTEGER NOT NULL,
    place INTEGER NOT NULL,
    hash BLOB NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (pieces, place)
) STRICT, WITHOUT ROWID;

-- Bodies on their way in.
CREATE TABLE uploads (
    pieces INTEGER PRIMARY KEY,
    sender BLOB NOT NULL,
    upload_id BLOB NOT NULL,
    scheme TEXT NOT NULL,
    length INTEGER NOT NULL,
    hash BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX uploads_by_name ON uploads (sender, upload_id);
CREATE INDEX uploads_by_end ON uploads (expires_at);

-- Bodies of messages, while someone waits for them.
CREATE TABLE message_bodies (
    message INTEGER PRIMARY KEY,
    sender BLOB NOT NULL,
    length INTEGER NOT NULL,
    pieces INTEGER NOT NULL
) STRICT;

-- Bytes that each sender has in uploads and bodies.
CREATE TABLE body_bytes (
    sender BLOB PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A message's number names its pieces: it was given out once. So far a handle is the content itself, and as long.
INSERT INTO message_bodies
    SELECT b.message, m.sender, length(b.content), b.message FROM bodies AS b JOIN messages AS m ON m.id = b.message;
INSERT INTO pieces SELECT message, 0, x'', content FROM bodies;
INSERT INTO body_bytes SELECT sender, sum(length) FROM message_bodies GROUP BY sender;
DROP TABLE bodies;
ALTER TABLE message_bodies RENAME TO bodies;
