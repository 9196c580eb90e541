//! Every place at which a tail may be torn, and every bit that may rot.

use std::sync::Arc;

use sealpost_blocks::{
    BlockHandle, BlockStore, ContentOptions, Damage, DamagedPart, DiskFiles, Files, MemoryFiles, OpenStoreError,
    Options, Recovery, WhiteningPolicy,
    conformance::{NOW, content, keys, store},
};
use tempfile::TempDir;

/// Makes a place for files, empty, which is gone with the second value.
type Make = fn() -> (Arc<dyn Files>, Option<TempDir>);

fn in_memory() -> (Arc<dyn Files>, Option<TempDir>) {
    (Arc::new(MemoryFiles::default()), None)
}

fn on_disk() -> (Arc<dyn Files>, Option<TempDir>) {
    let directory = tempfile::tempdir().unwrap();
    (Arc::new(DiskFiles::open(directory.path()).unwrap()), Some(directory))
}

const POLICIES: [WhiteningPolicy; 2] = [WhiteningPolicy::Pooled, WhiteningPolicy::Fresh];

pub(crate) fn read_file(files: &dyn Files, name: &str) -> Vec<u8> {
    let length = files.list().unwrap().into_iter().find(|(other, _)| other == name).unwrap().1;
    let mut bytes = vec![0; length as usize];
    files.read(name, 0, &mut bytes).unwrap();
    bytes
}

fn copy(files: &dyn Files) -> Arc<dyn Files> {
    copy_to(in_memory, files).0
}

fn copy_to(make: Make, files: &dyn Files) -> (Arc<dyn Files>, Option<TempDir>) {
    let copy = make();
    for (name, _) in files.list().unwrap() {
        copy.0.replace(&name, &read_file(files, &name)).unwrap();
    }
    copy
}

pub(crate) fn append(store: &BlockStore, seed: u64, length: usize) -> [BlockHandle; 2] {
    POLICIES.map(|policy| store.append(&content(seed, length), ContentOptions::new(policy, NOW)).unwrap())
}

#[test]
fn a_tail_torn_anywhere_loses_nothing_acknowledged() {
    tear_a_tail(in_memory, 97);
}

#[test]
fn a_tail_torn_on_the_disk_loses_nothing_acknowledged() {
    tear_a_tail(on_disk, 997);
}

/// Every so many bytes.
fn tear_a_tail(make: Make, every: usize) {
    let (files, _kept) = make();
    let (first, _) = store(files.clone(), Recovery::Everything);
    let handles = append(&first, 1, 3_000);
    let mark = first.sync().unwrap();
    let name = "00000001-00000000.segment";
    let acknowledged = read_file(&*files, name).len();
    append(&first, 2, 3_000);
    first.sync().unwrap();
    let whole = read_file(&*files, name);
    assert!(whole.len() > acknowledged + 10_000);
    for length in (acknowledged..=whole.len()).step_by(every) {
        for is_zeroed in [false, true] {
            let (torn, _kept) = copy_to(make, &*files);
            let mut bytes = whole.clone();
            if is_zeroed {
                bytes[length..].fill(0)
            } else {
                bytes.truncate(length)
            }
            torn.replace(name, &bytes).unwrap();
            for recovery in [Recovery::Committed(mark), Recovery::Everything] {
                let (store, _) = store(torn.clone(), recovery);
                assert!(handles.iter().all(|handle| store.read(handle).unwrap() == content(1, 3_000)));
                assert_eq!(store.verify().unwrap().damage, []);
                let more = append(&store, 3, 3_000);
                store.sync().unwrap();
                assert!(more.iter().all(|handle| store.read(handle).unwrap() == content(3, 3_000)));
            }
        }
    }
}

#[test]
fn what_a_torn_tail_leaves_between_records_is_given_back() {
    let files = Arc::new(MemoryFiles::default());
    let (first, _) = store(files.clone(), Recovery::Everything);
    let handles = append(&first, 1, 3_000);
    let mark = first.sync().unwrap();
    let name = "00000001-00000000.segment";
    let acknowledged = read_file(&*files, name).len() as u64;
    append(&first, 2, 9_000);
    first.sync().unwrap();
    drop(first);
    files.overwrite(name, acknowledged + 1_088, &[0; 3 * 1_088]).unwrap();
    let (store, _) = store(files, Recovery::Committed(mark));
    store.discard(&handles[0]).unwrap();
    let compaction = store.compact(0.0).unwrap();
    assert!(compaction.rewritten > 0 && compaction.damaged == 0, "{compaction:?}");
    assert!(store.read(&handles[1]).unwrap() == content(1, 3_000));
    assert_eq!(store.stats().dead_bytes, 0);
    assert_eq!(store.verify().unwrap().damage, []);
}

/// A store with contents, CBLs, pools, a compacted segment and its table.
fn sample(files: Arc<dyn Files>) -> (Arc<dyn Files>, Vec<[BlockHandle; 2]>) {
    let (first, _) = store(files.clone(), Recovery::Everything);
    let large = first.append(&content(9, 64 << 20), ContentOptions::new(WhiteningPolicy::Pooled, NOW)).unwrap();
    let handles = (0..3).map(|seed| append(&first, seed, 30_000)).collect();
    first.append(&content(8, 64 << 20), ContentOptions::new(WhiteningPolicy::Pooled, NOW)).unwrap();
    first.discard(&large).unwrap();
    first.compact(0.0).unwrap();
    first.close().unwrap();
    (files, handles)
}

#[test]
fn every_flipped_bit_of_a_sample_is_found() {
    flip_bits(in_memory, 60);
}

