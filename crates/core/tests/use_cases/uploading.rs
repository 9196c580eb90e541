//! Bodies that come before their message.

use sealpost_core::{
    Part, Submission, SubmissionError, SubmittedBody, UploadError, limits,
    ports::{AcceptError, ContentPolicy, UploadDescription},
};
use sealpost_protocol::{
    Attempt, BodyAccess, BodyDescription, ErrorCode, Header, HeaderFields, Scheme, SenderSeal, SignedPart,
    SignedPartError, UploadId, encoding::Encode, limits as wire,
};

use super::*;

const ID: UploadId = UploadId([1; 16]);

/// Two full pieces and some more.
fn letter(sender: &Agent, recipient: &Agent) -> Letter {
    let length = usize::try_from(2 * wire::BODY_PIECE + 5).unwrap();
    Letter::new(sender, &[recipient]).body(&vec![7; length]).uploaded(ID)
}

impl Relay {
    async fn begin(&self, owner: &Agent, letter: &Letter) {
        self.services.uploading.begin(&principal(owner), ID, letter.upload_description()).await.unwrap();
    }

    async fn append(&self, owner: &Agent, offset: u64, piece: Vec<u8>) -> Result<(), UploadError> {
        self.services.uploading.append(&principal(owner), ID, offset, piece).await.map(drop)
    }

    async fn append_pieces(&self, owner: &Agent, letter: &Letter, places: &[u64]) {
        for place in places {
            let piece = letter.pieces().remove(usize::try_from(*place).unwrap());
            self.append(owner, place * wire::BODY_PIECE, piece).await.unwrap();
        }
    }

    async fn missing(&self, owner: &Agent) -> Vec<std::ops::Range<u64>> {
        self.services.uploading.status(&principal(owner), ID).await.unwrap().missing
    }
}

#[tokio::test]
async fn a_body_goes_on_where_it_stopped_and_arrives_piece_by_piece() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (relay, letter, piece) = (Relay::of(&[&bob]).await, letter(&alice, &bob), wire::BODY_PIECE);
    relay.begin(&alice, &letter).await;
    relay.append_pieces(&alice, &letter, &[1]).await;
    assert_eq!(relay.missing(&alice).await, [0..piece, 2 * piece..2 * piece + 5]);
    relay.append_pieces(&alice, &letter, &[2, 0, 0]).await;
    assert_eq!(relay.missing(&alice).await, []);
    relay.send(&alice, &letter).await.unwrap();
    relay.send(&alice, &letter).await.expect("a lost answer");
    let body = async |offset| relay.services.message_query.body(&principal(&bob), letter.message(), offset).await;
    assert_eq!(body(0).await.unwrap().bytes, letter.pieces().remove(0));
    assert_eq!(body(2 * piece - 3).await.unwrap().bytes, [7; 3], "to the end of the piece");
    assert_eq!(body(2 * piece).await.unwrap().bytes, [7; 5]);
    let end = body(2 * piece + 5).await.unwrap();
    assert_eq!((end.length, end.bytes.len()), (2 * piece + 5, 0));
    let beyond = body(2 * piece + 6).await.unwrap_err();
    assert_eq!((beyond.code(), beyond.to_string()), (ErrorCode::Malformed, "the body has 2097157 bytes".to_owned()));
    relay.say(&bob, &letter, Verdict::Stored).await;
    assert_eq!(relay.contents.count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn what_is_not_a_piece_of_the_body_is_refused_and_changes_nothing() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (relay, letter, piece) = (Relay::of(&[&bob]).await, letter(&alice, &bob), wire::BODY_PIECE);
    let full = letter.pieces().remove(0);
    assert!(matches!(relay.append(&alice, 0, full.clone()).await, Err(UploadError::Unknown)));
    relay.begin(&alice, &letter).await;
    for (offset, bytes) in [
        (0, Vec::new()),
        (0, vec![7; 5]),
        (1, full.clone()),
        (2 * piece, full.clone()),
        (2 * piece, vec![7; 4]),
        (3 * piece, vec![7; 5]),
        (u64::MAX, vec![7; 5]),
    ] {
        assert!(matches!(relay.append(&alice, offset, bytes).await, Err(UploadError::Piece)), "{offset}");
    }
    relay.append_pieces(&alice, &letter, &[0]).await;
    let other = vec![8; full.len()];
    assert!(matches!(relay.append(&alice, 0, other).await, Err(UploadError::Conflict(_))));
    assert!(matches!(relay.append(&bob, 0, full).await, Err(UploadError::Unknown)), "another's");
    let (missing, rest) = (relay.missing(&alice).await, piece..2 * piece + 5);
    assert_eq!((missing.as_slice(), relay.contents.count()), ([rest].as_slice(), 1));
}

