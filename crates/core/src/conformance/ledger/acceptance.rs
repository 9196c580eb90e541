//! Accepting: once, whole, or not at all.

use std::{sync::Arc, time::Duration};

use sealpost_protocol::{Attempt, DeliveryState, Priority};

use super::*;
use crate::ports::{AcceptError, Acceptance};

pub async fn an_accepted_message_waits_for_every_recipient(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]);
    let outcome = accept(&*ledger, &letter).await;
    assert_eq!(named(outcome.queued.clone()), ids(&[&bob, &carol]));
    assert_eq!((outcome.queued.len(), outcome.unused), (2, Vec::new()));
    for recipient in [&bob, &carol] {
        let waiting = waiting(&*ledger, recipient).await;
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].content, letter.part_handle(recipient), "each gets its own part");
        let status = status(&*ledger, &letter, recipient).await;
        assert_eq!((status.state, status.attempt, status.queued_at), (DeliveryState::Pending, Attempt::FIRST, NOW));
    }
    assert_eq!(waiting(&*ledger, &alice).await, [], "the sender's own mailbox stays empty");
}

pub async fn the_same_submission_again_records_nothing(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    accept(&*ledger, &letter).await;
    let before = everything(&*ledger, &[&letter]).await;
    let again = letter.clone().copy();
    let later = Acceptance { at: NOW.saturating_add(Duration::from_secs(1)), ..again.acceptance() };
    let outcome = ledger.accept(later).await.unwrap();
    assert_eq!((outcome.at, outcome.queued), (NOW, Vec::new()), "it was accepted when it was");
    let given = [again.part_handle(&bob), again.part_handle(&carol)].into_iter().chain(again.body_handle());
    assert_eq!(sorted(outcome.unused), sorted(given), "the second copy is not needed");
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}

pub async fn one_recipient_s_part_again_records_nothing(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]);
    accept(&*ledger, &letter).await;
    let before = everything(&*ledger, &[&letter]).await;
    let again = letter.clone().only(&[&carol]).copy();
    let outcome = accept(&*ledger, &again).await;
    assert_eq!((outcome.queued, outcome.unused), (Vec::new(), vec![again.part_handle(&carol)]));
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}

pub async fn another_header_under_a_used_id_is_a_conflict(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    let before = everything(&*ledger, &[&letter]).await;
    for other in [letter.clone().priority(Priority::High), Letter::new(&alice, &[&bob, &carol])] {
        let refused = ledger.accept(other.acceptance()).await;
        assert!(matches!(refused, Err(AcceptError::Conflict)), "{refused:?}");
    }
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}

pub async fn another_part_under_a_used_attempt_is_a_conflict(ledger: Arc<dyn Ledger>) {
    let letter = Letter::new(&Agent::alice(), &[&Agent::bob()]);
    accept(&*ledger, &letter).await;
    let before = everything(&*ledger, &[&letter]).await;
    let refused = ledger.accept(letter.clone().sealed_anew().acceptance()).await;
    assert!(matches!(refused, Err(AcceptError::Conflict)), "{refused:?}");
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}

pub async fn an_id_belongs_to_its_sender(ledger: Arc<dyn Ledger>) {
    let (alice, bob, mallory) = (Agent::alice(), Agent::bob(), Agent::mallory());
    let (hers, other) = (Letter::new(&alice, &[&bob]), Letter::new(&mallory, &[&bob]));
    assert_eq!(hers.message().id, other.message().id);
    accept(&*ledger, &hers).await;
    assert_eq!(accept(&*ledger, &other).await.queued, [bob.id()]);
    assert_eq!(waiting(&*ledger, &bob).await.len(), 2);
}

pub async fn an_unknown_message_needs_a_first_part_for_everyone(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]);
    for incomplete in [letter.clone().only(&[&bob]), letter.clone().attempt(2)] {
        let refused = ledger.accept(incomplete.acceptance()).await;
        assert!(matches!(refused, Err(AcceptError::Incomplete)), "{refused:?}");
    }
    assert_eq!(ledger.records(letter.message()).await.unwrap(), []);
    assert_eq!(waiting(&*ledger, &bob).await, []);
    assert_eq!(accept(&*ledger, &letter).await.queued.len(), 2, "the id is still free");
}

pub async fn a_refused_message_leaves_no_trace(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body").claimed_length(crate::limits::MAILBOX_BYTES + 1);
    let before = everything(&*ledger, &[&letter]).await;
    let refused = ledger.accept(letter.acceptance()).await;
    assert!(matches!(refused, Err(AcceptError::MailboxFull { .. })), "{refused:?}");
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
    let other = Letter::new(&alice, &[&bob]).number(1);
    assert_eq!(accept(&*ledger, &other).await.queued, [bob.id()], "the id is still free");
}

pub async fn of_concurrent_submissions_of_one_message_exactly_one_queues(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    let submit = |_| {
        let (ledger, acceptance) = (Arc::clone(&ledger), letter.acceptance());
        tokio::spawn(async move { ledger.accept(acceptance).await.unwrap() })
    };
    let submitting: Vec<_> = (0..32).map(submit).collect();
    let mut queued = Vec::new();
    for outcome in submitting {
        queued.extend(outcome.await.unwrap().queued);
    }
    assert_eq!(queued, [bob.id()]);
    assert_eq!(waiting(&*ledger, &bob).await.len(), 1);
}

pub async fn concurrent_messages_to_one_mailbox_all_wait_in_one_order(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let submit = |number| {
        let (ledger, acceptance) = (Arc::clone(&ledger), Letter::new(&alice, &[&bob]).number(number).acceptance());
        tokio::spawn(async move { ledger.accept(acceptance).await.unwrap() })
    };
    let submitting: Vec<_> = (0..32).map(submit).collect();
    for outcome in submitting {
        assert_eq!(outcome.await.unwrap().queued, [bob.id()]);
    }
    let waiting = waiting(&*ledger, &bob).await;
    assert_eq!(waiting.len(), 32);
    assert!(waiting.is_sorted_by(|a, b| a.mailbox_seq < b.mailbox_seq));
}
