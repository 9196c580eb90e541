//! What is done to a ledger behind its back is found, told, and mended where that loses nothing.

use std::{fs, sync::Arc};

use sealpost_core::{
    conformance::{Agent, HandClock, Letter, NOW, ReceiptBook},
    ports::{
        AcceptError, AcceptedBody, Claim, ContentHandle, ContentPolicy, ContentsMark, PageQuery, PrekeyCounts,
        StoredContents, StoredPiece, UploadName,
    },
};
use sealpost_protocol::{
    ClaimId, DeliveryState, FailureReason, PieceHash, Retention, Signer, Timestamp, UploadId, Verdict,
};
use tempfile::TempDir;

use super::FindingKind::*;
use super::*;
use crate::Embedded;

/// A data directory with something of everything: two messages that wait, one of them with a body, one that was received,
/// one that was received and is kept, an upload on its way, and a control message.
struct World {
    directory: TempDir,
    embedded: Embedded,
    contents: Arc<EmbeddedContents>,
}

fn node() -> Arc<Agent> {
    Arc::new(Agent::new(0x0d))
}

fn letter(number: u64) -> Letter {
    let letter = Letter::new(&Agent::alice(), &[&Agent::bob()]).number(number).ciphertext(1_500);
    match number {
        2 => letter.body(&[2; 3_000]),
        4 => letter.body(&[4; 3_000]).kept(Retention::UntilExpiry),
        5 => letter.body(&[5; 3_000]),
        6 => letter.control(),
        _ => letter,
    }
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (embedded, contents) = open(directory.path()).await;
        let world = Self { directory, embedded, contents };
        world.embedded.belong_to(node().identity_key().into()).await.unwrap();
        for number in 1..=4 {
            world.accept(number).await;
        }
        let bob = Agent::bob();
        let leaves = vec![letter(3).receipt(&bob, Verdict::Stored), letter(4).receipt(&bob, Verdict::Stored)];
        let batch = ReceiptBook::new(&bob).sign(leaves);
        let countersignature = batch.signed_head().head.countersign(&*node());
        world.embedded.ledger().record_receipts(batch, countersignature, NOW).await.unwrap();
        world.upload().await;
        world.control().await;
        world.prekeys().await;
        world.let_go().await;
        world
    }

    async fn prekeys(&self) {
        let prekeys = self.embedded.prekeys();
        prekeys.publish(Agent::bob().upload(1, 1..=3), NOW).await.unwrap();
        let (requester, target) = (Agent::alice().id(), Agent::bob().id());
        prekeys.claim(Claim { requester, id: ClaimId([1; 16]), target, at: NOW }).await.unwrap().unwrap();
    }

    async fn prekeys_left(&self) -> PrekeyCounts {
        self.embedded.prekeys().counts(Agent::bob().id(), NOW).await.unwrap()
    }

    async fn store(&self, content: &[u8]) -> (ContentHandle, ContentsMark) {
        let stored: StoredContents =
            sealpost_core::ports::Contents::append(&*self.contents, ContentPolicy::Fresh, vec![content.to_vec()])
                .await
                .unwrap();
        (stored.handles[0].clone(), stored.mark)
    }

    async fn accept(&self, number: u64) {
        let letter = letter(number);
        let mut acceptance = letter.acceptance();
        (acceptance.parts[0].content, acceptance.mark) = self.store(&letter.envelope(Agent::bob().id())).await;
        if let Some(body) = letter.pieces().first() {
            let (handle, mark) = self.store(body).await;
            (acceptance.body, acceptance.mark) = (Some(AcceptedBody::Inline(handle)), mark);
        }
        self.embedded.ledger().accept(acceptance).await.unwrap();
    }

    async fn upload(&self) {
        let (letter, ledger) = (letter(5), self.embedded.ledger());
        let name = UploadName { owner: Agent::alice().id(), id: UploadId([5; 16]) };
        let quota = letter.acceptance().quota;
        ledger
            .begin_upload(name, letter.upload_description(), Timestamp::from_millis(u64::from(u32::MAX) << 10), quota)
            .await
            .unwrap();
        let (content, mark) = self.store(&letter.pieces()[0]).await;
        let hash = PieceHash(letter.upload_description().body.hash);
        ledger
            .add_piece(
                name,
                StoredPiece { place: 0, hash, content, mark },
                Timestamp::from_millis(u64::from(u32::MAX) << 10),
            )
            .await
            .unwrap();
    }

    async fn control(&self) {
        let letter = letter(6);
        let mut acceptance = letter.control_acceptance();
        (acceptance.part.content, acceptance.mark) = self.store(&letter.envelope(Agent::bob().id())).await;
        self.embedded.ledger().accept_control(acceptance).await.unwrap();
    }

    /// What the relay's sweep does.
    async fn let_go(&self) {
        let ledger = self.embedded.ledger();
        let released = ledger.released(100).await.unwrap();
        sealpost_core::ports::Contents::discard(&*self.contents, released.clone()).await.unwrap();
        ledger.discarded(released).await.unwrap();
    }

    async fn damage(&self, sql: &'static str) {
        let damage = move |transaction: &Transaction<'_>| {
            transaction.execute_batch(sql)?;
            Ok(())
        };
        self.embedded.store.write::<_, BackendError>(damage).await.unwrap();
    }

    async fn found(&self) -> Vec<FindingKind> {
        kinds(&self.contents.verify().await.unwrap().findings)
    }

    async fn state(&self, number: u64) -> DeliveryState {
        self.embedded.ledger().records(letter(number).message()).await.unwrap()[0].status.state
    }

    async fn waiting(&self) -> Vec<ContentHandle> {
        let query = PageQuery { recipient: Agent::bob().id(), after: 0, entries: 10, bytes: u64::MAX, now: NOW };
        self.embedded.ledger().page(query).await.unwrap().into_iter().map(|entry| entry.content).collect()
    }
}

