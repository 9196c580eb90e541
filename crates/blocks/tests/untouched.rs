//! The store over files that stay as they are.

#![expect(clippy::unwrap_used, reason = "these are tests: the first surprise ends them")]

use std::{collections::BTreeMap, sync::Arc};

use sealpost_blocks::{
    BlockStore, ContentOptions, DurableMark, Files, MemoryFiles, Options, Recovery, UntouchedFiles, WhiteningPolicy,
    conformance::{NOW, Opener, content, keys},
};

fn make() -> (Opener, ()) {
    let files: Arc<dyn Files> = Arc::new(UntouchedFiles::new(Arc::new(MemoryFiles::default())));
    (Box::new(move || Arc::clone(&files)), ())
}

mod files {
    sealpost_blocks::files_conformance!(super::make);
}

mod store {
    sealpost_blocks::store_conformance!(super::make);
}

fn open(files: Arc<dyn Files>, mark: DurableMark) -> BlockStore {
    BlockStore::open(files, Options::new(Recovery::Committed(mark), keys(1))).unwrap().0
}

fn bytes_of(files: &dyn Files) -> BTreeMap<String, Vec<u8>> {
    let read = |(name, length): (String, u64)| {
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        files.read(&name, 0, &mut bytes).unwrap();
        (name, bytes)
    };
    files.list().unwrap().into_iter().map(read).collect()
}

#[test]
fn whoever_looks_with_the_mark_of_another_ledger_gives_nothing_up() {
    let files = Arc::new(MemoryFiles::default());
    let store = open(files.clone(), DurableMark::START);
    let options = ContentOptions::new(WhiteningPolicy::Fresh, NOW);
    let handles: Vec<_> = (0..3).map(|number| store.append(&content(number, 3_000), options).unwrap()).collect();
    let mark = store.sync().unwrap();
    drop(store);
    let before = bytes_of(&*files);

    let seen = open(Arc::new(UntouchedFiles::new(files.clone())), DurableMark::START);
    assert!(seen.verify().unwrap().damage.is_empty());
    seen.shred(&handles[0]).unwrap();
    seen.append(&content(9, 100), options).unwrap();
    seen.compact(0.0).unwrap();
    seen.close().unwrap();
    assert!(bytes_of(&*files) == before, "looking changed something");

    let store = open(files, mark);
    for (number, handle) in (0..).zip(&handles) {
        assert!(store.read(handle).unwrap() == content(number, 3_000), "content {number}");
    }
}
