//! How a body is cut into pieces, which travel and are kept one by one.
//!
//! Every piece but the last has [`limits::BODY_PIECE`] bytes, a whole subtree of BLAKE3: the hashes of the pieces merge
//! into the body's own, so that whoever has taken each of them in need not read them again.

use blake3::{
    Hasher,
    hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

use crate::{BodyDescription, limits};

/// The hash of one piece in its place: BLAKE3's chaining value of its subtree, or the root if it is the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PieceHash(pub [u8; 32]);

/// Describes a body as it is written, so that none need be held.
#[derive(Debug, Clone, Default)]
pub struct BodyHasher {
    hasher: Hasher,
    length: u64,
}

impl BodyHasher {
    /// Takes the body's next bytes in.
    pub fn update(&mut self, sealed: &[u8]) {
        self.hasher.update(sealed);
        self.length += sealed.len() as u64;
    }

    /// What was written so far.
    #[must_use]
    pub fn description(&self) -> BodyDescription {
        BodyDescription { sealed_length: self.length, hash: self.hasher.finalize().into() }
    }
}

impl BodyDescription {
    /// How many pieces it has; none if it is empty.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.sealed_length.div_ceil(limits::BODY_PIECE)
    }

    /// Bytes of the piece in this place, from 0; `None` beyond the last.
    #[must_use]
    pub fn piece_length(&self, place: u64) -> Option<u64> {
        let begin = place.checked_mul(limits::BODY_PIECE)?;
        let left = self.sealed_length.checked_sub(begin).filter(|left| *left > 0)?;
        Some(left.min(limits::BODY_PIECE))
    }

    /// The hash of the piece in this place; `None` if no piece of this body has this place and length.
    #[must_use]
    pub fn piece_hash(&self, place: u64, piece: &[u8]) -> Option<PieceHash> {
        self.piece_length(place).filter(|length| *length == piece.len() as u64)?;
        if self.pieces() == 1 {
            return Some(PieceHash(blake3::hash(piece).into()));
        }
        let mut hasher = Hasher::new();
        hasher.set_input_offset(place * limits::BODY_PIECE);
        Some(PieceHash(hasher.update(piece).finalize_non_root()))
    }

    /// Whether these are the hashes of all its pieces, in order.
    #[must_use]
    pub fn is_made_of(&self, pieces: &[PieceHash]) -> bool {
        if pieces.len() as u64 != self.pieces() {
            return false;
        }
        let root = match pieces {
            [] => return false,
            [only] => only.0,
            many => {
                let (left, right) = many.split_at(left_half(many.len()));
                merge_subtrees_root(&merge(left), &merge(right), Mode::Hash).into()
            }
        };
        root == self.hash
    }
}

/// The chaining value over some pieces. There is one at least.
fn merge(pieces: &[PieceHash]) -> [u8; 32] {
    match pieces {
        [] => [0; 32],
        [only] => only.0,
        many => {
            let (left, right) = many.split_at(left_half(many.len()));
            merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
        }
    }
}

/// BLAKE3's left subtree is the largest power of two that leaves something for the right one.
fn left_half(pieces: usize) -> usize {
    pieces.div_ceil(2).next_power_of_two()
}

#[cfg(test)]
mod tests;
