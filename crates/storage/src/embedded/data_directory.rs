//! Making the data directory so that it is still there after a power failure: a file is only as durable as the entry
//! that names it, and SQLite sees to the entries inside the directory alone.

use std::{
    fs::{DirBuilder, File},
    io,
    path::{Path, PathBuf},
};

/// Makes `path` and what is missing above it, readable by its owner only. Nothing happens if it exists.
pub(super) fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create(parent)?;
    match builder().create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other?,
    }
    sync(parent)
}

/// Whether `path` is `folder` or lies in it, whatever they are called and whether or not they are there yet.
///
/// # Errors
/// What the file system says of what is there.
pub fn is_inside(path: &Path, folder: &Path) -> io::Result<bool> {
    Ok(resolved(path)?.starts_with(resolved(folder)?))
}

/// The nearest folder above `path` of which `is_such` holds, whether or not `path` is there yet.
///
/// # Errors
/// What the file system says of what is there.
pub(super) fn above(path: &Path, is_such: impl Fn(&Path) -> bool) -> io::Result<Option<PathBuf>> {
    Ok(resolved(path)?.ancestors().skip(1).find(|folder| is_such(folder)).map(Path::to_owned))
}

/// Something in a folder that is called otherwise; what is no folder has nothing in it.
pub(super) fn first_other(folder: &Path, is_own: impl Fn(&str) -> bool) -> io::Result<Option<PathBuf>> {
    let entries = match folder.read_dir() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(&is_own) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Whether a folder has a file of this name, and nothing in it.
pub(super) fn has_emptied(folder: &Path, name: &str) -> bool {
    folder.join(name).metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

/// Whether a file in the folder has a name that ends so.
pub(super) fn has_any(folder: &Path, ending: &str) -> bool {
    let entries = folder.read_dir().into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.ends_with(ending))
}

/// The path without links, as far as it is there.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        match ancestor.canonicalize() {
            Ok(found) => return Ok(missing.into_iter().rev().fold(found, |found, name| found.join(name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.extend(ancestor.file_name()),
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

#[cfg(unix)]
fn builder() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;

    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn builder() -> DirBuilder {
    DirBuilder::new()
}

/// Only Unix lets a directory be opened and flushed; elsewhere the file system keeps its own journal of entries.
fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_directories_are_made_and_existing_ones_left() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b/c");
        create(&path).unwrap();
        std::fs::write(path.join("kept"), b"").unwrap();
        create(&path).unwrap();
        assert!(path.join("kept").exists());
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let base = tempfile::tempdir().unwrap();
        std::fs::write(base.path().join("file"), b"").unwrap();
        assert!(create(&base.path().join("file")).is_err());
        assert!(create(&base.path().join("file/inside")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_path_is_inside_a_folder_by_whatever_name() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        std::fs::create_dir_all(path("data/blocks")).unwrap();
        std::os::unix::fs::symlink(path("data"), path("link")).unwrap();
        for inside in ["data", "data/backup", "link/a/b", "data/blocks/../new", "link/blocks"] {
            assert!(is_inside(&path(inside), &path("data")).unwrap(), "{inside}");
        }
        for outside in ["data-too", "backup", ".", "missing/data"] {
            assert!(!is_inside(&path(outside), &path("data")).unwrap(), "{outside}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn others_cannot_look_inside() {
        use std::os::unix::fs::PermissionsExt;

        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("data");
        create(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0);
    }
}
