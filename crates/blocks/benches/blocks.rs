//! The block store against its ceilings, in one run: `cargo bench -p sealpost-blocks -- [FOLDER] [--mib N] [--messages N]`
//! prints one JSON object.
//!
//! FOLDER (default: the target directory) must be on a real disk for the figures to mean anything. `--mib` is the size
//! of the large content and of what the store holds before (default 1024), `--messages` the number of small ones of
//! which nine tenths are let go of (default 1,000,000). Everything is removed afterwards.
//!
//! | figure | is | its ceiling |
//! | --- | --- | --- |
//! | `write_mb_s` | a streamed `pooled` write of the large content, flush included | `disk_mb_s`: records of the same size, hashed twice, appended by one thread to files of the same size, flushed as often |
//! | `read_mb_s` | reading it back, everything verified | `memory_mb_s`: the same hashes and XORs by one thread over memory |
//! | `overhead_…` | stored over given bytes, pools, headers, tables and all | 1 |

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark stops at the first surprise")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use sealpost_blocks::{
    BlockSize, BlockStore, CblSigner, CblVerifier, ContentOptions, DiskFiles, Files, Handle, Keys, Options, Policy,
    Recovery, Selection, limits,
};

const MIB: usize = 1 << 20;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(default, |at| arguments[at + 1].parse().unwrap())
    };
    let (mib, messages) = (number("--mib", 1024), number("--messages", 1_000_000));
    let is_folder = |argument: &&String| Path::new(argument).is_dir();
    let folder = arguments.iter().find(is_folder).map_or(PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let directory = tempfile::tempdir_in(folder).unwrap();
    let path = |name: &str| directory.path().join(name);

    let store = open(&path("store"));
    stream(&store, mib, Policy::Pooled);
    store.sync().unwrap();
    // Others use the disk as well: its own figure is taken on both sides of what is measured.
    let before = disk(&path("disk"), mib);
    let (write_mb_s, handle) = write(&store, mib);
    let disk_mb_s = f64::midpoint(before, disk(&path("disk"), mib));
    let read_mb_s = read(&store, &handle, mib);
    let peak_rss_mb = peak_rss_mb();
    drop(store);
    fs::remove_dir_all(path("store")).unwrap();

    let memory_mb_s = memory(mib);
    let sizes = [("1mib", 1, MIB), ("16mib_1", 1, 16 * MIB + 1), ("large", mib / 16, 16 * MIB)];
    let overhead = |policy| {
        let largest = sizes.map(|(name, _, length)| {
            let length = if name == "large" { mib * MIB } else { length };
            (name.to_owned(), overhead(&path("overhead"), policy, length).into())
        });
        serde_json::Value::Object(largest.into_iter().collect())
    };
    let (pooled, fresh) = (overhead(Policy::Pooled), overhead(Policy::Fresh));
    let most = |value: &serde_json::Value| {
        let object = value.as_object().unwrap();
        object.iter().filter(|(name, _)| *name != "1mib").filter_map(|(_, value)| value.as_f64()).fold(0.0, f64::max)
    };
    let overhead_100b = small(&path("small"), messages / 100, 100).0;
    let (_, overhead_after_delete) = small(&path("deleted"), messages, BlockSize::Small.bytes());
    let figures = serde_json::json!({
        "write_mb_s": write_mb_s, "disk_mb_s": disk_mb_s, "read_mb_s": read_mb_s, "memory_mb_s": memory_mb_s,
        "peak_rss_mb": peak_rss_mb, "overhead_pooled": most(&pooled), "overhead_fresh": most(&fresh),
        "overhead_pooled_by_size": pooled, "overhead_fresh_by_size": fresh, "overhead_100b": overhead_100b,
        "overhead_after_delete": overhead_after_delete,
        "ceilings": {
            "write_mb_s": disk_mb_s, "read_mb_s": memory_mb_s, "peak_rss_mb": 200, "overhead_pooled": 1.1,
            "overhead_fresh": 2.1, "overhead_after_delete": 1.3,
        },
        "mib": mib, "messages": messages,
    });
    println!("{}", serde_json::to_string_pretty(&figures).unwrap());
}

/// Signs with a keyed hash: what a signature costs is not what is measured, and one is made per 16 blocks.
struct Node;

impl CblSigner for Node {
    fn creator(&self) -> [u8; 32] {
        [1; 32]
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(blake3::keyed_hash(&[1; 32], message).as_bytes());
        Some(signature)
    }
}

impl CblVerifier for Node {
    fn verify(&self, _creator: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        self.sign(message).as_ref() == Some(signature)
    }
}

fn open(path: &Path) -> BlockStore {
    let keys = Keys { signer: Arc::new(Node), verifier: Arc::new(Node) };
    fs::create_dir_all(path).unwrap();
    let files = Arc::new(DiskFiles::open(path).unwrap());
    BlockStore::open(files, Options::new(Recovery::Everything, keys)).unwrap().0
}

/// Parts of a content: they need not differ, since what is stored of them does.
fn part() -> Vec<u8> {
    let mut part = vec![0; MIB];
    blake3::Hasher::new().update(b"content").finalize_xof().fill(&mut part);
    part
}

