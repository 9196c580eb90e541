//! A Merkle tree in the form of RFC 9162, section 2: leaves and inner nodes hash under different prefixes, and a tree of
//! n leaves splits at the largest power of two below n.

use sha2::{Digest, Sha256};

use crate::{
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
    limits,
};

/// A node of the tree, 32 bytes.
pub type Hash = [u8; 32];

/// The hash of one leaf's encoding.
#[must_use]
pub fn leaf_hash(encoded: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(encoded).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The tree's root; that of no leaves is SHA-256 of nothing.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split_point(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// The largest power of two below `count`; `count` is at least 2.
fn split_point(count: usize) -> usize {
    count.next_power_of_two() / 2
}

/// Shows that a leaf stands at a place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionPath {
    /// The leaf's place, from 0.
    pub index: u16,
    /// How many leaves the tree has.
    pub count: u16,
    /// The siblings on the way up, nearest the leaf first.
    pub siblings: Vec<Hash>,
}

impl InclusionPath {
    /// The paths of all leaves, in their order; each node of the tree is hashed once.
    #[must_use]
    pub fn all(leaves: &[Hash]) -> Vec<Self> {
        let count = u16::try_from(leaves.len()).unwrap_or(u16::MAX);
        let mut paths: Vec<_> = (0..count).map(|index| Self { index, count, siblings: Vec::new() }).collect();
        collect_siblings(leaves, &mut paths);
        paths
    }

    /// The root that `leaf` leads to; `None` if the path has the wrong length for its place.
    #[must_use]
    pub fn root_of(&self, leaf: Hash) -> Option<Hash> {
        let (mut index, mut last) = (u32::from(self.index), u32::from(self.count).checked_sub(1)?);
        if index > last {
            return None;
        }
        let mut hash = leaf;
        for sibling in &self.siblings {
            if last == 0 {
                return None;
            }
            if index & 1 == 1 || index == last {
                hash = node_hash(sibling, &hash);
                while index & 1 == 0 && index != 0 {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node_hash(&hash, sibling);
            }
            index >>= 1;
            last >>= 1;
        }
        (last == 0).then_some(hash)
    }
}

/// Gives each path the siblings on its way up, and returns the root.
fn collect_siblings(leaves: &[Hash], paths: &mut [InclusionPath]) -> Hash {
    if leaves.len() < 2 {
        return root(leaves);
    }
    let split = split_point(leaves.len());
    let ((left, right), (left_paths, right_paths)) =
        (leaves.split_at(split), paths.split_at_mut(split.min(paths.len())));
    let (left, right) = (collect_siblings(left, left_paths), collect_siblings(right, right_paths));
    left_paths.iter_mut().for_each(|path| path.siblings.push(right));
    right_paths.iter_mut().for_each(|path| path.siblings.push(left));
    node_hash(&left, &right)
}

impl Encode for InclusionPath {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.index).u16(self.count).list(&self.siblings);
    }
}

impl Decode for InclusionPath {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            index: reader.u16()?,
            count: reader.u16()?,
            siblings: reader.list("Merkle path", limits::MERKLE_LEVELS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&[number])).collect()
    }

    #[test]
    fn every_leaf_of_every_size_proves_its_place_and_no_other() {
        for count in 1..=33 {
            let leaves = leaves(count);
            let root = root(&leaves);
            for (index, (leaf, path)) in leaves.iter().zip(InclusionPath::all(&leaves)).enumerate() {
                assert_eq!((usize::from(path.index), path.count), (index, u16::from(count)));
                assert_eq!(path.root_of(*leaf), Some(root), "leaf {index} of {count}");
                let elsewhere = InclusionPath { index: (path.index + 1) % u16::from(count), ..path.clone() };
                assert!(count == 1 || elsewhere.root_of(*leaf) != Some(root), "leaf {index} of {count} moved");
            }
            assert_eq!(InclusionPath::all(&leaves).len(), leaves.len());
        }
    }

    #[test]
    fn a_longer_or_shorter_path_proves_nothing() {
        let leaves = leaves(7);
        let path = InclusionPath::all(&leaves)[2].clone();
        let mut longer = path.clone();
        longer.siblings.push([0; 32]);
        assert_eq!(longer.root_of(leaves[2]), None);
        let mut shorter = path;
        shorter.siblings.pop();
        assert_eq!(shorter.root_of(leaves[2]), None);
    }

    #[test]
    fn the_roots_of_the_known_tree_of_certificate_transparency_come_out() {
        // The first four inputs, and three of the roots, that RFC 6962 implementations share.
        let inputs: [&[u8]; 4] = [&[], &[0x00], &[0x10], &[0x20, 0x21]];
        let leaves: Vec<Hash> = inputs.iter().map(|input| leaf_hash(input)).collect();
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(root(&leaves[..1])), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(hex(root(&leaves[..2])), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        assert_eq!(hex(root(&leaves)), "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
    }
}
