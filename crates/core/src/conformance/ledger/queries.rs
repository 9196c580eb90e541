//! Asking for what is recorded of one message.

use std::sync::Arc;

use sealpost_protocol::{Retention, limits as wire};

use super::*;
use crate::ports::BodyHandles;

pub async fn records_are_ascending_by_recipient(ledger: Arc<dyn Ledger>) {
    let alice = Agent::alice();
    let recipients: Vec<_> = (1..=20).map(Agent::new).collect();
    let letter = Letter::new(&alice, &recipients.iter().collect::<Vec<_>>());
    accept(&*ledger, &letter).await;
    let records = ledger.records(letter.message()).await.unwrap();
    let header = letter.header();
    let named: Vec<_> = records.iter().map(|record| record.status.recipient).collect();
    assert_eq!(named, header.fields().recipients.as_slice());
    for record in records {
        let recipient = recipients.iter().find(|agent| agent.id() == record.status.recipient).unwrap();
        let expected = letter.receipt(recipient, Verdict::Stored);
        assert_eq!((record.header, record.part), (expected.header, expected.part));
    }
    for recipient in &recipients {
        say(&*ledger, recipient, &letter, Verdict::Stored).await;
    }
    let records = ledger.records(letter.message()).await.unwrap();
    assert!(records.iter().all(|record| record.status.delivered_at.is_some()));
}

pub async fn an_unknown_message_has_no_records(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    assert_eq!(ledger.records(letter.clone().number(2).message()).await.unwrap(), []);
    assert_eq!(ledger.records(Letter::new(&bob, &[&bob]).message()).await.unwrap(), []);
    assert_eq!(body(&*ledger, letter.number(2).message(), &alice).await, None);
}

pub async fn a_body_is_shown_to_its_sender_and_to_those_for_whom_it_waits(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol, mallory) = (Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    accept(&*ledger, &letter).await;
    let sees = async |agent: &Agent| body(&*ledger, letter.message(), agent).await == letter.body_handle();
    assert!(sees(&alice).await && sees(&bob).await && sees(&carol).await);
    assert!(!sees(&mallory).await);
    hand_over_all(&*ledger, &bob, NOW).await;
    assert!(sees(&bob).await, "in transit it still waits");
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    assert!(!sees(&bob).await, "it has it");
    assert!(sees(&alice).await && sees(&carol).await);
    sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    assert!(!sees(&alice).await && !sees(&carol).await, "nobody waits for it any more");
}

pub async fn a_message_without_a_body_shows_none(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    assert_eq!(body(&*ledger, letter.message(), &alice).await, None);
}

pub async fn nothing_of_a_message_is_shown_when_its_life_is_over(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let end = NOW.saturating_add(wire::MESSAGE_LIFE);
    let last = Timestamp::from_millis(end.as_millis() - 1);
    for (number, retention) in [(1, Retention::UntilDelivered), (2, Retention::UntilExpiry)] {
        let letter = Letter::new(&alice, &[&bob, &carol]).number(number).body(b"body").expires(end).kept(retention);
        accept(&*ledger, &letter).await;
        for reader in [&alice, &bob] {
            let piece = async |now| ledger.body_piece(letter.message(), reads_at(reader, now), 0).await.unwrap();
            let handles = async |now| ledger.handles(letter.message(), reads_at(reader, now), 1).await.unwrap();
            assert!(piece(last).await.is_some() && handles(last).await.body.is_some());
            assert_eq!(piece(end).await, None, "before any sweep");
            assert_eq!(handles(end).await, MessageHandles::default());
            assert!(piece(last).await.is_some(), "reading changes nothing");
        }
    }
}

/// A body of one piece, and a part.
fn told(body: Option<ContentHandle>, length: u64, part: Option<ContentHandle>) -> MessageHandles {
    MessageHandles { body: body.map(|handle| BodyHandles { length, first: vec![handle] }), part }
}

pub async fn handles_are_told_to_those_who_may_read(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol, mallory) = (Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory());
    let nothing = MessageHandles::default();
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    assert_eq!(handles(&*ledger, &letter, &alice).await, nothing, "it is unknown");
    accept(&*ledger, &letter).await;
    let part = |agent| told(letter.body_handle(), 4, Some(letter.part_handle(agent)));
    assert_eq!(handles(&*ledger, &letter, &alice).await, told(letter.body_handle(), 4, None), "of two parts, none");
    assert_eq!(handles(&*ledger, &letter, &bob).await, part(&bob));
    assert_eq!(handles(&*ledger, &letter, &carol).await, part(&carol));
    assert_eq!(handles(&*ledger, &letter, &mallory).await, nothing);
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    assert_eq!(handles(&*ledger, &letter, &bob).await, nothing, "it has it");
    assert_eq!(handles(&*ledger, &letter, &carol).await, part(&carol));
    say(&*ledger, &carol, &letter, Verdict::Stored).await;
    assert_eq!(handles(&*ledger, &letter, &alice).await, nothing, "it is released");

    let to_one = Letter::new(&alice, &[&bob]).number(2);
    let to_oneself = Letter::new(&alice, &[&alice, &bob]).number(3);
    accept(&*ledger, &to_one).await;
    accept(&*ledger, &to_oneself).await;
    for (letter, reader, recipient) in [(&to_one, &alice, &bob), (&to_one, &bob, &bob), (&to_oneself, &alice, &alice)] {
        assert_eq!(handles(&*ledger, letter, reader).await, told(None, 0, Some(letter.part_handle(recipient))));
    }
    sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    assert_eq!(handles(&*ledger, &to_one, &alice).await, nothing, "its life is over");
}

pub async fn what_is_kept_is_told_when_it_is_delivered(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]).body(b"body").kept(Retention::UntilExpiry);
    accept(&*ledger, &letter).await;
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    let kept = told(letter.body_handle(), 4, Some(letter.part_handle(&bob)));
    assert_eq!(handles(&*ledger, &letter, &alice).await, kept);
    assert_eq!(handles(&*ledger, &letter, &bob).await, kept);
    ledger.end_retention(NOW.saturating_add(wire::MESSAGE_LIFE), 1).await.unwrap();
    assert_eq!(handles(&*ledger, &letter, &bob).await, MessageHandles::default());
}