#[tokio::test]
async fn a_body_with_another_hash_than_announced_is_no_body() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (relay, letter) = (Relay::of(&[&bob]).await, letter(&alice, &bob));
    relay.begin(&alice, &letter).await;
    relay.append_pieces(&alice, &letter, &[0, 2]).await;
    relay.append(&alice, wire::BODY_PIECE, vec![8; letter.pieces()[0].len()]).await.unwrap();
    assert_eq!(relay.missing(&alice).await, []);
    let refused = relay.send(&alice, &letter).await.unwrap_err();
    assert!(matches!(refused, DeliveryError::Ledger(AcceptError::UnknownUpload)), "{refused:?}");
    assert_eq!(refused.code(), ErrorCode::NotFound);
    relay.services.uploading.cancel(&principal(&alice), ID).await.unwrap();
    assert_eq!(relay.contents.count(), 0);
}

#[tokio::test]
async fn what_has_come_of_a_body_is_let_go_of_when_nothing_more_comes() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (relay, letter) = (Relay::of(&[&bob]).await, letter(&alice, &bob));
    relay.begin(&alice, &letter).await;
    relay.clock.advance(limits::UPLOAD_LIFE / 2);
    relay.append_pieces(&alice, &letter, &[0]).await;
    relay.clock.advance(limits::UPLOAD_LIFE / 2);
    relay.sweep().await;
    assert_eq!(relay.contents.count(), 1, "it went on meanwhile");
    relay.clock.advance(limits::UPLOAD_LIFE / 2);
    assert!(matches!(relay.append(&alice, 0, letter.pieces().remove(0)).await, Err(UploadError::Unknown)));
    relay.sweep().await;
    assert_eq!(relay.contents.count(), 0);
}

#[tokio::test]
async fn a_body_that_no_one_may_have_is_refused() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    for (sealed_length, code) in [(0, ErrorCode::Malformed), (wire::BODY + 1, ErrorCode::TooLarge)] {
        let body = BodyDescription { sealed_length, hash: [0; 32] };
        let description = UploadDescription { scheme: Scheme::Ratchet, body };
        let refused = relay.services.uploading.begin(&principal(&alice), ID, description).await.unwrap_err();
        assert_eq!(refused.code(), code);
    }
}

/// A message of Alice's to Bob of the scheme `none`, and its part as `sealed_by` made it.
fn announcement(scheme: Scheme, sealed_by: &Agent) -> (Header, Part) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let header = Letter::new(&alice, &[&bob]).body(b"public").header();
    let header = Header::new(HeaderFields { scheme, ..header.fields().clone() }).unwrap();
    let part = SignedPart { seal: SenderSeal::sign(sealed_by, header.hash()), access: BodyAccess::Open };
    let part = Part::new(bob.id(), Attempt::FIRST, part.to_bytes()).unwrap();
    (header, part)
}

#[tokio::test]
async fn a_message_without_a_ratchet_is_carried_with_its_sender_s_signature() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let (header, part) = announcement(Scheme::None, &alice);
    let body = SubmittedBody::Inline(b"public".to_vec());
    let submission = Submission::new(header.clone(), Some(body), vec![part.clone()]).unwrap();
    relay.services.delivery_router.send(&principal(&alice), submission).await.unwrap();
    let entry = relay.receive(&bob).await.entries.remove(0);
    assert_eq!((entry.header.as_slice(), &entry.part), (header.as_bytes(), &part.content));
    assert_eq!(relay.contents.policies(), [ContentPolicy::Fresh]);
}

#[tokio::test]
async fn contents_are_stored_as_their_scheme_asks_for() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    relay.send(&alice, &Letter::new(&alice, &[&bob]).body(b"body")).await.unwrap();
    let uploaded = letter(&alice, &bob);
    relay.begin(&alice, &uploaded).await;
    relay.append_pieces(&alice, &uploaded, &[0]).await;
    assert_eq!(relay.contents.policies(), [ContentPolicy::Pooled; 2]);
    for scheme in [Scheme::None, Scheme::SharedKey, Scheme::RecipientKeys] {
        assert_eq!(ContentPolicy::of(scheme), ContentPolicy::Fresh);
    }
}

#[test]
fn a_message_without_a_ratchet_and_without_its_sender_s_signature_is_no_message() {
    let body = || Some(SubmittedBody::Inline(b"public".to_vec()));
    let (header, part) = announcement(Scheme::None, &Agent::mallory());
    let forged = Submission::new(header, body(), vec![part]);
    assert_eq!(forged, Err(SubmissionError::SignedPart(SignedPartError::Sender)));
    let (header, part) = announcement(Scheme::RecipientKeys, &Agent::alice());
    let another_s = Submission::new(header, body(), vec![part.clone()]);
    assert_eq!(another_s, Err(SubmissionError::SignedPart(SignedPartError::Scheme)));
    let (header, _) = announcement(Scheme::Ratchet, &Agent::alice());
    let no_envelope = Submission::new(header, body(), vec![part]);
    assert!(matches!(no_envelope, Err(SubmissionError::Part(_))), "{no_envelope:?}");
    let (header, part) = announcement(Scheme::None, &Agent::alice());
    let bodiless = Header::new(HeaderFields { body: None, ..header.fields().clone() }).unwrap();
    assert_eq!(Submission::new(bodiless, None, vec![part]), Err(SubmissionError::NoBody(Scheme::None)));
}
