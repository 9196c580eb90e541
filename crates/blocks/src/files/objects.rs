//! Files as objects of an S3-compatible store.
//!
//! Objects cannot grow, so a file that is appended to is a row of parts, `name/offset`, each uploaded whole by a flush
//! or when [`limits::OBJECT_PART`] bytes have gathered; a file that is replaced is one part. A part is there or it is
//! not: nothing is torn. What was appended and not flushed is in memory only. So is the part that was overwritten last: many
//! small changes of it are one upload.
//!
//! Whoever opens the same prefix twice at once loses data: an object store has no lock that a crash lifts.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{Error, ObjectStore, ObjectStoreExt, path::Path};
use tokio::runtime::Runtime;

use super::Files;
use crate::limits;

/// Files below one prefix of a bucket.
pub struct ObjectFiles {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    runtime: Runtime,
    held: Mutex<Held>,
    /// What was downloaded last: blocks are read in strips.
    window: Mutex<Option<Window>>,
}

/// Bytes of one part.
#[derive(Debug, Clone)]
struct Window {
    part: Path,
    start: u64,
    bytes: Bytes,
}

/// What is known of the objects, and what is not yet in them.
#[derive(Debug, Default)]
struct Held {
    files: HashMap<String, Parts>,
    /// One uploaded part of all, as it is to be uploaded anew.
    overwritten: Option<Overwritten>,
}

/// A file: its uploaded parts by offset, and what follows them.
#[derive(Debug, Default)]
struct Parts {
    uploaded: BTreeMap<u64, u64>,
    pending: Vec<u8>,
}

#[derive(Debug)]
struct Overwritten {
    name: String,
    start: u64,
    bytes: Vec<u8>,
}

impl Held {
    /// What of this file was overwritten, if it is that one.
    fn overwritten_of(&self, name: &str) -> Option<&Overwritten> {
        self.overwritten.as_ref().filter(|known| known.name == name)
    }

    /// Forgets what of this file was overwritten: it is replaced or goes.
    fn forget_overwritten(&mut self, name: &str) {
        self.overwritten.take_if(|known| known.name == name);
    }
}

impl Parts {
    fn uploaded_end(&self) -> u64 {
        self.uploaded.last_key_value().map_or(0, |(offset, length)| offset + length)
    }

    fn end(&self) -> u64 {
        self.uploaded_end() + self.pending.len() as u64
    }

    /// The range of so many bytes, if the file has them.
    fn inside(&self, offset: u64, length: usize) -> io::Result<Range<u64>> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.end());
        Ok(offset..end.ok_or(io::ErrorKind::UnexpectedEof)?)
    }

    /// The uploaded parts that a range touches.
    fn touched(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let parts = self.uploaded.iter().map(|(offset, length)| *offset..offset + length);
        parts.filter(|part| part.start < range.end && range.start < part.end).collect()
    }
}

impl ObjectFiles {
    /// Opens the files below `prefix`, and lists them. Calls block, and must not come from a thread that drives an
    /// asynchronous runtime.
    ///
    /// # Errors
    /// What the store or the operating system reports.
    pub fn open(store: Arc<dyn ObjectStore>, prefix: &str) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let prefix = Path::parse(prefix).map_err(io::Error::other)?;
        let files = Self { store, prefix, runtime, held: Mutex::default(), window: Mutex::default() };
        files.load()?;
        Ok(files)
    }

    fn load(&self) -> io::Result<()> {
        let objects = self.store.list(Some(&self.prefix)).try_collect::<Vec<_>>();
        let objects = self.runtime.block_on(objects).map_err(io::Error::other)?;
        let mut held = self.held();
        for object in objects {
            let mut names = object.location.prefix_match(&self.prefix).into_iter().flatten();
            let (name, offset) = (names.next(), names.next());
            let offset = offset.and_then(|offset| u64::from_str_radix(offset.as_ref(), 16).ok());
            if let (Some(name), Some(offset)) = (name, offset) {
                held.files.entry(name.as_ref().to_owned()).or_default().uploaded.insert(offset, object.size);
            }
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn part(&self, name: &str, offset: u64) -> Path {
        self.prefix.clone().join(name).join(format!("{offset:016x}"))
    }

    fn upload(&self, name: &str, offset: u64, bytes: Vec<u8>) -> io::Result<()> {
        let part = self.part(name, offset);
        *self.window() = None;
        self.runtime.block_on(self.store.put(&part, Bytes::from(bytes).into())).map(|_| ()).map_err(io_error)
    }

    /// Bytes of a part, both by their places in the file. At least [`limits::SCAN`] are fetched.
    fn download(&self, name: &str, part: Range<u64>, range: Range<u64>) -> io::Result<Bytes> {
        let path = self.part(name, part.start);
        let (start, end) = (range.start - part.start, range.end - part.start);
        let inside = |window: &Window| {
            let first = start.checked_sub(window.start).filter(|_| window.part == path)? as usize;
            let last = (end - window.start) as usize;
            (last <= window.bytes.len()).then(|| window.bytes.slice(first..last))
        };
        if let Some(bytes) = self.window().as_ref().and_then(inside) {
            return Ok(bytes);
        }
        let fetched = start..end.max((start + limits::SCAN as u64).min(part.end - part.start));
        let bytes = self.runtime.block_on(self.store.get_range(&path, fetched)).map_err(io_error)?;
        let wanted = bytes.slice(..bytes.len().min((end - start) as usize));
        *self.window() = Some(Window { part: path, start, bytes });
        Ok(wanted)
    }

    fn window(&self) -> MutexGuard<'_, Option<Window>> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delete(&self, name: &str, offset: u64) -> io::Result<()> {
        *self.window() = None;
        match self.runtime.block_on(self.store.delete(&self.part(name, offset))) {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other.map_err(io_error),
        }
    }

    /// The part, whole, to be overwritten; another that was is uploaded before.
    fn to_overwrite<'a>(&self, held: &'a mut Held, name: &str, part: Range<u64>) -> io::Result<&'a mut [u8]> {
        if held.overwritten_of(name).is_none_or(|known| known.start != part.start) {
            self.upload_overwritten(held)?;
            let bytes = self.download(name, part.clone(), part.clone())?.to_vec();
            held.overwritten = Some(Overwritten { name: name.to_owned(), start: part.start, bytes });
        }
        Ok(held.overwritten.as_mut().map(|known| known.bytes.as_mut_slice()).unwrap_or_default())
    }

    fn upload_overwritten(&self, held: &mut Held) -> io::Result<()> {
        if let Some(Overwritten { name, start, bytes }) = &held.overwritten {
            self.upload(name, *start, bytes.clone())?;
            held.overwritten = None;
        }
        Ok(())
    }

    fn upload_pending(&self, name: &str, parts: &mut Parts) -> io::Result<()> {
        if !parts.pending.is_empty() {
            let offset = parts.uploaded_end();
            self.upload(name, offset, parts.pending.clone())?;
            parts.uploaded.insert(offset, parts.pending.len() as u64);
            parts.pending.clear();
        }
        Ok(())
    }
}

