//! Whether the relay is ready for its whole work, and what it goes on with when it is not.

use sealpost_core::NotReady;

use super::*;

#[tokio::test]
async fn a_relay_without_room_is_not_ready_says_so_and_takes_receipts() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]);
    relay.send(&alice, &letter).await.unwrap();
    relay.services.readiness.check().await.unwrap();
    relay.contents.set_full(true);
    let error = relay.services.readiness.check().await.unwrap_err();
    assert!(matches!(error, NotReady::NoRoom) && error.to_string().contains("no new messages"), "{error}");
    assert_eq!(relay.receive(&bob).await.entries.len(), 1);
    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    relay.services.receipts.record(&principal(&bob), batch).await.unwrap();
    relay.contents.set_full(false);
    relay.services.readiness.check().await.unwrap();
}

#[tokio::test]
async fn a_relay_whose_ledger_does_not_answer_is_not_ready() {
    let relay = Relay::of(&[]).await;
    relay.ledger.fail_to_read(true);
    assert!(matches!(relay.services.readiness.check().await, Err(NotReady::Backend(_))));
}
