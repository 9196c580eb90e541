//! What a store must do over every file layer.

use super::{Opener, all_options, content, keys, options, store};
use crate::{
    BlockError, BlockHandle, BlockStore, CblError, CollectError, ContentOptions, DamagedPart, DurableMark, Files as _,
    OpenStoreError, Options, ReadError, Recovery, Selection, WhiteningPolicy, WriteError,
};

/// Makes every check of the suite a test.
#[macro_export]
macro_rules! store_conformance {
    ($make:path) => {
        $crate::block_conformance_tests! { $make, store:
            contents_of_many_lengths_come_back_under_every_option
            a_content_may_come_in_any_parts_and_be_read_in_any
            a_range_is_read_alone
            equal_contents_share_no_block
            what_was_synced_survives_and_what_no_ledger_knows_is_let_go_of
            a_closed_store_is_opened_without_reading_segments
            nothing_of_a_content_is_found_in_the_files
            a_content_let_go_of_is_gone_and_the_others_stay
            compaction_gives_space_back_and_keeps_every_handle
            a_shredded_content_cannot_be_put_together
            an_unfinished_content_leaves_nothing
            orphans_are_collected_and_what_is_needed_stays
            pools_end_with_what_borrowed_from_them
            a_length_that_was_not_announced_is_refused
            another_node_s_cbl_is_refused
            a_ledger_that_is_ahead_is_refused
            damage_to_every_kind_of_part_is_found_and_mended_from_a_copy
            a_small_segment_is_compacted_and_every_handle_is_kept
            damage_in_a_small_segment_is_found_and_mended_from_a_copy
        }
    };
}

const POLICIES: [WhiteningPolicy; 2] = [WhiteningPolicy::Pooled, WhiteningPolicy::Fresh];

fn everything(open: &Opener) -> BlockStore {
    store(open(), Recovery::Everything).0
}

pub fn contents_of_many_lengths_come_back_under_every_option(open: &Opener) {
    let store = everything(open);
    for (seed, options) in all_options().enumerate() {
        let lengths: &[usize] = match options.selection {
            Selection::Compact => &[0, 1, 1_024, 1_025, 8_192, 8_193, 100_000],
            Selection::Fit => &[0, 1_024, 1_025],
        };
        for length in lengths {
            let content = content(seed as u64, *length);
            let handle = store.append(&content, options).unwrap();
            let again = BlockHandle::from_bytes(&handle.to_bytes()).unwrap();
            assert_eq!(again, handle);
            assert!(handle.to_bytes().len() < 1_024);
            assert!(store.read(&again).unwrap() == content, "{length} bytes under {options:?}");
            store.discard(&handle).unwrap();
        }
    }
}

pub fn a_content_may_come_in_any_parts_and_be_read_in_any(open: &Opener) {
    let store = everything(open);
    let content = content(3, 300_000);
    for (policy, part) in POLICIES.into_iter().zip([1_000, 77_777]) {
        let mut writer = store.writer(content.len() as u64, options(policy)).unwrap();
        content.chunks(part).for_each(|part| writer.write(part).unwrap());
        let handle = writer.finish().unwrap();
        let mut reader = store.reader(&handle).unwrap();
        assert_eq!(reader.length(), content.len() as u64);
        let (mut read, mut buffer) = (Vec::new(), vec![0; 12_345]);
        loop {
            let count = reader.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            read.extend_from_slice(&buffer[..count]);
        }
        assert!(read == content);
    }
}

pub fn a_range_is_read_alone(open: &Opener) {
    let store = everything(open);
    for (policy, length) in POLICIES.into_iter().zip([250_000, 700_000]) {
        let content = content(4, length);
        let handle = store.append(&content, options(policy)).unwrap();
        assert!(handle.is_cbl());
        let end = length as u64;
        for (start, end) in [(0, 0), (0, 1), (1_023, 1_025), (65_535, 131_073), (end - 1, end), (end, end), (17, end)] {
            let range = store.range(&handle, start..end).unwrap().to_end().unwrap();
            assert!(range == content[start as usize..end as usize], "{start}..{end}");
        }
        let reversed = std::ops::Range { start: 2, end: 1 };
        for range in [0..end + 1, reversed, u64::MAX..u64::MAX] {
            assert!(matches!(store.range(&handle, range), Err(ReadError::Range { .. })));
        }
    }
}

