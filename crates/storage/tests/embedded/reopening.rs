//! What is there after the process was gone.

use std::{path::Path, sync::Arc};

use sealpost_core::{
    PageRequest, Ports, Principal, Services,
    conformance::{Agent, COUNTERSIGNATURE, HandClock, Letter, NOW, ReceiptBook},
    ports::{Claim, MessageReader, PageQuery, RecordReceiptsError},
};
use sealpost_protocol::{ClaimId, DeliveryState, FailureReason, Verdict};
use sealpost_storage::Embedded;

fn open(directory: &Path) -> Embedded {
    Embedded::open(directory).unwrap()
}

async fn services(storage: &Embedded) -> Services {
    let (clock, node) = (Arc::<HandClock>::default(), Arc::new(Agent::new(0x0d)));
    Services::new(Ports {
        ledger: storage.ledger(),
        contents: storage.open_contents(node.clone(), clock.clone()).await.unwrap(),
        prekeys: storage.prekeys(),
        revocations: storage.revocations(),
        clock: clock.clone(),
        monotonic: clock,
        node,
    })
}

fn all_of(agent: &Agent) -> PageQuery {
    PageQuery { recipient: agent.id(), after: 0, entries: 100, bytes: u64::MAX, now: NOW }
}

#[tokio::test]
async fn messages_statuses_and_numbers_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    let mut book = ReceiptBook::new(&bob);
    let batch = book.sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    let before = {
        let ledger = open(directory.path()).ledger();
        ledger.accept(letter.acceptance()).await.unwrap();
        ledger.record_receipts(batch.clone(), COUNTERSIGNATURE, NOW).await.unwrap();
        let waiting = ledger.page(all_of(&carol)).await.unwrap();
        (waiting, ledger.records(letter.message()).await.unwrap(), ledger.changes(alice.id(), 0, 10).await.unwrap())
    };
    let ledger = open(directory.path()).ledger();
    let after = (
        ledger.page(all_of(&carol)).await.unwrap(),
        ledger.records(letter.message()).await.unwrap(),
        ledger.changes(alice.id(), 0, 10).await.unwrap(),
    );
    assert_eq!(after, before);
    let piece = ledger.body_piece(letter.message(), MessageReader { agent: carol.id(), now: NOW }, 0).await.unwrap();
    assert_eq!(piece.and_then(|piece| piece.content), letter.body_handle());
    assert_eq!(ledger.page(all_of(&bob)).await.unwrap(), []);

    ledger.record_receipts(batch.clone(), COUNTERSIGNATURE, NOW).await.unwrap();
    book.enter(&batch);
    let restarted = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Acknowledged)]);
    let refused = ledger.record_receipts(restarted, COUNTERSIGNATURE, NOW).await;
    assert!(matches!(refused, Err(RecordReceiptsError::OutOfSequence { number: 2, .. })), "{refused:?}");
    ledger
        .record_receipts(book.sign(vec![letter.receipt(&bob, Verdict::Acknowledged)]), COUNTERSIGNATURE, NOW)
        .await
        .unwrap();

    let last = before.2.last().unwrap().change_seq;
    ledger.accept(Letter::new(&alice, &[&bob]).number(2).acceptance()).await.unwrap();
    let news = ledger.changes(alice.id(), last, 10).await.unwrap();
    assert_eq!(news.len(), 2, "the acknowledgement and the new message, under new numbers");
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let running = open(directory.path());
    for number in 1..=20 {
        running.ledger().accept(Letter::new(&alice, &[&bob]).number(number).acceptance()).await.unwrap();
    }
    // As the files stand now, without anyone closing them.
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let waiting = open(copy.path()).ledger().page(all_of(&bob)).await.unwrap();
    assert_eq!(waiting.len(), 20);
}

#[tokio::test]
async fn a_message_in_transit_is_handed_over_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    {
        let ledger = open(directory.path()).ledger();
        ledger.accept(letter.acceptance()).await.unwrap();
        let place = ledger.page(all_of(&bob)).await.unwrap().first().unwrap().mailbox_seq;
        ledger.hand_over(bob.id(), vec![place], NOW).await.unwrap();
    }
    let ledger = open(directory.path()).ledger();
    let waiting = ledger.page(all_of(&bob)).await.unwrap();
    assert!(waiting.first().unwrap().handed_over);
    let state = ledger.records(letter.message()).await.unwrap().first().unwrap().status.state;
    assert_eq!(state, DeliveryState::InTransit);
}

#[tokio::test]
async fn a_key_handed_out_before_a_restart_is_not_handed_out_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let claim = |number| Claim { requester: alice.id(), id: ClaimId([number; 16]), target: bob.id(), at: NOW };
    let first = {
        let prekeys = open(directory.path()).prekeys();
        prekeys.publish(bob.upload(1, 1..=2), NOW).await.unwrap();
        prekeys.claim(claim(1)).await.unwrap()
    };
    let prekeys = open(directory.path()).prekeys();
    assert_eq!(prekeys.claim(claim(1)).await.unwrap(), first);
    let second = prekeys.claim(claim(2)).await.unwrap();
    assert_ne!(second.unwrap().one_time_curve, first.unwrap().one_time_curve);
    assert_eq!(prekeys.manifest(bob.id()).await.unwrap(), Some(bob.manifest(1)));
    assert_eq!(prekeys.counts(bob.id(), NOW).await.unwrap().one_time_kem, 0);
}

