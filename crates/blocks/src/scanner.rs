//! Reading a segment file from end to end without its table.

use std::io;

use crate::{
    address::Address,
    block_id::BlockId,
    files::Files,
    limits,
    record::{HEADER, Record, StoreId, UNIT},
    table::Placed,
};

/// A place in a segment file, and what was read around it.
pub(crate) struct Scanner<'a> {
    files: &'a dyn Files,
    store: StoreId,
    name: &'a str,
    segment: u32,
    /// Whether records stand where they were first written.
    is_original: bool,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
    /// Whether bytes that are no record were passed.
    pub(crate) met_garbage: bool,
}

/// A segment file, as far as it is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent<'a> {
    pub(crate) name: &'a str,
    pub(crate) segment: u32,
    pub(crate) generation: u32,
    /// In bytes.
    pub(crate) end: u64,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(files: &'a dyn Files, store: StoreId, extent: Extent<'a>) -> Self {
        let Extent { name, segment, generation, end } = extent;
        Self {
            files,
            store,
            name,
            segment,
            is_original: generation == 0,
            position: HEADER as u64,
            end,
            window: Vec::new(),
            window_start: 0,
            met_garbage: false,
        }
    }

    /// The next record that is whole, as far as its header tells. What cannot be read as one is passed over, unit by unit.
    pub(crate) fn next(&mut self) -> io::Result<Option<Placed>> {
        while self.position + HEADER as u64 <= self.end {
            let (store, position) = (self.store, self.position);
            let record = Record::decode(store, self.look(position, HEADER)?);
            match record.filter(|record| self.belongs(record)) {
                Some(record) => {
                    self.position += u64::from(record.units()) * UNIT;
                    return Ok(Some(Placed { record, position: (position / UNIT) as u32 }));
                }
                None => {
                    self.met_garbage = true;
                    self.position += UNIT;
                }
            }
        }
        self.met_garbage |= self.position != self.end;
        Ok(None)
    }

    fn belongs(&self, record: &Record) -> bool {
        let Address { segment, slot } = record.address;
        segment == self.segment
            && (!self.is_original || u64::from(slot) * UNIT == self.position)
            && self.position + u64::from(record.units()) * UNIT <= self.end
    }

    /// What the block of a record hashes to now.
    pub(crate) fn hash(&mut self, placed: &Placed) -> io::Result<BlockId> {
        let mut hasher = blake3::Hasher::new();
        self.block(placed, &mut |part| {
            hasher.update(part);
            Ok(())
        })?;
        Ok(BlockId(*hasher.finalize().as_bytes()))
    }

    /// Hands out the block of a record, in parts.
    pub(crate) fn block(&mut self, placed: &Placed, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut at = u64::from(placed.position) * UNIT + HEADER as u64;
        let end = at + placed.record.size.bytes() as u64;
        while at < end {
            let length = (end - at).min(limits::SCAN as u64 / 2) as usize;
            take(self.look(at, length)?)?;
            at += length as u64;
        }
        Ok(())
    }

    /// Bytes of the file, through the window.
    fn look(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let window_end = self.window_start + self.window.len() as u64;
        if position < self.window_start || position + length as u64 > window_end {
            let left = self.end.saturating_sub(position).min(limits::SCAN as u64) as usize;
            self.window.resize(left, 0);
            self.window_start = position;
            self.files.read(self.name, position, &mut self.window).inspect_err(|_| self.window.clear())?;
        }
        let start = (position - self.window_start) as usize;
        self.window.get(start..start + length).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
