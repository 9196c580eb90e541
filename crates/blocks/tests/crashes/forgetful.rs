//! Files that forget, in a crash, what was not flushed: kept in memory, or in a real folder.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use sealpost_blocks::{Files, MemoryFiles};

use crate::tearing::read_file;

/// What a medium writes at once.
const SECTOR: usize = 512;

/// What is known of a file beside what it is now, which the files below tell.
#[derive(Debug, Default)]
struct File {
    /// What a crash leaves for certain; `None` if not even the name is durable.
    durable: Option<Vec<u8>>,
    /// What it was when it was removed: a crash may undo that.
    removed: Option<Vec<u8>>,
}

/// Files of which a crash keeps what was flushed, and any sectors of the rest.
pub(crate) struct ForgetfulFiles {
    /// Opens the files below, as a process does that starts.
    open: Box<dyn Fn() -> Arc<dyn Files> + Send + Sync>,
    below: RwLock<Arc<dyn Files>>,
    files: Mutex<BTreeMap<String, File>>,
    /// Calls that change something until the power fails; then they fail too.
    power: AtomicU64,
    /// Whether a call has failed for it since the last crash.
    is_out: AtomicBool,
    /// What the medium may still hold of files that were removed, as they were flushed and as they were.
    removed: Mutex<Vec<Vec<u8>>>,
}

impl ForgetfulFiles {
    /// None yet, in memory.
    pub(crate) fn new() -> Self {
        let files: Arc<dyn Files> = Arc::new(MemoryFiles::default());
        Self::over(move || Arc::clone(&files))
    }

    /// None yet, where `open` leads to each time.
    pub(crate) fn over(open: impl Fn() -> Arc<dyn Files> + Send + Sync + 'static) -> Self {
        Self {
            below: RwLock::new(open()),
            open: Box::new(open),
            files: Mutex::default(),
            power: AtomicU64::new(u64::MAX),
            is_out: AtomicBool::new(false),
            removed: Mutex::default(),
        }
    }

    /// After this many more changes nothing works until the next [`ForgetfulFiles::crash`].
    pub(crate) fn fail_after(&self, changes: u64) {
        self.power.store(changes, Ordering::SeqCst);
    }

    /// Whether a call has failed because the power had.
    pub(crate) fn is_out(&self) -> bool {
        self.is_out.load(Ordering::SeqCst)
    }

    /// The bytes of every file that is there.
    pub(crate) fn contents(&self) -> Vec<Vec<u8>> {
        self.named("").into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// The files whose names end so, with their bytes.
    pub(crate) fn named(&self, end: &str) -> Vec<(String, Vec<u8>)> {
        let below = self.below();
        let names = below.list().unwrap().into_iter().map(|(name, _)| name).filter(|name| name.ends_with(end));
        names.map(|name| (name.clone(), read_file(&*below, &name))).collect()
    }

    /// Takes what the medium may still hold of files that were removed.
    pub(crate) fn take_removed(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.removed.lock().unwrap())
    }

    /// The power fails, and returns.
    pub(crate) fn crash(&self, random: &mut fastrand::Rng) {
        let below = self.below();
        self.files().retain(|name, file| {
            let is_kept = file.durable.is_some() || random.bool();
            let before = file.durable.take().unwrap_or_default();
            let stays_removed = random.bool();
            let (now, is_there) = match file.removed.take() {
                None => (read_file(&*below, name), true),
                Some(removed) => (removed, !stays_removed),
            };
            let after = torn(&before, &now, random);
            if is_kept && is_there {
                below.replace(name, &after).unwrap();
                file.durable = Some(after);
            } else {
                below.remove(name).unwrap();
            }
            file.durable.is_some()
        });
        drop(below);
        self.kill();
    }

    /// The process ends wherever it is, and another opens the files: nothing is forgotten, and nothing more durable.
    pub(crate) fn kill(&self) {
        self.power.store(u64::MAX, Ordering::SeqCst);
        self.is_out.store(false, Ordering::SeqCst);
        *self.below.write().unwrap() = (self.open)();
    }

    fn below(&self) -> Arc<dyn Files> {
        Arc::clone(&self.below.read().unwrap())
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.files.lock().unwrap()
    }

    fn change(&self) -> io::Result<()> {
        let spend = |left: u64| if left == u64::MAX { Some(left) } else { left.checked_sub(1) };
        let spent = self.power.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend);
        spent.map(|_| ()).map_err(|_| {
            self.is_out.store(true, Ordering::SeqCst);
            io::Error::other("the power failed")
        })
    }
}

/// The old bytes with some sectors of the new ones, and some of the new length.
fn torn(before: &[u8], now: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let shortest = before.len().min(now.len());
    let length = random.usize(shortest..=before.len().max(now.len()));
    let mut after = before.to_vec();
    after.resize(length, 0);
    for (index, sector) in after.chunks_mut(SECTOR).enumerate() {
        if random.bool() {
            let new = now.get(index * SECTOR..).unwrap_or_default();
            let count = new.len().min(sector.len());
            sector[..count].copy_from_slice(&new[..count]);
        }
    }
    after
}

impl Files for ForgetfulFiles {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.below().list()
    }

    fn append(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change()?;
        let mut files = self.files();
        self.below().append(name, offset, bytes)?;
        let file = files.entry(name.to_owned()).or_default();
        if file.removed.is_some() {
            *file = File::default();
        }
        Ok(())
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.below().read(name, offset, buffer)
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change()?;
        let _held = self.files();
        self.below().overwrite(name, offset, bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.change()?;
        let mut files = self.files();
        let below = self.below();
        below.sync(name)?;
        files.entry(name.to_owned()).or_default().durable = Some(read_file(&*below, name));
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change()?;
        let mut files = self.files();
        self.below().replace(name, bytes)?;
        files.insert(name.to_owned(), File { durable: Some(bytes.to_vec()), removed: None });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change()?;
        let mut files = self.files();
        let below = self.below();
        if let Some(file) = files.get_mut(name).filter(|file| file.removed.is_none()) {
            let now = read_file(&*below, name);
            self.removed.lock().unwrap().extend(file.durable.clone().into_iter().chain([now.clone()]));
            file.removed = Some(now);
        }
        below.remove(name)
    }
}
