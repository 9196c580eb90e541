-- Before this mark there is nothing that a crash has left over: it was looked through, and everything in it is named here.
ALTER TABLE ledger ADD COLUMN collected_mark INTEGER NOT NULL DEFAULT 0;
