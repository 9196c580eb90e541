//! Control messages: accepted like messages, and gone when their reader says so.

use sealpost_core::{ExpirySweep, Part, Submission, SubmissionError, ports::PrekeyCounts};
use sealpost_protocol::{Attempt, ErrorCode, limits as wire};

use super::*;

fn control(sender: &Agent, recipient: &Agent, number: u64) -> Letter {
    Letter::new(sender, &[recipient]).control().number(number)
}

/// Reads bob's mailbox, having taken the control messages up to a place.
async fn receive_after_taking(relay: &Relay, bob: &Agent, control_taken: u64) -> Page {
    let request = PageRequest { control_taken, ..PageRequest::default() };
    relay.services.mailboxes.receive(&principal(bob), request, &()).await.unwrap()
}

#[tokio::test]
async fn a_control_message_is_handed_over_until_it_is_taken_and_nobody_is_told() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = control(&alice, &bob, 1);
    relay.send(&alice, &letter).await.unwrap();
    let page = relay.receive(&bob).await;
    assert_eq!(relay.receive(&bob).await.entries, page.entries, "reading consumes nothing");
    let entry = page.entries.first().unwrap();
    assert_eq!((&entry.header, &entry.part), (&letter.header().as_bytes().to_vec(), &letter.envelope(bob.id())));
    assert_eq!(page.prekeys, PrekeyCounts { one_time_curve: 5, one_time_kem: 5 });
    assert_eq!(relay.contents.count(), 1);
    assert_eq!(receive_after_taking(&relay, &bob, entry.mailbox_seq).await.entries, []);
    assert_eq!(relay.contents.count(), 0, "and its bytes are let go of");
    let asked = relay.services.message_query.status(&principal(&alice), letter.message()).await;
    assert_eq!(asked.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(relay.services.message_query.changes(&principal(&alice), 0).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_control_message_wakes_its_recipient() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let services = Arc::clone(&relay.services);
    let me = principal(&bob);
    let request = PageRequest { wait: Duration::from_secs(40), ..PageRequest::default() };
    let waits = tokio::spawn(async move { services.mailboxes.receive(&me, request, &()).await.unwrap() });
    settle().await;
    relay.send(&alice, &control(&alice, &bob, 1)).await.unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(waits.await.unwrap().entries.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn what_is_superseded_expired_or_lost_leaves_no_bytes_behind() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    for number in 1..=3 {
        relay.send(&alice, &control(&alice, &bob, number)).await.unwrap();
    }
    assert_eq!((relay.receive(&bob).await.entries.len(), relay.contents.count()), (1, 1));
    relay.send(&alice, &control(&alice, &bob, 2)).await.unwrap();
    assert_eq!(relay.contents.count(), 1, "one that comes late is not kept");
    relay.clock.advance(Duration::from_secs(2 * 24 * 3_600));
    assert_eq!(relay.receive(&bob).await.entries, []);
    assert_eq!(relay.sweep().await, ExpirySweep::default(), "nobody hears of it");
    assert_eq!(relay.contents.count(), 0);

    let relay = Relay::of(&[&bob]).await;
    let damaged = control(&alice, &bob, 1).ciphertext(500);
    relay.contents.damage(Damage::Altered(damaged.envelope(bob.id()).len()));
    relay.send(&alice, &damaged).await.unwrap();
    assert_eq!(relay.receive(&bob).await.entries, []);
    assert_eq!(relay.contents.count(), 0);
}

#[tokio::test]
async fn a_full_reserve_is_told_to_the_sender_and_keeps_no_bytes() {
    let bob = Agent::bob();
    let relay = Relay::of(&[&bob]).await;
    let reserve = u8::try_from(sealpost_core::limits::MAILBOX_CONTROL).unwrap();
    for seed in 1..=reserve {
        let sender = Agent::new(seed);
        relay.send(&sender, &control(&sender, &bob, 1)).await.unwrap();
    }
    let sender = Agent::new(reserve + 1);
    let refused = relay.send(&sender, &control(&sender, &bob, 1)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::MailboxFull);
    assert_eq!(relay.contents.count(), usize::from(reserve));
}

#[test]
fn a_control_message_is_small_single_and_sealed() {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let submission = |letter: &Letter, attempt, envelope: Vec<u8>| {
        let part = Part::new(bob.id(), Attempt::new(attempt).unwrap(), envelope).unwrap();
        Submission::new(letter.header(), None, vec![part])
    };
    let letter = control(&alice, &bob, 1);
    let of_length = |length: usize| {
        let shortest = letter.clone().ciphertext(0).envelope(bob.id()).len();
        letter.clone().ciphertext(length - shortest).envelope(bob.id())
    };
    assert!(submission(&letter, 1, of_length(wire::CONTROL_ENVELOPE)).is_ok());
    let too_large = submission(&letter, 1, of_length(wire::CONTROL_ENVELOPE + 1));
    assert_eq!(too_large, Err(SubmissionError::ControlTooLarge { found: wire::CONTROL_ENVELOPE + 1 }));
    assert_eq!(submission(&letter, 2, letter.envelope(bob.id())), Err(SubmissionError::Control));
    let to_two = Letter::new(&alice, &[&bob, &carol]).control();
    assert_eq!(submission(&to_two, 1, to_two.envelope(bob.id())), Err(SubmissionError::Control));
    let with_body = letter.clone().body(b"body");
    assert_eq!(submission(&with_body, 1, with_body.envelope(bob.id())), Err(SubmissionError::Control));
}
