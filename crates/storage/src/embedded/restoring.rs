//! The folder in which a backup is put back until it is whole.
//!
//! A file in it says what it is, and is locked by whoever fills it. So what a restore has left that was cut short is known
//! for certain, and the next one clears it away.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{BackupError, data_directory};

/// The file that says what the folder is.
const MARK: &str = "restoring";

/// What stands in it.
const TEXT: &[u8] = b"A backup is being put back here: sealpost restore\n";

/// A folder that nobody else fills. It stays until it is finished or abandoned.
#[derive(Debug)]
pub struct Restoring {
    folder: PathBuf,
    /// Carries the lock.
    mark: File,
}

impl Restoring {
    /// Takes the folder, made if it is missing; what another restore has left in it goes.
    pub(super) fn begin(folder: &Path) -> Result<Self, BackupError> {
        let failed = |source| BackupError::Io { path: folder.to_owned(), source };
        data_directory::create(folder).map_err(failed)?;
        let path = folder.join(MARK);
        let is_new = fs::read_dir(folder).map_err(failed)?.next().is_none();
        if !is_new && !path.is_file() {
            return Err(BackupError::NotEmpty(folder.to_owned()));
        }
        sealpost_sqlite::create_file(&path).map_err(failed)?;
        let mut mark = File::options().read(true).write(true).open(&path).map_err(failed)?;
        match mark.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::BeingRestored(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Whoever had the lock before may just have finished, and the folder have another name.
        if !path.is_file() {
            return Err(BackupError::BeingRestored(folder.to_owned()));
        }
        let mut text = Vec::new();
        (&mark).take(TEXT.len() as u64 + 1).read_to_end(&mut text).map_err(failed)?;
        let others = others(folder).map_err(failed)?;
        // Cut short before the mark was written, there is nothing else yet.
        if text != TEXT && !(text.is_empty() && others.is_empty()) {
            return Err(BackupError::NotEmpty(folder.to_owned()));
        }
        for other in others {
            if other.is_dir() { fs::remove_dir_all(&other) } else { fs::remove_file(&other) }.map_err(failed)?;
        }
        if text.is_empty() {
            mark.write_all(TEXT).and_then(|()| mark.sync_all()).map_err(failed)?;
        }
        Ok(Self { folder: folder.to_owned(), mark })
    }

    /// Gives the folder, which is whole, its name.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self, name: &Path) -> io::Result<()> {
        fs::rename(&self.folder, name)?;
        let parent = name.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
        fs::remove_file(name.join(MARK))?;
        drop(self.mark);
        Ok(())
    }

    /// Removes it: it holds copies only.
    pub fn abandon(self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

fn others(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths: io::Result<Vec<_>> = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    Ok(paths?.into_iter().filter(|path| path.file_name() != Some(MARK.as_ref())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_left_is_cleared_and_what_another_fills_is_left() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("data.restoring");
        let first = Restoring::begin(&folder).unwrap();
        fs::create_dir(folder.join("blocks")).unwrap();
        fs::write(folder.join("blocks/state"), b"half").unwrap();
        let refused = Restoring::begin(&folder).unwrap_err();
        assert!(matches!(refused, BackupError::BeingRestored(_)), "{refused}");
        assert!(folder.join("blocks/state").exists());
        drop(first); // as if it was killed
        let second = Restoring::begin(&folder).unwrap();
        assert_eq!(others(&folder).unwrap(), Vec::<PathBuf>::new());
        let name = place.path().join("data");
        second.finish(&name).unwrap();
        assert_eq!(fs::read_dir(&name).unwrap().count(), 0);
    }

    #[test]
    fn what_nobody_is_known_to_have_left_stays() {
        let place = tempfile::tempdir().unwrap();
        for mark in [None, Some(b"mine".as_slice()), Some(b"")] {
            let folder = place.path().join(format!("{}", mark.map_or(9, <[u8]>::len)));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("letter"), b"dear").unwrap();
            if let Some(mark) = mark {
                fs::write(folder.join(MARK), mark).unwrap();
            }
            let refused = Restoring::begin(&folder).unwrap_err();
            assert!(matches!(refused, BackupError::NotEmpty(_)), "{refused}");
            assert!(folder.join("letter").exists());
        }
    }

    #[test]
    fn one_that_was_cut_short_at_once_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("data.restoring");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(MARK), b"").unwrap();
        Restoring::begin(&folder).unwrap().abandon();
        assert!(!folder.exists());
    }
}
