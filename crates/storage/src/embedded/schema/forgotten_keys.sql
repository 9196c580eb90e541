-- What a forgotten key was: the same one again is a repetition, another under its id is not.
ALTER TABLE one_time_prekeys ADD COLUMN content_hash BLOB; -- BLAKE3; NULL for keys older than this step
