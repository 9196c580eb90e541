//! Files that stay as they are: what is changed of them is kept in memory, and forgotten.
//!
//! Opening a store makes its files fit for writing: it gives up what lies behind the mark, begins a segment, writes the
//! inventory. Whoever only looks does so in a copy of this kind, since the mark may come from a ledger that is not the right
//! one.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Files, length};

/// Other files, and what is different of them here.
pub struct UntouchedFiles {
    below: Arc<dyn Files>,
    /// `None`: removed.
    changed: Mutex<HashMap<String, Option<Changed>>>,
}

/// A file that is not as it is below.
#[derive(Debug, Default)]
struct Changed {
    length: u64,
    /// How much of it lies below.
    below: u64,
    /// What lies over that, the latest last.
    written: Vec<(u64, Vec<u8>)>,
}

impl UntouchedFiles {
    /// A view of these files.
    #[must_use]
    pub fn new(below: Arc<dyn Files>) -> Self {
        Self { below, changed: Mutex::default() }
    }

    fn changed(&self) -> MutexGuard<'_, HashMap<String, Option<Changed>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a file, which is none yet if `make` and it is not there.
    fn change<T>(&self, name: &str, make: bool, act: impl FnOnce(&mut Changed) -> io::Result<T>) -> io::Result<T> {
        let mut all = self.changed();
        if !all.contains_key(name) {
            let found = match length(&*self.below, name) {
                Ok(below) => Some(Changed { length: below, below, written: Vec::new() }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            all.insert(name.to_owned(), found);
        }
        let file = all.entry(name.to_owned()).or_default();
        match file {
            Some(file) => act(file),
            None if make => {
                let mut made = Changed::default();
                let done = act(&mut made)?;
                *file = Some(made);
                Ok(done)
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Files for UntouchedFiles {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let changed = self.changed();
        let mut files = self.below.list()?;
        files.retain(|(name, _)| !changed.contains_key(name));
        files.extend(changed.iter().filter_map(|(name, file)| Some((name.clone(), file.as_ref()?.length))));
        Ok(files)
    }

    fn append(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(name, offset == 0, |file| {
            if file.length != offset {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            file.written.push((offset, bytes.to_vec()));
            file.length += bytes.len() as u64;
            Ok(())
        })
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::ErrorKind::InvalidInput.into(),
            _ => error,
        })
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let changed = self.changed();
        match changed.get(name) {
            None => self.below.read(name, offset, buffer),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            Some(Some(file)) => file.read(&*self.below, name, offset, buffer),
        }
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(name, false, |file| {
            if offset.saturating_add(bytes.len() as u64) > file.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.written.push((offset, bytes.to_vec()));
            Ok(())
        })
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.change(name, false, |_| Ok(()))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = Changed { length: bytes.len() as u64, below: 0, written: vec![(0, bytes.to_vec())] };
        self.changed().insert(name.to_owned(), Some(new));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.changed().insert(name.to_owned(), None);
        Ok(())
    }
}

impl Changed {
    fn read(&self, below: &dyn Files, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from_below = usize::try_from(self.below.min(end).saturating_sub(offset)).map_err(io::Error::other)?;
        if let Some(part) = buffer.get_mut(..from_below).filter(|part| !part.is_empty()) {
            below.read(name, offset, part)?;
        }
        for (start, bytes) in &self.written {
            let (first, last) = (offset.max(*start), end.min(start + bytes.len() as u64));
            if first >= last {
                continue;
            }
            let count = (last - first) as usize;
            let (to, from) = ((first - offset) as usize, (first - start) as usize);
            if let (Some(to), Some(from)) = (buffer.get_mut(to..to + count), bytes.get(from..from + count)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }
}
