-- Control messages, while they wait: at most one of each sender for each recipient. Their place is the number of a change
-- that nobody is told of, so they stand in the order of the recipient's messages. They touch none of the messages' tables.
CREATE TABLE control_messages (
    place INTEGER PRIMARY KEY,
    recipient BLOB NOT NULL,
    sender BLOB NOT NULL,
    message_id BLOB NOT NULL,
    queued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    header_hash BLOB NOT NULL,
    part_hash BLOB NOT NULL,
    part_length INTEGER NOT NULL,
    header BLOB NOT NULL,
    content BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX control_of_pair ON control_messages (recipient, sender);
-- With its row's number behind each entry, which is the place.
CREATE INDEX control_waiting ON control_messages (recipient);
CREATE INDEX control_by_end ON control_messages (expires_at);

-- The highest id of a control message of each sender, for as long as its store may come back as an old copy.
CREATE TABLE last_control (
    sender BLOB PRIMARY KEY,
    message_id BLOB NOT NULL
) STRICT, WITHOUT ROWID;