pub fn equal_contents_share_no_block(open: &Opener) {
    let store = everything(open);
    let content = content(5, 5_000);
    for policy in POLICIES {
        let mine = store.append(&content, options(policy)).unwrap();
        let yours = store.append(&content, options(policy)).unwrap();
        assert!(mine.block_ids().all(|id| yours.block_ids().all(|other| other != id)));
        store.discard(&mine).unwrap();
        assert!(store.read(&yours).unwrap() == content);
    }
}

pub fn what_was_synced_survives_and_what_no_ledger_knows_is_let_go_of(open: &Opener) {
    let (acknowledged, late, mark) = {
        let store = everything(open);
        let acknowledged: Vec<_> =
            POLICIES.map(|policy| store.append(&content(6, 20_000), options(policy)).unwrap()).into();
        let mark = store.sync().unwrap();
        assert_eq!(store.sync().unwrap(), mark, "nothing new");
        let late: Vec<_> = POLICIES.map(|policy| store.append(&content(7, 20_000), options(policy)).unwrap()).into();
        assert!(store.sync().unwrap() > mark);
        (acknowledged, late, mark)
    };
    let mark = DurableMark::from_bytes(mark.to_bytes());
    for round in 0..2 {
        let (store, opening) = store(open(), Recovery::Committed(mark));
        assert_eq!(opening.dropped > 0, round == 0);
        for handle in &acknowledged {
            assert!(store.read(handle).unwrap() == content(6, 20_000));
        }
        for handle in &late {
            assert!(matches!(store.read(handle), Err(ReadError::Block(BlockError::Missing(_)))));
        }
        assert_eq!(store.verify().unwrap().damage, []);
    }
}

pub fn a_closed_store_is_opened_without_reading_segments(open: &Opener) {
    let store = everything(open);
    let mut handles = Vec::new();
    for seed in 0..5 {
        handles.push(store.append(&content(seed, 17 << 20), options(WhiteningPolicy::Pooled)).unwrap());
    }
    let mark = store.sync().unwrap();
    let before = store.stats();
    assert!(before.segments > 1);
    store.close().unwrap();
    let (store, opening) = super::store(open(), Recovery::Committed(mark));
    assert!(opening.segments_read <= 1, "the newest alone");
    assert!(!opening.is_rebuilt && opening.dropped == 0);
    assert_eq!(store.stats(), before);
    assert!(store.read(&handles[0]).unwrap() == content(0, 17 << 20));
}

/// All bytes of all files.
fn bytes(open: &Opener) -> Vec<u8> {
    let files = open();
    let mut all = Vec::new();
    for (name, length) in files.list().unwrap() {
        let mut file = vec![0; length as usize];
        files.read(&name, 0, &mut file).unwrap();
        all.extend(file);
    }
    all
}

pub fn nothing_of_a_content_is_found_in_the_files(open: &Opener) {
    let text = b"sixteen bytes of text, and some more".repeat(400);
    let store = everything(open);
    for options in all_options() {
        store.append(&text, options).unwrap();
    }
    store.close().unwrap();
    let bytes = bytes(open);
    let runs: std::collections::HashSet<&[u8]> = text.windows(16).collect();
    assert!(bytes.len() > text.len() && !bytes.windows(16).any(|run| runs.contains(run)));
}

pub fn a_content_let_go_of_is_gone_and_the_others_stay(open: &Opener) {
    let store = everything(open);
    let handles: Vec<_> = (0..10)
        .map(|seed| store.append(&content(seed, 30_000), options(POLICIES[seed as usize % 2])).unwrap())
        .collect();
    for handle in handles.iter().step_by(3) {
        store.discard(handle).unwrap();
        store.discard(handle).unwrap();
    }
    let look = |store: &BlockStore| {
        for (seed, handle) in handles.iter().enumerate() {
            match store.read(handle) {
                Ok(read) => assert!(seed % 3 != 0 && read == content(seed as u64, 30_000)),
                Err(error) => {
                    assert!(seed % 3 == 0 && matches!(error, ReadError::Block(BlockError::Missing(_))), "{error}");
                }
            }
        }
    };
    look(&store);
    let mark = store.sync().unwrap();
    drop(store);
    let (store, _) = super::store(open(), Recovery::Committed(mark));
    look(&store);
}

