//! Bodies that come before their message.

use std::{sync::Arc, time::Duration};

use sealpost_protocol::{BodyDescription, PieceHash, UploadId, limits as wire};

use super::*;
use crate::ports::{
    AcceptError, AddPieceError, BeginUploadError, BodyHandles, BodyQuota, ContentsMark, StoredPiece, UploadDescription,
    UploadName, UploadRecord,
};

const QUOTA: BodyQuota = BodyQuota { uploads: 4, bytes: 1 << 30 };
const UPLOAD: UploadId = UploadId([1; 16]);

fn soon() -> Timestamp {
    NOW.saturating_add(Duration::from_secs(3_600))
}

/// A letter with a body of two full pieces and some more.
fn letter(sender: &Agent, recipients: &[&Agent]) -> Letter {
    let length = usize::try_from(2 * wire::BODY_PIECE + 5).unwrap();
    Letter::new(sender, recipients).body(&vec![7; length])
}

fn name(owner: &Agent, id: UploadId) -> UploadName {
    UploadName { owner: owner.id(), id }
}

async fn begin(ledger: &dyn Ledger, name: UploadName, letter: &Letter) -> UploadRecord {
    ledger.begin_upload(name, letter.upload_description(), soon(), QUOTA).await.unwrap()
}

/// The piece in this place, in its `copy`.
fn piece(letter: &Letter, place: u64, copy: u8) -> StoredPiece {
    let bytes = &letter.pieces()[usize::try_from(place).unwrap()];
    let hash = letter.upload_description().body.piece_hash(place, bytes).unwrap();
    StoredPiece {
        place,
        hash,
        content: ContentHandle(vec![b'p', u8::try_from(place).unwrap(), copy]),
        mark: ContentsMark::default(),
    }
}

async fn add(ledger: &dyn Ledger, name: UploadName, piece: StoredPiece) -> Option<ContentHandle> {
    ledger.add_piece(name, piece, soon()).await.unwrap()
}

async fn upload_all(ledger: &dyn Ledger, name: UploadName, letter: &Letter, copy: u8) -> Vec<ContentHandle> {
    begin(ledger, name, letter).await;
    let pieces: Vec<_> = (0..3).map(|place| piece(letter, place, copy)).collect();
    for piece in &pieces {
        assert_eq!(add(ledger, name, piece.clone()).await, None);
    }
    pieces.into_iter().map(|piece| piece.content).collect()
}

async fn find(ledger: &dyn Ledger, name: UploadName) -> Option<UploadRecord> {
    ledger.upload(name, NOW).await.unwrap()
}

pub async fn an_upload_takes_its_pieces_in_any_order(ledger: Arc<dyn Ledger>) {
    let alice = Agent::alice();
    let letter = letter(&alice, &[&Agent::bob()]);
    let name = name(&alice, UPLOAD);
    assert_eq!(find(&*ledger, name).await, None);
    let mut expected = UploadRecord { description: letter.upload_description(), expires: soon(), pieces: Vec::new() };
    assert_eq!(begin(&*ledger, name, &letter).await, expected);
    for place in [2, 0, 1] {
        let piece = piece(&letter, place, 1);
        expected.pieces.push((place, piece.hash));
        expected.pieces.sort_unstable_by_key(|(place, _)| *place);
        assert_eq!(add(&*ledger, name, piece).await, None);
        assert_eq!(find(&*ledger, name).await.as_ref(), Some(&expected));
    }
    for place in 0..4 {
        let looked = ledger.upload_place(name, place, NOW).await.unwrap().unwrap();
        let piece = expected.pieces.iter().find(|(known, _)| *known == place).map(|(_, hash)| *hash);
        assert_eq!((looked.description, looked.expires, looked.piece), (expected.description, soon(), piece));
    }
    assert_eq!(ledger.upload_place(name, 0, soon()).await.unwrap(), None, "its time is over");
}

pub async fn a_piece_again_is_given_back_and_another_in_its_place_refused(ledger: Arc<dyn Ledger>) {
    let alice = Agent::alice();
    let letter = letter(&alice, &[&Agent::bob()]);
    let name = name(&alice, UPLOAD);
    let unknown = ledger.add_piece(name, piece(&letter, 1, 1), soon()).await;
    assert!(matches!(unknown, Err(AddPieceError::Unknown)));
    begin(&*ledger, name, &letter).await;
    add(&*ledger, name, piece(&letter, 1, 1)).await;
    let again = piece(&letter, 1, 2);
    assert_eq!(add(&*ledger, name, again.clone()).await, Some(again.content));
    let other = StoredPiece { hash: PieceHash([9; 32]), ..piece(&letter, 1, 3) };
    assert!(matches!(ledger.add_piece(name, other, soon()).await, Err(AddPieceError::Conflict)));
    let all = ledger.cancel_upload(name).await.unwrap();
    assert_eq!(all, [piece(&letter, 1, 1).content]);
}

