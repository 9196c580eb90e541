//! A process that writes, deletes and compacts is killed, again and again: what it said was committed is there.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use sealpost_blocks::{
    BlockHandle, BlockStore, ContentOptions, DiskFiles, DurableMark, Options, Recovery, WhiteningPolicy,
    conformance::{NOW, content, keys},
};

/// Set for the child: the store's directory, and the mark to open it at.
const DIRECTORY: &str = "SEALPOST_BLOCKS_TEST_DIRECTORY";
const MARK: &str = "SEALPOST_BLOCKS_TEST_MARK";
const ROUNDS: usize = 8;

fn open(directory: &Path, mark: DurableMark) -> BlockStore {
    let files = Arc::new(DiskFiles::open(directory).unwrap());
    BlockStore::open(files, Options::new(Recovery::Committed(mark), keys(1))).unwrap().0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn mark(text: &str) -> DurableMark {
    DurableMark::from_bytes(unhex(text).try_into().unwrap())
}

fn length(seed: u64) -> usize {
    (seed * 7_919 % 200_000) as usize
}

/// The child: writes without pause and says what is committed, one line per content. Not a test of its own.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let store = open(Path::new(&directory), mark(&std::env::var(MARK).unwrap()));
    let mut out = std::io::stdout();
    let first = u64::from(std::process::id()) << 20;
    let mut mine = Vec::new();
    for seed in first.. {
        let policy = if seed % 2 == 0 { WhiteningPolicy::Pooled } else { WhiteningPolicy::Fresh };
        let handle = store.append(&content(seed, length(seed)), ContentOptions::new(policy, NOW)).unwrap();
        let mark = store.sync().unwrap();
        writeln!(out, "\ncommitted {seed} {} {}", hex(&handle.to_bytes()), hex(&mark.to_bytes())).unwrap();
        mine.push(handle);
        if seed % 5 == 0 {
            let index = seed as usize % mine.len();
            let handle = mine.swap_remove(index);
            writeln!(out, "\ndeleted {}", hex(&handle.to_bytes())).unwrap();
            if seed % 2 == 0 { store.discard(&handle).unwrap() } else { store.shred(&handle).unwrap() }
        }
        if seed % 16 == 15 {
            store.compact(0.05).unwrap();
        }
    }
}

#[test]
fn what_a_killed_process_committed_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let (mut last, mut contents) = (DurableMark::START, Vec::<(u64, BlockHandle)>::new());
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, &path)
            .env(MARK, hex(&last.to_bytes()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = fastrand::usize(20..200);
        let mut seen = 0;
        let mut take = |line: std::io::Result<String>| {
            let line = line.unwrap();
            let words: Vec<_> = line.split(' ').collect();
            match words.as_slice() {
                ["committed", seed, handle, until] => {
                    last = last.max(mark(until));
                    contents.push((seed.parse().unwrap(), BlockHandle::from_bytes(&unhex(handle)).unwrap()));
                    seen += 1;
                }
                ["deleted", handle] => {
                    let handle = BlockHandle::from_bytes(&unhex(handle)).unwrap();
                    contents.retain(|(_, other)| *other != handle);
                }
                _ => {}
            }
            seen
        };
        while take(lines.next().expect("the child writes until it is killed")) < wanted {}
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before the kill counts. A torn last line was not said.
        lines.map_while(Result::ok).filter(|line| is_whole(line)).for_each(|line| _ = take(Ok(line)));
        let store = open(&path, last);
        for (seed, handle) in &contents {
            let read = store.read(handle).unwrap_or_else(|error| panic!("round {round}, {seed}: {error:?}"));
            assert!(read == content(*seed, length(*seed)), "round {round}, {seed}");
        }
        assert_eq!(store.verify().unwrap().damage, []);
        last = store.sync().unwrap();
    }
    assert!(contents.len() > ROUNDS * 10);
}

/// A mark is 16 digits, and a handle ends with its own checksum.
fn is_whole(line: &str) -> bool {
    let words: Vec<_> = line.split(' ').collect();
    match words.as_slice() {
        ["committed", _, _, mark] => mark.len() == 16,
        ["deleted", handle] => handle.len() % 2 == 0 && BlockHandle::from_bytes(&unhex(handle)).is_ok(),
        _ => true,
    }
}
