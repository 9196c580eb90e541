//! One process per data directory.
//!
//! Kept: while a [`DirectoryLock`] lives, nobody else holds one on the same directory. The lock belongs to the open
//! file, so the operating system lifts it however the process ends; the file itself stays, as deleting it would let two
//! processes lock two files of the same name.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
};

use crate::private_files::create_file;

/// The exclusive right to a data directory, given back on drop.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

/// Why a directory was not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{} is in use by {holder}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who has it, as far as the lock file tells.
        holder: Holder,
    },
    /// The lock file could not be made or locked.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Who holds a lock: the process id from the lock file, if it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(pub Option<u32>);

impl DirectoryLock {
    /// The file inside the directory that carries the lock, and the process id of its holder for people to read.
    pub const FILE_NAME: &'static str = "lock";

    /// Locks `directory`, which must exist, without waiting.
    ///
    /// # Errors
    ///
    /// [`LockError::Locked`] while another process, or another lock in this one, has it.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: directory.to_owned(), source };
        let mut file = open(&directory.join(Self::FILE_NAME)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Locked { path: directory.to_owned(), holder: Holder::read(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for DirectoryLock {
    /// Closing the file would leave the lock with a child that was begun meanwhile, until that runs its own program.
    fn drop(&mut self) {
        _ = self.file.unlock();
    }
}

impl Holder {
    /// A guess for the message only: it may be missing while the holder writes it, or where a lock forbids reading.
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        let read = file.take(16).read_to_string(&mut text);
        Self(read.ok().and_then(|_| text.trim().parse().ok()))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(formatter, "another process (id {id})"),
            None => formatter.write_str("another process"),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    create_file(path)?;
    File::options().read(true).write(true).open(path)
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", process::id())
}