#[test]
fn every_flipped_bit_of_a_sample_on_the_disk_is_found() {
    flip_bits(on_disk, 12);
}

/// So many in each file.
fn flip_bits(make: Make, count: usize) {
    let (files, _kept) = make();
    let (files, handles) = sample(files);
    let random = &mut fastrand::Rng::new();
    let small: Vec<_> = files.list().unwrap().into_iter().filter(|(_, length)| *length < 8 << 20).collect();
    assert!(small.iter().any(|(name, _)| name.ends_with(".segment")), "{small:?}");
    assert!(small.iter().any(|(name, _)| name.ends_with(".table")));
    assert!(small.iter().any(|(name, _)| name == "state"));
    let (store, _) = store(files.clone(), Recovery::Everything);
    assert_eq!(store.stats().dead_bytes, 0, "what is dead may rot");
    for (name, length) in small {
        for _ in 0..count {
            let (offset, bit) = (random.u64(0..length), random.u8(0..8));
            let mut byte = [0];
            files.read(&name, offset, &mut byte).unwrap();
            files.overwrite(&name, offset, &[byte[0] ^ 1 << bit]).unwrap();
            let damage = store.verify().unwrap().damage;
            let is_found = damage.iter().any(|damage| damage.file == name);
            assert!(is_found, "bit {bit} of byte {offset} in {name} of {length}: {damage:?}");
            files.overwrite(&name, offset, &byte).unwrap();
        }
    }
    assert_eq!(store.verify().unwrap().damage, []);
    for pair in &handles {
        pair.iter().for_each(|handle| assert!(store.read(handle).is_ok()));
    }
}

#[test]
fn a_flipped_bit_is_never_returned_and_a_copy_mends_it() {
    mend_bits(in_memory, 150);
}

#[test]
fn a_flipped_bit_on_the_disk_is_never_returned_and_a_copy_mends_it() {
    mend_bits(on_disk, 30);
}

fn mend_bits(make: Make, count: usize) {
    let (files, _kept) = make();
    let (first, _) = store(files.clone(), Recovery::Everything);
    let handles = append(&first, 1, 30_000);
    first.close().unwrap();
    let name = "00000001-00000000.segment";
    let (whole, backup) = (read_file(&*files, name), copy(&*files));
    let (backup, _) = store(backup, Recovery::Everything);
    let random = &mut fastrand::Rng::new();
    for _ in 0..count {
        let (offset, bit) = (random.usize(0..whole.len()), random.u8(0..8));
        let (rotten, _kept) = copy_to(make, &*files);
        let mut bytes = whole.clone();
        bytes[offset] ^= 1 << bit;
        let (store, _) = store(rotten.clone(), Recovery::Everything);
        rotten.overwrite(name, 0, &bytes).unwrap();
        for handle in &handles {
            if let Ok(read) = store.read(handle) {
                assert!(read == content(1, 30_000), "bit {bit} of byte {offset}");
            }
        }
        let damage = store.verify().unwrap().damage;
        assert!(damage.len() == 1, "bit {bit} of byte {offset}: {damage:?}");
        let is_pool = |part| matches!(part, DamagedPart::Block { id, .. } if backup.block(id).unwrap().is_some());
        let repair = store.repair(&mut |id| backup.block(id).ok().flatten()).unwrap();
        assert!(repair.lost.is_empty(), "{repair:?} {}", is_pool(damage[0].part));
        assert_eq!(store.verify().unwrap().damage, []);
        assert!(read_file(&*rotten, name) == whole, "mended to the bit");
        assert!(handles.iter().all(|handle| store.read(handle).unwrap() == content(1, 30_000)));
    }
}

#[test]
fn without_the_inventory_everything_is_found_again() {
    let (files, handles) = sample(in_memory().0);
    for damage in [None, Some(b"no inventory".as_slice())] {
        let files = copy(&*files);
        match damage {
            None => files.remove("state").unwrap(),
            Some(bytes) => files.replace("state", bytes).unwrap(),
        }
        let (store, opening) = store(files, Recovery::Everything);
        assert!(opening.is_rebuilt);
        for (seed, pair) in handles.iter().enumerate() {
            pair.iter().for_each(|handle| assert!(store.read(handle).unwrap() == content(seed as u64, 30_000)));
        }
        let told = Damage { file: "state".to_owned(), part: DamagedPart::State };
        assert_eq!(store.verify().unwrap().damage, [told]);
        assert_eq!(store.repair(&mut |_| None).unwrap().rewritten, 1);
        assert_eq!(store.verify().unwrap().damage, []);
    }
}

#[test]
fn every_flipped_bit_of_a_handle_is_refused() {
    let (first, _) = store(Arc::new(MemoryFiles::default()), Recovery::Everything);
    for handle in append(&first, 1, 5_000) {
        let bytes = handle.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(BlockHandle::from_bytes(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(BlockHandle::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(BlockHandle::from_bytes(&[bytes, vec![0]].concat()).is_err());
    }
}

#[test]
fn a_segment_of_another_store_is_refused() {
    let make = || {
        let files = Arc::new(MemoryFiles::default());
        let (store, _) = store(files.clone(), Recovery::Everything);
        append(&store, 1, 3_000);
        store.close().unwrap();
        files
    };
    let (ours, theirs) = (make(), make());
    let stranger = read_file(&*theirs, "00000001-00000000.segment");
    ours.replace("00000001-00000000.segment", &stranger).unwrap();
    let opened = BlockStore::open(ours, Options::new(Recovery::Everything, keys(1)));
    assert!(matches!(opened, Err(OpenStoreError::Foreign(name)) if name == "00000001-00000000.segment"));
}
