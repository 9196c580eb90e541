//! The block store against its ceilings, in one run, on a store that already holds as much as is measured.
//!
//! | figure | is | its ceiling |
//! | --- | --- | --- |
//! | `write_mb_s` | a streamed `pooled` write of the large content, flushed after each segment's worth | `disk_mb_s`: the same writes by one thread into files of a segment's size, flushed as often, and nothing else |
//! | `read_mb_s` | reading it back, everything verified | `memory_mb_s`: the same hashes and XORs by one thread over memory, and nothing else |
//! | `overhead_…` | stored over given bytes, pools, headers, tables and all | 1 |
//! | `overhead_after_delete` | stored over live bytes, after nine tenths of the small messages went and a relay's background compaction has nothing more to do | 1 |
//!
//! A speed and its ceiling are measured in windows that alternate, and each is the median of its own.

use std::{
    fs, iter,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use sealpost_blocks::{
    BlockHandle, BlockSize, BlockStore, CblSigner, CblVerifier, ContentOptions, DiskFiles, Keys, Options, Recovery,
    Selection, WhiteningPolicy, limits,
};
use serde::Serialize;

use crate::{
    BenchError, MIB, Outcome,
    bars::{self, Missed},
    ceilings::{Disk, Memory, Speeds, noise, windows},
    folder_in,
};

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
    /// A streamed and durable write of the large content, in MB per second.
    pub write_mb_s: f64,
    /// The bare disk's durable write, in MB per second.
    pub disk_mb_s: f64,
    /// A read of the large content, in MB per second.
    pub read_mb_s: f64,
    /// The same hashes and XORs over memory, in MB per second.
    pub memory_mb_s: f64,
    /// The most memory that this process had until both were done, buffers of the ceilings included, in MB.
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
    /// Stored over live bytes of messages of 1 KiB after nine tenths of them are gone, as a relay compacts.
    pub overhead_after_delete: f64,
    /// The same once every segment with dead blocks is compacted, the growing one included.
    pub overhead_compacted: f64,
    /// Whether nothing is [`BlockFigures::missed`].
    pub within: bool,
    /// Figures above their bars. Speeds have none: they hang on who else uses the machine.
    pub missed: Vec<Missed>,
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
    stream(&store, mib * MIB, WhiteningPolicy::Pooled)?;
    store.sync()?;
    let size = Selection::Compact.block_size((mib * MIB) as u64);
    let mut disk = Disk::new(&path("disk"), size)?;
    let (write_mb_s, handle) = write(&store, mib, &mut disk)?;
    let mut memory = Memory::new(size);
    let read_mb_s = read(&store, &handle, mib, &mut memory)?;
    let peak_rss_mb = peak_rss_mb();
    let (disk_mb_s, memory_mb_s) = (disk.speeds.median(), memory.speeds.median());
    disk.remove()?;
    drop((store, memory));
    fs::remove_dir_all(path("store"))?;

    let overheads = |policy| -> Outcome<Overheads> {
        let alone = |length| overhead(&path("overhead"), policy, length, 1);
        Ok(Overheads {
            one_mib: overhead(&path("overhead"), policy, MIB, 64)?,
            sixteen_mib_and_one: alone(16 * MIB + 1)?,
            large: alone(mib * MIB)?,
        })
    };
    let (pooled, fresh) = (overheads(WhiteningPolicy::Pooled)?, overheads(WhiteningPolicy::Fresh)?);
    let worse = |overheads: Overheads| overheads.sixteen_mib_and_one.max(overheads.large);
    let overhead_100b = small(&path("small"), messages / 100, VERY_SMALL)?.stored;
    let Small { after_delete, compacted, .. } = small(&path("deleted"), messages, BlockSize::Small.bytes())?;
    let mut figures = BlockFigures {
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
        overhead_after_delete: after_delete,
        overhead_compacted: compacted,
        within: true,
        missed: Vec::new(),
        mib,
        messages,
    };
    figures.missed = bars::missed(&figures);
    figures.within = figures.missed.is_empty();
    Ok(figures)
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
    noise(MIB)
}

/// The lengths of the parts of a content of `length` bytes.
fn parts(length: usize) -> impl Iterator<Item = usize> {
    let rest = length % MIB;
    iter::repeat_n(MIB, length / MIB).chain((rest > 0).then_some(rest))
}

fn stream(store: &BlockStore, length: usize, policy: WhiteningPolicy) -> Outcome<BlockHandle> {
    let mut writer = store.writer(length as u64, ContentOptions::new(policy, 0))?;
    let part = part();
    for bytes in parts(length) {
        writer.write(part.get(..bytes).unwrap_or(&part))?;
    }
    Ok(writer.finish()?)
}

