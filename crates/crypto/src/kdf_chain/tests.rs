//! The derivations against values computed with Python's `hmac` and `hashlib`.

use super::*;
use crate::testing::hex_array;

#[test]
fn the_root_steps_as_specified() {
    let (root, chain) = RootKey::copy_of(&[1; 32]).step(&SharedSecret::copy_of(&[2; 32])).unwrap();
    assert_eq!(root.expose(), &hex_array("a8623975cbc66861d406aa50e63d1d21915f6b20ab78bf56d43c0c498789bde4"));
    assert_eq!(
        (chain.key.expose(), chain.next),
        (&hex_array("73394b605c6083ca6a0eebc852445b81185f7c815eca10e6111e752e2e556677"), 0)
    );
}

#[test]
fn a_chain_gives_keys_as_specified() {
    let chain = KdfChain { key: ChainKey::copy_of(&[3; 32]), next: 41 };
    let Link { number, key, rest } = chain.link().unwrap();
    assert_eq!((number, rest.next), (41, 42));
    assert_eq!(rest.key.expose(), &hex_array("903c3596e5aa8d46248c8df7c6a2dc45ebd0ccd5298799e928a5167821e9c457"));
    assert_eq!(key.expose(), &hex_array("5de1179c81a0cc7873119e185e2fb25c055a31a93c058e3f6690c2b3639b0204"));
}

#[test]
fn a_chain_ends_before_its_numbers_repeat() {
    let chain = KdfChain { key: ChainKey::copy_of(&[3; 32]), next: u32::MAX };
    assert_eq!(chain.link().map(drop), Err(ChainError::Ended));
}