pub async fn an_upload_s_id_belongs_to_its_owner(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let (hers, his) = (letter(&alice, &[&bob]), letter(&bob, &[&alice]).body(b"short"));
    begin(&*ledger, name(&alice, UPLOAD), &hers).await;
    begin(&*ledger, name(&bob, UPLOAD), &his).await;
    add(&*ledger, name(&alice, UPLOAD), piece(&hers, 0, 1)).await;
    assert_eq!(find(&*ledger, name(&bob, UPLOAD)).await.unwrap().pieces, []);
    let theirs = hers.uploaded(UPLOAD);
    let stolen = Letter::new(&bob, &[&alice]).body(b"short").uploaded(UPLOAD);
    assert!(matches!(ledger.accept(theirs.acceptance()).await, Err(AcceptError::UnknownUpload)), "incomplete");
    assert!(matches!(ledger.accept(stolen.acceptance()).await, Err(AcceptError::UnknownUpload)), "incomplete");
}

pub async fn an_upload_begun_again_goes_on_and_another_under_its_id_is_a_conflict(ledger: Arc<dyn Ledger>) {
    let alice = Agent::alice();
    let letter = letter(&alice, &[&Agent::bob()]);
    let name = name(&alice, UPLOAD);
    begin(&*ledger, name, &letter).await;
    add(&*ledger, name, piece(&letter, 0, 1)).await;
    let later = soon().saturating_add(Duration::from_secs(1));
    let again = ledger.begin_upload(name, letter.upload_description(), later, QUOTA).await.unwrap();
    assert_eq!((again.expires, again.pieces.len()), (later, 1));
    let description = letter.upload_description();
    let other = UploadDescription { body: BodyDescription { hash: [0; 32], ..description.body }, ..description };
    let refused = ledger.begin_upload(name, other, later, QUOTA).await;
    assert!(matches!(refused, Err(BeginUploadError::Conflict)));
    assert_eq!(find(&*ledger, name).await, Some(again));
}

pub async fn an_owner_has_no_more_uploads_and_bytes_than_its_quota(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = letter(&alice, &[&bob]);
    let description = letter.upload_description();
    let length = description.body.sealed_length;
    let id = |number| name(&alice, UploadId([number; 16]));
    let two = BodyQuota { uploads: 2, bytes: 3 * length };
    for number in [1, 2] {
        ledger.begin_upload(id(number), description, soon(), two).await.unwrap();
    }
    let third = ledger.begin_upload(id(3), description, soon(), two).await;
    assert!(matches!(third, Err(BeginUploadError::Quota)));
    let bytes = BodyQuota { uploads: 9, bytes: 3 * length - 1 };
    assert!(matches!(ledger.begin_upload(id(3), description, soon(), bytes).await, Err(BeginUploadError::Quota)));
    ledger.begin_upload(id(1), description, soon(), two).await.unwrap(); // what has begun goes on
    let inline = Letter::new(&alice, &[&bob]).number(2).body(b"12345");
    let full = inline.clone().body_bytes(2 * length + 4);
    assert!(matches!(ledger.accept(full.acceptance()).await, Err(AcceptError::Quota)));
    assert_eq!(ledger.records(inline.message()).await.unwrap(), []);
    accept(&*ledger, &inline.clone().body_bytes(2 * length + 5)).await;
    ledger.cancel_upload(id(1)).await.unwrap();
    say(&*ledger, &bob, &inline, Verdict::Stored).await;
    ledger.begin_upload(id(3), description, soon(), BodyQuota { uploads: 9, bytes: 2 * length }).await.unwrap();
}

pub async fn a_complete_upload_becomes_the_message_s_body(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = letter(&alice, &[&bob, &carol]).uploaded(UPLOAD);
    let handles = upload_all(&*ledger, name(&alice, UPLOAD), &letter, 1).await;
    assert_eq!(accept(&*ledger, &letter).await.unused, []);
    assert_eq!(find(&*ledger, name(&alice, UPLOAD)).await, None, "it is an upload no more");
    let length = letter.upload_description().body.sealed_length;
    for (place, handle) in (0..).zip(handles.iter().map(Some).chain([None])) {
        for reader in [&alice, &bob, &carol] {
            let piece = ledger.body_piece(letter.message(), reads_at(reader, NOW), place).await.unwrap().unwrap();
            assert_eq!((piece.length, piece.content.as_ref()), (length, handle));
        }
    }
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    let released = say(&*ledger, &carol, &letter, Verdict::Stored).await.released;
    assert_eq!(sorted(released), sorted(handles.into_iter().chain([letter.part_handle(&carol)])));
}

