//! Bodies that come before their message, and go out again, piece by piece.

use std::time::Duration;

use sealpost_api::v1::{self, messages_client::MessagesClient, uploads_client::UploadsClient};
use sealpost_core::{
    conformance::{Agent, Letter},
    limits::UPLOAD_LIFE,
};
use sealpost_protocol::{Clock, ErrorCode, UploadId, limits};
use serde_json::json;
use tonic::{Request, metadata::MetadataMap};

use super::{
    session::Session,
    test_relay::{TestRelay, send_request},
    wire::{Wire, rest_answer},
};

const ID: UploadId = UploadId([1; 16]);

/// Two full pieces and some more.
pub(crate) fn letter() -> Letter {
    let length = usize::try_from(2 * limits::BODY_PIECE + 5).unwrap();
    Letter::new(&Agent::alice(), &[&Agent::bob()]).body(&vec![7; length]).uploaded(ID)
}

pub(crate) fn begin() -> v1::BeginUploadRequest {
    let body = letter().upload_description().body;
    v1::BeginUploadRequest {
        upload_id: ID.to_string(),
        scheme: "ratchet".to_owned(),
        length: body.sealed_length,
        hash: body.hash.to_vec(),
    }
}

pub(crate) fn append(place: usize) -> v1::AppendRequest {
    let piece = letter().pieces().remove(place);
    v1::AppendRequest { upload_id: ID.to_string(), offset: place as u64 * limits::BODY_PIECE, piece }
}

pub(crate) fn authorized<T>(session: &Session, path: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(session.headers("POST", &format!("/sealpost.v1.{path}")));
    request
}

/// Lets go of an upload.
pub(crate) async fn cancel(wire: &Wire, session: &Session, id: UploadId) {
    match wire {
        Wire::Grpc(channel) => {
            let request = v1::UploadRequest { upload_id: id.to_string() };
            let call = authorized(session, "Uploads/Cancel", request);
            UploadsClient::new(channel.clone()).cancel(call).await.unwrap();
        }
        Wire::Rest(client) => {
            let path = format!("/api/uploads/{id}");
            let request = client.delete(format!("{}{path}", session.origin)).headers(session.headers("DELETE", &path));
            rest_answer(request.send().await.unwrap()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_body_goes_up_over_one_transport_on_over_the_other_and_down_over_both() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    let [grpc, rest] = relay.wires().await;
    let begun = grpc.ask(&alice, begin()).await.unwrap();
    assert_eq!(begun["missing"], json!([{ "offset": 0, "length": 2_097_157 }]));
    rest.ask(&alice, append(1)).await.unwrap();
    grpc.ask(&alice, append(2)).await.unwrap();
    let status = rest.ask(&alice, v1::UploadRequest { upload_id: ID.to_string() }).await.unwrap();
    assert_eq!(
        (&status["missing"], &status["piece"]),
        (&json!([{ "offset": 0, "length": 1_048_576 }]), &json!(1_048_576))
    );
    grpc.ask(&alice, append(0)).await.unwrap();
    rest.ask(&alice, send_request(&letter())).await.unwrap();

    let message = letter().message();
    let body =
        |offset| v1::GetBodyRequest { sender: message.sender.to_string(), message_id: message.id.to_string(), offset };
    for wire in [&grpc, &rest] {
        let part = wire.ask(&bob, body(2 * limits::BODY_PIECE + 1)).await.unwrap();
        assert_eq!(part, json!({ "body": "BwcHBw==", "offset": 2_097_153, "length": 2_097_157 }));
        let end = wire.ask(&bob, body(2 * limits::BODY_PIECE + 5)).await.unwrap();
        assert_eq!(end, json!({ "body": "", "offset": 2_097_157, "length": 2_097_157 }));
        for beyond in [2 * limits::BODY_PIECE + 6, u64::MAX] {
            assert_eq!(wire.ask(&bob, body(beyond)).await.unwrap_err().code, ErrorCode::Malformed, "{beyond}");
        }
    }
}

#[tokio::test]
async fn pieces_are_streamed_up_with_an_answer_each_and_down_to_the_end() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    relay.rest().ask(&alice, begin()).await.unwrap();
    let channel = relay.channel().await;
    let pieces = futures::stream::iter([append(2), append(0), append(1)]);
    let call = authorized(&alice, "Uploads/AppendAll", pieces);
    let mut answers = UploadsClient::new(channel.clone()).append_all(call).await.unwrap().into_inner();
    for place in [2, 0, 1] {
        assert_eq!(answers.message().await.unwrap().unwrap().offset, place * limits::BODY_PIECE);
    }
    assert_eq!(answers.message().await.unwrap(), None);
    relay.rest().ask(&alice, send_request(&letter())).await.unwrap();

    let message = letter().message();
    let from = v1::GetBodyRequest {
        sender: message.sender.to_string(),
        message_id: message.id.to_string(),
        offset: limits::BODY_PIECE - 3,
    };
    let call = authorized(&bob, "Messages/StreamBody", from);
    let mut body = MessagesClient::new(channel).stream_body(call).await.unwrap().into_inner();
    let mut lengths = Vec::new();
    while let Some(part) = body.message().await.unwrap() {
        lengths.push((part.offset, part.body.len()));
    }
    let piece = limits::BODY_PIECE;
    assert_eq!(lengths, [(piece - 3, 3), (piece, 1 << 20), (2 * piece, 5)]);
}

#[tokio::test]
async fn a_stream_of_pieces_ends_with_the_first_that_is_refused() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    relay.rest().ask(&alice, begin()).await.unwrap();
    let wrong = v1::AppendRequest { offset: 5, ..append(1) };
    let call = authorized(&alice, "Uploads/AppendAll", futures::stream::iter([append(0), wrong, append(2)]));
    let mut answers = UploadsClient::new(relay.channel().await).append_all(call).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    let refusal = answers.message().await.unwrap_err();
    assert_eq!(refusal.metadata().get("sealpost-code").unwrap(), "malformed");
    let status = relay.rest().ask(&alice, v1::UploadRequest { upload_id: ID.to_string() }).await.unwrap();
    assert_eq!(status["missing"], json!([{ "offset": 1_048_576, "length": 1_048_581 }]));
}

#[tokio::test]
async fn an_upload_is_cancelled() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    for wire in relay.wires().await {
        wire.ask(&alice, begin()).await.unwrap();
        wire.ask(&alice, append(1)).await.unwrap();
        cancel(&wire, &alice, ID).await;
        cancel(&wire, &alice, ID).await; // what is not there is no error
        let refused = wire.ask(&alice, v1::UploadRequest { upload_id: ID.to_string() }).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::NotFound);
    }
}

