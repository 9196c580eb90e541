//! Asking for what is recorded of one message.

use std::sync::Arc;

use sealpost_protocol::limits as wire;

use super::*;

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
