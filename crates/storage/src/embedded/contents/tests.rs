//! What the contents promise about flushes, and what becomes of contents that no ledger names.

mod files;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sealpost_blocks::{BlockId, DiskFiles, Files};
use sealpost_core::{
    conformance::{Agent, HandClock, Letter, NOW},
    ports::{Acceptance, ContentHandle, ContentPolicy, Contents, PageQuery, StoredContents},
};
use sealpost_protocol::PartHash;
use tempfile::TempDir;

use self::files::FlushedFiles;
use super::*;
use crate::{BackupError, BackupStop, Embedded};

/// A data directory in use, whose files are watched.
struct Place {
    directory: TempDir,
    files: Arc<FlushedFiles>,
    embedded: Embedded,
    contents: Arc<EmbeddedContents>,
}

async fn open_in(embedded: &Embedded, files: Arc<dyn Files>) -> Result<Arc<EmbeddedContents>, OpenContentsError> {
    let (node, clock) = (Arc::new(Agent::new(0x0d)), Arc::<HandClock>::default());
    let directory = embedded.data_directory().to_owned();
    EmbeddedContents::open_in(files, Arc::clone(&embedded.store), directory, node, clock, Loss::Refused)
        .await
        .map(Arc::new)
}

/// Opens the data directory as it is after a crash of the machine: of the blocks, what was flushed.
async fn open_after_crash(place: &Place, copy: &Path) -> Result<(Embedded, Arc<EmbeddedContents>), OpenContentsError> {
    for entry in std::fs::read_dir(place.directory.path()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with("ledger") {
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
    }
    let embedded = Embedded::open(copy).unwrap();
    let contents = open_in(&embedded, Arc::new(DiskFiles::open(place.files.flushed()).unwrap())).await?;
    Ok((embedded, contents))
}

impl Place {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let embedded = Embedded::open(directory.path()).unwrap();
        let blocks = directory.path().join(DIRECTORY);
        data_directory::create(&blocks).unwrap();
        let files = Arc::new(FlushedFiles::over(DiskFiles::open(&blocks).unwrap(), &blocks));
        let contents = open_in(&embedded, files.clone()).await.unwrap();
        Self { directory, files, embedded, contents }
    }

    async fn store(&self, policy: ContentPolicy, content: &[u8]) -> StoredContents {
        self.contents.append(policy, vec![content.to_vec()]).await.unwrap()
    }

    /// Stores the envelope of a letter to Bob, and has the ledger accept it.
    async fn accept(&self, number: u64, policy: ContentPolicy) -> ContentHandle {
        let (letter, envelope) = letter(number);
        let stored = self.store(policy, &envelope).await;
        let handle = stored.handles[0].clone();
        self.embedded.ledger().accept(acceptance(&letter, &stored)).await.unwrap();
        handle
    }

    async fn read(&self, handle: &ContentHandle) -> Option<Vec<u8>> {
        self.contents.read(vec![handle.clone()]).await.unwrap().remove(0)
    }
}

fn letter(number: u64) -> (Letter, Vec<u8>) {
    let bob = Agent::bob();
    let letter = Letter::new(&Agent::alice(), &[&bob]).number(number).ciphertext(1_000);
    let envelope = letter.envelope(bob.id());
    (letter, envelope)
}

fn acceptance(letter: &Letter, stored: &StoredContents) -> Acceptance {
    let mut acceptance = letter.acceptance();
    acceptance.parts[0].content = stored.handles[0].clone();
    acceptance.mark = stored.mark.clone();
    acceptance
}

