//! A process that writes, deletes and compacts is killed, again and again: what it said was committed is there, and what it
//! said was gone is gone.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use sealpost_blocks::{
    BlockError, BlockHandle, BlockStore, ContentOptions, DiskFiles, DurableMark, Options, ReadError, Recovery,
    WhiteningPolicy,
    conformance::{NOW, content, keys},
};

use crate::runs::{Footprint, Runs};

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

/// Never 0: what has no blocks is never gone.
fn length(seed: u64) -> usize {
    1 + (seed * 7_919 % 200_000) as usize
}

/// Tuples of a shredded content that are looked for: its lists, and the last of its data.
const LOOKED_FOR: usize = 4;

/// The child: writes without pause and says what is committed, one line per content. Before a content is deleted it says so,
/// as a ledger that has committed that; then, once it is durable, that it is gone, and of what was shredded what must not be
/// in the files any more. Not a test of its own.
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
            let mut runs = Runs::default();
            if seed % 2 == 0 {
                writeln!(out, "\ndeleted {}", hex(&handle.to_bytes())).unwrap();
                store.discard(&handle).unwrap();
                store.sync().unwrap();
            } else {
                let Footprint { whitened, random } = Footprint::of(&store, &handle, LOOKED_FOR).unwrap();
                [whitened, random].into_iter().for_each(|found| runs.extend(found));
                writeln!(out, "\ndeleted {}", hex(&handle.to_bytes())).unwrap();
                store.shred(&handle).unwrap();
            }
            writeln!(out, "\ngone {} {}.", hex(&handle.to_bytes()), hex(&runs.to_bytes())).unwrap();
        }
        if seed % 16 == 15 {
            store.compact(0.05).unwrap();
        }
    }
}

/// What the killed processes have said.
#[derive(Default)]
struct Said {
    mark: Option<DurableMark>,
    /// What each handle is of.
    contents: BTreeMap<Vec<u8>, u64>,
    /// Deleted, and perhaps gone.
    deleted: Vec<BlockHandle>,
    gone: Vec<BlockHandle>,
    /// What must not be in the files.
    shredded: Runs,
}

impl Said {
    /// Takes one line; returns whether it tells of a content.
    fn take(&mut self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["committed", seed, handle, until] => {
                self.mark = self.mark.max(Some(mark(until)));
                self.contents.insert(unhex(handle), seed.parse().unwrap());
            }
            ["deleted", handle] => {
                self.contents.remove(&unhex(handle)).expect("it was committed");
                self.deleted.push(BlockHandle::from_bytes(&unhex(handle)).unwrap());
            }
            ["gone", handle, runs] => {
                let handle = BlockHandle::from_bytes(&unhex(handle)).unwrap();
                self.deleted.retain(|other| *other != handle);
                self.gone.push(handle);
                self.shredded.extend(Runs::from_bytes(&unhex(runs.strip_suffix('.').unwrap())));
            }
            _ => {}
        }
        words[0] == "committed"
    }

    /// Looks at what a new process finds; as a ledger does, it lets go once more of what may not be gone yet.
    fn check(&mut self, store: &BlockStore, directory: &Path, round: usize) {
        for (handle, seed) in &self.contents {
            let read = store.read(&BlockHandle::from_bytes(handle).unwrap());
            let read = read.unwrap_or_else(|error| panic!("round {round}, {seed}: {error:?}"));
            assert!(read == content(*seed, length(*seed)), "round {round}, {seed}");
        }
        for handle in &self.gone {
            let read = store.read(handle);
            assert!(matches!(read, Err(ReadError::Block(BlockError::Missing(_)))), "round {round}: {read:?} is back");
        }
        let files: Vec<_> =
            fs::read_dir(directory).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
        assert_eq!(self.shredded.found_in(&files), 0, "round {round}: what was shredded is in the files");
        for handle in self.deleted.drain(..) {
            store.discard(&handle).unwrap();
            self.gone.push(handle);
        }
        assert_eq!(store.verify().unwrap().damage, []);
        self.mark = Some(store.sync().unwrap());
    }
}

#[test]
fn what_a_killed_process_committed_is_there_and_what_it_let_go_of_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let mut said = Said::default();
    for round in 0..ROUNDS {
        let last = said.mark.unwrap_or(DurableMark::START);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, &path)
            .env(MARK, hex(&last.to_bytes()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut wanted = fastrand::usize(20..200);
        while wanted > 0 {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            wanted -= usize::from(said.take(&line));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before the kill counts. A torn last line was not said.
        lines.map_while(Result::ok).filter(|line| is_whole(line)).for_each(|line| _ = said.take(&line));
        let store = open(&path, said.mark.unwrap());
        said.check(&store, &path, round);
    }
    assert!(said.contents.len() > ROUNDS * 10 && said.gone.len() > ROUNDS * 2 && said.shredded.len() > 100);
}

/// A mark is 16 digits, a handle ends with its own checksum, and what was shredded with a dot.
fn is_whole(line: &str) -> bool {
    let words: Vec<_> = line.split(' ').collect();
    match words.as_slice() {
        ["committed", _, _, mark] => mark.len() == 16,
        ["deleted", handle] => handle.len() % 2 == 0 && BlockHandle::from_bytes(&unhex(handle)).is_ok(),
        ["gone", _, runs] => runs.ends_with('.'),
        _ => true,
    }
}
