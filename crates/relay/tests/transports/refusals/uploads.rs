//! Uploads that do not begin, and pieces that do not belong.

use sealpost_api::v1;
use sealpost_protocol::limits;

use super::{
    super::uploads::{append, begin, letter as large_letter},
    *,
};

#[tokio::test]
async fn wrong_uploads_and_pieces_are_refused_on_both_transports_and_change_nothing() {
    let scene = Scene::set().await;
    let rest = scene.relay.rest();
    rest.ask(&scene.alice, begin()).await.unwrap();
    rest.ask(&scene.alice, append(0)).await.unwrap();
    let alice = &scene.alice;
    let mut cases = vec![
        case("an id that is none", alice, v1::BeginUploadRequest { upload_id: "x".into(), ..begin() }),
        case("an unknown scheme", alice, v1::BeginUploadRequest { scheme: "rot13".into(), ..begin() }),
        case("an empty body", alice, v1::BeginUploadRequest { length: 0, ..begin() }),
        case("a body beyond the limit", alice, v1::BeginUploadRequest { length: limits::BODY + 1, ..begin() }),
        case("another body under the id", alice, v1::BeginUploadRequest { hash: vec![0; 32], ..begin() }),
        case("another scheme under the id", alice, v1::BeginUploadRequest { scheme: "none".into(), ..begin() }),
        case("an unknown upload's state", alice, v1::UploadRequest { upload_id: uuid(9) }),
        case("another's upload's state", &scene.carol, v1::UploadRequest { upload_id: uuid(1) }),
        case("a piece of an unknown upload", alice, v1::AppendRequest { upload_id: uuid(9), ..append(1) }),
        case("a piece of another's upload", &scene.carol, append(1)),
        case("a piece between two places", alice, v1::AppendRequest { offset: 1, ..append(1) }),
        case("a piece beyond the end", alice, v1::AppendRequest { offset: 9 * limits::BODY_PIECE, ..append(1) }),
        case("a piece at the end of all numbers", alice, v1::AppendRequest { offset: u64::MAX, ..append(1) }),
        case("a short piece", alice, v1::AppendRequest { piece: vec![7; 5], ..append(1) }),
        case("an empty piece", alice, v1::AppendRequest { piece: Vec::new(), ..append(1) }),
        case("a long piece", alice, v1::AppendRequest { piece: vec![7; (1 << 20) + 1], ..append(1) }),
        case("another piece in a place", alice, v1::AppendRequest { piece: vec![8; 1 << 20], ..append(0) }),
        case("a message whose body is incomplete", alice, send_request(&large_letter())),
    ];
    let both = v1::SendRequest { body: Some(vec![1]), ..send_request(&large_letter()) };
    cases.push(case("a body twice", alice, both));
    cases.extend(wrong_lengths(&begin().hash).map(|hash| {
        case(format!("a hash of {} bytes", hash.len()), alice, v1::BeginUploadRequest { hash, ..begin() })
    }));
    insta::assert_snapshot!(scene.refusals(cases).await);
}

fn uuid(byte: u8) -> String {
    sealpost_protocol::UploadId([byte; 16]).to_string()
}
