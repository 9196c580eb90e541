//! The port below the store: files that grow at their end.
//!
//! Segments, tables and the state are such files. What a store promises rests on what a file layer promises here; every
//! layer passes the suite in `conformance`.

mod disk;
mod memory;
#[cfg(feature = "object-store")]
mod objects;
mod untouched;

use std::io;

pub use disk::DiskFiles;
pub use memory::MemoryFiles;
#[cfg(feature = "object-store")]
pub use objects::ObjectFiles;
pub use untouched::UntouchedFiles;

/// Named files. Names are short and of lower-case letters, digits, `-` and `.`.
///
/// Errors are of the kinds `NotFound` for a name that is not there, `UnexpectedEof` for what lies behind a file's end,
/// `InvalidInput` for a write that does not begin where it must, and whatever the layer below reports.
pub trait Files: Send + Sync {
    /// Names and lengths of all files, in no order.
    ///
    /// # Errors
    /// What the layer below reports.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Writes at the end, which `offset` must name; at 0 it makes the file. Durable after [`Files::sync`].
    ///
    /// # Errors
    /// `InvalidInput` if the file ends elsewhere. After any failure, part of the bytes may be there.
    fn append(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// `NotFound`, `UnexpectedEof`.
    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Replaces bytes inside the file. Durable after [`Files::sync`].
    ///
    /// # Errors
    /// `NotFound`, `UnexpectedEof`.
    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns once what was written to the file, and its name, are durable.
    ///
    /// # Errors
    /// `NotFound`; after any other failure nobody knows what is durable.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Makes a file of these bytes, or replaces one: durable when it returns, and never seen half.
    ///
    /// # Errors
    /// What the layer below reports; the old file is then still there.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file. One that is not there is no error.
    ///
    /// # Errors
    /// What the layer below reports.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Reads a whole small file.
pub(crate) fn read_whole(files: &dyn Files, name: &str) -> io::Result<Vec<u8>> {
    let length = length(files, name)?;
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    files.read(name, 0, &mut bytes)?;
    Ok(bytes)
}

/// The length of a file.
pub(crate) fn length(files: &dyn Files, name: &str) -> io::Result<u64> {
    let found = files.list()?.into_iter().find(|(other, _)| other == name);
    found.map(|(_, length)| length).ok_or_else(|| io::ErrorKind::NotFound.into())
}
