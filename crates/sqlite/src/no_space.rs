//! A full disk, told as such.

use rusqlite::ffi;

/// Whether SQLite says that the disk has no room. A write that finds none it calls `FULL`; where the shared index of the
/// write-ahead log cannot grow it speaks of an I/O error, and of every other failed write, too.
#[must_use]
pub fn is_no_space(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_FULL | ffi::SQLITE_IOERR_SHMSIZE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobError, OpenDatabaseError};

    fn failure(code: std::ffi::c_int) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn a_full_disk_is_told_by_whatever_name_sqlite_has_for_it() {
        for code in [ffi::SQLITE_FULL, 4874] {
            assert!(matches!(JobError::from(failure(code)), JobError::NoSpace), "{code}");
            assert!(matches!(JobError::transaction(failure(code)), JobError::NoSpace), "{code}");
            let refused = OpenDatabaseError::from(failure(code));
            assert!(
                matches!(refused, OpenDatabaseError::NoSpace) && refused.to_string() == "no space is left on the disk"
            );
        }
    }

    #[test]
    fn what_is_no_full_disk_is_not_told_as_one() {
        for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CORRUPT, ffi::SQLITE_BUSY] {
            assert!(matches!(JobError::from(failure(code)), JobError::Statement(_)), "{code}");
            assert!(matches!(OpenDatabaseError::from(failure(code)), OpenDatabaseError::Sqlite(_)), "{code}");
        }
    }
}
