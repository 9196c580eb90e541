//! How a message is stored is told to those who may read it, the same over both transports.

use sealpost_api::v1;
use sealpost_core::{
    conformance::{Agent, Letter, ReceiptBook},
    limits::DESCRIBED_PIECES,
};
use sealpost_protocol::{UploadId, Verdict, encoding::Encode, limits};
use serde_json::{Value, json};

use super::{
    conversation::ask_both,
    session::Session,
    test_relay::{TestRelay, send_request},
    wire::Wire,
};

fn status_request(letter: &Letter) -> v1::GetStatusRequest {
    let message = letter.message();
    v1::GetStatusRequest { sender: message.sender.to_string(), message_id: message.id.to_string() }
}

async fn content(wires: &[Wire; 2], session: &Session, letter: &Letter) -> Value {
    ask_both(wires, session, status_request(letter)).await["content"].take()
}

/// A content of small blocks under a ratchet, whatever their ids are.
fn is_stored(content: &Value, length: usize) -> bool {
    let blocks = length.div_ceil(1_024);
    let mut form = content.clone();
    let ids = form["block_ids"].take();
    let ids: Vec<_> = ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().len()).collect();
    let expected = json!({
        "length": length, "padded_length": blocks * 1_024, "block_size": 1_024, "tuple_size": 3, "policy": "pooled",
        "is_cbl": false, "block_ids": null,
    });
    form == expected && ids == vec![44; blocks]
}

#[tokio::test]
async fn sender_and_recipient_are_told_how_a_message_is_stored_and_a_stranger_is_not() {
    let relay = TestRelay::start().await;
    let wires = relay.wires().await;
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let [alices, bobs, carols] = [relay.member(&alice).await, relay.member(&bob).await, relay.member(&carol).await];
    let letter = Letter::new(&alice, &[&bob]).body(&[7; 3_000]);
    wires[0].ask(&alices, send_request(&letter)).await.unwrap();

    let seen = content(&wires, &bobs, &letter).await;
    assert_eq!((&seen["body"]["length"], &seen["body"]["pieces"]), (&json!(3_000), &json!(1)));
    let [body] = seen["body"]["contents"].as_array().unwrap().as_slice() else { panic!("{seen}") };
    assert!(is_stored(body, 3_000), "{seen}");
    assert!(is_stored(&seen["part"], letter.envelope(bob.id()).len()), "{seen}");
    assert_eq!(content(&wires, &alices, &letter).await, seen, "the only part");
    for wire in &wires {
        assert!(wire.ask(&carols, status_request(&letter)).await.is_err());
    }

    let batch = ReceiptBook::new(&bob).sign(vec![letter.receipt(&bob, Verdict::Stored)]);
    wires[0].ask(&bobs, v1::AcknowledgeRequest { receipts: batch.to_bytes() }).await.unwrap();
    for session in [&alices, &bobs] {
        assert_eq!(content(&wires, session, &letter).await, Value::Null, "it is released");
    }
}

#[tokio::test]
async fn the_sender_of_a_message_to_many_is_told_of_its_body_and_each_recipient_of_its_own_part() {
    let relay = TestRelay::start().await;
    let wires = relay.wires().await;
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let [alices, bobs, carols] = [relay.member(&alice).await, relay.member(&bob).await, relay.member(&carol).await];
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    wires[1].ask(&alices, send_request(&letter)).await.unwrap();
    let [senders, bobs, carols] = [
        content(&wires, &alices, &letter).await,
        content(&wires, &bobs, &letter).await,
        content(&wires, &carols, &letter).await,
    ];
    assert_eq!(senders["part"], Value::Null);
    assert_eq!((&senders["body"], &bobs["body"]), (&carols["body"], &carols["body"]));
    assert!(is_stored(&senders["body"]["contents"][0], 4), "{senders}");
    assert_ne!(bobs["part"]["block_ids"], carols["part"]["block_ids"]);
}

#[tokio::test]
async fn of_a_large_body_the_first_pieces_are_told_and_how_many_there_are() {
    let relay = TestRelay::start().await;
    let wires = relay.wires().await;
    let (alice, id) = (relay.member(&Agent::alice()).await, UploadId([1; 16]));
    relay.member(&Agent::bob()).await;
    let piece = usize::try_from(limits::BODY_PIECE).unwrap();
    for pieces in [2, DESCRIBED_PIECES + 2] {
        let length = (pieces - 1) * piece + 5;
        let letter = Letter::new(&Agent::alice(), &[&Agent::bob()]).number(pieces as u64).body(&vec![7; length]);
        let letter = letter.uploaded(id);
        let described = letter.upload_description().body;
        let begin = v1::BeginUploadRequest {
            upload_id: id.to_string(),
            scheme: "ratchet".to_owned(),
            length: described.sealed_length,
            hash: described.hash.to_vec(),
        };
        wires[0].ask(&alice, begin).await.unwrap();
        for (place, piece) in (0..).zip(letter.pieces()) {
            let offset = place * limits::BODY_PIECE;
            let append = v1::AppendRequest { upload_id: id.to_string(), offset, piece };
            wires[0].ask(&alice, append).await.unwrap();
        }
        wires[0].ask(&alice, send_request(&letter)).await.unwrap();

        let mut body = content(&wires, &alice, &letter).await["body"].take();
        assert_eq!((&body["length"], &body["pieces"]), (&json!(length), &json!(pieces)));
        let mut contents: Vec<Value> = serde_json::from_value(body["contents"].take()).unwrap();
        assert_eq!(contents.len(), pieces.min(DESCRIBED_PIECES));
        if pieces <= DESCRIBED_PIECES {
            assert!(is_stored(&contents.pop().unwrap(), 5));
        }
        for content in contents {
            let (size, padded) = (&content["block_size"], &content["padded_length"]);
            assert_eq!((size, padded, &content["is_cbl"]), (&json!(1 << 16), &json!(piece), &json!(true)), "{content}");
            assert_eq!(content["block_ids"].as_array().unwrap().len(), 1, "one list of sixteen blocks");
        }
    }
}
