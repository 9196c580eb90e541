//! What a relay calls in the background: letting go of several contents at once, collecting from a list that may fail, and
//! compaction in small steps.

use std::sync::Arc;

use sealpost_blocks::{
    BlockStore, CollectError, MemoryFiles, Recovery, WhiteningPolicy,
    conformance::{content, options, store},
    limits,
};

fn empty() -> BlockStore {
    store(Arc::new(MemoryFiles::default()), Recovery::Everything).0
}

#[test]
fn several_contents_are_shredded_together_and_no_other() {
    let store = empty();
    let contents = [5_000, 200_000, 700].map(|length| content(1, length));
    let handles: Vec<_> =
        contents.iter().map(|content| store.append(content, options(WhiteningPolicy::Fresh)).unwrap()).collect();
    let [one, listed, kept] = handles.as_slice() else { unreachable!() };
    assert!(listed.is_cbl() && !one.is_cbl(), "lists of different depths go in one call");
    store.shred_all(&[]).unwrap();
    assert!(handles.iter().all(|handle| store.read(handle).is_ok()));
    store.shred(one).unwrap();
    let gone = [one.clone(), listed.clone()];
    for _ in 0..2 {
        store.shred_all(&gone).unwrap();
        assert!(gone.iter().all(|handle| store.read(handle).is_err()), "one that was gone before keeps no other");
    }
    let ids = gone.iter().flat_map(|handle| handle.block_ids());
    assert!(ids.into_iter().all(|id| store.block(id).unwrap().is_none()));
    assert!(store.read(kept).unwrap() == content(1, 700));
}

#[test]
fn nothing_is_collected_unless_the_list_comes_to_its_end() {
    let store = empty();
    let [needed, orphan] =
        [2, 3].map(|seed| store.append(&content(seed, 20_000), options(WhiteningPolicy::Pooled)).unwrap());
    let mark = store.sync().unwrap();
    let failing = [Ok(needed.clone()), Err("the ledger is gone".into())];
    let refused = store.collect_but(failing, mark).unwrap_err();
    assert!(matches!(&refused, CollectError::Needed(why) if why.to_string() == "the ledger is gone"), "{refused}");
    assert!(store.read(&orphan).is_ok());
    let collected = store.collect_but([Ok(needed.clone())], mark).unwrap();
    assert!(collected.needed > 0 && collected.collected > 0);
    assert!(store.read(&orphan).is_err());
    assert!(store.read(&needed).unwrap() == content(2, 20_000));
}

#[test]
fn a_step_of_compaction_leaves_the_growing_segment_until_much_of_it_is_dead() {
    let store = empty();
    let kept = store.append(&content(4, 20_000), options(WhiteningPolicy::Pooled)).unwrap();
    let done = |dead, segments| {
        let done = store.compact_some(dead, segments).unwrap();
        done.rewritten + done.removed
    };
    let much = content(5, usize::try_from(limits::CLOSED_EARLY).unwrap() / 2);
    let [first, second] = [0; 2].map(|_| store.append(&much, options(WhiteningPolicy::Pooled)).unwrap());
    let third = store.append(&much, options(WhiteningPolicy::Pooled)).unwrap();
    store.discard(&first).unwrap();
    assert_eq!(done(0.1, 1), 0, "a third is dead, and not yet enough");
    [second, third].iter().for_each(|handle| store.discard(handle).unwrap());
    assert_eq!(done(0.1, 0), 0, "no more segments than asked for");
    let before = store.stats().stored_bytes;
    assert_eq!(done(0.1, 1), 1);
    assert!(store.stats().stored_bytes < before / 2);
    assert_eq!(done(0.1, 1), 0);
    assert!(store.read(&kept).unwrap() == content(4, 20_000));
}
