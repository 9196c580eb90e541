-- Messages to many whose parts are still coming in. Their deliveries and parts lie with the others, under the numbers that are
-- set aside here, and nobody sees them: no row in `messages` leads to them yet. Nearly always empty.
CREATE TABLE fan_outs (
    message INTEGER PRIMARY KEY, -- the number that the message will have
    recipients INTEGER NOT NULL,
    recorded INTEGER NOT NULL
) STRICT;
