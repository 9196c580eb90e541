//! The end of a message's life, and of its memory.

use std::{sync::Arc, time::Duration};

use sealpost_protocol::{DeliveryState, FailureReason, ReceiptHead};

use super::*;
use crate::ports::RecordReceiptsError;

fn later(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

const EXPIRED: DeliveryState = DeliveryState::Failed(FailureReason::Expired);

/// A time at which every letter's life has ended.
fn end() -> Timestamp {
    NOW.saturating_add(sealpost_protocol::limits::MESSAGE_LIFE)
}

pub async fn what_has_lived_long_enough_fails(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letters = [1, 2, 3].map(|number| Letter::new(&alice, &[&bob]).number(number).expires(later(number)));
    for letter in &letters {
        accept(&*ledger, letter).await;
    }
    hand_over_all(&*ledger, &bob, NOW).await;
    let (agents, released) = sweep(&*ledger, later(2)).await;
    assert_eq!(named(agents), ids(&[&alice, &bob]));
    assert_eq!(sorted(released), sorted([letters[0].part_handle(&bob), letters[1].part_handle(&bob)]));
    assert_eq!(status(&*ledger, &letters[0], &bob).await.state, EXPIRED);
    assert_eq!(status(&*ledger, &letters[1], &bob).await.state, EXPIRED, "a life ends at its end");
    assert_eq!(status(&*ledger, &letters[2], &bob).await.state, DeliveryState::InTransit);
    let left = waiting(&*ledger, &bob).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].content, letters[2].part_handle(&bob));
    assert_eq!(sweep(&*ledger, later(3)).await.1, [letters[2].part_handle(&bob)], "the next sweep finds the next");
}

pub async fn a_sweep_in_small_steps_reaches_everything(ledger: Arc<dyn Ledger>) {
    let alice = Agent::alice();
    let recipients: Vec<_> = (1..=10).map(Agent::new).collect();
    let all: Vec<_> = recipients.iter().collect();
    for number in 1..=3 {
        accept(&*ledger, &Letter::new(&alice, &all).number(number)).await;
    }
    accept(&*ledger, &Letter::new(&alice, &all).number(9).created(end())).await;
    let mut released = sorted(sweep(&*ledger, end()).await.1);
    released.dedup();
    assert_eq!(released.len(), 30);
    assert_eq!(changes(&*ledger, &alice).await.iter().filter(|change| change.state == EXPIRED).count(), 30);
    for recipient in all {
        assert_eq!(waiting_at(&*ledger, recipient, Timestamp::default()).await.len(), 1);
    }
}

pub async fn a_sweep_tells_both_sides_and_only_once(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]);
    accept(&*ledger, &letter).await;
    assert_eq!(sweep(&*ledger, NOW).await, (Vec::new(), Vec::new()), "not yet");
    say(&*ledger, &carol, &letter, Verdict::Stored).await;
    assert_eq!(named(sweep(&*ledger, end()).await.0), ids(&[&alice, &bob]), "it is no news to carol");
    assert_eq!(sweep(&*ledger, end()).await, (Vec::new(), Vec::new()));
}

pub async fn a_sweep_leaves_what_is_delivered(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    let before = everything(&*ledger, &[&letter]).await;
    sweep(&*ledger, end()).await;
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}

pub async fn an_old_message_is_forgotten(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letters = [1, 2, 3].map(|number| Letter::new(&alice, &[&bob]).number(number).body(b"body"));
    let mut book = ReceiptBook::new(&bob);
    for (seconds, letter) in (1..).zip(&letters) {
        ledger.accept(letter.accepted(later(seconds))).await.unwrap();
        record(&*ledger, &mut book, vec![letter.receipt(&bob, Verdict::Stored)]).await;
    }
    assert_eq!(ledger.forget(later(2), 10).await.unwrap(), 1, "accepted before, not at");
    assert_eq!(ledger.records(letters[0].message()).await.unwrap(), []);
    assert_eq!(ledger.records(letters[1].message()).await.unwrap().len(), 1);
    let left: Vec<_> = changes(&*ledger, &alice).await.into_iter().map(|change| change.message).collect();
    assert_eq!(left, [letters[1].message(), letters[2].message()]);
    assert_eq!(ledger.forget(later(2), 10).await.unwrap(), 0);
}

pub async fn no_more_is_forgotten_than_asked_for(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    for number in 1..=5 {
        accept(&*ledger, &Letter::new(&alice, &[&bob, &carol]).number(number)).await;
    }
    sweep(&*ledger, end()).await;
    for expected in [2, 2, 1, 0] {
        assert_eq!(ledger.forget(end(), 2).await.unwrap(), expected);
    }
    assert_eq!(changes(&*ledger, &alice).await, []);
}

pub async fn what_still_waits_is_not_forgotten(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    accept(&*ledger, &letter).await;
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    let before = everything(&*ledger, &[&letter]).await;
    assert_eq!(ledger.forget(end(), 10).await.unwrap(), 0);
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
    sweep(&*ledger, end()).await;
    assert_eq!(ledger.forget(end(), 10).await.unwrap(), 1);
}

pub async fn a_forgotten_id_may_be_used_again(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    sweep(&*ledger, end()).await;
    ledger.forget(end(), 10).await.unwrap();
    assert_eq!(accept(&*ledger, &letter).await.queued, [bob.id()]);
    assert_eq!(waiting(&*ledger, &bob).await.len(), 1);
}

pub async fn numbers_go_on_after_everything_was_forgotten(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let (mut last_change, mut last_place) = (0, 0);
    for number in 1..=3 {
        accept(&*ledger, &Letter::new(&alice, &[&bob, &carol]).number(number)).await;
        let place = waiting(&*ledger, &bob).await[0].mailbox_seq;
        let change = changes(&*ledger, &alice).await[0].change_seq;
        assert!(place > last_place && change > last_change, "a reader that waits after the last one finds it");
        sweep(&*ledger, end()).await;
        (last_place, last_change) = (place, changes(&*ledger, &alice).await[1].change_seq);
        assert_eq!(ledger.forget(end(), 10).await.unwrap(), 1);
    }
}

pub async fn the_sequence_of_receipts_outlives_the_messages(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    let mut book = ReceiptBook::new(&bob);
    record(&*ledger, &mut book, vec![letter.receipt(&bob, Verdict::Stored)]).await;
    assert_eq!(ledger.forget(end(), 10).await.unwrap(), 1);
    let next = Letter::new(&alice, &[&bob]).number(2);
    accept(&*ledger, &next).await;
    let receipt = vec![next.receipt(&bob, Verdict::Stored)];
    let from_the_start =
        ledger.record_receipts(ReceiptBook::new(&bob).sign(receipt.clone()), COUNTERSIGNATURE, NOW).await;
    match from_the_start {
        Err(RecordReceiptsError::OutOfSequence { number: 2, previous_root }) => {
            assert_ne!(previous_root, ReceiptHead::NO_ROOT);
        }
        other => panic!("{other:?}"),
    }
    record(&*ledger, &mut book, receipt).await;
}

pub async fn the_time_of_the_last_sweep_is_kept(ledger: Arc<dyn Ledger>) {
    assert_eq!(ledger.swept_at().await.unwrap(), None);
    for at in [NOW, later(1), NOW] {
        ledger.note_sweep(at).await.unwrap();
        assert_eq!(ledger.swept_at().await.unwrap(), Some(at));
    }
}