/// In turns with the disk.
fn write(store: &BlockStore, mib: usize, disk: &mut Disk) -> Outcome<(f64, BlockHandle)> {
    let mut writer = store.writer((mib * MIB) as u64, ContentOptions::new(WhiteningPolicy::Pooled, 0))?;
    let (part, mut speeds, mut left) = (part(), Speeds::default(), mib);
    loop {
        let window = windows(left).next().unwrap_or_default();
        disk.window(window)?;
        let start = Instant::now();
        for _ in 0..window {
            writer.write(&part)?;
        }
        left -= window;
        if left == 0 {
            let handle = writer.finish()?;
            store.sync()?;
            speeds.note(window, start);
            return Ok((speeds.median(), handle));
        }
        store.sync()?;
        speeds.note(window, start);
    }
}

/// In turns with memory.
fn read(store: &BlockStore, handle: &BlockHandle, mib: usize, memory: &mut Memory) -> Outcome<f64> {
    let (mut reader, mut buffer, mut speeds) = (store.reader(handle)?, vec![0; MIB], Speeds::default());
    for window in windows(mib) {
        memory.window(window);
        let (start, mut left) = (Instant::now(), window * MIB);
        while left > 0 {
            let most = left.min(buffer.len());
            let count = reader.read(buffer.get_mut(..most).unwrap_or_default())?;
            if count == 0 {
                return Err("the content came back shorter than it was".into());
            }
            left -= count;
        }
        speeds.note(window, start);
    }
    match reader.read(&mut buffer)? {
        0 => Ok(speeds.median()),
        _ => Err("the content came back longer than it was".into()),
    }
}

/// Stored over given bytes of `count` contents alone in a store, their pool included.
fn overhead(path: &Path, policy: WhiteningPolicy, length: usize, count: usize) -> Outcome<f64> {
    let store = open(path)?;
    for _ in 0..count {
        stream(&store, length, policy)?;
    }
    store.close()?;
    let stored = folder_bytes(path)? as f64;
    fs::remove_dir_all(path)?;
    Ok(stored / (count * length) as f64)
}

/// What many small messages take.
struct Small {
    /// Stored over given bytes.
    stored: f64,
    /// Stored over live bytes after nine tenths are gone and a relay's background compaction has nothing more to do.
    after_delete: f64,
    /// The same once every segment with dead blocks is compacted.
    compacted: f64,
}

fn small(path: &Path, messages: usize, length: usize) -> Outcome<Small> {
    let store = open(path)?;
    let message: Vec<u8> = part().into_iter().take(length).collect();
    let mut handles = Vec::with_capacity(messages);
    for number in 0..messages {
        handles.push(store.append(&message, ContentOptions::new(WhiteningPolicy::Pooled, 0))?.to_bytes());
        if number % 64 == 63 {
            store.sync()?;
        }
    }
    store.sync()?;
    let stored = folder_bytes(path)? as f64 / (messages * length) as f64;
    for (number, handle) in handles.iter().enumerate() {
        if number % 10 != 0 {
            store.discard(&BlockHandle::from_bytes(handle)?)?;
        }
    }
    store.sync()?;
    let live = (messages.div_ceil(10) * length) as f64;
    loop {
        let done = store.compact_some(limits::DEAD, 1)?;
        if done.rewritten + done.removed == 0 {
            break;
        }
    }
    let after_delete = folder_bytes(path)? as f64 / live;
    store.compact(0.0)?;
    store.close()?;
    let compacted = folder_bytes(path)? as f64 / live;
    fs::remove_dir_all(path)?;
    Ok(Small { stored, after_delete, compacted })
}

fn folder_bytes(path: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
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
        assert!(figures.within && figures.missed.is_empty(), "{figures:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let over = Overheads { one_mib: 1.15, sixteen_mib_and_one: 1.1, large: 1.101 };
        let worse = BlockFigures { overhead_pooled_by_size: over, overhead_after_delete: 1.31, ..figures.clone() };
        let names =
            |figures: &BlockFigures| bars::missed(figures).iter().map(|missed| missed.figure).collect::<Vec<_>>();
        assert_eq!(names(&worse), ["overhead_pooled_by_size.large"], "few messages do not pay for their pool");
        let many = BlockFigures { messages: 1_000_000, ..worse };
        assert_eq!(names(&many), ["overhead_pooled_by_size.large", "overhead_after_delete"]);
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
