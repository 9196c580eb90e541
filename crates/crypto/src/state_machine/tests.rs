//! What a ratchet keeps, what it erases, and that two of them stay in step.

use sealpost_protocol::encoding::{Decode, Encode};

use super::*;
use crate::{
    pending::Sealed,
    testing::{NOW, SeededPrimitives},
};

const NONCE: [u8; 12] = [7; 12];

struct Message {
    header: EnvelopeHeader,
    sealed: Sealed,
}

fn seal(ratchet: &mut Ratchet, primitives: &SeededPrimitives) -> Message {
    let (position, pending) = ratchet.next_to_seal(primitives).unwrap();
    let SendingPosition { ratchet_key, counter, previous_counter } = position;
    let header = EnvelopeHeader { session: [0; 16], ratchet_key, counter, previous_counter, opens_session: false };
    let (sealed, commit) = pending.seal(NONCE, &[], b"text").unwrap();
    ratchet.commit_sent(commit);
    Message { header, sealed }
}

fn open(ratchet: &mut Ratchet, message: &Message) {
    let pending = ratchet.next_to_open(&message.header, NOW).unwrap();
    let (text, commit) = pending.open(NONCE, &[], &message.sealed.ciphertext, &message.sealed.tag).unwrap();
    assert_eq!(*text, *b"text");
    ratchet.commit_received(commit);
}

fn pair(primitives: &SeededPrimitives) -> (Ratchet, Ratchet) {
    let signed_prekey = CurvePrivateKey::generate(primitives).unwrap();
    let mut initiator = Ratchet::initiator(RootKey::copy_of(&[1; 32]), signed_prekey.public_key());
    let first = seal(&mut initiator, primitives);
    let pending = Ratchet::first_to_open(&RootKey::copy_of(&[1; 32]), &signed_prekey, &first.header, NOW).unwrap();
    let (_, commit) = pending.open(NONCE, &[], &first.sealed.ciphertext, &first.sealed.tag).unwrap();
    (initiator, Ratchet::responder(commit))
}

#[test]
fn both_ends_have_the_same_root_after_every_step() {
    let primitives = SeededPrimitives::new(1);
    let (mut initiator, mut responder) = pair(&primitives);
    let mut roots = vec![*initiator.root.expose()];
    for _ in 0..4 {
        let answer = seal(&mut responder, &primitives);
        open(&mut initiator, &answer);
        assert_eq!(initiator.root.expose(), responder.root.expose());
        assert!(!roots.contains(initiator.root.expose()), "a step makes a new root");
        roots.push(*initiator.root.expose());
        std::mem::swap(&mut initiator, &mut responder);
    }
}

#[test]
fn after_opening_a_new_ratchet_key_no_private_key_and_no_old_chain_is_held() {
    let primitives = SeededPrimitives::new(1);
    let (mut initiator, mut responder) = pair(&primitives);
    assert!(responder.sending.is_none(), "the responder keeps nothing of its signed prekey");
    let answer = seal(&mut responder, &primitives);
    assert!(initiator.sending.is_some());
    open(&mut initiator, &answer);
    assert!(initiator.sending.is_none());
    assert_eq!(initiator.remote, answer.header.ratchet_key);
    assert_eq!(initiator.receiving.as_ref().map(|chain| chain.next), Some(1));
}

#[test]
fn a_key_that_was_only_looked_at_changes_nothing() {
    let primitives = SeededPrimitives::new(1);
    let (initiator, mut responder) = pair(&primitives);
    let answer = seal(&mut responder, &primitives);
    let before = (initiator.to_bytes(), responder.to_bytes());
    drop(initiator.next_to_open(&answer.header, NOW).unwrap());
    drop(initiator.next_to_seal(&primitives).unwrap());
    drop(responder.next_to_seal(&primitives).unwrap());
    assert_eq!((initiator.to_bytes(), responder.to_bytes()), before);
}

#[test]
fn the_length_of_the_last_chain_goes_with_the_new_one() {
    let primitives = SeededPrimitives::new(1);
    let (mut initiator, mut responder) = pair(&primitives);
    (0..4).for_each(|_| drop(seal(&mut initiator, &primitives)));
    let answer = seal(&mut responder, &primitives);
    open(&mut initiator, &answer);
    let next = seal(&mut initiator, &primitives);
    assert_eq!((next.header.counter, next.header.previous_counter), (0, 5));
    open(&mut responder, &next);
    assert_eq!(responder.skipped.len(), 4);
    assert!(responder.skipped.find(&MessagePosition { ratchet_key: responder.remote, number: 0 }).is_none());
}

#[test]
fn the_peer_s_last_ratchet_keys_are_remembered_up_to_the_limit() {
    let primitives = SeededPrimitives::new(1);
    let (mut initiator, mut responder) = pair(&primitives);
    let mut keys = Vec::new();
    for _ in 0..limits::RETIRED_RATCHET_KEYS + 3 {
        let answer = seal(&mut responder, &primitives);
        open(&mut initiator, &answer);
        keys.push(answer.header.ratchet_key);
        let next = seal(&mut initiator, &primitives);
        open(&mut responder, &next);
    }
    let newest = keys.pop().unwrap();
    assert_eq!(initiator.remote, newest);
    assert_eq!(initiator.retired.0.iter().map(|retired| retired.ratchet_key).collect::<Vec<_>>(), &keys[2..]);
}

#[test]
fn a_stored_ratchet_reads_back() {
    let primitives = SeededPrimitives::new(1);
    let (initiator, responder) = pair(&primitives);
    for ratchet in [initiator, responder] {
        let stored = ratchet.to_bytes();
        assert!(stored.len() <= ratchet.encoded_capacity());
        assert_eq!(Ratchet::from_bytes(&stored).unwrap().to_bytes(), stored);
    }
}
