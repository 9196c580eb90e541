//! Files that were cut short or removed behind the store's back: what is left is whole again once the rest is given up.

use std::sync::Arc;

use sealpost_blocks::{
    BlockHandle, BlockStore, ContentOptions, DurableMark, Files, MemoryFiles, OpenStoreError, Options, Recovery,
    WhiteningPolicy,
    conformance::{NOW, content, keys, store},
};

const FIRST: &str = "00000001-00000000.segment";
const SECOND: &str = "00000002-00000000.segment";
const LENGTH: usize = 5_000;

/// Contents of a store, by their seeds.
type Kept = Vec<(u64, BlockHandle)>;

fn append(store: &BlockStore, kept: &mut Kept, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let policy = if seed % 2 == 0 { WhiteningPolicy::Pooled } else { WhiteningPolicy::Fresh };
        kept.push((seed, store.append(&content(seed, LENGTH), ContentOptions::new(policy, NOW)).unwrap()));
    }
}

/// A store of two segments, of which the first is closed.
fn two_segments() -> (Arc<MemoryFiles>, Kept, DurableMark) {
    let (files, mut kept) = (Arc::new(MemoryFiles::default()), Kept::new());
    let (first, _) = store(files.clone(), Recovery::Everything);
    append(&first, &mut kept, 0..6);
    let mark = first.sync().unwrap();
    append(&first, &mut Kept::new(), 90..92);
    first.sync().unwrap();
    drop(first);
    let (second, opening) = store(files.clone(), Recovery::Committed(mark));
    assert!(opening.dropped > 0, "so that the next segment begins");
    append(&second, &mut kept, 6..12);
    let mark = second.sync().unwrap();
    second.close().unwrap();
    (files, kept, mark)
}

fn copy_cut(files: &MemoryFiles, name: &str, length: Option<usize>) -> Arc<MemoryFiles> {
    let copy = MemoryFiles::default();
    for (other, bytes) in files.list().unwrap() {
        let mut whole = vec![0; bytes as usize];
        files.read(&other, 0, &mut whole).unwrap();
        match length {
            _ if other != name => copy.replace(&other, &whole).unwrap(),
            Some(length) => copy.replace(&other, &whole[..length]).unwrap(),
            None => {}
        }
    }
    Arc::new(copy)
}

fn length(files: &MemoryFiles, name: &str) -> usize {
    files.list().unwrap().into_iter().find(|(other, _)| other == name).unwrap().1 as usize
}

/// The contents that can be read; each as it was.
fn readable(store: &BlockStore, kept: &Kept) -> Kept {
    let is_whole = |(seed, handle): &&(u64, BlockHandle)| match store.read(handle) {
        Ok(found) => found == content(*seed, LENGTH),
        Err(_) => false,
    };
    kept.iter().filter(is_whole).cloned().collect()
}

/// Repairs as one does who has told everybody what is lost; then all is as in a store that never had it.
fn gives_up_and_goes_on(files: &Arc<MemoryFiles>, opened: BlockStore, kept: &Kept) {
    let repair = opened.repair(&mut |_| None).unwrap();
    let left = readable(&opened, kept);
    for (_, lost) in kept.iter().filter(|(seed, _)| left.iter().all(|(other, _)| other != seed)) {
        opened.discard(lost).unwrap();
    }
    opened.give_up(&opened.verify().unwrap().damage).unwrap();
    assert_eq!(opened.verify().unwrap().damage, [], "{repair:?}");
    assert_eq!(readable(&opened, kept), left, "nothing that could be read is lost with it");
    let mark = opened.sync().unwrap();
    opened.collect(left.iter().map(|(_, handle)| handle.clone()), mark).unwrap();
    let mut more = Kept::new();
    append(&opened, &mut more, 20..40);
    let mark = opened.sync().unwrap();
    opened.compact(0.0).unwrap();
    drop(opened);
    let (opened, opening) = store(files.clone(), Recovery::Committed(mark));
    assert_eq!((opening.is_rebuilt, opening.missing_segments), (false, Vec::new()));
    assert_eq!(opened.verify().unwrap().damage, []);
    assert_eq!(readable(&opened, kept), left, "and what was lost stays so");
    assert_eq!(readable(&opened, &more), more);
}

#[test]
fn a_closed_segment_that_was_cut_anywhere_is_whole_again_without_what_was_lost() {
    let (files, kept, mark) = two_segments();
    for cut in (0..length(&files, FIRST)).step_by(1_499) {
        let files = copy_cut(&files, FIRST, Some(cut));
        let (opened, opening) = store(files.clone(), Recovery::Committed(mark));
        assert!(!opening.is_short);
        assert!(!opened.verify().unwrap().damage.is_empty(), "cut to {cut}");
        gives_up_and_goes_on(&files, opened, &kept);
    }
}

#[test]
fn a_cut_segment_without_its_table_is_what_its_file_holds() {
    let (files, kept, mark) = two_segments();
    let files = copy_cut(&files, FIRST, Some(length(&files, FIRST) / 2));
    files.remove("00000001-00000000.table").unwrap();
    let (opened, _) = store(files.clone(), Recovery::Committed(mark));
    gives_up_and_goes_on(&files, opened, &kept);
}

#[test]
fn a_block_that_rots_is_given_up_and_its_neighbours_stay() {
    let (files, kept, mark) = two_segments();
    for at in (200..length(&files, FIRST)).step_by(1_777) {
        let files = copy_cut(&files, FIRST, Some(length(&files, FIRST)));
        let mut byte = [0];
        files.read(FIRST, at as u64, &mut byte).unwrap();
        files.overwrite(FIRST, at as u64, &[byte[0] ^ 1]).unwrap();
        let (opened, _) = store(files.clone(), Recovery::Committed(mark));
        gives_up_and_goes_on(&files, opened, &kept);
    }
}

#[test]
fn a_store_that_ends_before_the_mark_is_opened_only_if_the_loss_is_accepted() {
    let (files, kept, mark) = two_segments();
    let whole = length(&files, SECOND);
    for cut in (0..whole).step_by(1_499).map(Some).chain([None]) {
        let files = copy_cut(&files, SECOND, cut);
        let open = |recovery| BlockStore::open(files.clone(), Options::new(recovery, keys(1)));
        assert!(matches!(open(Recovery::Committed(mark)), Err(OpenStoreError::BehindMark)), "cut to {cut:?}");
        let (opened, opening) = open(Recovery::WhatIsLeft(mark)).unwrap();
        assert!(opening.is_short);
        let left = readable(&opened, &kept);
        assert!(left.len() >= 5 && left.len() < kept.len(), "the first segment is whole: {}", left.len());
        assert!(opened.sync().unwrap() > mark, "no address of what is lost is given out again");
        gives_up_and_goes_on(&files, opened, &kept);
        assert!(open(Recovery::Committed(mark)).is_ok(), "with what is left it opens as ever");
    }
}

#[test]
fn a_store_that_is_whole_opens_alike_whether_or_not_a_loss_is_accepted() {
    let (files, kept, mark) = two_segments();
    let (opened, opening) = store(files, Recovery::WhatIsLeft(mark));
    assert!(!opening.is_short && opening.dropped == 0);
    assert_eq!(readable(&opened, &kept), kept);
}
