-- The block store that the contents lie in: another one beside this ledger would make all that waits seem lost.
ALTER TABLE ledger ADD COLUMN contents_store BLOB;
