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

/// The official vectors of BLAKE3, on both sides of the lengths of a chunk and of a subtree.
#[test]
fn the_hash_of_a_body_is_that_of_blake3_s_vectors() {
    let vectors = [
        (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
        (1_023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"),
        (1_024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
        (1_025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
        (2_048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"),
        (2_049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"),
        (4_097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995"),
        (6_145, "f1323a8631446cc50536a9f705ee5cb619424d46887f3c376c695b70e0f0507f"),
    ];
    for (length, expected) in vectors {
        let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
        let hash = BodyDescription::of(&bytes).hash;
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, expected, "{length} bytes");
    }
}
