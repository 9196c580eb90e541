//! Receipts: whose word counts, and what the relay answers to it.

use sealpost_protocol::{
    ErrorCode, NodeId, ReceiptBatch, Signer,
    encoding::{Decode, Encode},
};

use super::*;

/// A relay at which a letter from alice waits for bob.
async fn with_letter(agents: &[&Agent]) -> (Relay, Letter) {
    let relay = Relay::of(agents).await;
    let letter = Letter::new(&Agent::alice(), &[&Agent::bob()]).body(b"body");
    relay.send(&Agent::alice(), &letter).await.unwrap();
    (relay, letter)
}

async fn refusal(relay: &Relay, caller: &Agent, batch: ReceiptBatch) -> ErrorCode {
    relay.services.receipts.record(&principal(caller), batch).await.expect_err("it was recorded").code()
}

#[tokio::test]
async fn the_node_countersigns_the_head_and_the_last_batch_again_gets_the_same_answer() {
    let bob = Agent::bob();
    let (relay, letter) = with_letter(&[&bob]).await;
    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    let head = batch.signed_head().head;
    let answer = relay.services.receipts.record(&principal(&bob), batch.clone()).await.unwrap();
    assert_eq!(answer.number, 1);
    assert_eq!(head.verify_countersignature(&NodeId::from(relay.node.identity_key()), &answer.signature), Ok(()));
    assert_eq!(relay.services.receipts.record(&principal(&bob), batch).await.unwrap(), answer);
}

#[tokio::test]
async fn a_receipt_delivers_and_lets_the_contents_go() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (relay, letter) = with_letter(&[&bob]).await;
    assert_eq!(relay.contents.count(), 2);
    relay.say(&bob, &letter, Verdict::Stored).await;
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Delivered);
    assert_eq!(relay.contents.count(), 0);
}

#[tokio::test]
async fn contents_that_cannot_be_let_go_of_do_not_stop_a_receipt() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (relay, letter) = with_letter(&[&bob]).await;
    relay.contents.set_broken(true);
    relay.say(&bob, &letter, Verdict::Stored).await;
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Delivered);
    assert_ne!(relay.contents.count(), 0);
    relay.contents.set_broken(false);
    let relay = relay.restarted();
    relay.sweep().await;
    assert_eq!(relay.contents.count(), 0, "the next sweep finds them, also after a restart");
}

#[tokio::test]
async fn nobody_hands_in_another_s_receipts() {
    let (alice, bob, mallory) = (Agent::alice(), Agent::bob(), Agent::mallory());
    let (relay, letter) = with_letter(&[&bob, &mallory]).await;
    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    assert_eq!(refusal(&relay, &mallory, batch).await, ErrorCode::Forbidden);
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
}

#[tokio::test]
async fn an_agent_that_published_nothing_has_no_receipts() {
    let mallory = Agent::mallory();
    let (relay, letter) = with_letter(&[&Agent::bob()]).await;
    let batch = ReceiptBook::new(&mallory).sign(vec![letter.receipt(&mallory, Verdict::Stored)]);
    assert_eq!(refusal(&relay, &mallory, batch).await, ErrorCode::Forbidden);
}

#[tokio::test]
async fn a_batch_with_a_damaged_signature_records_nothing() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (relay, letter) = with_letter(&[&bob]).await;
    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    let mut bytes = batch.to_bytes();
    let signature = batch.signed_head().head.to_bytes().len();
    *bytes.get_mut(signature).unwrap() ^= 1;
    let damaged = ReceiptBatch::from_bytes(&bytes).unwrap();
    assert_eq!(refusal(&relay, &bob, damaged).await, ErrorCode::BadSignature);
    assert_eq!(relay.state(&alice, &letter).await, DeliveryState::Pending);
    relay.say(&bob, &letter, Verdict::Stored).await;
}

#[tokio::test]
async fn the_ledger_s_refusals_have_names_of_their_own() {
    let bob = Agent::bob();
    let (relay, letter) = with_letter(&[&bob]).await;
    let book = ReceiptBook::new(&bob);
    let stored = || vec![letter.receipt(&bob, Verdict::Stored)];
    let unknown = letter.clone().number(2).receipt(&bob, Verdict::Stored);
    let other_part = letter.clone().sealed_anew().receipt(&bob, Verdict::Stored);
    let batch = book.sign(vec![unknown, other_part]);
    let answer = relay.services.receipts.record(&principal(&bob), batch.clone()).await.unwrap();
    let codes: Vec<_> = answer.refused.iter().map(|refused| (refused.index, refused.code())).collect();
    assert_eq!(codes, [(0, ErrorCode::NotFound), (1, ErrorCode::Conflict)]);
    assert_eq!(relay.services.receipts.record(&principal(&bob), batch).await.unwrap(), answer);
    assert_eq!(
        refusal(&relay, &bob, book.sign(stored())).await,
        ErrorCode::ReceiptsOutOfSequence,
        "the number is used"
    );
}

#[tokio::test(start_paused = true)]
async fn a_receipt_wakes_the_sender_s_feed() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (relay, letter) = with_letter(&[&bob]).await;
    let mut feed = relay.services.message_query.feed(&principal(&alice), 0);
    feed.next().await.unwrap();
    let next = tokio::spawn(async move { feed.next().await.unwrap() });
    settle().await;
    assert!(!next.is_finished());
    relay.say(&bob, &letter, Verdict::Acknowledged).await;
    let changes = next.await.unwrap();
    let seen: Vec<_> = changes.iter().map(|change| (change.state, change.acknowledged)).collect();
    assert_eq!(seen, [(DeliveryState::Delivered, true)]);
}
