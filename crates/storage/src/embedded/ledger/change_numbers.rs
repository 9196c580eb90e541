//! The one order of all changes.

use rusqlite::{Transaction, params};

use super::{StoreError, columns::Number};

pub(super) const LOAD: &str = "SELECT last FROM change_numbers WHERE only_row = 1";
pub(super) const SAVE: &str = "UPDATE change_numbers SET last = ?1 WHERE only_row = 1";

const RAISE: &str = "UPDATE change_numbers SET last = ?1 WHERE only_row = 1 AND last < ?1";

/// The numbers a transaction may give out. What it used must be saved before it commits.
pub(super) struct ChangeNumbers {
    saved: u64,
    last: u64,
}

impl ChangeNumbers {
    pub(super) fn load(transaction: &Transaction<'_>) -> Result<Self, StoreError> {
        let Number(last) = transaction.prepare_cached(LOAD)?.query_one([], |row| row.get(0))?;
        Ok(Self { saved: last, last })
    }

    /// The number that the next change will have.
    pub(super) fn next(&self) -> u64 {
        self.last + 1
    }

    /// Gives out that number.
    pub(super) fn take(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Gives out as many, one after the other, and returns the first.
    pub(super) fn take_many(&mut self, count: u64) -> u64 {
        let first = self.next();
        self.last += count;
        first
    }

    pub(super) fn save(self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        if self.last > self.saved {
            transaction.prepare_cached(SAVE)?.execute(params![Number(self.last)])?;
        }
        Ok(())
    }
}

/// Gives out no number up to this one any more; returns whether it might have been.
pub(super) fn raise(transaction: &Transaction<'_>, used: u64) -> Result<bool, StoreError> {
    Ok(transaction.prepare_cached(RAISE)?.execute([Number(used)])? > 0)
}
