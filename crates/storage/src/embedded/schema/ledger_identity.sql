-- Whose ledger this is, and which life of it. Numbers of changes and receipts hold within one life only: a ledger that was
-- put back from a copy goes on under another id.
CREATE TABLE ledger (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    id BLOB NOT NULL,
    node BLOB -- NULL until a node has taken it
) STRICT;

INSERT INTO ledger VALUES (1, randomblob(16), NULL);

-- The head of each recipient's last batch of receipts, in each life of the ledger: those of earlier lives stay as proof.
CREATE TABLE heads (
    ledger BLOB NOT NULL,
    recipient BLOB NOT NULL,
    number INTEGER NOT NULL,
    previous_root BLOB NOT NULL,
    root BLOB NOT NULL,
    PRIMARY KEY (ledger, recipient)
) STRICT, WITHOUT ROWID;

INSERT INTO heads SELECT ledger.id, recipient, number, previous_root, root FROM receipt_heads, ledger;
DROP TABLE receipt_heads;
ALTER TABLE heads RENAME TO receipt_heads;
