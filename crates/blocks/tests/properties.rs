//! What holds for any content, any handle, and any number of callers.

#![expect(clippy::unwrap_used, reason = "these are tests: the first surprise ends them")]

use std::{
    sync::{Arc, LazyLock},
    thread,
};

use proptest::prelude::*;
use sealpost_blocks::{
    BlockHandle, BlockStore, ContentOptions, DiskFiles, MemoryFiles, Recovery, Selection, TupleSize, WhiteningPolicy,
    conformance::{NOW, content, options, store},
};
use tempfile::TempDir;

/// One store on the disk for all cases: what one leaves must not touch the next.
static STORE: LazyLock<(BlockStore, TempDir)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let files = Arc::new(DiskFiles::open(directory.path()).unwrap());
    (store(files, Recovery::Everything).0, directory)
});

fn any_options() -> impl Strategy<Value = ContentOptions> {
    let policy = prop_oneof![Just(WhiteningPolicy::Pooled), Just(WhiteningPolicy::Fresh)];
    let selection = prop_oneof![4 => Just(Selection::Compact), 1 => Just(Selection::Fit)];
    (policy, selection, 2_u8..=10).prop_map(|(policy, selection, tuple_size)| ContentOptions {
        selection,
        tuple_size: TupleSize::new(tuple_size).unwrap(),
        ..options(policy)
    })
}

fn any_length() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0_usize..10_000,
        3 => 10_000_usize..300_000,
        2 => 300_000_usize..2_000_000,
        1 => (16 << 20) - 2..(16 << 20) + 70_000_usize,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_content_comes_back_whole_and_in_ranges(
        options in any_options(), length in any_length(), seed: u64, part in 1_usize..2_000_000, cut: (u32, u32),
    ) {
        let (store, _) = &*STORE;
        let content = content(seed, length);
        let mut writer = store.writer(length as u64, options).unwrap();
        content.chunks(part).for_each(|part| writer.write(part).unwrap());
        let handle = BlockHandle::from_bytes(&writer.finish().unwrap().to_bytes()).unwrap();
        prop_assert!(store.read(&handle).unwrap() == content);
        let at = |cut: u32| (u64::from(cut) * length as u64) >> 32;
        let (start, end) = (at(cut.0.min(cut.1)), at(cut.0.max(cut.1)));
        let range = store.range(&handle, start..end).unwrap().to_end().unwrap();
        prop_assert!(range == content[start as usize..end as usize]);
        if seed % 2 == 0 { store.discard(&handle).unwrap() } else { store.shred(&handle).unwrap() }
        prop_assert!(length == 0 || store.read(&handle).is_err());
    }

    /// Forged with a right checksum: the store meets nothing like it from its ledger, and must stand it all the same.
    #[test]
    fn no_forged_handle_does_harm(
        fields in prop::collection::vec(any::<u8>(), 0..400), place in any::<prop::sample::Index>(), from_ours: bool,
    ) {
        let (store, _) = &*STORE;
        let kept = store.append(b"kept", options(WhiteningPolicy::Fresh)).unwrap();
        let mut bytes = if from_ours {
            let mut ours = store.append(&content(1, 3_000), options(WhiteningPolicy::Pooled)).unwrap().to_bytes();
            ours.truncate(ours.len() - 8);
            let start = place.index(ours.len());
            for (byte, forged) in ours[start..].iter_mut().zip(fields.iter().take(6)) {
                *byte = *forged;
            }
            ours
        } else {
            fields
        };
        let checksum = blake3::hash(&bytes);
        bytes.extend(&checksum.as_bytes()[..8]);
        if let Ok(handle) = BlockHandle::from_bytes(&bytes) {
            let _ = store.read(&handle);
            let _ = store.range(&handle, 0..handle.length().min(10)).and_then(|range| range.to_end());
            store.discard(&handle).unwrap();
            let _ = store.shred(&handle);
        }
        prop_assert_eq!(store.read(&kept).unwrap(), b"kept");
    }
}

