//! Whose ledger it is, and which life of it.

use sealpost_core::{
    conformance::{Agent, Letter, NOW, ReceiptBook},
    ports::Claim,
};
use sealpost_protocol::{ClaimId, NodeId, Verdict};
use sealpost_storage::Embedded;

const NODE: NodeId = NodeId::from_array([1; 32]);

#[tokio::test]
async fn a_ledger_keeps_its_id_and_its_first_node() {
    let directory = tempfile::tempdir().unwrap();
    let made = Embedded::open(directory.path()).unwrap().identity().await.unwrap();
    assert_eq!(made.node, None);
    let reopened = Embedded::open(directory.path()).unwrap();
    reopened.belong_to(NODE).await.unwrap();
    reopened.belong_to(NodeId::from_array([2; 32])).await.unwrap();
    let identity = reopened.identity().await.unwrap();
    assert_eq!((identity.id, identity.node), (made.id, Some(NODE)));
    let other = tempfile::tempdir().unwrap();
    assert_ne!(Embedded::open(other.path()).unwrap().identity().await.unwrap().id, made.id);
}

#[tokio::test]
async fn in_another_life_of_the_ledger_messages_stay_prekeys_are_used_and_receipts_begin_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let storage = Embedded::open(directory.path()).unwrap();
    storage.belong_to(NODE).await.unwrap();
    storage.prekeys().publish(bob.upload(1, 1..=5)).await.unwrap();
    let letters = [1, 2].map(|number| Letter::new(&alice, &[&bob]).number(number));
    for letter in &letters {
        storage.ledger().accept(letter.acceptance()).await.unwrap();
    }
    let first = || ReceiptBook::new(&bob);
    storage.ledger().record_receipts(first().sign(vec![letters[0].receipt(&bob, Verdict::Stored)]), NOW).await.unwrap();

    let before = storage.identity().await.unwrap();
    let after = storage.begin_anew(NOW).await.unwrap();
    assert_ne!(after.id, before.id);
    assert_eq!(after.node, Some(NODE));
    assert_eq!(storage.identity().await.unwrap(), after);
    let counts = storage.prekeys().counts(bob.id()).await.unwrap();
    assert_eq!((counts.one_time_curve, counts.one_time_kem), (0, 0));
    let claim = Claim { requester: alice.id(), id: ClaimId([1; 16]), target: bob.id(), at: NOW };
    let bundle = storage.prekeys().claim(claim).await.unwrap().unwrap();
    assert_eq!((bundle.one_time_curve, bundle.one_time_kem), (None, None));
    assert_eq!(bundle.manifest, bob.manifest(1));
    storage.ledger().record_receipts(first().sign(vec![letters[1].receipt(&bob, Verdict::Stored)]), NOW).await.unwrap();
}
