//! Files that keep, in a second directory, what was flushed of them and nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sealpost_blocks::{DiskFiles, Files};
use tempfile::TempDir;

pub(super) struct FlushedFiles {
    files: DiskFiles,
    directory: PathBuf,
    flushed: TempDir,
    syncs: AtomicU64,
    fails: AtomicBool,
    leaves_out: AtomicBool,
    delay: Mutex<Duration>,
}

impl FlushedFiles {
    pub(super) fn over(files: DiskFiles, directory: &Path) -> Self {
        Self {
            files,
            directory: directory.to_owned(),
            flushed: tempfile::tempdir().unwrap(),
            syncs: AtomicU64::new(0),
            fails: AtomicBool::new(false),
            leaves_out: AtomicBool::new(false),
            delay: Mutex::new(Duration::ZERO),
        }
    }

    /// Where what was flushed is.
    pub(super) fn flushed(&self) -> &Path {
        self.flushed.path()
    }

    /// How often a file was flushed.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    /// Each flush takes this long from now on.
    pub(super) fn delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    /// Says of flushes from now on that they were done.
    pub(super) fn leave_out_flushes(&self) {
        self.leaves_out.store(true, Ordering::SeqCst);
    }

    pub(super) fn fail_next_flush(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    fn keep(&self, name: &str) -> io::Result<()> {
        fs::copy(self.directory.join(name), self.flushed.path().join(name)).map(drop)
    }
}

impl Files for FlushedFiles {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.files.list()
    }

    fn append(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.files.append(name, offset, bytes)
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.files.read(name, offset, buffer)
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.files.overwrite(name, offset, bytes)
    }

    #[expect(clippy::disallowed_methods, reason = "the time that a flush takes is what is tested")]
    fn sync(&self, name: &str) -> io::Result<()> {
        if self.fails.swap(false, Ordering::SeqCst) {
            return Err(io::Error::other("the flush failed"));
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.leaves_out.load(Ordering::SeqCst) {
            return Ok(());
        }
        std::thread::sleep(*self.delay.lock().unwrap());
        self.files.sync(name)?;
        self.keep(name)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.replace(name, bytes)?;
        self.keep(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)?;
        match fs::remove_file(self.flushed.path().join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