pub async fn an_upload_that_is_not_the_message_s_body_is_refused_and_stays(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = letter(&alice, &[&bob]);
    let name = name(&alice, UPLOAD);
    upload_all(&*ledger, name, &letter, 1).await;
    let before = find(&*ledger, name).await;
    let other = Letter::new(&alice, &[&bob]).body(b"another").uploaded(UPLOAD);
    let unknown = letter.clone().uploaded(UploadId([2; 16]));
    let late = letter.clone().uploaded(UPLOAD);
    for (refused, at) in [(other, NOW), (unknown, NOW), (late, soon())] {
        assert!(matches!(ledger.accept(refused.accepted(at)).await, Err(AcceptError::UnknownUpload)));
        assert_eq!(ledger.records(refused.message()).await.unwrap(), []);
    }
    assert_eq!(find(&*ledger, name).await, before);
}

pub async fn the_same_submission_again_lets_go_of_a_second_upload(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = letter(&alice, &[&bob]).uploaded(UPLOAD);
    let first = upload_all(&*ledger, name(&alice, UPLOAD), &letter, 1).await;
    accept(&*ledger, &letter).await;
    let again = accept(&*ledger, &letter.clone().copy()).await;
    assert_eq!(
        again.unused,
        [letter.clone().copy().part_handle(&bob)],
        "the upload is gone, and nothing else is needed"
    );
    let second = upload_all(&*ledger, name(&alice, UploadId([2; 16])), &letter, 2).await;
    let again = letter.clone().copy().uploaded(UploadId([2; 16]));
    let unused = accept(&*ledger, &again).await.unused;
    assert_eq!(sorted(unused), sorted(second.into_iter().chain([again.part_handle(&bob)])));
    assert_eq!(body(&*ledger, letter.message(), &bob).await.as_ref(), first.first());
}

pub async fn the_next_attempt_may_bring_the_body_as_an_upload(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = letter(&alice, &[&bob]).uploaded(UPLOAD);
    upload_all(&*ledger, name(&alice, UPLOAD), &letter, 1).await;
    accept(&*ledger, &letter).await;
    sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    assert_eq!(body(&*ledger, letter.message(), &alice).await, None);
    let anew = letter.clone().attempt(2).sealed_anew();
    assert!(
        matches!(ledger.accept(anew.acceptance()).await, Err(AcceptError::UnknownUpload)),
        "it went with the first"
    );
    let second = upload_all(&*ledger, name(&alice, UPLOAD), &letter, 2).await;
    accept(&*ledger, &anew).await;
    assert_eq!(body(&*ledger, letter.message(), &bob).await.as_ref(), second.first());
}

pub async fn a_cancelled_upload_gives_everything_back(ledger: Arc<dyn Ledger>) {
    let alice = Agent::alice();
    let letter = letter(&alice, &[&Agent::bob()]);
    let handles = upload_all(&*ledger, name(&alice, UPLOAD), &letter, 1).await;
    assert_eq!(sorted(ledger.cancel_upload(name(&alice, UPLOAD)).await.unwrap()), sorted(handles));
    assert_eq!(ledger.cancel_upload(name(&alice, UPLOAD)).await.unwrap(), []);
    assert_eq!(find(&*ledger, name(&alice, UPLOAD)).await, None);
}

pub async fn an_upload_expires_unless_it_goes_on(ledger: Arc<dyn Ledger>) {
    let alice = Agent::alice();
    let letter = letter(&alice, &[&Agent::bob()]);
    let name = name(&alice, UPLOAD);
    begin(&*ledger, name, &letter).await;
    let later = soon().saturating_add(Duration::from_secs(3_600));
    ledger.add_piece(name, piece(&letter, 0, 1), later).await.unwrap();
    assert_eq!(ledger.expire_upload(soon()).await.unwrap(), None);
    assert!(ledger.upload(name, soon()).await.unwrap().is_some());
    assert_eq!(ledger.upload(name, later).await.unwrap(), None);
    assert_eq!(ledger.expire_upload(later).await.unwrap(), Some(vec![piece(&letter, 0, 1).content]));
    assert_eq!(ledger.expire_upload(later).await.unwrap(), None);
}

pub async fn no_more_pieces_of_a_body_are_told_than_asked_for(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = letter(&alice, &[&bob]).uploaded(UPLOAD);
    let all = upload_all(&*ledger, name(&alice, UPLOAD), &letter, 1).await;
    accept(&*ledger, &letter).await;
    let length = letter.upload_description().body.sealed_length;
    for pieces in [0, 1, 2, 3, 4, usize::MAX] {
        let told = ledger.handles(letter.message(), reads_at(&bob, NOW), pieces).await.unwrap();
        let first = all.iter().take(pieces).cloned().collect();
        assert_eq!(told.body, Some(BodyHandles { length, first }));
        assert_eq!(told.part, Some(letter.part_handle(&bob)));
    }
}
