-- What was lost of an agent's mail, for its feed.
CREATE INDEX lost ON deliveries (recipient, change_seq) WHERE state = 'failed' AND reason = 'lost';
