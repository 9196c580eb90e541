//! Receiving: pages, the bounded wait, and what reading does and does not change.

use std::sync::atomic::{AtomicUsize, Ordering};

use sealpost_core::{NoRoom, PageRequest, Room};
use sealpost_protocol::{ErrorCode, encoding::Encode, limits as wire};
use tokio::{task::JoinHandle, time::Instant};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn waiting(relay: &Relay, agent: &Agent, wait: Duration) -> JoinHandle<Page> {
    let (services, principal) = (Arc::clone(&relay.services), principal(agent));
    let request = PageRequest { wait, ..PageRequest::default() };
    tokio::spawn(async move { services.mailboxes.receive(&principal, request, &()).await.unwrap() })
}

#[tokio::test(start_paused = true)]
async fn an_empty_mailbox_answers_at_once_unless_asked_to_wait() {
    let bob = Agent::bob();
    let relay = Relay::of(&[&bob]).await;
    let start = Instant::now();
    assert_eq!(relay.receive(&bob).await.entries, []);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let page = waiting(&relay, &bob, Duration::from_secs(3)).await.unwrap();
    assert_eq!((page.entries, start.elapsed().as_secs()), (Vec::new(), 3));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_limit() {
    let bob = Agent::bob();
    let relay = Relay::of(&[&bob]).await;
    let start = Instant::now();
    waiting(&relay, &bob, Duration::MAX).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), wire::RECEIVE_WAIT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_message_wakes_everyone_who_waits_for_it_and_nobody_else() {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let relay = Relay::of(&[&bob, &carol]).await;
    let start = Instant::now();
    let mine = [waiting(&relay, &bob, MINUTE), waiting(&relay, &bob, MINUTE)];
    let other = waiting(&relay, &carol, MINUTE);
    settle().await;
    relay.send(&alice, &Letter::new(&alice, &[&bob])).await.unwrap();
    for page in mine {
        assert_eq!(page.await.unwrap().entries.len(), 1);
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(!other.is_finished());
    assert_eq!(other.await.unwrap().entries, []);
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_without_news_after_the_given_place_goes_on_waiting() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    relay.send(&alice, &Letter::new(&alice, &[&bob])).await.unwrap();
    let seen = relay.receive(&bob).await.entries.first().unwrap().mailbox_seq;
    let (services, me) = (Arc::clone(&relay.services), principal(&bob));
    let request = PageRequest { after: seen, wait: MINUTE, ..PageRequest::default() };
    let next = tokio::spawn(async move { services.mailboxes.receive(&me, request, &()).await.unwrap() });
    settle().await;
    relay.send(&bob, &Letter::new(&bob, &[&bob]).number(7)).await.unwrap();
    let page = next.await.unwrap();
    let headers: Vec<_> = page.entries.iter().map(|entry| entry.header.clone()).collect();
    assert_eq!(headers, [Letter::new(&bob, &[&bob]).number(7).header().as_bytes()]);
}

#[tokio::test]
async fn an_entry_is_what_the_sender_handed_in() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    let accepted = relay.send(&alice, &letter).await.unwrap();
    let page = relay.receive(&bob).await;
    let entry = page.entries.first().unwrap();
    assert_eq!(entry.header, letter.header().to_bytes());
    assert_eq!(entry.part, letter.envelope(bob.id()));
    assert_eq!((entry.attempt.number(), entry.queued_at), (1, accepted.at));
    assert_eq!((page.prekeys.one_time_curve, page.prekeys.one_time_kem), (5, 5), "what it has left to hand out");
}

#[tokio::test]
async fn reading_tells_the_sender_and_consumes_nothing() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    let first = relay.receive(&bob).await.entries;
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::InTransit);
    relay.clock.advance(MINUTE);
    let handed_over_at = relay.statuses(&alice, &letter).await.first().unwrap().handed_over_at;
    assert_eq!(relay.receive(&bob).await.entries, first, "until a receipt comes, the same again");
    assert_eq!(relay.statuses(&alice, &letter).await.first().unwrap().handed_over_at, handed_over_at);
    relay.say(&bob, &letter, Verdict::Stored).await;
    assert_eq!(relay.receive(&bob).await.entries, []);
}

