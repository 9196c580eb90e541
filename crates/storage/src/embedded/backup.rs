//! Backups: ledger and blocks of one moment, in a folder of their own, also while both are used.
//!
//! Nothing is taken away while a backup is made, so whatever the ledger's copy names is in the blocks that are copied after
//! it. What is appended meanwhile may be there in part: it lies behind the mark of the ledger's copy, and is nobody's. The
//! list of all files with their hashes comes last: without it, and unless each file is what it says, nothing is put back.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{Connection, InterruptHandle};
use sealpost_blocks::Files;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Embedded, EmbeddedContents, FILE_NAME, Restoring, contents, data_directory};
use crate::limits;

/// The list of files, in the backup's folder.
const LIST: &str = "backup.json";

/// What lies in the folder until the list does.
const UNFINISHED: &str = "unfinished";

/// The form of the list.
const VERSION: u32 = 1;

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Its folder.
    pub folder: PathBuf,
    /// Files in it, the list not counted.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// Why no backup was made, or none was put back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The folder holds something already.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The folder holds what a backup has left that was cut short, or what one writes that is being made.
    #[error(
        "{} holds a backup that was not finished: another is being made there, or the relay was stopped meanwhile; if none is \
         being made, remove the folder, or name another", .0.display()
    )]
    HoldsUnfinished(PathBuf),
    /// Another restore is filling the folder.
    #[error("{} is being filled by another restore", .0.display())]
    BeingRestored(PathBuf),
    /// The folder lies in the data directory, which a backup must not change, nor hold itself.
    #[error("{} lies in the data folder {}: a backup goes elsewhere, best to another disk", folder.display(), data.display())]
    InsideData {
        /// The folder for the backup.
        folder: PathBuf,
        /// The data directory.
        data: PathBuf,
    },
    /// The folder lies in another relay's data folder, or in another backup.
    #[error("{} lies in {}, where a relay's data or another backup is: a backup goes elsewhere", folder.display(), other.display())]
    InsideOther {
        /// The folder for the backup.
        folder: PathBuf,
        /// What it lies in.
        other: PathBuf,
    },
    /// Nobody wants it any more: it is made or put back no further, and what was written is removed.
    #[error("it was stopped")]
    Stopped,
    /// There is no list: it is no backup, or was not finished.
    #[error(
        "{} is no finished backup: it has no list of its files, {LIST}, which is written last; if it is what a backup has \
         left that was cut short, it is of no use", .0.display()
    )]
    Unfinished(PathBuf),
    /// A file is not what the list says.
    #[error("the backup is damaged: {}", .0.display())]
    Damaged(PathBuf),
    /// A file could not be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The ledger could not be copied.
    #[error("the ledger could not be copied")]
    Ledger(#[from] rusqlite::Error),
}

/// Stops the making of a backup, or its putting back, from another thread. Clones stop the same one.
#[derive(Debug, Clone, Default)]
pub struct BackupStop(Arc<Stop>);

#[derive(Default)]
struct Stop {
    is_stopped: AtomicBool,
    /// Of the connection that copies the ledger, which looks at nothing else meanwhile.
    statement: Mutex<Option<InterruptHandle>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct List {
    version: u32,
    files: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    /// Below the folder, with `/`.
    name: String,
    length: u64,
    /// BLAKE3, in hexadecimal digits.
    hash: String,
}

impl EmbeddedContents {
    /// Makes a backup in `folder`, which is made if it is missing and must be empty, with `further` files of the data
    /// directory. Blocks on the disk; until it is done, nothing that is let go of goes.
    ///
    /// # Errors
    /// [`BackupError`]; what was written by then is removed.
    pub fn back_up(&self, folder: &Path, further: &[&str], stop: &BackupStop) -> Result<BackupReport, BackupError> {
        if data_directory::is_inside(folder, &self.data_directory).map_err(failed(folder))? {
            let (folder, data) = (folder.to_owned(), self.data_directory.clone());
            return Err(BackupError::InsideData { folder, data });
        }
        if let Some(other) = Embedded::above(folder).map_err(failed(folder))? {
            return Err(BackupError::InsideOther { folder: folder.to_owned(), other });
        }
        let was_there = folder.exists();
        if is_unfinished_in(folder) {
            return Err(BackupError::HoldsUnfinished(folder.to_owned()));
        }
        make_empty(folder)?;
        let made = self.copy_into(folder, further, stop);
        if made.is_err() {
            // The list would be the last: what stays though it should go is no backup.
            _ = if was_there { empty(folder) } else { fs::remove_dir_all(folder) };
        }
        made
    }

