//! Reading a mailbox, and handing over what was read.

use std::{sync::Arc, time::Duration};

use sealpost_protocol::{DeliveryState, FailureReason, PartHash};

use super::*;

/// Letters 1 to `count` from alice, accepted.
async fn letters(ledger: &dyn Ledger, recipient: &Agent, count: u64) -> Vec<Letter> {
    let mut letters = Vec::new();
    for number in 1..=count {
        let letter = Letter::new(&Agent::alice(), &[recipient]).number(number).claimed_length(10);
        accept(ledger, &letter).await;
        letters.push(letter);
    }
    letters
}

fn query(recipient: &Agent) -> PageQuery {
    PageQuery { recipient: recipient.id(), after: 0, entries: 100, bytes: 1_000_000, now: NOW }
}

fn headers(entries: &[WaitingEntry]) -> Vec<&[u8]> {
    entries.iter().map(|entry| entry.header.as_slice()).collect()
}

pub async fn an_entry_shows_what_was_accepted(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    let at = NOW.saturating_add(Duration::from_millis(7));
    ledger.accept(letter.accepted(at)).await.unwrap();
    let waiting = waiting(&*ledger, &bob).await;
    let expected = WaitingEntry {
        mailbox_seq: waiting[0].mailbox_seq,
        attempt: sealpost_protocol::Attempt::FIRST,
        handed_over: false,
        queued_at: at,
        header: letter.header().as_bytes().to_vec(),
        header_hash: letter.header().hash(),
        part: PartHash::of(&letter.envelope(bob.id())),
        content: letter.part_handle(&bob),
    };
    assert_eq!(waiting, [expected]);
    assert!(waiting[0].mailbox_seq > 0, "a reader begins after 0");
}

pub async fn a_page_is_in_the_order_of_acceptance(ledger: Arc<dyn Ledger>) {
    let (alice, mallory, bob) = (Agent::alice(), Agent::mallory(), Agent::bob());
    let mut sent = Vec::new();
    for number in [5, 2, 9, 1] {
        for sender in [&alice, &mallory] {
            let letter = Letter::new(sender, &[&bob]).number(number);
            accept(&*ledger, &letter).await;
            sent.push(letter.header());
        }
    }
    let page = ledger.page(query(&bob)).await.unwrap();
    assert!(page.is_sorted_by(|a, b| a.mailbox_seq < b.mailbox_seq));
    assert_eq!(headers(&page), sent.iter().map(|header| header.as_bytes()).collect::<Vec<_>>());
}

pub async fn a_page_begins_after_a_place(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    letters(&*ledger, &bob, 4).await;
    let all = ledger.page(query(&bob)).await.unwrap();
    for (index, entry) in all.iter().enumerate() {
        let rest = ledger.page(PageQuery { after: entry.mailbox_seq, ..query(&bob) }).await.unwrap();
        assert_eq!(rest, all[index + 1..]);
    }
    assert_eq!(ledger.page(PageQuery { after: u64::MAX, ..query(&bob) }).await.unwrap(), []);
}

pub async fn a_page_has_no_more_entries_than_asked_for(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    letters(&*ledger, &bob, 4).await;
    let all = ledger.page(query(&bob)).await.unwrap();
    for entries in 0..=5 {
        let page = ledger.page(PageQuery { entries, ..query(&bob) }).await.unwrap();
        assert_eq!(page, all[..entries.min(4)]);
    }
}

pub async fn a_page_ends_before_it_has_too_many_bytes_but_not_before_one_entry(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    letters(&*ledger, &bob, 4).await;
    let all = ledger.page(query(&bob)).await.unwrap();
    for (bytes, entries) in [(0, 1), (9, 1), (10, 1), (19, 1), (20, 2), (39, 3), (40, 4), (41, 4)] {
        let page = ledger.page(PageQuery { bytes, ..query(&bob) }).await.unwrap();
        assert_eq!(page, all[..entries], "{bytes} bytes");
    }
    let carol = Agent::carol();
    for (number, length) in [(11, 0), (12, 50)] {
        accept(&*ledger, &Letter::new(&Agent::alice(), &[&carol]).number(number).claimed_length(length)).await;
    }
    let page = ledger.page(PageQuery { bytes: 20, ..query(&carol) }).await.unwrap();
    assert_eq!(page.len(), 1, "an empty part is an entry too");
}