async fn open(directory: &std::path::Path) -> (Embedded, Arc<EmbeddedContents>) {
    let embedded = Embedded::open(directory).unwrap();
    let contents = embedded.open_contents(node(), Arc::<HandClock>::default()).await.unwrap();
    (embedded, contents)
}

fn kinds(findings: &[Findings]) -> Vec<FindingKind> {
    findings.iter().map(|found| found.kind).collect()
}

#[tokio::test]
async fn a_ledger_that_was_left_alone_has_nothing_to_find() {
    let world = World::new().await;
    let report = world.contents.verify().await.unwrap();
    assert_eq!((report.contents, report.lost_contents, &*report.findings), (7, 0, [].as_slice()));
    let repaired = world.contents.repair().await.unwrap();
    assert_eq!((repaired.mended, repaired.left), (Vec::new(), Vec::new()));
}

/// What is done to the ledger, what is found then, and what is left after a repair.
const DAMAGES: &[(&str, &[FindingKind], &[FindingKind])] = &[
    ("UPDATE mailboxes SET messages = messages + 1", &[MailboxSums], &[]),
    ("UPDATE mailboxes SET bytes = 0", &[MailboxSums], &[]),
    ("UPDATE mailboxes SET next_expiry = 9000000000000", &[MailboxSums], &[]),
    ("DELETE FROM mailboxes", &[MailboxSums], &[]),
    ("UPDATE body_bytes SET bytes = bytes - 1", &[BodySums], &[]),
    ("DELETE FROM body_bytes", &[BodySums], &[]),
    ("UPDATE change_numbers SET last = 3", &[ChangeNumbers], &[]),
    ("UPDATE ledger SET contents_mark = 1", &[ContentsMark], &[]),
    ("INSERT INTO retained VALUES (99, 1)", &[RetainedWithoutMessage], &[]),
    ("INSERT INTO released SELECT content FROM parts", &[ReleasedButNeeded], &[]),
    ("INSERT INTO released SELECT content FROM pieces", &[ReleasedButNeeded], &[]),
    ("INSERT INTO released SELECT content FROM control_messages", &[ReleasedButNeeded], &[]),
    ("UPDATE deliveries SET state = 'delivered' WHERE state = 'pending'", &[StateAndMailbox], &[]),
    ("UPDATE deliveries SET mailbox_seq = NULL WHERE state = 'pending'", &[StateAndMailbox, MailboxSums], &[]),
    ("DELETE FROM parts", &[LostContent], &[]),
    ("DELETE FROM pieces", &[LostContent], &[]),
    ("UPDATE parts SET content = x'00'", &[LostContent], &[]),
    ("UPDATE pieces SET content = x'00'", &[LostContent], &[]),
    ("UPDATE control_messages SET content = x'00'", &[LostContent], &[]),
    ("UPDATE deliveries SET part_hash = zeroblob(32) WHERE state = 'pending'", &[LostContent], &[]),
    (
        "INSERT INTO parts SELECT id, x'00' FROM deliveries WHERE id NOT IN (SELECT delivery FROM parts)",
        &[LostContent, HeldForNobody],
        &[],
    ),
    ("DELETE FROM uploads", &[HeldForNobody, BodySums], &[]),
    ("DELETE FROM retained", &[HeldForNobody], &[]),
    ("UPDATE messages SET header = x'00'", &[DamagedRow], &[DamagedRow]),
    ("UPDATE messages SET header_hash = zeroblob(32) WHERE id = 1", &[DamagedRow], &[DamagedRow]),
    ("UPDATE control_messages SET header = x'00'", &[DamagedRow], &[DamagedRow]),
    ("UPDATE deliveries SET receipt = x'00' WHERE state = 'delivered'", &[DamagedRow], &[DamagedRow]),
    ("UPDATE receipt_heads SET countersignature = zeroblob(64)", &[DamagedRow], &[DamagedRow]),
    ("INSERT INTO agents VALUES (9, zeroblob(32), 1, x'00')", &[DamagedRow], &[DamagedRow]),
    ("UPDATE one_time_prekeys SET content = x'00'", &[UnusablePrekey], &[]),
    ("UPDATE one_time_prekeys SET key_id = key_id + 10", &[UnusablePrekey], &[]),
    ("UPDATE one_time_prekeys SET expires_at = expires_at + 1", &[UnusablePrekey], &[]),
    (
        "UPDATE one_time_prekeys SET content = CAST(substr(content, 1, length(content) - 1) || x'00' AS BLOB)",
        &[UnusablePrekey],
        &[],
    ),
    ("UPDATE one_time_prekeys SET content_hash = zeroblob(32)", &[UnusablePrekey], &[]),
    ("UPDATE claims SET one_time_curve = x'00'", &[DamagedClaim], &[]),
    ("UPDATE claims SET one_time_kem = one_time_curve", &[DamagedClaim], &[]),
    ("UPDATE claims SET manifest = x'00'", &[DamagedClaim], &[]),
    ("UPDATE claims SET target = zeroblob(32)", &[DamagedClaim], &[]),
    ("DELETE FROM messages WHERE id = 1", &[MessageIncomplete], &[MessageIncomplete]),
    ("UPDATE messages SET recipients = 2 WHERE id = 1", &[MessageIncomplete], &[MessageIncomplete]),
];

