-- What agents have taken back: delegations one by one, all of them at a time, and with either the tokens of until then.
CREATE TABLE revocations (
    agent BLOB NOT NULL,
    kind TEXT NOT NULL, -- 'one', 'all' or 'tokens'
    delegation BLOB NOT NULL, -- of 'one'; empty otherwise
    revoked_at INTEGER NOT NULL, -- of 'all': until when their keys were certified
    PRIMARY KEY (agent, kind, delegation)
) STRICT, WITHOUT ROWID;

CREATE INDEX revocations_by_age ON revocations (revoked_at);
CREATE INDEX tokens_revoked ON revocations (revoked_at) WHERE kind = 'tokens';
