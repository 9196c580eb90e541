-- When the last sweep was, by a clock that was believed: a start compares its own with it. NULL before the first one.
ALTER TABLE ledger ADD COLUMN swept_at INTEGER;
