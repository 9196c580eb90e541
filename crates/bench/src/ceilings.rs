//! What the machine itself makes of what the block store does: nothing but the writes and flushes, nothing but the hashes and
//! XORs. Both are measured in windows, so that they can take turns with the store: whoever else uses the machine disturbs
//! both alike, and the median of the windows forgets a moment that was worse than the rest.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use sealpost_blocks::{BlockSize, DiskFiles, Files, limits};

use crate::{MIB, Outcome};

/// MiB of a window: what a segment holds, so that the store flushes as often as the bare disk does.
const WINDOW: usize = (limits::SEGMENT / MIB as u64) as usize;

/// The windows, in MiB, of a content of `mib` MiB.
pub(crate) fn windows(mib: usize) -> impl Iterator<Item = usize> {
    (0..mib).step_by(WINDOW).map(move |begun| WINDOW.min(mib - begun))
}

/// MB per second of each window.
#[derive(Debug, Default)]
pub(crate) struct Speeds(Vec<f64>);

impl Speeds {
    /// Notes a window of `mib` MiB that has ended now.
    pub(crate) fn note(&mut self, mib: usize, start: Instant) {
        self.0.push((mib * MIB) as f64 / 1e6 / start.elapsed().as_secs_f64());
    }

    pub(crate) fn median(&mut self) -> f64 {
        self.0.sort_unstable_by(f64::total_cmp);
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }
}

/// The bare disk: each window is a new file that is appended to in the store's writes, and flushed.
pub(crate) struct Disk {
    folder: PathBuf,
    files: DiskFiles,
    record: Vec<u8>,
    written: u32,
    pub(crate) speeds: Speeds,
}

impl Disk {
    /// In a new folder, for blocks of this class. Small ones are gathered, as the store does.
    pub(crate) fn new(folder: &Path, size: BlockSize) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let record = noise(size.bytes().max(limits::PENDING));
        let files = DiskFiles::open(folder)?;
        Ok(Self { folder: folder.to_owned(), files, record, written: 0, speeds: Speeds::default() })
    }

    pub(crate) fn window(&mut self, mib: usize) -> Outcome<()> {
        let (start, name, end) = (Instant::now(), self.written.to_string(), mib * MIB);
        for offset in (0..end).step_by(self.record.len()) {
            let length = self.record.len().min(end - offset);
            self.files.append(&name, offset as u64, self.record.get(..length).unwrap_or_default())?;
        }
        self.files.sync(&name)?;
        self.speeds.note(mib, start);
        self.written += 1;
        Ok(())
    }

    pub(crate) fn remove(self) -> Outcome<()> {
        Ok(fs::remove_dir_all(&self.folder)?)
    }
}

/// Memory: the stored block is hashed, two random blocks are XORed into it, and what comes out is hashed as content.
pub(crate) struct Memory {
    block: Vec<u8>,
    pool: Vec<Vec<u8>>,
    content: blake3::Hasher,
    pub(crate) speeds: Speeds,
}

impl Memory {
    /// As many strips as an epoch's pool of a content of 1 GiB holds.
    const STRIPS: usize = 182;

    /// For blocks of this class.
    pub(crate) fn new(size: BlockSize) -> Self {
        let pool = (0..Self::STRIPS).map(|_| noise(BlockSize::Medium.bytes())).collect();
        Self { block: noise(size.bytes()), pool, content: blake3::Hasher::new(), speeds: Speeds::default() }
    }

    pub(crate) fn window(&mut self, mib: usize) {
        let start = Instant::now();
        for _ in 0..mib * MIB / self.block.len() {
            std::hint::black_box(blake3::hash(&self.block));
            let pairs = self.pool.iter().zip(self.pool.iter().skip(1)).cycle();
            for (strip, (one, other)) in self.block.chunks_mut(BlockSize::Medium.bytes()).zip(pairs) {
                for ((byte, one), other) in strip.iter_mut().zip(one).zip(other) {
                    *byte ^= one ^ other;
                }
            }
            self.content.update(&self.block);
        }
        std::hint::black_box(self.content.finalize());
        self.speeds.note(mib, start);
    }
}

/// Bytes that no disk compresses.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    blake3::Hasher::new().update(b"content").finalize_xof().fill(&mut noise);
    noise
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_make_up_the_whole() {
        assert_eq!(windows(1_024).collect::<Vec<_>>(), [64; 16]);
        assert_eq!(windows(100).collect::<Vec<_>>(), [64, 36]);
    }

    #[test]
    fn one_bad_moment_does_not_show_in_a_median() {
        assert!((Speeds(vec![500.0, 3.0, 510.0]).median() - 500.0).abs() < f64::EPSILON);
        assert!(Speeds::default().median().abs() < f64::EPSILON);
    }
}