#[tokio::test]
async fn a_mailbox_opens_to_its_owner_only() {
    let (alice, bob, mallory) = (Agent::alice(), Agent::bob(), Agent::mallory());
    let relay = Relay::of(&[&bob, &mallory]).await;
    relay.send(&alice, &Letter::new(&alice, &[&bob])).await.unwrap();
    assert_eq!(relay.receive(&mallory).await.entries, []);
    assert_eq!(relay.receive(&alice).await.entries, []);
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let count = wire::PAGE_ENTRIES as u64 + 5;
    for number in 0..count {
        relay.send(&alice, &Letter::new(&alice, &[&bob]).number(number)).await.unwrap();
    }
    for entries in [0, 7, wire::PAGE_ENTRIES, usize::MAX] {
        let (mut after, mut seen) = (0, 0);
        loop {
            let request = PageRequest { after, entries, ..PageRequest::default() };
            let page = relay.services.mailboxes.receive(&principal(&bob), request, &()).await.unwrap();
            assert!(page.entries.len() <= wire::PAGE_ENTRIES);
            assert!(entries == 0 || page.entries.len() <= entries);
            let Some(last) = page.entries.last() else { break };
            (after, seen) = (last.mailbox_seq, seen + page.entries.len() as u64);
        }
        assert_eq!(seen, count);
    }
}

#[tokio::test]
async fn a_page_of_large_parts_ends_early() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    for number in 0..4 {
        let letter = Letter::new(&alice, &[&bob]).number(number).ciphertext(wire::CIPHERTEXT);
        relay.send(&alice, &letter).await.unwrap();
    }
    let page = relay.receive(&bob).await;
    let bytes: usize = page.entries.iter().map(|entry| entry.part.len()).sum();
    assert!(!page.entries.is_empty() && bytes <= wire::PAGE_BYTES, "{} entries, {bytes} bytes", page.entries.len());
}

#[tokio::test]
async fn a_message_is_not_shown_after_its_life_though_no_sweep_has_come_by() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    relay.send(&alice, &Letter::new(&alice, &[&bob])).await.unwrap();
    relay.clock.advance(wire::MESSAGE_LIFE);
    assert_eq!(relay.receive(&bob).await.entries, []);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_marked_as_handed_over() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    relay.contents.set_broken(true);
    let failed = relay.services.mailboxes.receive(&principal(&bob), PageRequest::default(), &()).await;
    assert!(failed.is_err_and(|error| error.code().is_retryable()));
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
    relay.contents.set_broken(false);
    assert_eq!(relay.receive(&bob).await.entries.len(), 1);
}

#[tokio::test]
async fn a_lost_content_is_told_to_its_sender_and_keeps_the_others_from_nobody() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    for damage in [Damage::Gone, Damage::Altered] {
        let relay = Relay::of(&[&bob]).await;
        let letters = [1, 2, 3].map(|number| Letter::new(&alice, &[&bob]).number(number));
        let damaged = letters[1].clone().ciphertext(500);
        for letter in [&letters[0], &damaged, &letters[2]] {
            relay.send(&alice, letter).await.unwrap();
        }
        relay.contents.damage(damage(damaged.envelope(bob.id()).len()));
        let seen: Vec<_> = relay.receive(&bob).await.entries.into_iter().map(|entry| entry.header).collect();
        assert_eq!(seen, [letters[0].header().to_bytes(), letters[2].header().to_bytes()]);
        assert_eq!(relay.state(&alice, &damaged).await, DeliveryState::Failed(FailureReason::Lost));
        assert_eq!(relay.state(&alice, &letters[2]).await, DeliveryState::InTransit);
        assert_eq!(relay.receive(&bob).await.entries.len(), 2);
        assert_eq!(relay.contents.count(), 2, "the damaged one is let go of");
    }
}

#[tokio::test]
async fn a_page_of_lost_contents_alone_is_passed_over() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let lost = Letter::new(&alice, &[&bob]).number(1).ciphertext(500);
    relay.contents.damage(Damage::Gone(lost.envelope(bob.id()).len()));
    for letter in [lost, Letter::new(&alice, &[&bob]).number(2)] {
        relay.send(&alice, &letter).await.unwrap();
    }
    let request = PageRequest { entries: 1, ..PageRequest::default() };
    let page = relay.services.mailboxes.receive(&principal(&bob), request, &()).await.unwrap();
    assert_eq!(page.entries.len(), 1, "the next one is handed over");
}

/// Room for one page.
#[derive(Debug, Default)]
struct OnePage(AtomicUsize);

impl Room for OnePage {
    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        let add = |taken| Some(taken + bytes).filter(|taken| *taken <= wire::PAGE_BYTES);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map(drop).map_err(|_| NoRoom)
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_read_only_where_there_is_room_for_it() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let (room, request) = (OnePage::default(), PageRequest { wait: MINUTE, ..PageRequest::default() });
    let receive = async || relay.services.mailboxes.receive(&principal(&bob), request, &room).await;
    assert_eq!(receive().await.unwrap().entries, []);
    assert_eq!(room.0.load(Ordering::Relaxed), 0, "who waits takes no room");
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    room.take(1).unwrap();
    assert_eq!(receive().await.unwrap_err().code(), ErrorCode::Unavailable);
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
    room.give_back(1);
    assert_eq!(receive().await.unwrap().entries.len(), 1);
    assert_eq!(room.0.load(Ordering::Relaxed), wire::PAGE_BYTES, "for as long as the page is there");
}
