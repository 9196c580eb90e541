//! Files that forget, in a crash, what was not flushed.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use sealpost_blocks::Files;

/// What a medium writes at once.
const SECTOR: usize = 512;

#[derive(Debug, Clone, Default)]
struct File {
    /// What a crash leaves for certain; `None` if not even the name is durable.
    durable: Option<Vec<u8>>,
    now: Vec<u8>,
    is_removed: bool,
}

/// Files of which a crash keeps what was flushed, and any sectors of the rest.
#[derive(Debug, Default)]
pub(crate) struct ForgetfulFiles {
    files: Mutex<BTreeMap<String, File>>,
    /// Calls that change something until the power fails; then they fail too.
    power: AtomicU64,
    /// Whether a call has failed for it since the last crash.
    is_out: AtomicBool,
    /// What the medium may still hold of files that were removed, as they were flushed and as they were.
    removed: Mutex<Vec<Vec<u8>>>,
}

impl ForgetfulFiles {
    pub(crate) fn new() -> Self {
        Self { power: AtomicU64::new(u64::MAX), ..Self::default() }
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
        let files = self.files.lock().unwrap();
        let there = files.iter().filter(|(name, file)| name.ends_with(end) && !file.is_removed);
        there.map(|(name, file)| (name.clone(), file.now.clone())).collect()
    }

    /// Takes what the medium may still hold of files that were removed.
    pub(crate) fn take_removed(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.removed.lock().unwrap())
    }

    /// The power fails, and returns.
    pub(crate) fn crash(&self, random: &mut fastrand::Rng) {
        let mut files = self.files.lock().unwrap();
        for file in files.values_mut() {
            let is_kept = file.durable.is_some() || random.bool();
            let before = file.durable.clone().unwrap_or_default();
            file.is_removed &= random.bool();
            let after = torn(&before, &file.now, random);
            file.durable = (is_kept && !file.is_removed).then(|| after.clone());
            file.now = after;
        }
        files.retain(|_, file| file.durable.is_some());
        self.power.store(u64::MAX, Ordering::SeqCst);
        self.is_out.store(false, Ordering::SeqCst);
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
        let files = self.files.lock().unwrap();
        let there = files.iter().filter(|(_, file)| !file.is_removed);
        Ok(there.map(|(name, file)| (name.clone(), file.now.len() as u64)).collect())
    }

    fn append(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change()?;
        let mut files = self.files.lock().unwrap();
        let file = files.entry(name.to_owned()).or_default();
        if std::mem::take(&mut file.is_removed) {
            *file = File::default();
        }
        if file.now.len() as u64 != offset {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        file.now.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let files = self.files.lock().unwrap();
        let file = files.get(name).filter(|file| !file.is_removed).ok_or(io::ErrorKind::NotFound)?;
        let bytes = file.now.get(offset as usize..).and_then(|bytes| bytes.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change()?;
        let mut files = self.files.lock().unwrap();
        let file = files.get_mut(name).filter(|file| !file.is_removed).ok_or(io::ErrorKind::NotFound)?;
        let part = file.now.get_mut(offset as usize..).and_then(|part| part.get_mut(..bytes.len()));
        part.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.change()?;
        let mut files = self.files.lock().unwrap();
        let file = files.get_mut(name).filter(|file| !file.is_removed).ok_or(io::ErrorKind::NotFound)?;
        file.durable = Some(file.now.clone());
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change()?;
        let file = File { durable: Some(bytes.to_vec()), now: bytes.to_vec(), is_removed: false };
        self.files.lock().unwrap().insert(name.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change()?;
        if let Some(file) = self.files.lock().unwrap().get_mut(name).filter(|file| !file.is_removed) {
            file.is_removed = true;
            self.removed.lock().unwrap().extend(file.durable.clone().into_iter().chain([file.now.clone()]));
        }
        Ok(())
    }
}
