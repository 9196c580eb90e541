//! The block store against its ceilings, in one run, on a store that already holds as much as is measured.
//!
//! | figure | is | its ceiling |
//! | --- | --- | --- |
//! | `write_mb_s` | a streamed `pooled` write of the large content, flush included | `disk_mb_s`: records of the same size, hashed twice, appended by one thread to files of the same size, flushed as often |
//! | `read_mb_s` | reading it back, everything verified | `memory_mb_s`: the same hashes and XORs by one thread over memory |
//! | `overhead_…` | stored over given bytes, pools, headers, tables and all | 1 |
//! | `overhead_after_delete` | stored over live bytes, after nine tenths of the small messages went and the rest was compacted | 1 |

use std::{
    fs, iter,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use sealpost_blocks::{
    BlockSize, BlockStore, CblSigner, CblVerifier, ContentOptions, DiskFiles, Files, Handle, Keys, Options, Policy,
    Recovery, Selection, limits,
};
use serde::Serialize;

use crate::{BenchError, MIB, Outcome, folder_in};

/// Bytes of a very small message.
const VERY_SMALL: usize = 100;

/// What to measure.
#[derive(Debug, Clone)]
pub struct BlockOptions {
    /// Size of the large content, and of what the store holds before, in MiB; at least 16.
    pub mib: usize,
    /// How many small messages there are, of which nine tenths are let go of; at least 1,000.
    pub messages: usize,
    /// Where the store is kept: on the disk to measure.
    pub folder: PathBuf,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct BlockFigures {
    /// A streamed write, in MB per second.
    pub write_mb_s: f64,
    /// What the disk takes.
    pub disk_mb_s: f64,
    /// A read.
    pub read_mb_s: f64,
    /// What memory gives.
    pub memory_mb_s: f64,
    /// The most memory that this process had until then, in MB.
    pub peak_rss_mb: f64,
    /// Stored over given bytes of 16 MiB and one byte, and of the large content: the worse of both.
    pub overhead_pooled: f64,
    /// The same of `fresh`.
    pub overhead_fresh: f64,
    /// Each size by itself.
    pub overhead_pooled_by_size: Overheads,
    /// Each size by itself.
    pub overhead_fresh_by_size: Overheads,
    /// Stored over given bytes of messages of 100 bytes, `pooled`.
    pub overhead_100b: f64,
    /// Stored over live bytes after nine tenths are gone.
    pub overhead_after_delete: f64,
    /// As asked for.
    pub mib: usize,
    /// As asked for.
    pub messages: usize,
}

/// Stored over given bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Overheads {
    /// Of 1 MiB, among sixty-four such: one pays for a pool that the next ones use.
    pub one_mib: f64,
    /// Of 16 MiB and one byte, alone in a store.
    pub sixteen_mib_and_one: f64,
    /// Of the large content, alone in a store.
    pub large: f64,
}

impl BlockOptions {
    /// Whether these can be measured.
    ///
    /// # Errors
    /// What is asked for instead.
    pub fn check(&self) -> Result<(), BenchError> {
        match self.mib < 16 || self.messages < 1_000 {
            true => Err("at least 16 MiB and 1,000 messages, or the figures say nothing".into()),
            false => Ok(()),
        }
    }
}

/// Measures the block store on disk, and removes everything.
///
/// # Errors
/// [`BenchError`].
pub fn measure_blocks(options: &BlockOptions) -> Result<BlockFigures, BenchError> {
    let BlockOptions { mib, messages, .. } = *options;
    options.check()?;
    let folder = folder_in(&options.folder)?;
    let path = |name: &str| folder.path().join(name);

    let store = open(&path("store"))?;
    stream(&store, mib * MIB, Policy::Pooled)?;
    store.sync()?;
    // Others use the disk as well: its own figure is taken on both sides of what is measured.
    let before = disk(&path("disk"), mib)?;
    let (write_mb_s, handle) = write(&store, mib)?;
    let disk_mb_s = f64::midpoint(before, disk(&path("disk"), mib)?);
    let read_mb_s = read(&store, &handle, mib)?;
    let peak_rss_mb = peak_rss_mb();
    drop(store);
    fs::remove_dir_all(path("store"))?;

    let memory_mb_s = memory(mib);
    let overheads = |policy| -> Outcome<Overheads> {
        let alone = |length| overhead(&path("overhead"), policy, length, 1);
        Ok(Overheads {
            one_mib: overhead(&path("overhead"), policy, MIB, 64)?,
            sixteen_mib_and_one: alone(16 * MIB + 1)?,
            large: alone(mib * MIB)?,
        })
    };
    let (pooled, fresh) = (overheads(Policy::Pooled)?, overheads(Policy::Fresh)?);
    let worse = |overheads: Overheads| overheads.sixteen_mib_and_one.max(overheads.large);
    let (overhead_100b, _) = small(&path("small"), messages / 100, VERY_SMALL)?;
    let (_, overhead_after_delete) = small(&path("deleted"), messages, BlockSize::Small.bytes())?;
    Ok(BlockFigures {
        write_mb_s,
        disk_mb_s,
        read_mb_s,
        memory_mb_s,
        peak_rss_mb,
        overhead_pooled: worse(pooled),
        overhead_fresh: worse(fresh),
        overhead_pooled_by_size: pooled,
        overhead_fresh_by_size: fresh,
        overhead_100b,
        overhead_after_delete,
        mib,
        messages,
    })
}

/// Signs with a keyed hash: what a signature costs is not what is measured, and one is made per 16 blocks.
struct Node;

impl CblSigner for Node {
    fn creator(&self) -> [u8; 32] {
        [1; 32]
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let mut signature = [0; 64];
        blake3::Hasher::new_keyed(&[1; 32]).update(message).finalize_xof().fill(&mut signature);
        Some(signature)
    }
}

impl CblVerifier for Node {
    fn verify(&self, _creator: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        self.sign(message).as_ref() == Some(signature)
    }
}

fn open(path: &Path) -> Outcome<BlockStore> {
    let keys = Keys { signer: Arc::new(Node), verifier: Arc::new(Node) };
    fs::create_dir_all(path)?;
    let files = Arc::new(DiskFiles::open(path)?);
    Ok(BlockStore::open(files, Options::new(Recovery::Everything, keys))?.0)
}

/// A part of a content: they need not differ, since what is stored of them does.
fn part() -> Vec<u8> {
    let mut part = vec![0; MIB];
    blake3::Hasher::new().update(b"content").finalize_xof().fill(&mut part);
    part
}

/// The lengths of the parts of a content of `length` bytes.
fn parts(length: usize) -> impl Iterator<Item = usize> {
    let rest = length % MIB;
    iter::repeat_n(MIB, length / MIB).chain((rest > 0).then_some(rest))
}

fn stream(store: &BlockStore, length: usize, policy: Policy) -> Outcome<Handle> {
    let mut writer = store.writer(length as u64, ContentOptions::new(policy, 0))?;
    let part = part();
    for bytes in parts(length) {
        writer.write(part.get(..bytes).unwrap_or(&part))?;
    }
    Ok(writer.finish()?)
}

fn write(store: &BlockStore, mib: usize) -> Outcome<(f64, Handle)> {
    let start = Instant::now();
    let handle = stream(store, mib * MIB, Policy::Pooled)?;
    store.sync()?;
    Ok((mb_s(mib, start), handle))
}

fn read(store: &BlockStore, handle: &Handle, mib: usize) -> Outcome<f64> {
    let start = Instant::now();
    let (mut reader, mut buffer, mut total) = (store.reader(handle)?, vec![0; MIB], 0);
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            count => total += count,
        }
    }
    if total != mib * MIB {
        return Err("the content came back with another length".into());
    }
    Ok(mb_s(mib, start))
}

