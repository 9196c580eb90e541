//! What the disk still has room for.

use std::{io, path::Path};

use super::limits;

/// Whether the file system of `directory` has room for new messages.
pub(super) fn is_left(directory: &Path) -> io::Result<bool> {
    Ok(free_bytes(directory)? >= limits::RESERVE)
}

/// What the file system would still give to this process.
#[cfg(unix)]
fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Not known: the store says so itself when it is full.
#[cfg(not(unix))]
fn free_bytes(_: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_that_of_the_directory_s_file_system() {
        let directory = tempfile::tempdir().unwrap();
        let free = free_bytes(directory.path()).unwrap();
        assert!(free > 0 && free < u64::MAX);
        assert!(free_bytes(&directory.path().join("missing")).is_err());
        if cfg!(target_os = "linux") {
            assert_eq!(free_bytes(Path::new("/proc")).unwrap(), 0, "a file system that holds nothing");
        }
    }
}
