//! How much a start after a crash looks through.

use std::sync::Arc;

use sealpost_blocks::{
    DurableMark, Files, Recovery, WhiteningPolicy,
    conformance::{content, options, store},
};

use crate::forgetful::ForgetfulFiles;

const SEGMENTS: usize = 5;

/// The segment that a mark, or the name of a segment's file, is of.
fn segment_of(mark: DurableMark) -> u64 {
    u64::from_be_bytes(mark.to_bytes()) >> 32
}

fn segments(files: &dyn Files) -> Vec<u64> {
    let names = files.list().unwrap().into_iter().filter(|(name, _)| name.ends_with(".segment"));
    names.map(|(name, _)| u64::from_str_radix(&name[..8], 16).unwrap()).collect()
}

#[test]
fn a_start_after_a_crash_reads_the_segments_from_the_last_committed_mark_on_and_no_other() {
    for committed in 0..SEGMENTS {
        let files = Arc::new(ForgetfulFiles::new());
        let (first, _) = store(files.clone(), Recovery::Committed(DurableMark::START));
        let mut marks = Vec::new();
        let mut handles = Vec::new();
        for number in 0..SEGMENTS as u64 {
            handles.push(first.append(&content(number, 20_000), options(WhiteningPolicy::Fresh)).unwrap());
            let dead = first.append(&content(number, 5_000), options(WhiteningPolicy::Fresh)).unwrap();
            marks.push(first.sync().unwrap());
            if number + 1 < SEGMENTS as u64 {
                // The growing segment is closed and written anew without this.
                first.discard(&dead).unwrap();
                assert_eq!(first.compact(0.0).unwrap().rewritten, 1);
            }
        }
        drop(first);
        files.crash(&mut fastrand::Rng::with_seed(committed as u64));
        let mark = marks[committed];
        let there: std::collections::BTreeSet<_> = segments(&*files).into_iter().collect();
        assert_eq!(there.len(), SEGMENTS);
        let newer = there.iter().filter(|segment| **segment >= segment_of(mark)).count();
        assert_eq!(newer, SEGMENTS - committed);
        let (store, opening) = store(files, Recovery::Committed(mark));
        assert_eq!(opening.segments_read, newer as u64);
        assert!(!opening.is_rebuilt && opening.missing_segments.is_empty());
        for (number, handle) in handles.iter().enumerate() {
            match number <= committed {
                true => assert!(store.read(handle).unwrap() == content(number as u64, 20_000)),
                false => assert!(store.read(handle).is_err(), "no ledger knows of it"),
            }
        }
    }
}