impl Files for ObjectFiles {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        Ok(self.held().files.iter().map(|(name, parts)| (name.clone(), parts.end())).collect())
    }

    fn append(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut held = self.held();
        if held.files.get(name).map_or(0, Parts::end) != offset {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let parts = held.files.entry(name.to_owned()).or_default();
        if !parts.pending.is_empty() && parts.pending.len() + bytes.len() > limits::OBJECT_PART {
            self.upload_pending(name, parts)?;
        }
        parts.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let (wanted, uploaded) = {
            let held = self.held();
            let parts = held.files.get(name).ok_or(io::ErrorKind::NotFound)?;
            let wanted = parts.inside(offset, buffer.len())?;
            let mut uploaded = parts.touched(&wanted);
            if let Some(Overwritten { start, bytes, .. }) = held.overwritten_of(name) {
                uploaded.retain(|part| part.start != *start);
                copy(buffer, offset, *start, bytes);
            }
            copy(buffer, offset, parts.uploaded_end(), &parts.pending);
            (wanted, uploaded)
        };
        for part in uploaded {
            let range = wanted.start.max(part.start)..wanted.end.min(part.end);
            let bytes = self.download(name, part, range.clone())?;
            copy(buffer, offset, range.start, &bytes);
        }
        Ok(())
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut held = self.held();
        let parts = held.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let touched = parts.touched(&parts.inside(offset, bytes.len())?);
        let start = parts.uploaded_end();
        copy(&mut parts.pending, start, offset, bytes);
        for part in touched {
            let start = part.start;
            copy(self.to_overwrite(&mut held, name, part)?, start, offset, bytes);
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut held = self.held();
        if held.overwritten_of(name).is_some() {
            self.upload_overwritten(&mut held)?;
        }
        let parts = held.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        self.upload_pending(name, parts)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut held = self.held();
        held.forget_overwritten(name);
        // The first part is replaced in one step; a longer file that was appended to loses its other parts first.
        let known = held.files.get(name).into_iter().flat_map(|parts| parts.uploaded.keys().copied());
        let others: Vec<u64> = known.filter(|at| *at > 0).collect();
        others.into_iter().try_for_each(|offset| self.delete(name, offset))?;
        self.upload(name, 0, bytes.to_vec())?;
        let parts = Parts { uploaded: BTreeMap::from([(0, bytes.len() as u64)]), pending: Vec::new() };
        held.files.insert(name.to_owned(), parts);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut held = self.held();
        held.forget_overwritten(name);
        let Some(parts) = held.files.get(name) else { return Ok(()) };
        // The last part first: what is left after a crash is a shorter file, not one with a hole.
        parts.uploaded.keys().rev().try_for_each(|offset| self.delete(name, *offset))?;
        held.files.remove(name);
        Ok(())
    }
}

/// Copies the part of `from`, which begins at `from_start`, that lies in `to`, which begins at `to_start`.
fn copy(to: &mut [u8], to_start: u64, from_start: u64, from: &[u8]) {
    let skip_to = from_start.saturating_sub(to_start).min(to.len() as u64) as usize;
    let skip_from = to_start.saturating_sub(from_start).min(from.len() as u64) as usize;
    if let (Some(to), Some(from)) = (to.get_mut(skip_to..), from.get(skip_from..)) {
        let length = to.len().min(from.len());
        if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
            to.copy_from_slice(from);
        }
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::NotFound { .. } => io::ErrorKind::NotFound.into(),
        other => io::Error::other(other),
    }
}

impl fmt::Debug for ObjectFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ObjectFiles").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