/// Contents of everything that waits for Bob, each checked against the ledger.
async fn waiting(embedded: &Embedded, contents: &EmbeddedContents) -> usize {
    let query = PageQuery { recipient: Agent::bob().id(), after: 0, entries: 1_000, bytes: u64::MAX, now: NOW };
    let entries = embedded.ledger().page(query).await.unwrap();
    for entry in &entries {
        let content = contents.read(vec![entry.content.clone()]).await.unwrap().remove(0).unwrap();
        assert_eq!(PartHash::of(&content), entry.part);
    }
    entries.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_acceptance_costs_two_flushes_and_those_at_once_share_them() {
    let place = Arc::new(Place::new().await);
    place.accept(1, ContentPolicy::Pooled).await;
    let before = (place.files.syncs(), place.embedded.store.database.commits());
    place.accept(2, ContentPolicy::Pooled).await;
    let after = (place.files.syncs(), place.embedded.store.database.commits());
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));

    place.files.delay(Duration::from_millis(20));
    let accept = |number| {
        let place = Arc::clone(&place);
        tokio::spawn(async move { place.accept(number, ContentPolicy::Pooled).await })
    };
    for accepting in (10..74).map(accept).collect::<Vec<_>>() {
        accepting.await.unwrap();
    }
    let (syncs, commits) = (place.files.syncs() - after.0, place.embedded.store.database.commits() - after.1);
    assert!(syncs <= 6 && commits <= 20, "64 messages took {syncs} flushes and {commits} commits");
    assert_eq!(waiting(&place.embedded, &place.contents).await, 66);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_the_loss_of_everything_that_was_not_flushed() {
    let place = Place::new().await;
    for number in 1..=20 {
        let policy = if number % 2 == 0 { ContentPolicy::Pooled } else { ContentPolicy::Fresh };
        place.accept(number, policy).await;
    }
    let copy = tempfile::tempdir().unwrap();
    let (embedded, contents) = open_after_crash(&place, copy.path()).await.unwrap();
    assert_eq!(waiting(&embedded, &contents).await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_that_is_left_out_before_the_commit_is_found_out() {
    let place = Place::new().await;
    place.accept(1, ContentPolicy::Pooled).await;
    place.files.leave_out_flushes();
    place.accept(2, ContentPolicy::Pooled).await;
    let copy = tempfile::tempdir().unwrap();
    let opened = open_after_crash(&place, copy.path()).await;
    assert!(matches!(opened, Err(OpenContentsError::BehindLedger { .. })), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_flush_the_store_goes_on_with_what_it_had_given_out() {
    let place = Place::new().await;
    let (first, envelope) = letter(1);
    let given_out = place.store(ContentPolicy::Pooled, &envelope).await;
    place.files.fail_next_flush();
    let refused = place.contents.append(ContentPolicy::Pooled, vec![b"refused".to_vec()]).await;
    assert!(refused.is_err());
    place.accept(2, ContentPolicy::Fresh).await;
    place.embedded.ledger().accept(acceptance(&first, &given_out)).await.unwrap();
    assert_eq!(waiting(&place.embedded, &place.contents).await, 2);
    let copy = tempfile::tempdir().unwrap();
    let (embedded, contents) = open_after_crash(&place, copy.path()).await.unwrap();
    assert_eq!(waiting(&embedded, &contents).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_takes_orphans_and_spares_what_is_being_accepted() {
    let place = Place::new().await;
    let (late, envelope) = letter(1);
    let accepting = place.store(ContentPolicy::Fresh, &envelope).await;
    place.accept(2, ContentPolicy::Pooled).await;
    assert_eq!(place.contents.collect().await.unwrap().collected, 0);
    place.embedded.ledger().accept(acceptance(&late, &accepting)).await.unwrap();
    drop(accepting);

    let orphan = place.store(ContentPolicy::Fresh, b"nobody's").await;
    let handle = orphan.handles[0].clone();
    place.accept(3, ContentPolicy::Pooled).await;
    assert_eq!(place.contents.collect().await.unwrap().collected, 0, "its mark still lives");
    drop(orphan);
    assert_eq!(place.contents.collect().await.unwrap().collected, 2);
    assert_eq!(place.read(&handle).await, None);
    assert_eq!(waiting(&place.embedded, &place.contents).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_background_orphans_go_and_everything_else_stays() {
    let place = Place::new().await;
    place.accept(1, ContentPolicy::Pooled).await;
    let gone = place.store(ContentPolicy::Fresh, &[7; 300_000]).await.handles;
    let (late, envelope) = letter(2);
    let accepting = place.store(ContentPolicy::Fresh, &envelope).await;
    place.accept(3, ContentPolicy::Fresh).await;
    let some = async || place.contents.collect_some(Duration::ZERO).await.unwrap();
    let found = some().await.expect("there is something to look at");
    assert_eq!(found.collected, 10, "five blocks of 64 KiB, and as many random ones");
    assert_eq!(place.read(&gone[0]).await, None);
    assert_eq!(some().await, None, "what is behind the one that is being accepted is looked at later");
    place.embedded.ledger().accept(acceptance(&late, &accepting)).await.unwrap();
    drop(accepting);
    place.accept(4, ContentPolicy::Pooled).await;
    let found = some().await.expect("there is more");
    assert_eq!(found.collected, 0);
    assert_eq!(some().await, None, "nothing is looked at twice");
    assert_eq!(place.contents.collect().await.unwrap().collected, 0, "a whole collection finds nothing more");
    assert_eq!(waiting(&place.embedded, &place.contents).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_of_a_crash_before_a_mark_go_in_the_background_after_it() {
    let place = Place::new().await;
    let orphan = place.store(ContentPolicy::Fresh, &[7; 5_000]).await.handles;
    for number in 1..=300 {
        place.accept(number, ContentPolicy::Pooled).await;
    }
    let copy = tempfile::tempdir().unwrap();
    let (embedded, contents) = open_after_crash(&place, copy.path()).await.unwrap();
    assert!(contents.read(orphan.clone()).await.unwrap()[0].is_some(), "opening does not find it");
    let found = contents.collect_some(Duration::ZERO).await.unwrap().unwrap();
    assert!(found.collected > 0, "{found:?}");
    assert_eq!(contents.read(orphan).await.unwrap(), [None]);
    assert_eq!(waiting(&embedded, &contents).await, 300);
    drop((embedded, contents));
    std::fs::remove_file(place.files.flushed().join("state")).unwrap();
    let (embedded, contents) = {
        let embedded = Embedded::open(copy.path()).unwrap();
        let files = Arc::new(DiskFiles::open(place.files.flushed()).unwrap());
        let contents = open_in(&embedded, files).await.unwrap();
        (embedded, contents)
    };
    assert!(contents.collect_some(Duration::ZERO).await.unwrap().is_some(), "rebuilt: everything is looked at again");
    assert_eq!(waiting(&embedded, &contents).await, 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::await_holding_lock,
    clippy::readonly_write_lock,
    reason = "as a backup holds it, whose thread stands still"
)]
async fn nothing_is_collected_while_a_backup_is_made() {
    let place = Place::new().await;
    let orphan = place.store(ContentPolicy::Fresh, &[7; 5_000]).await.handles;
    place.accept(1, ContentPolicy::Pooled).await;
    let backup = place.contents.blocks.keeping.write().unwrap();
    assert_eq!(place.contents.collect_some(Duration::ZERO).await.unwrap(), None);
    drop(backup);
    assert!(place.read(&orphan[0]).await.is_some());
    assert!(place.contents.collect_some(Duration::ZERO).await.unwrap().unwrap().collected > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_stopped_anywhere_leaves_nothing_that_looks_like_one() {
    let place = Place::new().await;
    place.accept(1, ContentPolicy::Fresh).await;
    let folder = place.directory.path().parent().unwrap().join(format!("backup-{}", std::process::id()));
    let stop = BackupStop::default();
    let made = {
        let kept = place.contents.blocks.keeping.read().unwrap();
        let (contents, folder, stopped) = (Arc::clone(&place.contents), folder.clone(), stop.clone());
        let making = std::thread::spawn(move || contents.back_up(&folder, &[], &stopped));
        stop.stop();
        drop(kept);
        making.join().unwrap()
    };
    assert!(matches!(made, Err(BackupError::Stopped)), "{made:?}");
    assert!(!folder.exists());
    let whole = place.contents.back_up(&folder, &[], &BackupStop::default()).unwrap();
    assert!(whole.files > 1);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_in_the_data_directory_and_in_a_backup_is_the_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    fn all_below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| if path.is_dir() { [vec![path.clone()], all_below(&path)].concat() } else { vec![path] })
            .collect()
    }
    fn open_to_others(folder: &Path) -> Vec<PathBuf> {
        let is_open = |path: &PathBuf| path.metadata().unwrap().permissions().mode() & 0o077 != 0;
        all_below(folder).into_iter().filter(is_open).collect()
    }

    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    std::fs::create_dir(&data).unwrap();
    set(&data, 0o755);
    let (node, clock) = (Arc::new(Agent::new(0x0d)), Arc::<HandClock>::default());
    for round in 0..2 {
        let embedded = Embedded::open(&data).unwrap();
        let contents = embedded.open_contents(node.clone(), clock.clone()).await.unwrap();
        let stored = contents.append(ContentPolicy::Pooled, vec![vec![7; 5_000]]).await.unwrap();
        contents.discard(stored.handles).await.unwrap();
        let backup = base.path().join(format!("backup-{round}"));
        contents.back_up(&backup, &[], &BackupStop::default()).unwrap();
        assert!(all_below(&data).len() > 5 && all_below(&backup).len() > 3);
        assert_eq!((open_to_others(&data), open_to_others(&backup)), (Vec::new(), Vec::new()), "round {round}");
        drop((embedded, contents));
        assert_eq!(open_to_others(&data), Vec::<PathBuf>::new(), "closed, round {round}");
        for path in all_below(&data) {
            set(&path, if path.is_dir() { 0o755 } else { 0o644 });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_ledger_never_heard_of_is_gone_after_a_crash() {
    let place = Place::new().await;
    place.accept(1, ContentPolicy::Pooled).await;
    let orphan = place.store(ContentPolicy::Fresh, &[7; 5_000]).await;
    let copy = tempfile::tempdir().unwrap();
    let (embedded, contents) = open_after_crash(&place, copy.path()).await.unwrap();
    assert_eq!(contents.read(orphan.handles).await.unwrap(), [None]);
    assert_eq!(waiting(&embedded, &contents).await, 1);
    assert_eq!(contents.collect().await.unwrap().collected, 0, "nothing was left to collect");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_content_that_is_let_go_of_leaves_no_block_behind() {
    let place = Place::new().await;
    let gone = place.store(ContentPolicy::Fresh, &[7; 20_000]).await.handles;
    let kept = place.store(ContentPolicy::Pooled, &[8; 20_000]).await.handles;
    let blocks =
        |handle: &ContentHandle| -> Vec<BlockId> { BlockHandle::from_bytes(&handle.0).unwrap().block_ids().collect() };
    let stored = |id: BlockId| place.contents.blocks.with(|store| store.block(id).unwrap()).unwrap();
    let bytes: Vec<Vec<u8>> = blocks(&gone[0]).into_iter().map(|id| stored(id).unwrap()).collect();
    assert!(!bytes.is_empty());
    let on_disk = || {
        let files = std::fs::read_dir(place.directory.path().join(DIRECTORY)).unwrap();
        files.flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect::<Vec<u8>>()
    };
    let holds = |disk: &[u8], run: &[u8]| disk.windows(run.len()).any(|window| window == run);
    assert!(bytes.iter().all(|block| holds(&on_disk(), &block[..64])));
    place.contents.discard(gone.clone()).await.unwrap();
    assert!(!bytes.iter().any(|block| holds(&on_disk(), &block[..64])));
    assert!(blocks(&gone[0]).into_iter().all(|id| stored(id).is_none()));
    assert_eq!(place.read(&gone[0]).await, None);
    assert_eq!(place.read(&kept[0]).await.unwrap(), [8; 20_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_verification_and_where_contents_lie() {
    let place = Place::new().await;
    place.accept(1, ContentPolicy::Pooled).await;
    let handle = place.accept(2, ContentPolicy::Fresh).await;
    let stats = place.contents.stats().await.unwrap();
    assert!(stats.live_bytes > 4_000 && stats.stored_bytes >= stats.live_bytes, "{stats:?}");
    let found = place.contents.verify().await.unwrap();
    assert_eq!((found.contents, found.lost_contents, found.damaged), (2, 0, Vec::new()));
    let [content] = place.contents.contents_of(letter(2).0.message().id).await.unwrap().try_into().unwrap();
    assert_eq!(content.recipient.as_deref(), Some(Agent::bob().id().to_string().as_str()));
    assert_eq!((content.policy.as_str(), content.is_cbl, content.block_size), ("fresh", false, 1_024));
    assert!(content.url.starts_with("magnet:?xt=urn:blake3:") && content.url.contains(&content.cbl_block_ids[0]));
    let segment = "00000001-00000000.segment";
    let address = place.directory.path().join(DIRECTORY).join(segment);
    let mut bytes = std::fs::read(&address).unwrap();
    let place_of_a_block = bytes.len() - 500;
    bytes[place_of_a_block] ^= 1;
    std::fs::write(&address, bytes).unwrap();
    let found = place.contents.verify().await.unwrap();
    assert_eq!((found.contents, found.lost_contents, found.damaged.len()), (1, 1, 1), "{found:?}");
    let repaired = place.contents.repair().await.unwrap();
    assert_eq!((repaired.lost.len(), repaired.given_up), (0, found.damaged), "there is no other copy");
    assert_eq!(place.read(&handle).await, None);
}

#[tokio::test]
async fn a_content_s_form_is_that_of_its_blocks() {
    let place = Place::new().await;
    let (small, medium) = (1 << 10, 1 << 16);
    // Its length, its block size, what it is padded to, whether it has lists, ids under both policies.
    let cases = [
        (0, small, 0, false, [0, 0]),
        (1, small, 1_024, false, [1, 1]),
        (1_025, small, 2_048, false, [2, 2]),
        (8 << 10, small, 8 << 10, false, [8, 8]),
        ((8 << 10) + 1, small, 9 << 10, true, [1, 1]),
        ((256 << 10) + 1, medium, (256 << 10) + 1_024, false, [5, 5]),
        (300_000, medium, 5 << 16, false, [5, 5]),
        (1 << 20, medium, 1 << 20, true, [1, 2]),
    ];
    for (length, block_size, padded_length, is_cbl, ids) in cases {
        for (policy, ids) in [ContentPolicy::Pooled, ContentPolicy::Fresh].into_iter().zip(ids) {
            let handle = place.store(policy, &vec![7; length]).await.handles.remove(0);
            let form = place.contents.describe(&handle).unwrap();
            let expected = (length as u64, padded_length, policy, block_size, 3, is_cbl);
            let seen = (form.length, form.padded_length, form.policy, form.block_size, form.tuple_size, form.is_cbl);
            assert_eq!((seen, form.block_ids.len()), (expected, ids));
        }
    }
}
