//! Files in memory: for tests, and for what need not outlive its process.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Files;

/// Files by name.
#[derive(Debug, Default)]
pub struct MemoryFiles {
    files: Mutex<HashMap<String, Vec<u8>>>,
}

impl MemoryFiles {
    fn files(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a file that a read or an overwrite is about.
fn part<'a>(
    files: &'a mut HashMap<String, Vec<u8>>,
    name: &str,
    offset: u64,
    length: usize,
) -> io::Result<&'a mut [u8]> {
    let file = files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    let part = start.checked_add(length).and_then(|end| file.get_mut(start..end));
    part.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

impl Files for MemoryFiles {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        Ok(self.files().iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
    }

    fn append(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files();
        let length = files.get(name).map_or(0, |file| file.len() as u64);
        if length != offset {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        files.entry(name.to_owned()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.copy_from_slice(part(&mut self.files(), name, offset, buffer.len())?);
        Ok(())
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        part(&mut self.files(), name, offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        if self.files().contains_key(name) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name);
        Ok(())
    }
}