pub fn compaction_gives_space_back_and_keeps_every_handle(open: &Opener) {
    let store = everything(open);
    let append = |seed: u64| store.append(&content(seed, 2 << 20), options(POLICIES[seed as usize % 2])).unwrap();
    let handles: Vec<_> = (0..50).map(append).collect();
    for (seed, handle) in handles.iter().enumerate() {
        if seed % 5 != 0 {
            store.discard(handle).unwrap();
        }
    }
    store.sync().unwrap();
    let before = store.stats();
    assert!(before.segments > 2 && before.dead_bytes > before.live_bytes);
    let compaction = store.compact(0.1).unwrap();
    assert!(compaction.rewritten > 0 && compaction.damaged == 0);
    let after = store.stats();
    let header = 64;
    assert_eq!(after.stored_bytes, before.stored_bytes - compaction.freed + header, "a new segment begins");
    assert_eq!((after.dead_bytes, after.live_bytes), (0, before.live_bytes));
    let store = reopened_with_what_is_kept(open, store, &handles, 2 << 20, |seed| seed % 5 == 0);
    handles.iter().step_by(5).for_each(|handle| store.discard(handle).unwrap());
    store.compact(0.1).unwrap();
    let stats = store.stats();
    assert!(stats.live_bytes - stats.pool_bytes < 10_000, "but for pools, nothing is left: {stats:?}");
}

/// Checks, before and after the store is opened anew, that of the contents that were made from these seeds the kept are whole,
/// and the others gone.
fn reopened_with_what_is_kept(
    open: &Opener,
    store: BlockStore,
    handles: &[BlockHandle],
    length: usize,
    is_kept: fn(usize) -> bool,
) -> BlockStore {
    let look = |store: &BlockStore| {
        for (seed, handle) in handles.iter().enumerate() {
            match store.read(handle) {
                Ok(read) => assert!(is_kept(seed) && read == content(seed as u64, length)),
                Err(error) => assert!(!is_kept(seed), "{error}"),
            }
        }
        assert_eq!(store.verify().unwrap().damage, []);
    };
    look(&store);
    let mark = store.sync().unwrap();
    drop(store);
    let (store, opening) = super::store(open(), Recovery::Committed(mark));
    assert!(opening.missing_segments.is_empty());
    look(&store);
    store
}

pub fn a_shredded_content_cannot_be_put_together(open: &Opener) {
    let store = everything(open);
    let mut shredded = Vec::new();
    for policy in POLICIES {
        let kept = store.append(&content(8, 40_000), options(policy)).unwrap();
        let handle = store.append(&content(9, 40_000), options(policy)).unwrap();
        let data = store.block_ids(&handle).unwrap();
        assert!(data.len() >= 40, "data and CBLs");
        shredded.extend(data.iter().map(|id| store.block(*id).unwrap().unwrap()));
        store.shred(&handle).unwrap();
        store.shred(&handle).unwrap();
        assert!(matches!(store.read(&handle), Err(ReadError::Block(BlockError::Missing(_)))));
        assert!(data.iter().all(|id| store.block(*id).unwrap().is_none()));
        assert!(store.read(&kept).unwrap() == content(8, 40_000));
    }
    assert_eq!(store.verify().unwrap().damage, []);
    drop(store);
    let (bytes, runs) = (bytes(open), shredded.iter().flat_map(|block| block.chunks(16)));
    let runs: std::collections::HashSet<_> = runs.collect();
    assert!(!bytes.windows(16).any(|run| runs.contains(run)), "a part of a block is still there");
}

pub fn an_unfinished_content_leaves_nothing(open: &Opener) {
    let store = everything(open);
    store.append(&content(1, 100), options(WhiteningPolicy::Pooled)).unwrap();
    for policy in POLICIES {
        let mut writer = store.writer(200_000, options(policy)).unwrap();
        writer.write(&content(2, 150_000)).unwrap();
        assert!(store.stats().live_bytes > 150_000);
        drop(writer);
        let stats = store.stats();
        assert!(stats.live_bytes - stats.pool_bytes < 10_000, "{stats:?}");
    }
}

pub fn orphans_are_collected_and_what_is_needed_stays(open: &Opener) {
    let store = everything(open);
    let append = |seed, policy| store.append(&content(seed, 60_000), options(policy)).unwrap();
    let needed: Vec<_> = POLICIES.map(|policy| append(1, policy)).into();
    let _orphans: Vec<_> = POLICIES.map(|policy| append(2, policy)).into();
    let mut unfinished = store.writer(60_000, options(WhiteningPolicy::Fresh)).unwrap();
    unfinished.write(&content(3, 50_000)).unwrap();
    let mark = store.sync().unwrap();
    let later = append(4, WhiteningPolicy::Pooled);
    let collection = store.collect(needed.clone(), mark).unwrap();
    assert!(collection.collected >= 3 * 60 && collection.needed >= 3 * 59, "{collection:?}");
    assert_eq!(store.collect(needed.clone(), mark).unwrap().collected, 0);
    unfinished.write(&content(3, 60_000)[50_000..]).unwrap();
    let unfinished = unfinished.finish().unwrap();
    assert!(store.read(&unfinished).unwrap() == content(3, 60_000));
    assert!(store.read(&later).unwrap() == content(4, 60_000));
    assert!(needed.iter().all(|handle| store.read(handle).unwrap() == content(1, 60_000)));
    store.discard(&later).unwrap();
    assert!(matches!(store.collect([later], mark), Err(CollectError::Unreadable(_))), "what is needed must be there");
}