    fn copy_into(&self, folder: &Path, further: &[&str], stop: &BackupStop) -> Result<BackupReport, BackupError> {
        let _kept = self.blocks.keeping.write().unwrap_or_else(PoisonError::into_inner);
        stop.check()?;
        write(folder, UNFINISHED, &mut |_| Ok(0))?;
        let mut files = vec![copy_ledger(&self.data_directory, folder, stop)?];
        for name in further {
            let path = self.data_directory.join(name);
            let mut file = File::open(&path).map_err(failed(&path))?;
            files.push(write(folder, name, &mut |buffer| file.read(buffer))?);
        }
        copy_blocks(self.blocks.files(), folder, &mut files, stop)?;
        let list = List { version: VERSION, files };
        let report = BackupReport {
            folder: folder.to_owned(),
            files: list.files.len() as u64,
            bytes: list.files.iter().map(|file| file.length).sum(),
        };
        let path = folder.join(LIST);
        let json = serde_json::to_vec_pretty(&list).map_err(io::Error::other).map_err(failed(&path))?;
        stop.check()?;
        let mut json = json.as_slice();
        write(folder, LIST, &mut |buffer| json.read(buffer))?;
        let unfinished = folder.join(UNFINISHED);
        fs::remove_file(&unfinished).map_err(failed(&unfinished))?;
        Ok(report)
    }
}

impl BackupStop {
    /// Stops it. A backup that is made already stays.
    pub fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::SeqCst);
        if let Some(statement) = &*self.0.statement.lock().unwrap_or_else(PoisonError::into_inner) {
            statement.interrupt();
        }
    }

    fn check(&self) -> Result<(), BackupError> {
        if self.0.is_stopped.load(Ordering::SeqCst) { Err(BackupError::Stopped) } else { Ok(()) }
    }

    /// Runs what a stop is to interrupt.
    fn interrupt<T>(
        &self,
        connection: &Connection,
        act: impl FnOnce() -> rusqlite::Result<T>,
    ) -> Result<T, BackupError> {
        let set = |handle| *self.0.statement.lock().unwrap_or_else(PoisonError::into_inner) = handle;
        set(Some(connection.get_interrupt_handle()));
        let done = self.check().and_then(|()| act().map_err(BackupError::from));
        set(None);
        self.check().and(done)
    }
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stop").field("is_stopped", &self.is_stopped).finish_non_exhaustive()
    }
}

/// Puts a backup's files into `directory`, which is made and must be empty, or what a restore has left that was cut short. All
/// of them are checked before anything is written. Blocks on the disk.
///
/// # Errors
/// [`BackupError`]; what was written by then is removed.
pub fn restore_files(
    backup: &Path,
    directory: &Path,
    stop: &BackupStop,
) -> Result<(BackupReport, Restoring), BackupError> {
    let list = read_list(backup)?;
    for entry in &list.files {
        stop.check()?;
        let path = backup.join(&entry.name);
        let mut file = File::open(&path).map_err(|_| BackupError::Damaged(path.clone()))?;
        let found = measure(&entry.name, &mut |buffer| file.read(buffer), &mut |_| Ok(())).map_err(failed(&path))?;
        if (found.length, &found.hash) != (entry.length, &entry.hash) {
            return Err(BackupError::Damaged(path));
        }
    }
    let restoring = Restoring::begin(directory)?;
    if let Err(error) = copy_files(backup, directory, &list.files, stop) {
        restoring.abandon();
        return Err(error);
    }
    let bytes = list.files.iter().map(|file| file.length).sum();
    Ok((BackupReport { folder: backup.to_owned(), files: list.files.len() as u64, bytes }, restoring))
}

fn copy_files(backup: &Path, directory: &Path, files: &[Entry], stop: &BackupStop) -> Result<(), BackupError> {
    for entry in files {
        stop.check()?;
        let path = backup.join(&entry.name);
        let mut file = File::open(&path).map_err(failed(&path))?;
        let written = write(directory, &entry.name, &mut |buffer| file.read(buffer))?;
        if written.hash != entry.hash {
            return Err(BackupError::Damaged(path));
        }
    }
    stop.check()
}

fn read_list(backup: &Path) -> Result<List, BackupError> {
    let path = backup.join(LIST);
    let json = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BackupError::Unfinished(backup.to_owned()));
        }
        other => other.map_err(failed(&path))?,
    };
    let list: List = serde_json::from_slice(&json).map_err(|_| BackupError::Damaged(path.clone()))?;
    let has_ledger = list.files.iter().any(|file| file.name == FILE_NAME);
    if list.version != VERSION || !has_ledger || !list.files.iter().all(|file| is_plain(&file.name)) {
        return Err(BackupError::Damaged(path));
    }
    Ok(list)
}

