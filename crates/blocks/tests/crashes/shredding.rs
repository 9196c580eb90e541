//! What was shredded is gone from the files whatever a crash forgets, and compaction leaves no random block of a content's
//! own in the files that it removes.

use std::sync::Arc;

use sealpost_blocks::{
    BlockHandle, BlockStore, DurableMark, Files, Recovery, WhiteningPolicy,
    conformance::{content, options, store as open},
};

use crate::{forgetful::ForgetfulFiles, runs::Footprint};

/// How often each crash is tried, with another seed: each forgets other sectors.
const CRASHES: u64 = 12;

fn empty() -> (Arc<ForgetfulFiles>, BlockStore) {
    let files = Arc::new(ForgetfulFiles::new());
    let (store, _) = open(files.clone(), Recovery::Committed(DurableMark::START));
    (files, store)
}

fn append(store: &BlockStore, seed: u64, length: usize, policy: WhiteningPolicy) -> BlockHandle {
    store.append(&content(seed, length), options(policy)).unwrap()
}

#[test]
fn no_crash_brings_back_a_block_that_was_shredded() {
    for seed in 0..CRASHES {
        let (files, store) = empty();
        let mut all: Vec<BlockHandle> = Vec::new();
        for (number, policy) in
            [WhiteningPolicy::Fresh, WhiteningPolicy::Pooled].into_iter().cycle().take(4).enumerate()
        {
            if number == 2 {
                // What came before is in a compacted segment, the rest in the one that grows.
                store.discard(&append(&store, 1, 20_000, WhiteningPolicy::Pooled)).unwrap();
                assert_eq!(store.compact(0.0).unwrap().rewritten, 1);
            }
            all.push(append(&store, number as u64, 40_000, policy));
        }
        let kept = append(&store, 9, 40_000, WhiteningPolicy::Fresh);
        let mark = store.sync().unwrap();
        let mut footprint = Footprint::default();
        for handle in &all {
            assert!(handle.is_cbl(), "there are lists to be shredded, too");
            footprint.extend(Footprint::of_all(&store, handle));
        }
        assert_eq!(footprint.found_in(&files.contents()), footprint.len(), "the search finds what is there");
        let (one, rest) = all.split_first().unwrap();
        store.shred(one).unwrap();
        store.shred_all(rest).unwrap();
        drop(store);
        files.crash(&mut fastrand::Rng::with_seed(seed));
        // A crash may bring back the file that compaction removed: no random block is in it, and the next start removes it.
        assert_eq!(footprint.random.found_in(&files.contents()), 0, "seed {seed}");
        let (store, _) = open(files.clone(), Recovery::Committed(mark));
        assert_eq!(footprint.found_in(&files.contents()), 0, "seed {seed}");
        assert!(store.read(&kept).unwrap() == content(9, 40_000));
        assert!(all.iter().all(|handle| store.read(handle).is_err()));
        assert_eq!(store.verify().unwrap().damage, []);
    }
}

#[test]
fn a_shredding_that_a_crash_interrupts_is_made_good_by_its_repetition() {
    for power in (0..180).step_by(7) {
        let (files, store) = empty();
        let handle = append(&store, 1, 40_000, WhiteningPolicy::Fresh);
        let mark = store.sync().unwrap();
        let footprint = Footprint::of_all(&store, &handle);
        files.fail_after(power);
        assert!(store.shred(&handle).is_err(), "more than {power} changes are needed");
        drop(store);
        files.crash(&mut fastrand::Rng::with_seed(power));
        // The data comes first, then the lists.
        assert!(power >= 80 || footprint.found_in(&files.contents()) > 0);
        let (store, _) = open(files.clone(), Recovery::Committed(mark));
        store.shred(&handle).unwrap();
        drop(store);
        files.crash(&mut fastrand::Rng::with_seed(power));
        assert_eq!(footprint.found_in(&files.contents()), 0, "after {power} changes");
    }
}

#[test]
fn compaction_leaves_no_random_block_in_the_file_that_it_removes() {
    let (files, store) = empty();
    let kept = append(&store, 1, 40_000, WhiteningPolicy::Fresh);
    let gone = append(&store, 2, 40_000, WhiteningPolicy::Fresh);
    store.sync().unwrap();
    let mut footprint = Footprint::of_all(&store, &kept);
    footprint.extend(Footprint::of_all(&store, &gone));
    store.discard(&gone).unwrap();
    assert_eq!(files.take_removed(), Vec::<Vec<u8>>::new());
    assert_eq!(store.compact(0.0).unwrap().rewritten, 1);
    let removed = files.take_removed();
    assert!(footprint.whitened.found_in(&removed) > 0, "this is the file that held them");
    assert_eq!(footprint.random.found_in(&removed), 0);
    assert!(store.read(&kept).unwrap() == content(1, 40_000));
}

#[test]
fn a_compaction_that_meets_damage_leaves_no_copy_of_a_random_block() {
    let (files, store) = empty();
    // More than is copied at once, so that some of it is in the new file when the damage is met.
    let handle = append(&store, 1, 2 << 20, WhiteningPolicy::Fresh);
    let damaged = append(&store, 2, 10_000, WhiteningPolicy::Pooled);
    store.discard(&append(&store, 3, 10_000, WhiteningPolicy::Pooled)).unwrap();
    store.sync().unwrap();
    let footprint = Footprint::of_all(&store, &handle);
    let block = store.block(store.block_ids(&damaged).unwrap()[0]).unwrap().unwrap();
    let [(name, segment)] = files.named(".segment").try_into().unwrap();
    let place = segment.windows(block.len()).position(|bytes| bytes == block).unwrap();
    files.overwrite(&name, place as u64, &[block[0] ^ 1]).unwrap();
    let compaction = store.compact(0.0).unwrap();
    assert_eq!((compaction.damaged, compaction.rewritten), (1, 0));
    let removed = files.take_removed();
    assert!(removed.iter().any(|file| file.len() > 1 << 20), "some was copied before the damage was met");
    assert_eq!(footprint.found_in(&removed), 0);
}

#[test]
fn what_a_shredded_content_borrowed_is_lent_to_no_other_after_a_crash() {
    for seed in 0..CRASHES {
        let (files, store) = empty();
        // What is stored of zeros is what they borrowed.
        let zeros = |store: &BlockStore| store.append(&[0; 5_000], options(WhiteningPolicy::Pooled)).unwrap();
        let kept = append(&store, 1, 1_000, WhiteningPolicy::Pooled);
        let gone = zeros(&store);
        let mark = store.sync().unwrap();
        let borrowed = Footprint::of_all(&store, &gone);
        store.shred(&gone).unwrap();
        drop(store);
        files.crash(&mut fastrand::Rng::with_seed(seed));
        let (store, _) = open(files.clone(), Recovery::Committed(mark));
        zeros(&store);
        store.sync().unwrap();
        assert_eq!(borrowed.found_in(&files.contents()), 0, "seed {seed}");
        assert!(store.read(&kept).unwrap() == content(1, 1_000));
    }
}