pub fn pools_end_with_what_borrowed_from_them(open: &Opener) {
    let store = everything(open);
    let handle = store.append(&content(1, 60_000), options(WhiteningPolicy::Pooled)).unwrap();
    assert!(store.stats().pool_bytes > 0);
    store.collect([handle.clone()], store.sync().unwrap()).unwrap();
    assert!(store.read(&handle).unwrap() == content(1, 60_000), "something borrows");
    store.discard(&handle).unwrap();
    let mark = store.sync().unwrap();
    store.collect([], mark).unwrap();
    assert_eq!((store.stats().pool_bytes, store.stats().live_bytes), (0, 0));
    let again = store.append(&content(2, 60_000), options(WhiteningPolicy::Pooled)).unwrap();
    assert!(store.read(&again).unwrap() == content(2, 60_000));
}

pub fn a_length_that_was_not_announced_is_refused(open: &Opener) {
    let store = everything(open);
    let mut writer = store.writer(10, options(WhiteningPolicy::Pooled)).unwrap();
    assert!(matches!(writer.write(&[0; 11]), Err(WriteError::Length { announced: 10, given: 11 })));
    let mut writer = store.writer(10, options(WhiteningPolicy::Pooled)).unwrap();
    writer.write(&[0; 9]).unwrap();
    assert!(matches!(writer.finish(), Err(WriteError::Length { announced: 10, given: 9 })));
}

pub fn another_node_s_cbl_is_refused(open: &Opener) {
    let handle = {
        let store = everything(open);
        let handle = store.append(&content(1, 60_000), options(WhiteningPolicy::Pooled)).unwrap();
        store.close().unwrap();
        handle
    };
    let (stranger, _) = BlockStore::open(open(), Options::new(Recovery::Everything, keys(2))).unwrap();
    assert!(matches!(stranger.read(&handle), Err(ReadError::Cbl(CblError::Signature))));
}

pub fn a_ledger_that_is_ahead_is_refused(open: &Opener) {
    let ahead = {
        let store = everything(open);
        store.append(&content(1, 2_000), options(WhiteningPolicy::Pooled)).unwrap();
        let mark = store.sync().unwrap();
        store.close().unwrap();
        let slot = u64::from_be_bytes(mark.to_bytes()) + 100;
        DurableMark::from_bytes(slot.to_be_bytes())
    };
    let opened = BlockStore::open(open(), Options::new(Recovery::Committed(ahead), keys(1)));
    assert!(matches!(opened, Err(OpenStoreError::BehindMark)));
}

pub fn damage_to_every_kind_of_part_is_found_and_mended_from_a_copy(open: &Opener) {
    let many = |store: &BlockStore| -> Vec<BlockHandle> {
        let options = |seed: u64| ContentOptions { selection: Selection::Fit, ..options(POLICIES[seed as usize % 2]) };
        (0..5).map(|seed| store.append(&content(seed, 17 << 20), options(seed)).unwrap()).collect()
    };
    let (handles, copies) = {
        let store = everything(open);
        let handles = many(&store);
        let ids: Vec<_> = handles.iter().flat_map(BlockHandle::block_ids).collect();
        let copies: std::collections::HashMap<_, _> =
            ids.iter().map(|id| (*id, store.block(*id).unwrap().unwrap())).collect();
        store.close().unwrap();
        (handles, copies)
    };
    let files = open();
    let flip = |name: &str, offset: u64| {
        let mut byte = [0];
        files.read(name, offset, &mut byte).unwrap();
        files.overwrite(name, offset, &[byte[0] ^ 4]).unwrap();
        files.sync(name).unwrap();
    };
    let mut names: Vec<_> = files.list().unwrap().into_iter().map(|(name, _)| name).collect();
    names.sort();
    let segments: Vec<_> = names.iter().filter(|name| name.ends_with(".segment")).collect();
    let tables: Vec<_> = names.iter().filter(|name| name.ends_with(".table")).collect();
    assert!(segments.len() >= 3 && tables.len() >= 2);
    flip(segments[0], 9);
    flip(tables[1], 200);
    let store = store(files, Recovery::Everything).0;
    let verification = store.verify().unwrap();
    let found: Vec<_> = verification.damage.iter().map(|damage| damage.part).collect();
    assert!(found.contains(&DamagedPart::SegmentHeader) && found.contains(&DamagedPart::Table), "{found:?}");
    let repair = store.repair(&mut |id| copies.get(&id).cloned()).unwrap();
    assert_eq!((repair.rewritten, repair.lost.len()), (2, 0), "{repair:?}");
    assert_eq!(store.verify().unwrap().damage, []);
    assert!(store.read(&handles[4]).unwrap() == content(4, 17 << 20));
}

