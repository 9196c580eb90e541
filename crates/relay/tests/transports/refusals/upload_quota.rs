//! What one agent may have in uploads and bodies, and that what ends makes room again.

use sealpost_api::v1;
use sealpost_core::limits;
use sealpost_protocol::{ErrorCode, UploadId};
use serde_json::Value;

use super::{
    super::uploads::{append, begin, cancel},
    *,
};

const MOST: u8 = limits::UPLOADS as u8;

/// Bytes of the body of the letter that waits for Bob.
const IN_USE: u64 = b"sealed for all".len() as u64;

fn id(number: u8) -> UploadId {
    UploadId([number; 16])
}

fn begin_another(number: u8, length: u64) -> v1::BeginUploadRequest {
    v1::BeginUploadRequest { upload_id: id(number).to_string(), length, ..begin() }
}

/// How Alice's uploads stand.
async fn states(scene: &Scene, numbers: impl IntoIterator<Item = u8>) -> Vec<Value> {
    let (rest, mut states) = (scene.relay.rest(), Vec::new());
    for number in numbers {
        let request = v1::UploadRequest { upload_id: id(number).to_string() };
        states.push(rest.ask(&scene.alice, request).await.unwrap());
    }
    states
}

#[tokio::test]
async fn an_upload_too_many_is_refused_on_both_transports_until_another_ends() {
    let scene = Scene::set().await;
    let (alice, wires) = (&scene.alice, scene.relay.wires().await);
    let length = begin().length;
    for number in 1..=MOST {
        wires[usize::from(number % 2)].ask(alice, begin_another(number, length)).await.unwrap();
    }
    wires[0].ask(alice, append(0)).await.unwrap();
    let before = states(&scene, 1..=MOST).await;
    let too_many = || case("an upload too many", alice, begin_another(MOST + 1, length));
    insta::assert_snapshot!(scene.refusals([too_many()]).await);
    assert_eq!(states(&scene, 1..=MOST).await, before);
    let unknown = v1::UploadRequest { upload_id: id(MOST + 1).to_string() };
    assert_eq!(wires[0].ask(alice, unknown).await.unwrap_err().code, ErrorCode::NotFound, "nothing has begun");

    wires[1].ask(&scene.bob, begin()).await.unwrap();
    for (wire, place) in wires.iter().zip([1, 2]) {
        wire.ask(alice, begin()).await.unwrap();
        wire.ask(alice, append(place)).await.unwrap();
    }
    for (wire, ended) in wires.iter().zip([MOST, MOST - 1]) {
        scene.refusals([too_many()]).await;
        cancel(wire, alice, id(ended)).await;
        wire.ask(alice, begin_another(MOST + 1, length)).await.unwrap();
        cancel(wire, alice, id(MOST + 1)).await;
        wire.ask(alice, begin_another(ended, length)).await.unwrap();
    }
    assert_eq!(states(&scene, [1]).await[0]["missing"], serde_json::json!([]));
}

#[tokio::test]
async fn bytes_too_many_are_refused_on_both_transports_until_others_are_let_go_of() {
    let scene = Scene::set().await;
    let (alice, wires) = (&scene.alice, scene.relay.wires().await);
    let rest = limits::SENDER_BODY_BYTES - IN_USE;
    wires[0].ask(alice, begin_another(1, rest)).await.unwrap();
    let before = states(&scene, [1]).await;
    let small = Letter::new(&Agent::alice(), &[&Agent::bob()]).number(2).body(b"1");
    let refused = || {
        let upload = case("an upload of one byte more", alice, begin_another(2, 1));
        [upload, case("a message with a body of one byte more", alice, send_request(&small))]
    };
    insta::assert_snapshot!(scene.refusals(refused()).await);
    assert_eq!(states(&scene, [1]).await, before);
    let without = Letter::new(&Agent::alice(), &[&Agent::bob()]).number(3);
    wires[1].ask(alice, send_request(&without)).await.unwrap();

    for wire in &wires {
        scene.refusals(refused()).await;
        cancel(wire, alice, id(1)).await;
        wire.ask(alice, begin_another(2, 1)).await.unwrap();
        cancel(wire, alice, id(2)).await;
        wire.ask(alice, begin_another(1, rest)).await.unwrap();
    }
    cancel(&wires[0], alice, id(1)).await;
    wires[0].ask(alice, send_request(&small)).await.unwrap();
}
