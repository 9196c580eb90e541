-- Contents lie in the block store from here on: `content` in `parts` and `pieces` is a handle, no longer the content itself.
-- Those of before are not converted: a store that still has some is left as it is.
CREATE TABLE earlier_contents (
    count INTEGER NOT NULL
        CONSTRAINT "messages that an earlier version accepted still wait here: let them be received with that version, or begin with another data directory"
        CHECK (count = 0)
) STRICT;
INSERT INTO earlier_contents SELECT count(*) FROM parts;
INSERT INTO earlier_contents SELECT count(*) FROM pieces;
INSERT INTO earlier_contents SELECT count(*) FROM control_messages;
DROP TABLE earlier_contents;

-- How far the block store had come when the newest handle here was stored: what lies behind it is nobody's.
ALTER TABLE ledger ADD COLUMN contents_mark INTEGER NOT NULL DEFAULT 0;

-- Handles that nobody needs any more, until their blocks are gone. Nearly always empty.
CREATE TABLE released (
    handle BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Messages whose contents stay to the end of their lives, delivered or not: those without a ratchet.
CREATE TABLE retained (
    message INTEGER PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX retained_by_end ON retained (expires_at);