#[tokio::test]
async fn each_contradiction_is_found_told_once_and_mended_where_that_loses_nothing() {
    for (sql, expected, left) in DAMAGES {
        let world = World::new().await;
        world.damage(sql).await;
        let found = world.contents.verify().await.unwrap();
        assert_eq!(kinds(&found.findings), *expected, "{sql}: {found:?}");
        assert_eq!(world.contents.verify().await.unwrap(), found, "{sql}: looking changes nothing");
        let repaired = world.contents.repair().await.unwrap();
        assert_eq!(kinds(&repaired.left), *left, "{sql}: {repaired:?}");
        let mendable: Vec<_> = expected.iter().copied().filter(|kind| !left.contains(kind)).collect();
        assert!(kinds(&repaired.mended).iter().all(|kind| mendable.contains(kind)), "{sql}: {repaired:?}");
        assert_eq!(repaired.mended.is_empty(), mendable.is_empty(), "{sql}: what is mended is told: {repaired:?}");
        assert_eq!(world.found().await, *left, "{sql}");
        world.let_go().await;
        assert_eq!(world.found().await, *left, "{sql}: after what was released has gone");
    }
}

#[test]
fn a_kind_has_one_name_in_text_and_json() {
    for kind in DAMAGES.iter().flat_map(|(_, found, _)| *found) {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

#[tokio::test]
async fn sums_are_counted_anew_and_nothing_else_changes() {
    let world = World::new().await;
    let waiting = world.waiting().await;
    world.damage("UPDATE mailboxes SET messages = 700, bytes = 1; UPDATE body_bytes SET bytes = 7").await;
    let repaired = world.contents.repair().await.unwrap();
    let counts: Vec<_> = repaired.mended.iter().map(|found| (found.kind, found.count)).collect();
    assert_eq!(counts, [(MailboxSums, 1), (BodySums, 1)]);
    let detail = &repaired.mended[0].subjects[0];
    assert_eq!(detail.agent, Some(Agent::bob().id().to_string()));
    assert!(detail.detail.contains("700"), "{detail:?}");
    assert_eq!(world.waiting().await, waiting);
}

#[tokio::test]
async fn what_waits_in_no_mailbox_is_put_back_where_it_stood() {
    let world = World::new().await;
    let waiting = world.waiting().await;
    world.damage("UPDATE deliveries SET mailbox_seq = NULL").await;
    assert_eq!(world.waiting().await.len(), 1, "the control message");
    world.contents.repair().await.unwrap();
    assert_eq!(world.waiting().await, waiting);
}

#[tokio::test]
async fn a_sender_hears_that_a_damaged_content_is_lost_and_others_stay() {
    let world = World::new().await;
    let waiting = world.waiting().await;
    let block = |handle: &ContentHandle| {
        sealpost_blocks::BlockHandle::from_bytes(&handle.0).unwrap().block_ids().next().unwrap()
    };
    let stored = world.contents.blocks.with(|store| store.block(block(&waiting[0])).unwrap()).unwrap().unwrap();
    let segments = fs::read_dir(world.directory.path().join("blocks")).unwrap().map(|entry| entry.unwrap().path());
    for path in segments {
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(stored.len()).position(|window| window == stored) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let found = world.contents.verify().await.unwrap();
    assert_eq!((found.lost_contents, kinds(&found.findings)), (1, vec![LostContent]));
    let subject = &found.findings[0].subjects[0];
    assert_eq!(subject.message, Some(letter(1).message().id.to_string()));
    assert_eq!(world.state(1).await, DeliveryState::Pending, "looking changes nothing");
    world.contents.repair().await.unwrap();
    assert_eq!(world.state(1).await, DeliveryState::Failed(FailureReason::Lost));
    assert_eq!(world.waiting().await, waiting[1..]);
    let changes = world.embedded.ledger().changes(Agent::alice().id(), 0, 100).await.unwrap();
    let last = changes.last().unwrap();
    assert_eq!((last.message, last.state), (letter(1).message(), DeliveryState::Failed(FailureReason::Lost)));
}

#[tokio::test]
async fn what_was_let_go_of_and_is_still_noted_is_not_lost() {
    let world = World::new().await;
    world.damage("INSERT INTO released VALUES (x'00')").await;
    assert_eq!(world.found().await, []);
}

#[tokio::test]
async fn a_message_to_many_that_is_coming_in_is_nothing_to_find() {
    let world = World::new().await;
    let (bob, carol) = (Agent::bob(), Agent::carol());
    let letter = Letter::new(&Agent::alice(), &[&bob, &carol]).number(9);
    let first = letter.header().fields().recipients.as_slice()[0];
    let first = if first == bob.id() { bob } else { carol };
    let mut acceptance = letter.clone().only(&[&first]).acceptance();
    (acceptance.parts[0].content, acceptance.mark) = world.store(&letter.envelope(first.id())).await;
    world.embedded.ledger().begin_fan_out(acceptance).await.unwrap();
    assert_eq!(world.found().await, []);
}

#[tokio::test]
async fn an_index_that_disagrees_with_its_table_is_found_and_built_anew() {
    let world = World::new().await;
    let page_size = 4_096;
    let root: usize = world
        .embedded
        .store
        .read(|connection| {
            connection
                .execute_batch("PRAGMA query_only = off; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA query_only = on")?;
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'sent'";
            Ok(connection.query_one(sql, [], |row| row.get::<_, i64>(0))?)
        })
        .await
        .unwrap()
        .try_into()
        .unwrap();
    let World { directory, embedded, contents } = world;
    let path = embedded.path().to_owned();
    drop((embedded, contents));
    let mut bytes = fs::read(&path).unwrap();
    let page = &mut bytes[(root - 1) * page_size..root * page_size];
    let alice = *Agent::alice().id().as_bytes();
    let at = page.windows(32).position(|window| window == alice).expect("the index names the sender");
    page[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (embedded, contents) = open(directory.path()).await;
    let world = World { directory, embedded, contents };
    assert_eq!(world.found().await, [Database]);
    let repaired = world.contents.repair().await.unwrap();
    assert_eq!((kinds(&repaired.mended), repaired.left), (vec![Database], Vec::new()));
    assert_eq!(world.found().await, []);
}

#[tokio::test]
async fn many_findings_are_counted_and_some_listed() {
    let mut notes = Notes::default();
    for number in 0..3_000 {
        notes.add(DamagedRow, Check::Rows, Key::Row(number), Subject::that("damaged"));
    }
    notes.add(DamagedRow, Check::Incomplete, Key::File, Subject::that("damaged"));
    let [found] = notes.findings().try_into().unwrap();
    assert_eq!((found.count, found.subjects.len()), (3_001, limits::LISTED_FINDINGS));
}

/// Opens the data directory anew after `act` on its blocks' folder.
async fn after(world: World, act: impl FnOnce(&std::path::Path)) -> (TempDir, Embedded) {
    let World { directory, embedded, contents } = world;
    drop((embedded, contents));
    act(&directory.path().join("blocks"));
    let embedded = Embedded::open(directory.path()).unwrap();
    (directory, embedded)
}

fn last_segment(blocks: &std::path::Path) -> std::path::PathBuf {
    let paths = fs::read_dir(blocks).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "segment")).max().unwrap()
}

#[tokio::test]
async fn a_damaged_content_that_was_told_as_lost_leaves_a_store_that_is_whole() {
    let world = World::new().await;
    let waiting = world.waiting().await;
    let (directory, embedded) = after(world, |blocks| {
        let segment = last_segment(blocks);
        let mut bytes = fs::read(&segment).unwrap();
        // Inside the first blocks, behind the headers of segment and record.
        bytes[64 + 64 + 100] ^= 1;
        fs::write(&segment, bytes).unwrap();
    })
    .await;
    let contents = embedded.open_contents(node(), Arc::<HandClock>::default()).await.unwrap();
    let world = World { directory, embedded, contents };
    assert!(!world.contents.verify().await.unwrap().damaged.is_empty());
    let repaired = world.contents.repair().await.unwrap();
    assert!(!repaired.given_up.is_empty(), "{repaired:?}");
    assert_eq!((&*repaired.lost, &*repaired.left), ([].as_slice(), [].as_slice()));
    let found = world.contents.verify().await.unwrap();
    assert_eq!((&*found.damaged, &*found.findings), ([].as_slice(), [].as_slice()));
    world.contents.collect().await.unwrap();
    let left = world.waiting().await;
    assert!(left.len() < waiting.len() && !left.is_empty(), "{left:?}");
    world.accept(7).await;
}

#[tokio::test]
async fn blocks_that_end_too_early_are_opened_only_if_the_loss_is_accepted_and_then_told() {
    for is_removed in [false, true] {
        let world = World::new().await;
        let (directory, embedded) = after(world, |blocks| {
            let segment = last_segment(blocks);
            if is_removed {
                fs::remove_file(segment).unwrap();
            } else {
                fs::File::options().write(true).open(segment).unwrap().set_len(4_000).unwrap();
            }
        })
        .await;
        let clock = Arc::<HandClock>::default();
        let refused = embedded.open_contents(node(), clock.clone()).await.unwrap_err();
        assert!(matches!(refused, crate::OpenContentsError::BehindLedger { .. }), "{refused}");
        assert!(refused.to_string().contains("--accept-loss"), "{refused}");
        let seen = embedded.look_at_contents(node(), clock.clone()).await.unwrap().verify().await.unwrap();
        assert!(seen.lost_contents > 0 && seen.damaged[0].part.contains("end before"), "{seen:?}");
        embedded.open_contents(node(), clock.clone()).await.expect_err("looking changes nothing");

        let contents = embedded.open_what_is_left(node(), clock.clone()).await.unwrap();
        let world = World { directory, embedded, contents };
        let repaired = world.contents.repair().await.unwrap();
        assert!(repaired.given_up[0].part.contains("end before"), "{repaired:?}");
        assert_eq!((&*repaired.lost, &*repaired.left), ([].as_slice(), [].as_slice()));
        let lost = repaired.mended.iter().find(|found| found.kind == LostContent).unwrap();
        assert!(lost.count > 0 && lost.count <= seen.lost_contents, "{repaired:?}");
        assert_eq!(world.state(2).await, DeliveryState::Failed(FailureReason::Lost));
        let World { directory, embedded, contents } = world;
        drop((embedded, contents));
        let (embedded, contents) = open(directory.path()).await;
        let world = World { directory, embedded, contents };
        let found = world.contents.verify().await.unwrap();
        assert_eq!((&*found.damaged, &*found.findings), ([].as_slice(), [].as_slice()));
        world.contents.collect().await.unwrap();
        world.accept(7).await;
        assert_eq!(world.found().await, []);
    }
}

#[tokio::test]
async fn one_repair_mends_what_is_seen_only_once_something_else_is_mended() {
    let world = World::new().await;
    // Taking a lost part out of a mailbox that is said to be empty fails until its sums are right.
    world.damage("UPDATE mailboxes SET messages = 0, bytes = 0; UPDATE parts SET content = x'00'").await;
    let repaired = world.contents.repair().await.unwrap();
    assert_eq!(repaired.left, [], "{repaired:?}");
    assert_eq!(world.found().await, []);
}

#[tokio::test]
async fn a_finding_that_cannot_be_mended_keeps_no_other() {
    let world = World::new().await;
    world.damage("UPDATE parts SET content = x'00'; UPDATE deliveries SET attempt = 0 WHERE id = 1").await;
    world.contents.repair().await.unwrap();
    assert_eq!(world.state(2).await, DeliveryState::Failed(FailureReason::Lost));
}

#[tokio::test]
async fn a_one_time_key_that_nobody_could_use_counts_as_used_and_no_other() {
    let world = World::new().await;
    let all = world.prekeys_left().await;
    assert_eq!((all.one_time_curve, all.one_time_kem), (2, 2));
    world.damage("UPDATE one_time_prekeys SET content = zeroblob(length(content)) WHERE key_id = 2").await;
    let repaired = world.contents.repair().await.unwrap();
    assert_eq!(kinds(&repaired.mended), [UnusablePrekey]);
    let subject = &repaired.mended[0].subjects[0];
    assert!(subject.agent == Some(Agent::bob().id().to_string()) && subject.detail.contains("key 2"), "{subject:?}");
    let left = world.prekeys_left().await;
    assert_eq!((left.one_time_curve, left.one_time_kem), (1, 1));
    let (requester, target) = (Agent::alice().id(), Agent::bob().id());
    let claim = Claim { requester, id: ClaimId([2; 16]), target, at: NOW };
    let bundle = world.embedded.prekeys().claim(claim).await.unwrap().unwrap();
    assert_eq!(bundle.one_time_curve, Some(Agent::bob().one_time_curve(3)), "the one that is whole");
    world.embedded.prekeys().publish(Agent::bob().upload(1, 1..=3), NOW).await.expect("an upload again is no conflict");
}

#[tokio::test]
async fn a_hash_that_is_wrong_costs_no_key() {
    let world = World::new().await;
    world.damage("UPDATE one_time_prekeys SET content_hash = zeroblob(32)").await;
    world.contents.repair().await.unwrap();
    assert_eq!(world.prekeys_left().await.one_time_curve, 2);
}

#[tokio::test]
async fn a_claim_that_was_damaged_is_made_anew_when_it_is_repeated() {
    let world = World::new().await;
    world.damage("UPDATE claims SET one_time_kem = x'00'").await;
    world.contents.repair().await.unwrap();
    let (requester, target) = (Agent::alice().id(), Agent::bob().id());
    let claim = Claim { requester, id: ClaimId([1; 16]), target, at: NOW };
    let bundle = world.embedded.prekeys().claim(claim).await.unwrap().unwrap();
    assert!(bundle.one_time_kem.is_some_and(|key| key.verify(&Agent::bob().identity_key()).is_ok()));
}

#[tokio::test]
async fn a_full_disk_is_told_as_one() {
    let world = World::new().await;
    world.damage("PRAGMA max_page_count = 1").await; // SQLite takes this for the pages that there are
    let mut refused = None;
    for number in 10..500 {
        match world.embedded.ledger().accept(letter(number).acceptance()).await {
            Ok(_) => {}
            Err(AcceptError::Backend(error)) => {
                refused = std::error::Error::source(&error).map(ToString::to_string);
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(refused.as_deref(), Some("no space is left on the disk"));
    assert_eq!(world.state(1).await, DeliveryState::Pending);
}