#[test]
fn many_write_read_and_delete_while_the_store_is_compacted_and_verified() {
    let directory = tempfile::tempdir().unwrap();
    let files = Arc::new(DiskFiles::open(directory.path()).unwrap());
    let (store, _) = store(files, Recovery::Everything);
    let work = |caller: u64| {
        let store = store.clone();
        thread::spawn(move || {
            let mut kept = Vec::new();
            for number in 0..60 {
                let seed = caller << 32 | number;
                let length = (seed * 7_919 % 600_000) as usize;
                let policy = if number % 2 == 0 { WhiteningPolicy::Pooled } else { WhiteningPolicy::Fresh };
                kept.push((seed, length, store.append(&content(seed, length), options(policy)).unwrap()));
                store.sync().unwrap();
                if number % 3 == 2 {
                    let (_, _, handle) = kept.swap_remove(number as usize % kept.len());
                    if number % 2 == 0 { store.discard(&handle).unwrap() } else { store.shred(&handle).unwrap() }
                }
                let (seed, length, handle) = &kept[number as usize % kept.len()];
                assert!(store.read(handle).unwrap() == content(*seed, *length));
            }
            kept
        })
    };
    let callers: Vec<_> = (0..4).map(work).collect();
    let mut looked = 0;
    while callers.iter().any(|caller| !caller.is_finished()) {
        assert_eq!(store.compact(0.05).unwrap().damaged, 0);
        assert_eq!(store.verify().unwrap().damage, []);
        looked += 1;
    }
    assert!(looked > 0);
    let kept: Vec<_> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    for (seed, length, handle) in &kept {
        assert!(store.read(handle).unwrap() == content(*seed, *length));
    }
}

#[test]
fn tuples_and_selections_are_as_the_document_has_them() {
    let (store, _) = store(Arc::new(MemoryFiles::default()), Recovery::Everything);
    let blocks = |length, selection| {
        let options = ContentOptions { selection, ..ContentOptions::new(WhiteningPolicy::Pooled, NOW) };
        let before = store.stats().live_bytes - store.stats().pool_bytes;
        let handle = store.append(&content(0, length), options).unwrap();
        (handle.is_cbl(), handle.block_ids().count(), store.stats().live_bytes - store.stats().pool_bytes - before)
    };
    let (is_cbl, ids, bytes) = blocks(1_126, Selection::Compact);
    assert_eq!((is_cbl, ids), (false, 2), "a sealed envelope takes two small blocks");
    assert!(bytes < 4 * 1_024);
    assert_eq!(blocks(1_126, Selection::Fit).1, 1);
    let (is_cbl, ids, _) = blocks(17 << 20, Selection::Compact);
    assert!(is_cbl && ids == 2, "seventeen large blocks in two CBLs");
}

#[cfg(feature = "zstd")]
mod compression {
    use super::*;
    use sealpost_blocks::{Compression, ReadError};

    #[test]
    fn a_compressed_content_comes_back_whole_and_in_ranges_and_takes_less() {
        let (store, _) = store(Arc::new(MemoryFiles::default()), Recovery::Everything);
        let text = b"the same again, and ".repeat(100_000);
        for policy in [WhiteningPolicy::Pooled, WhiteningPolicy::Fresh] {
            let options = ContentOptions { compression: Compression::Zstd, ..options(policy) };
            let before = store.stats().stored_bytes;
            let handle = store.append(&text, options).unwrap();
            assert!(store.stats().stored_bytes - before < text.len() as u64 / 2);
            let handle = BlockHandle::from_bytes(&handle.to_bytes()).unwrap();
            assert_eq!(handle.length(), text.len() as u64);
            assert!(store.read(&handle).unwrap() == text);
            let range = store.range(&handle, 1_234_567..1_234_999).unwrap().to_end().unwrap();
            assert!(range == text[1_234_567..1_234_999]);
            let empty = store.append(b"", options).unwrap();
            assert_eq!(store.read(&empty).unwrap(), b"");
            let random = content(5, 700_000);
            let handle = store.append(&random, options).unwrap();
            assert!(store.read(&handle).unwrap() == random, "what does not compress");
        }
    }

    #[test]
    fn what_is_not_compressed_is_told_so() {
        let (store, _) = store(Arc::new(MemoryFiles::default()), Recovery::Everything);
        let mut bytes = store.append(&content(1, 3_000), options(WhiteningPolicy::Pooled)).unwrap().to_bytes();
        bytes[5] = 1;
        bytes.truncate(bytes.len() - 8);
        let checksum = blake3::hash(&bytes);
        bytes.extend(&checksum.as_bytes()[..8]);
        let handle = BlockHandle::from_bytes(&bytes).unwrap();
        assert!(matches!(store.read(&handle), Err(ReadError::Compression(_))));
    }
}
