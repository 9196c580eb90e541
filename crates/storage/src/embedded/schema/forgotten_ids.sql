-- The ids of forgotten keys, by the end of their keys' lives: some time after it they go.
CREATE INDEX forgotten_ids ON one_time_prekeys (expires_at) WHERE content IS NULL;