#[tokio::test]
async fn a_part_that_is_gone_from_the_file_is_still_in_the_page_and_can_be_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    open(directory.path()).ledger().accept(letter.acceptance()).await.unwrap();
    let file = rusqlite::Connection::open(directory.path().join("ledger.sqlite3")).unwrap();
    assert_eq!(file.execute("DELETE FROM parts", []).unwrap(), 1);
    drop(file);
    let ledger = open(directory.path()).ledger();
    let waiting = ledger.page(all_of(&bob)).await.unwrap();
    let entry = waiting.first().unwrap();
    assert_ne!(sealpost_protocol::PartHash::of(&entry.content.0), entry.part);
    assert_eq!(ledger.lose(bob.id(), vec![entry.mailbox_seq]).await.unwrap().senders, [alice.id()]);
    assert_eq!(ledger.page(all_of(&bob)).await.unwrap(), []);
}

#[tokio::test]
async fn a_delivery_that_is_gone_from_the_file_keeps_the_message_from_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, recipients) = (Agent::alice(), [Agent::bob(), Agent::carol(), Agent::mallory()]);
    let letter = Letter::new(&alice, &recipients.each_ref()).body(b"body");
    open(directory.path()).ledger().accept(letter.acceptance()).await.unwrap();
    let file = rusqlite::Connection::open(directory.path().join("ledger.sqlite3")).unwrap();
    let gone: [u8; 32] =
        file.query_one("DELETE FROM deliveries WHERE id = 2 RETURNING recipient", [], |row| row.get(0)).unwrap();
    drop(file);
    let ledger = open(directory.path()).ledger();
    for recipient in recipients.iter().filter(|recipient| *recipient.id().as_bytes() != gone) {
        let [entry] = ledger.page(all_of(recipient)).await.unwrap().try_into().unwrap();
        assert_eq!(entry.header, letter.header().as_bytes());
        let reader = MessageReader { agent: recipient.id(), now: NOW };
        assert!(ledger.body_piece(letter.message(), reader, 0).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_header_that_is_damaged_in_the_file_is_not_handed_over_and_blocks_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letters = [1, 2].map(|number| Letter::new(&alice, &[&bob]).number(number));
    {
        let services = services(&open(directory.path())).await;
        let sender = Principal::authenticated(alice.id());
        services.key_agreement.publish(&Principal::authenticated(bob.id()), bob.upload(1, [])).await.unwrap();
        for letter in &letters {
            services.delivery_router.send(&sender, letter.submission()).await.unwrap();
        }
    }
    let file = rusqlite::Connection::open(directory.path().join("ledger.sqlite3")).unwrap();
    assert_eq!(file.execute("UPDATE messages SET header = zeroblob(length(header)) WHERE id = 1", []).unwrap(), 1);
    drop(file);
    let services = services(&open(directory.path())).await;
    let page =
        services.mailboxes.receive(&Principal::authenticated(bob.id()), PageRequest::default(), &()).await.unwrap();
    let headers: Vec<_> = page.entries.iter().map(|entry| entry.header.as_slice()).collect();
    assert_eq!(headers, [letters[1].header().as_bytes()]);
    let told =
        services.message_query.status(&Principal::authenticated(alice.id()), letters[0].message()).await.unwrap();
    assert_eq!(told.deliveries.first().unwrap().state, DeliveryState::Failed(FailureReason::Lost));
}

#[tokio::test]
async fn a_head_is_kept_under_both_signatures() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    let ledger = open(directory.path()).ledger();
    ledger.accept(letter.acceptance()).await.unwrap();
    ledger.record_receipts(batch.clone(), COUNTERSIGNATURE, NOW).await.unwrap();
    drop(ledger);
    let file = rusqlite::Connection::open(directory.path().join("ledger.sqlite3")).unwrap();
    let row = file.query_row("SELECT number, signature, countersignature FROM receipt_heads", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 64]>(1)?, row.get::<_, [u8; 64]>(2)?))
    });
    assert_eq!(row.unwrap(), (1, batch.signed_head().signature.0, COUNTERSIGNATURE.0));
}

#[tokio::test]
async fn a_delivery_that_is_damaged_in_the_file_keeps_no_other_from_expiring() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letters = [1, 2].map(|number| Letter::new(&alice, &[&bob]).number(number));
    for letter in &letters {
        open(directory.path()).ledger().accept(letter.acceptance()).await.unwrap();
    }
    let file = rusqlite::Connection::open(directory.path().join("ledger.sqlite3")).unwrap();
    assert_eq!(file.execute("UPDATE deliveries SET state = 'nonsense' WHERE id = 1", []).unwrap(), 1);
    drop(file);
    let ledger = open(directory.path()).ledger();
    let end = NOW.saturating_add(sealpost_protocol::limits::MESSAGE_LIFE);
    assert_eq!(ledger.expire(end, 0, 500).await.unwrap().released.len(), 1);
    let expired = ledger.records(letters[1].message()).await.unwrap();
    assert_eq!(expired.first().unwrap().status.state, DeliveryState::Failed(FailureReason::Expired));
    let again = ledger.expire(end, 0, 1).await.unwrap();
    assert_eq!((again.next, again.released), (None, Vec::new()), "a step that can do nothing is the last");
}
