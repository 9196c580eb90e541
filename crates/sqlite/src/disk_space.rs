//! What a disk still has room for.

use std::{io, path::Path};

/// What the file system of a directory would still give to this process, in bytes. Where that cannot be asked it is
/// [`u64::MAX`]: a write says so itself when the disk is full.
///
/// # Errors
/// The file system's; the directory must be there.
#[cfg(unix)]
pub fn free_bytes(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Not known.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn free_bytes(_: &Path) -> io::Result<u64> {
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