pub fn a_small_segment_is_compacted_and_every_handle_is_kept(open: &Opener) {
    let store = everything(open);
    let append = |seed: u64| store.append(&content(seed, 20_000), options(POLICIES[seed as usize % 2])).unwrap();
    let handles: Vec<_> = (0..8).map(append).collect();
    for (seed, handle) in handles.iter().enumerate().filter(|(seed, _)| seed % 4 > 1) {
        if seed % 2 == 0 { store.discard(handle).unwrap() } else { store.shred(handle).unwrap() }
    }
    store.sync().unwrap();
    let before = store.stats();
    let compaction = store.compact(0.1).unwrap();
    assert_eq!((compaction.rewritten, compaction.damaged), (1, 0));
    assert_eq!((store.stats().dead_bytes, store.stats().live_bytes), (0, before.live_bytes));
    let store = reopened_with_what_is_kept(open, store, &handles, 20_000, |seed| seed % 4 < 2);
    for handle in &handles {
        store.shred(handle).unwrap();
    }
    assert_eq!(store.compact(0.1).unwrap().damaged, 0);
    let stats = store.stats();
    assert!(stats.live_bytes - stats.pool_bytes < 10_000, "but for pools, nothing is left: {stats:?}");
}

pub fn damage_in_a_small_segment_is_found_and_mended_from_a_copy(open: &Opener) {
    let files = open();
    let store = store(files.clone(), Recovery::Everything).0;
    let handles = POLICIES.map(|policy| store.append(&content(1, 20_000), options(policy)).unwrap());
    let gone = store.append(&content(2, 20_000), options(WhiteningPolicy::Pooled)).unwrap();
    store.discard(&gone).unwrap();
    assert_eq!(store.compact(0.0).unwrap().rewritten, 1);
    let copy = std::sync::Arc::new(crate::MemoryFiles::default());
    for (name, length) in files.list().unwrap() {
        let mut bytes = vec![0; length as usize];
        files.read(&name, 0, &mut bytes).unwrap();
        copy.append(&name, 0, &bytes).unwrap();
    }
    let copy = super::store(copy, Recovery::Everything).0;
    let [segment, table] = ["segment", "table"].map(|kind| format!("00000001-00000001.{kind}"));
    let (header, record) = (64, 64 + 1_024);
    type IsFound = fn(&DamagedPart) -> bool;
    let places: [(&str, u64, IsFound); 4] = [
        (&segment, 9, |part| matches!(part, DamagedPart::SegmentHeader)),
        (&segment, header + record + 20, |part| matches!(part, DamagedPart::RecordHeader(_))),
        (&segment, header + 2 * record + 500, |part| matches!(part, DamagedPart::Block { .. })),
        (&table, 200, |part| matches!(part, DamagedPart::Table)),
    ];
    for (name, place, is_found) in places {
        let mut byte = [0];
        files.read(name, place, &mut byte).unwrap();
        files.overwrite(name, place, &[byte[0] ^ 4]).unwrap();
        files.sync(name).unwrap();
        let [damage] = store.verify().unwrap().damage.try_into().unwrap();
        assert!(damage.file == name && is_found(&damage.part), "{damage:?}");
        let repair = store.repair(&mut |id| copy.block(id).unwrap()).unwrap();
        assert_eq!((repair.rewritten + repair.restored, repair.lost.len()), (1, 0), "{repair:?}");
        assert_eq!(store.verify().unwrap().damage, []);
        assert!(handles.iter().all(|handle| store.read(handle).unwrap() == content(1, 20_000)));
    }
}