fn stream(store: &BlockStore, mib: usize, policy: Policy) -> Handle {
    let mut writer = store.writer((mib * MIB) as u64, ContentOptions::new(policy, 0)).unwrap();
    let part = part();
    (0..mib).for_each(|_| writer.write(&part).unwrap());
    writer.finish().unwrap()
}

fn write(store: &BlockStore, mib: usize) -> (f64, Handle) {
    let start = Instant::now();
    let handle = stream(store, mib, Policy::Pooled);
    store.sync().unwrap();
    (mb_s(mib, start), handle)
}

fn read(store: &BlockStore, handle: &Handle, mib: usize) -> f64 {
    let start = Instant::now();
    let (mut reader, mut buffer, mut total) = (store.reader(handle).unwrap(), vec![0; MIB], 0);
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => break,
            count => total += count,
        }
    }
    assert_eq!(total, mib * MIB);
    mb_s(mib, start)
}

/// Records of the large content's class, each hashed as content and as block, in files of a segment's size, each
/// flushed when it is full.
fn disk(path: &Path, mib: usize) -> f64 {
    fs::create_dir_all(path).unwrap();
    let files = DiskFiles::open(path).unwrap();
    let size = Selection::Compact.block_size((mib * MIB) as u64).bytes();
    let record: Vec<u8> = part().into_iter().cycle().take(size).collect();
    let (start, mut content) = (Instant::now(), blake3::Hasher::new());
    let (mut file, mut offset) = (0, 0);
    for _ in 0..mib * MIB / size {
        content.update(&record);
        std::hint::black_box(blake3::hash(&record));
        if offset + size as u64 > limits::SEGMENT {
            files.sync(&file.to_string()).unwrap();
            (file, offset) = (file + 1, 0);
        }
        files.append(&file.to_string(), offset, &record).unwrap();
        offset += size as u64;
    }
    files.sync(&file.to_string()).unwrap();
    let figure = mb_s(mib, start);
    std::hint::black_box(content.finalize());
    fs::remove_dir_all(path).unwrap();
    figure
}

/// Hash the stored block, XOR two others in, hash the content, and hand it out: all in memory.
fn memory(mib: usize) -> f64 {
    let size = Selection::Compact.block_size((mib * MIB) as u64).bytes();
    let stored: Vec<u8> = part().into_iter().cycle().take(size).collect();
    let pool: Vec<Vec<u8>> = (0..182).map(|_| part()[..BlockSize::Medium.bytes()].to_vec()).collect();
    let (mut block, mut out) = (vec![0; size], vec![0; MIB]);
    let (start, mut content) = (Instant::now(), blake3::Hasher::new());
    for _ in 0..mib * MIB / size {
        block.copy_from_slice(&stored);
        std::hint::black_box(blake3::hash(&block));
        for (index, strip) in block.chunks_mut(BlockSize::Medium.bytes()).enumerate() {
            let (one, other) = (&pool[index % 182], &pool[(index + 1) % 182]);
            for ((byte, one), other) in strip.iter_mut().zip(one).zip(other) {
                *byte ^= one ^ other;
            }
        }
        content.update(&block);
        block.chunks(MIB).for_each(|part| out[..part.len()].copy_from_slice(part));
        std::hint::black_box(&out);
    }
    std::hint::black_box(content.finalize());
    mb_s(mib, start)
}

/// Stored over given bytes of one content alone in a store, its pool included.
fn overhead(path: &Path, policy: Policy, length: usize) -> f64 {
    let store = open(path);
    // One of 1 MiB pays for a pool that the next ones use: it is measured among sixty-four.
    let count = if length == MIB { 64 } else { 1 };
    let part = part();
    for _ in 0..count {
        let mut writer = store.writer(length as u64, ContentOptions::new(policy, 0)).unwrap();
        let mut left = length;
        while left > 0 {
            let now = left.min(part.len());
            writer.write(&part[..now]).unwrap();
            left -= now;
        }
        writer.finish().unwrap();
    }
    store.close().unwrap();
    let stored = folder_bytes(path) as f64;
    fs::remove_dir_all(path).unwrap();
    stored / (count * length) as f64
}

/// Many small messages: stored over given bytes; and stored over live ones after nine tenths are gone and compacted.
fn small(path: &Path, messages: usize, length: usize) -> (f64, f64) {
    let store = open(path);
    let message = &part()[..length];
    let mut handles = Vec::with_capacity(messages);
    for number in 0..messages {
        handles.push(store.append(message, ContentOptions::new(Policy::Pooled, 0)).unwrap().to_bytes());
        if number % 64 == 63 {
            store.sync().unwrap();
        }
    }
    store.sync().unwrap();
    let stored = folder_bytes(path) as f64;
    for (number, handle) in handles.iter().enumerate() {
        if number % 10 != 0 {
            store.discard(&Handle::from_bytes(handle).unwrap()).unwrap();
        }
    }
    store.sync().unwrap();
    store.compact(0.05).unwrap();
    store.close().unwrap();
    let (live, after) = (messages.div_ceil(10) * length, folder_bytes(path) as f64);
    fs::remove_dir_all(path).unwrap();
    (stored / (messages * length) as f64, after / live as f64)
}

fn folder_bytes(path: &Path) -> u64 {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
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