/// Records of the large content's class, each hashed as content and as block, in files of a segment's size, each
/// flushed when it is full.
fn disk(path: &Path, mib: usize) -> Outcome<f64> {
    fs::create_dir_all(path)?;
    let files = DiskFiles::open(path)?;
    let size = Selection::Compact.block_size((mib * MIB) as u64).bytes();
    let record: Vec<u8> = part().into_iter().cycle().take(size).collect();
    let (start, mut content) = (Instant::now(), blake3::Hasher::new());
    let (mut file, mut offset) = (0, 0);
    for _ in 0..mib * MIB / size {
        content.update(&record);
        std::hint::black_box(blake3::hash(&record));
        if offset + size as u64 > limits::SEGMENT {
            files.sync(&file.to_string())?;
            (file, offset) = (file + 1, 0);
        }
        files.append(&file.to_string(), offset, &record)?;
        offset += size as u64;
    }
    files.sync(&file.to_string())?;
    let figure = mb_s(mib, start);
    std::hint::black_box(content.finalize());
    fs::remove_dir_all(path)?;
    Ok(figure)
}

/// Hash the stored block, XOR two others in, hash the content, and hand it out: all in memory.
fn memory(mib: usize) -> f64 {
    /// As many strips as an epoch's pool of this size holds.
    const STRIPS: usize = 182;
    let strip = BlockSize::Medium.bytes();
    let size = Selection::Compact.block_size((mib * MIB) as u64).bytes();
    let stored: Vec<u8> = part().into_iter().cycle().take(size).collect();
    let pool: Vec<Vec<u8>> = (0..STRIPS).map(|_| part().into_iter().take(strip).collect()).collect();
    let (mut block, mut out) = (vec![0; size], vec![0; MIB]);
    let (start, mut content) = (Instant::now(), blake3::Hasher::new());
    for _ in 0..mib * MIB / size {
        block.copy_from_slice(&stored);
        std::hint::black_box(blake3::hash(&block));
        let pairs = pool.iter().zip(pool.iter().skip(1)).cycle();
        for (strip, (one, other)) in block.chunks_mut(strip).zip(pairs) {
            for ((byte, one), other) in strip.iter_mut().zip(one).zip(other) {
                *byte ^= one ^ other;
            }
        }
        content.update(&block);
        block.chunks(MIB).for_each(|part| out.iter_mut().zip(part).for_each(|(out, byte)| *out = *byte));
        std::hint::black_box(&out);
    }
    std::hint::black_box(content.finalize());
    mb_s(mib, start)
}

