//! Receipts that are not recorded.

use sealpost_api::v1;
use sealpost_core::conformance::ReceiptBook;
use sealpost_protocol::{ReceiptBatch, Verdict, encoding::Encode};

use super::*;

fn acknowledge(batch: &ReceiptBatch) -> v1::AcknowledgeRequest {
    v1::AcknowledgeRequest { receipts: batch.to_bytes() }
}

#[tokio::test]
async fn wrong_receipts_are_refused_on_both_transports_and_change_nothing() {
    let scene = Scene::set().await;
    let (agent, mallory) = (Agent::bob(), Agent::mallory());
    let book = ReceiptBook::new(&agent);
    let stored = |letter: &Letter| letter.receipt(&Agent::bob(), Verdict::Stored);
    let right = book.sign(vec![stored(&letter())]);
    let forged = {
        let mut receipts = right.to_bytes();
        receipts[3 * 32 + 8] ^= 1; // the signature's first byte, after recipient, number and two roots
        v1::AcknowledgeRequest { receipts }
    };
    let skipping = {
        let mut book = ReceiptBook::new(&agent);
        book.enter(&right);
        book.sign(vec![stored(&letter())])
    };
    let strangers = ReceiptBook::new(&mallory).sign(vec![letter().receipt(&mallory, Verdict::Stored)]);
    let mut cases = vec![
        case("another's", &scene.alice, acknowledge(&right)),
        case("with a forged signature", &scene.bob, forged),
        case("out of their sequence", &scene.bob, acknowledge(&skipping)),
        case("of one who has published no identity", &scene.mallory, acknowledge(&strangers)),
    ];
    for receipts in wrong_lengths(&right.to_bytes()) {
        let name = format!("receipts of {} bytes", receipts.len());
        cases.push(case(name, &scene.bob, v1::AcknowledgeRequest { receipts }));
    }
    insta::assert_snapshot!(scene.refusals(cases).await);
}

#[tokio::test]
async fn receipts_that_cannot_be_taken_are_named_in_the_answer() {
    for wire in 0..2 {
        let scene = Scene::set().await;
        let wire = &scene.relay.wires().await[wire];
        let bob = Agent::bob();
        let stored = |letter: &Letter| letter.receipt(&Agent::bob(), Verdict::Stored);
        let leaves = vec![stored(&letter().number(7)), stored(&letter()), stored(&letter().sealed_anew())];
        let batch = ReceiptBook::new(&bob).sign(leaves);
        let answer = wire.ask(&scene.bob, acknowledge(&batch)).await.unwrap();
        let refused = serde_json::json!([{ "index": 0, "code": "not-found" }, { "index": 2, "code": "conflict" }]);
        assert_eq!(answer["refused"], refused);
        assert_eq!(wire.ask(&scene.bob, acknowledge(&batch)).await.unwrap(), answer, "the same answer again");
    }
}
