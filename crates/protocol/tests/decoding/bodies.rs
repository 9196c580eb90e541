//! Pieces of bodies: each place has one length, and each hash one place.

use proptest::{collection::vec, prelude::*};
use sealpost_protocol::{BodyDescription, PieceHash, limits};

const PIECE: u64 = limits::BODY_PIECE;

fn description(sealed_length: u64) -> BodyDescription {
    BodyDescription { sealed_length, hash: [0; 32] }
}

#[test]
fn a_piece_of_another_length_or_place_has_no_hash() {
    let table = [
        ("shorter than a whole one", 2 * PIECE, 0, PIECE - 1),
        ("longer than a whole one", 2 * PIECE, 0, PIECE + 1),
        ("shorter than the last", PIECE + 5, 1, 4),
        ("longer than the last", PIECE + 5, 1, 6),
        ("a whole one as the last", PIECE + 5, 1, PIECE),
        ("the last in the first place", PIECE + 5, 0, 5),
        ("beyond the last, when that is whole", 2 * PIECE, 2, 0),
        ("of an empty body", 0, 0, 0),
        ("beyond all numbers", u64::MAX, u64::MAX, PIECE),
    ];
    for (what, whole, place, length) in table {
        let piece = vec![7; usize::try_from(length).unwrap()];
        assert_eq!(description(whole).piece_hash(place, &piece), None, "{what}");
    }
}

#[test]
fn the_largest_body_has_as_many_pieces_as_its_limit_says() {
    let largest = description(limits::BODY);
    assert_eq!(largest.pieces(), limits::BODY / PIECE);
    assert_eq!(largest.piece_length(largest.pieces() - 1), Some(PIECE));
    assert_eq!(largest.piece_length(largest.pieces()), None);
}

#[test]
fn no_hashes_make_no_body() {
    assert!(!description(0).is_made_of(&[]), "it has none, and is no body");
    assert!(!description(1).is_made_of(&[]));
    assert!(!description(1).is_made_of(&[PieceHash([1; 32])]));
    assert!(!description(1).is_made_of(&[PieceHash([0; 32]); 2]), "one too many");
    assert!(description(1).is_made_of(&[PieceHash([0; 32])]), "the only piece's hash is the body's");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_body_is_made_of_its_pieces_and_no_others(fill: u8, pieces in 1_u64..4, rest in vec(any::<u8>(), 1..100), place: usize) {
        let whole = usize::try_from((pieces - 1) * PIECE).unwrap();
        let body = [vec![fill; whole], rest].concat();
        let described = BodyDescription::of(&body);
        let cut = (0..).zip(body.chunks(usize::try_from(PIECE).unwrap()));
        let mut hashes: Vec<_> = cut.map(|(place, piece)| described.piece_hash(place, piece).unwrap()).collect();
        prop_assert_eq!(hashes.len() as u64, pieces);
        prop_assert!(described.is_made_of(&hashes));
        let place = place % hashes.len();
        hashes[place].0[31] ^= 1;
        prop_assert!(!described.is_made_of(&hashes));
        hashes.pop();
        prop_assert!(!described.is_made_of(&hashes));
    }
}