/// Stored over given bytes of `count` contents alone in a store, their pool included.
fn overhead(path: &Path, policy: Policy, length: usize, count: usize) -> Outcome<f64> {
    let store = open(path)?;
    for _ in 0..count {
        stream(&store, length, policy)?;
    }
    store.close()?;
    let stored = folder_bytes(path)? as f64;
    fs::remove_dir_all(path)?;
    Ok(stored / (count * length) as f64)
}

/// Many small messages: stored over given bytes; and stored over live ones after nine tenths are gone and compacted.
fn small(path: &Path, messages: usize, length: usize) -> Outcome<(f64, f64)> {
    let store = open(path)?;
    let message: Vec<u8> = part().into_iter().take(length).collect();
    let mut handles = Vec::with_capacity(messages);
    for number in 0..messages {
        handles.push(store.append(&message, ContentOptions::new(Policy::Pooled, 0))?.to_bytes());
        if number % 64 == 63 {
            store.sync()?;
        }
    }
    store.sync()?;
    let stored = folder_bytes(path)? as f64;
    for (number, handle) in handles.iter().enumerate() {
        if number % 10 != 0 {
            store.discard(&Handle::from_bytes(handle)?)?;
        }
    }
    store.sync()?;
    store.compact(0.05)?;
    store.close()?;
    let (live, after) = (messages.div_ceil(10) * length, folder_bytes(path)? as f64);
    fs::remove_dir_all(path)?;
    Ok((stored / (messages * length) as f64, after / live as f64))
}

fn folder_bytes(path: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

fn mb_s(mib: usize, start: Instant) -> f64 {
    (mib * MIB) as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// The most memory this process ever had, as Linux counts it; 0 elsewhere.
fn peak_rss_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_run_has_every_figure_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let options = BlockOptions { mib: 16, messages: 1_000, folder: folder.path().to_owned() };
        let figures = measure_blocks(&options).unwrap();
        assert!(figures.write_mb_s > 0.0 && figures.disk_mb_s > 0.0);
        assert!(figures.read_mb_s > 0.0 && figures.memory_mb_s > 0.0);
        assert!(figures.overhead_pooled >= 1.0 && figures.overhead_fresh >= 2.0, "{figures:?}");
        assert!(figures.overhead_100b > 1.0 && figures.overhead_after_delete > 1.0, "{figures:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn too_little_to_say_anything_is_refused() {
        let folder = std::env::temp_dir();
        for (mib, messages) in [(15, 1_000), (16, 999)] {
            let refused = measure_blocks(&BlockOptions { mib, messages, folder: folder.clone() });
            assert!(refused.is_err());
        }
    }
}