/// Whether a folder is a backup that was finished, whole or not.
pub(super) fn is_finished_in(folder: &Path) -> bool {
    folder.join(LIST).is_file() && Embedded::is_in(folder)
}

/// Whether a folder is a backup that was not finished.
pub(super) fn is_unfinished_in(folder: &Path) -> bool {
    folder.join(UNFINISHED).is_file() && !folder.join(LIST).is_file()
}

/// Whether a name stays inside its folder.
fn is_plain(name: &str) -> bool {
    let name = name.strip_prefix("blocks/").unwrap_or(name);
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_plain)
}

/// A folder that is there and holds nothing.
fn make_empty(folder: &Path) -> Result<(), BackupError> {
    data_directory::create(folder).map_err(failed(folder))?;
    let mut entries = fs::read_dir(folder).map_err(failed(folder))?;
    if entries.next().is_some() { Err(BackupError::NotEmpty(folder.to_owned())) } else { Ok(()) }
}

/// Takes out of a folder that was empty what a backup has put there: the list first, so that nothing whole is cut.
fn empty(folder: &Path) -> io::Result<()> {
    _ = fs::remove_file(folder.join(LIST));
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        if is_folder { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

/// One committed state of the ledger, as a file of its own.
fn copy_ledger(data_directory: &Path, folder: &Path, stop: &BackupStop) -> Result<Entry, BackupError> {
    let (from, to) = (data_directory.join(FILE_NAME), folder.join(FILE_NAME));
    sealpost_sqlite::create_file(&to).map_err(failed(&to))?;
    let connection = Connection::open(&from)?;
    stop.interrupt(&connection, || connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]))?;
    let mut file = File::open(&to).map_err(failed(&to))?;
    let entry = measure(FILE_NAME, &mut |buffer| file.read(buffer), &mut |_| Ok(())).map_err(failed(&to))?;
    file.sync_all().map_err(failed(&to))?;
    Ok(entry)
}

/// The inventory first: what follows it is read from the segments, so those may be newer.
fn copy_blocks(
    files: &dyn Files,
    folder: &Path,
    copied: &mut Vec<Entry>,
    stop: &BackupStop,
) -> Result<(), BackupError> {
    let directory = folder.join(contents::DIRECTORY);
    data_directory::create(&directory).map_err(failed(&directory))?;
    let is_inventory = |name: &str| !name.contains('.');
    for takes_inventory in [true, false] {
        for (name, length) in files.list().map_err(failed(&directory))? {
            stop.check()?;
            if is_inventory(&name) == takes_inventory {
                let mut at = 0;
                let mut read = |buffer: &mut [u8]| {
                    let now = usize::try_from(length - at).unwrap_or(usize::MAX).min(buffer.len());
                    files.read(&name, at, buffer.get_mut(..now).unwrap_or_default())?;
                    at += now as u64;
                    Ok(now)
                };
                copied.push(write(folder, &format!("{}/{name}", contents::DIRECTORY), &mut read)?);
            }
        }
    }
    Ok(())
}

type Source<'a> = dyn FnMut(&mut [u8]) -> io::Result<usize> + 'a;

/// Writes a file below `folder`, durably.
fn write(folder: &Path, name: &str, source: &mut Source<'_>) -> Result<Entry, BackupError> {
    let path = folder.join(name);
    let parent = path.parent().unwrap_or(folder);
    data_directory::create(parent).map_err(failed(parent))?;
    sealpost_sqlite::create_file(&path).map_err(failed(&path))?;
    let mut act = || -> io::Result<Entry> {
        let mut file = File::options().write(true).truncate(true).open(&path)?;
        let entry = measure(name, source, &mut |bytes| file.write_all(bytes))?;
        file.sync_all()?;
        File::open(parent)?.sync_all()?;
        Ok(entry)
    };
    act().map_err(failed(&path))
}

/// Reads a source to its end, hands it on, and says what it was.
fn measure(name: &str, source: &mut Source<'_>, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<Entry> {
    let (mut buffer, mut hasher, mut length) = (vec![0; limits::COPIED_AT_ONCE], blake3::Hasher::new(), 0);
    loop {
        let count = source(&mut buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Entry { name: name.to_owned(), length, hash: hasher.finalize().to_hex().to_string() });
        }
        hasher.update(bytes);
        sink(bytes)?;
        length += count as u64;
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { path, source }
}
