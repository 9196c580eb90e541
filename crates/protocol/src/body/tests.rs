use super::*;

const PIECE: usize = limits::BODY_PIECE as usize;

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn hashes(description: &BodyDescription, body: &[u8]) -> Vec<PieceHash> {
    (0..).zip(body.chunks(PIECE)).map(|(place, piece)| description.piece_hash(place, piece).unwrap()).collect()
}

#[test]
fn the_hashes_of_the_pieces_merge_into_the_body_s() {
    for length in [1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE, 5 * PIECE + 7, 6 * PIECE, 9 * PIECE - 1] {
        let body = body(length);
        let description = BodyDescription::of(&body);
        let mut pieces = hashes(&description, &body);
        assert_eq!(pieces.len() as u64, description.pieces());
        assert!(description.is_made_of(&pieces), "{length}");
        pieces.last_mut().unwrap().0[0] ^= 1;
        assert!(!description.is_made_of(&pieces), "{length}, altered");
    }
}

#[test]
fn pieces_in_another_order_or_number_are_another_body() {
    let body = body(3 * PIECE);
    let description = BodyDescription::of(&body);
    let pieces = hashes(&description, &body);
    assert!(!description.is_made_of(&[pieces[1], pieces[0], pieces[2]]));
    assert!(!description.is_made_of(&pieces[..2]));
    assert!(!description.is_made_of(&[pieces[0], pieces[1], pieces[2], pieces[2]]));
    assert!(!description.is_made_of(&[]));
}

#[test]
fn a_piece_has_one_length_in_its_place() {
    let description = BodyDescription { sealed_length: 2 * limits::BODY_PIECE + 5, hash: [0; 32] };
    let lengths: Vec<_> = (0..4).map(|place| description.piece_length(place)).collect();
    assert_eq!(lengths, [Some(limits::BODY_PIECE), Some(limits::BODY_PIECE), Some(5), None]);
    assert_eq!(description.piece_hash(0, &[0; 5]), None);
    assert_eq!(description.piece_hash(2, &[0; 4]), None);
    assert_eq!(description.piece_hash(3, &[]), None);
    assert_eq!(description.piece_length(u64::MAX), None);
    let empty = BodyDescription { sealed_length: 0, hash: [0; 32] };
    assert_eq!((empty.pieces(), empty.piece_length(0)), (0, None));
}

#[test]
fn a_body_is_described_as_it_is_written() {
    let body = body(2 * PIECE + 9);
    let mut hasher = BodyHasher::default();
    for part in body.chunks(70_001) {
        hasher.update(part);
    }
    assert_eq!(hasher.description(), BodyDescription::of(&body));
}