/// Asks until the relay, which goes through what has expired by itself, has made room.
async fn begin_when_there_is_room(wire: &Wire, session: &Session, number: u8) {
    let upload_id = UploadId([number; 16]).to_string();
    let begun = async {
        while let Err(refused) =
            wire.ask(session, v1::BeginUploadRequest { upload_id: upload_id.clone(), ..begin() }).await
        {
            assert_eq!(refused.code, ErrorCode::QuotaExceeded);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun).await.expect("room for an upload");
}

#[tokio::test]
async fn an_upload_that_does_not_go_on_expires_and_makes_room() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    relay.member(&Agent::bob()).await;
    let most = u8::try_from(sealpost_core::limits::UPLOADS).unwrap();
    for number in 1..=most {
        begin_when_there_is_room(&relay.rest(), &alice, number).await;
    }
    relay.pass(UPLOAD_LIFE / 2).await;
    let alice = relay.session(&Agent::alice()).await;
    for (wire, place) in relay.wires().await.iter().zip([0, 1]) {
        wire.ask(&alice, append(place)).await.unwrap();
    }
    relay.pass(UPLOAD_LIFE / 2).await;
    let (rest, alice) = (relay.rest(), relay.session(&Agent::alice()).await);
    // All but the one that went on are gone.
    for number in most + 1..2 * most {
        begin_when_there_is_room(&rest, &alice, number).await;
    }
    let one_more = || v1::BeginUploadRequest { upload_id: UploadId([99; 16]).to_string(), ..begin() };
    for wire in relay.wires().await {
        assert_eq!(wire.ask(&alice, one_more()).await.unwrap_err().code, ErrorCode::QuotaExceeded);
        let missing =
            wire.ask(&alice, v1::UploadRequest { upload_id: ID.to_string() }).await.unwrap()["missing"].clone();
        assert_eq!(missing, json!([{ "offset": 2_097_152, "length": 5 }]));
    }
    rest.ask(&alice, append(2)).await.unwrap();
    let lasting = letter().expires(relay.clock.now().saturating_add(2 * UPLOAD_LIFE));
    rest.ask(&alice, send_request(&lasting)).await.unwrap();

    begin_when_there_is_room(&rest, &alice, 100).await;
    relay.pass(UPLOAD_LIFE).await;
    let (alice, bob) = (relay.session(&Agent::alice()).await, relay.session(&Agent::bob()).await);
    for wire in relay.wires().await {
        let gone = v1::UploadRequest { upload_id: UploadId([100; 16]).to_string() };
        assert_eq!(wire.ask(&alice, gone).await.unwrap_err().code, ErrorCode::NotFound);
        let late = v1::AppendRequest { upload_id: UploadId([100; 16]).to_string(), ..append(0) };
        assert_eq!(wire.ask(&alice, late).await.unwrap_err().code, ErrorCode::NotFound);
        let message = letter().message();
        let (sender, message_id) = (message.sender.to_string(), message.id.to_string());
        let body = v1::GetBodyRequest { sender, message_id, offset: 2 * limits::BODY_PIECE };
        assert_eq!(wire.ask(&bob, body).await.unwrap()["body"], "BwcHBwc=", "what was sent stays");
    }
}