pub async fn a_page_shows_nothing_whose_life_has_ended(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let second = |seconds| NOW.saturating_add(Duration::from_secs(seconds));
    for number in 1..=3 {
        accept(&*ledger, &Letter::new(&alice, &[&bob]).number(number).expires(second(number))).await;
    }
    for (now, left) in [(0, 3), (1, 2), (2, 1), (3, 0)] {
        let page = ledger.page(PageQuery { now: second(now), ..query(&bob) }).await.unwrap();
        assert_eq!(page.len(), left, "after {now} s");
    }
    let page = ledger.page(PageQuery { now: second(1), entries: 1, ..query(&bob) }).await.unwrap();
    assert_eq!(page.len(), 1, "the one whose life has ended takes no place");
}

pub async fn handing_over_is_told_to_the_sender_once(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = letters(&*ledger, &bob, 1).await.remove(0);
    let at = NOW.saturating_add(Duration::from_secs(1));
    assert_eq!(hand_over_all(&*ledger, &bob, at).await, [alice.id()]);
    let first = status(&*ledger, &letter, &bob).await;
    assert_eq!((first.state, first.handed_over_at), (DeliveryState::InTransit, Some(at)));
    assert_eq!(hand_over_all(&*ledger, &bob, at.saturating_add(Duration::from_secs(1))).await, []);
    assert_eq!(status(&*ledger, &letter, &bob).await, first);
}

pub async fn handing_over_consumes_nothing(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    letters(&*ledger, &bob, 3).await;
    let fresh = ledger.page(query(&bob)).await.unwrap();
    hand_over_all(&*ledger, &bob, NOW).await;
    let again = ledger.page(query(&bob)).await.unwrap();
    assert!(again.iter().all(|entry| entry.handed_over));
    let as_fresh: Vec<_> = again.into_iter().map(|entry| WaitingEntry { handed_over: false, ..entry }).collect();
    assert_eq!(as_fresh, fresh, "redelivery is the same entries in the same order");
}

pub async fn handing_over_touches_only_the_named_entries_of_the_recipient(ledger: Arc<dyn Ledger>) {
    let (bob, carol) = (Agent::bob(), Agent::carol());
    let mine = letters(&*ledger, &bob, 2).await;
    let other = Letter::new(&Agent::alice(), &[&carol]).number(9);
    accept(&*ledger, &other).await;
    let first = waiting(&*ledger, &bob).await[0].mailbox_seq;
    let not_mine = waiting(&*ledger, &carol).await[0].mailbox_seq;
    let heard = ledger.hand_over(bob.id(), vec![first, not_mine, u64::MAX], NOW).await.unwrap();
    assert_eq!(named(heard), ids(&[&Agent::alice()]));
    assert_eq!(status(&*ledger, &mine[0], &bob).await.state, DeliveryState::InTransit);
    assert_eq!(status(&*ledger, &mine[1], &bob).await.state, DeliveryState::Pending);
    assert_eq!(status(&*ledger, &other, &carol).await.state, DeliveryState::Pending);
    say(&*ledger, &bob, &mine[0], Verdict::Stored).await;
    assert_eq!(ledger.hand_over(bob.id(), vec![first], NOW).await.unwrap(), [], "it has left the mailbox");
}

pub async fn what_is_lost_fails_leaves_the_mailbox_and_is_told_once(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letters = letters(&*ledger, &bob, 3).await;
    let places: Vec<_> = waiting(&*ledger, &bob).await.iter().map(|entry| entry.mailbox_seq).collect();
    let lost = ledger.lose(bob.id(), vec![places[1], places[2] + 1_000]).await.unwrap();
    assert_eq!((lost.senders, lost.released), (vec![alice.id()], vec![letters[1].part_handle(&bob)]));
    let left: Vec<_> = waiting(&*ledger, &bob).await.iter().map(|entry| entry.mailbox_seq).collect();
    assert_eq!(left, [places[0], places[2]]);
    let states = [DeliveryState::Pending, DeliveryState::Failed(FailureReason::Lost), DeliveryState::Pending];
    for (letter, state) in letters.iter().zip(states) {
        assert_eq!(status(&*ledger, letter, &bob).await.state, state);
    }
    assert_eq!(changes(&*ledger, &alice).await.last().unwrap().message, letters[1].message());
    assert_eq!(ledger.lose(bob.id(), vec![places[1]]).await.unwrap(), Default::default());
    assert_eq!(ledger.lose(Agent::carol().id(), vec![places[0]]).await.unwrap(), Default::default(), "hers to lose");
    say(&*ledger, &bob, &letters[1], Verdict::Stored).await;
    assert!(status(&*ledger, &letters[1], &bob).await.late, "the recipient had it all the same");
}
