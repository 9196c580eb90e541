//! Files and directories that only their owner may look into, whatever the process's mask and the folder above them say, and
//! also where an earlier build, or a copy, has left them open.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::Path,
};

/// Options that make a file with rights for its owner only.
#[must_use]
pub fn private_options() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the file with rights for its owner only; SQLite gives its log the same rights. One that exists stays, and others
/// lose their rights to it.
///
/// # Errors
/// The file system's, and a folder that does not exist.
pub fn create_file(path: &Path) -> io::Result<()> {
    match private_options().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => make_private(path),
        created => created.map(drop),
    }
}

/// Makes a folder, and what is missing above it, with rights for its owner only. Nothing happens if it exists.
///
/// # Errors
/// The file system's.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Takes from others what rights they have to a file or directory. Nothing happens if there is none, or if it is another
/// user's, who alone may change it.
///
/// # Errors
/// The file system's.
pub fn make_private(path: &Path) -> io::Result<()> {
    match take_rights(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(()),
        other => other,
    }
}

#[cfg(unix)]
fn take_rights(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))
}

#[cfg(not(unix))]
fn take_rights(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_its_owner_s_alone_whether_it_is_new_or_was_open_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create_file(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, b"kept").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        create_file(&path).unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"kept".to_vec()));
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        make_private(&folder.path().join("missing")).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        make_private(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o700);
    }
}
