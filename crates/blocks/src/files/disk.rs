//! Files in a directory that the caller has made, and holds for itself alone.
//!
//! A new file's name is made durable by flushing the directory with the file's first [`Files::sync`]; a replaced file
//! is written beside, flushed, renamed, and the directory flushed.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Files;
use crate::limits;

/// What a file is called until it is whole.
const UNFINISHED: &str = ".new";

/// Files of one directory.
#[derive(Debug)]
pub struct DiskFiles {
    directory: PathBuf,
    open: Mutex<HashMap<String, Open>>,
}

#[derive(Debug, Clone)]
struct Open {
    file: Arc<File>,
    /// Its end.
    length: u64,
    /// Whether its name in the directory may still be lost.
    is_new: bool,
    /// Whether there is something to flush.
    is_dirty: bool,
}

impl DiskFiles {
    /// Takes a directory that is there. Nobody else may use it meanwhile: who holds the lock of the directory above it sees
    /// to that.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let files = Self { directory: directory.to_owned(), open: Mutex::default() };
        files.tidy_up()?;
        // What a killed process made may still be missing from the directory that is on the disk.
        files.sync_directory()?;
        Ok(files)
    }

    /// The files of a directory as they are; nothing is made or tidied up, and nothing may be written.
    #[must_use]
    pub fn as_they_are(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), open: Mutex::default() }
    }

    /// Removes what was not finished, and takes from others what rights they have to the rest.
    fn tidy_up(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.ends_with(UNFINISHED)) {
                fs::remove_file(entry.path())?;
            } else {
                make_private(&entry)?;
            }
        }
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file of this name. With `create` a missing one is made.
    fn file(&self, name: &str, create: bool) -> io::Result<Open> {
        let mut table = self.table();
        if let Some(open) = table.get(name) {
            return Ok(open.clone());
        }
        let path = self.directory.join(name);
        let is_new = create && !path.exists();
        let file = private().read(true).write(true).create(create).truncate(false).open(path)?;
        let open = Open { length: file.metadata()?.len(), file: Arc::new(file), is_new, is_dirty: is_new };
        if table.len() >= limits::OPEN_FILES {
            table.retain(|_, open| open.is_dirty);
        }
        table.insert(name.to_owned(), open.clone());
        Ok(open)
    }

    fn written(&self, name: &str, end: Option<u64>) {
        if let Some(open) = self.table().get_mut(name) {
            open.is_dirty = true;
            open.length = end.unwrap_or(open.length);
        }
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync_directory(&self.directory)
    }
}

impl Files for DiskFiles {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok();
            if let Some(name) = name.filter(|name| !name.ends_with(UNFINISHED)) {
                files.push((name, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn append(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let open = match self.file(name, offset == 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(io::ErrorKind::InvalidInput.into()),
            other => other?,
        };
        if open.length != offset {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.written(name, None);
        positional::write(&open.file, offset, bytes)?;
        self.written(name, Some(offset + bytes.len() as u64));
        Ok(())
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let open = self.file(name, false)?;
        if offset.saturating_add(buffer.len() as u64) > open.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        positional::read(&open.file, offset, buffer)
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let open = self.file(name, false)?;
        if offset.saturating_add(bytes.len() as u64) > open.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.written(name, None);
        positional::write(&open.file, offset, bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let open = self.file(name, false)?;
        open.file.sync_data()?;
        if open.is_new {
            self.sync_directory()?;
        }
        if let Some(open) = self.table().get_mut(name) {
            (open.is_new, open.is_dirty) = (false, false);
        }
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.directory.join(format!("{name}{UNFINISHED}"));
        let file = private().write(true).create(true).truncate(true).open(&unfinished)?;
        positional::write(&file, 0, bytes)?;
        file.sync_data()?;
        self.table().remove(name);
        fs::rename(&unfinished, self.directory.join(name))?;
        self.sync_directory()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.table().remove(name);
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// Options that make a file with rights for its owner only, whatever the folder lets others do.
fn private() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn make_private(entry: &fs::DirEntry) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = entry.metadata()?.permissions().mode();
    if mode & 0o077 == 0 || !entry.file_type()?.is_file() {
        return Ok(());
    }
    match fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode & 0o700)) {
        // It is another user's, who alone may change it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn make_private(_: &fs::DirEntry) -> io::Result<()> {
    Ok(())
}

/// Only Unix lets a directory be opened and flushed; elsewhere the file system keeps its own journal of entries.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
mod positional {
    use std::{fs::File, io, os::unix::fs::FileExt};

    pub(super) fn read(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        file.read_exact_at(buffer, offset)
    }

    pub(super) fn write(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }
}

#[cfg(not(unix))]
mod positional {
    //! The file's one cursor, moved under one lock.

    use std::{
        fs::File,
        io::{self, Read, Seek, SeekFrom, Write},
        sync::{Mutex, PoisonError},
    };

    static CURSOR: Mutex<()> = Mutex::new(());

    pub(super) fn read(mut file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let _held = CURSOR.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }

    pub(super) fn write(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let _held = CURSOR.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(DiskFiles::open(&base.path().join("a")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// The null device takes bytes and refuses to be flushed: so it tells whether that was tried.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_flush_reaches_the_file() {
        let base = tempfile::tempdir().unwrap();
        for name in ["a", "b.new"] {
            std::os::unix::fs::symlink("/dev/null", base.path().join(name)).unwrap();
        }
        let files = DiskFiles::as_they_are(base.path());
        files.append("a", 0, b"bytes").unwrap();
        assert_eq!(files.sync("a").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(files.replace("b", b"bytes").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(!base.path().join("b").exists(), "what is not durable takes nothing's place");
    }

    /// Here the null device stands for the directory, and each name is a whole path: so it is the directory's flush that is
    /// refused, and what is done before it is done.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_flush_reaches_the_directory_when_a_file_is_new_or_replaced() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name).into_os_string().into_string().unwrap();
        let files = || DiskFiles::as_they_are(Path::new("/dev/null"));
        let new = files();
        new.append(&path("a"), 0, b"bytes").unwrap();
        for _ in 0..2 {
            assert_eq!(
                new.sync(&path("a")).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "until its name is flushed"
            );
        }
        assert_eq!(new.replace(&path("b"), b"bytes").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(fs::read(path("b")).unwrap(), b"bytes", "a name is flushed once the file has it");
        let old = files();
        old.append(&path("a"), 5, b"more").unwrap();
        old.sync(&path("a")).unwrap();
    }

    /// The kernel's own directories refuse to be flushed, too.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_flush_reaches_the_directory_that_is_opened() {
        let directory = Path::new("/proc/self/ns");
        DiskFiles::as_they_are(directory).tidy_up().unwrap();
        assert_eq!(DiskFiles::open(directory).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn what_a_crash_left_unfinished_is_swept_away() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("state.new"), b"half").unwrap();
        let files = DiskFiles::open(base.path()).unwrap();
        assert!(!base.path().join("state.new").exists());
        assert_eq!(files.list().unwrap(), []);
    }

    #[test]
    fn more_files_than_may_be_open_are_all_there() {
        let base = tempfile::tempdir().unwrap();
        let files = DiskFiles::open(base.path()).unwrap();
        for number in 0..2 * limits::OPEN_FILES {
            files.append(&number.to_string(), 0, &number.to_be_bytes()).unwrap();
            files.sync(&number.to_string()).unwrap();
        }
        assert!(files.table().len() <= limits::OPEN_FILES);
        let mut bytes = [0; 8];
        files.read("0", 0, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 8]);
    }
}
