use super::*;
use crate::testing::{SeededPrimitives, TestAgent};

fn group_key(seed: u64, epoch: u32) -> GroupKey {
    GroupKey::generate(&SeededPrimitives::new(seed), GroupId([9; 16]), epoch).unwrap()
}

fn message(number: u64) -> MessageRef {
    TestAgent::new(1).header_to(&TestAgent::new(2), number).message()
}

#[test]
fn another_member_comes_to_the_same_content_key() {
    let ours = group_key(1, 4);
    let theirs = GroupKey::decode(&ours.encode()).unwrap();
    let (key, access) = ours.new_content_key(&SeededPrimitives::new(2), &message(0)).unwrap();
    let opened = theirs.content_key(&message(0), &access).unwrap().unwrap();
    assert_eq!(opened.expose(), key.expose());
}

#[test]
fn every_message_has_a_key_of_its_own() {
    let ours = group_key(1, 4);
    let primitives = SeededPrimitives::new(2);
    let (first, access) = ours.new_content_key(&primitives, &message(0)).unwrap();
    let (again, _) = ours.new_content_key(&primitives, &message(0)).unwrap();
    let other = ours.content_key(&message(1), &access).unwrap().unwrap();
    assert_ne!(first.expose(), again.expose(), "another salt");
    assert_ne!(first.expose(), other.expose(), "another message");
}

#[test]
fn another_epoch_s_key_is_not_taken() {
    let (old, new) = (group_key(1, 4), group_key(1, 5));
    let (_, access) = old.new_content_key(&SeededPrimitives::new(2), &message(0)).unwrap();
    assert!(new.content_key(&message(0), &access).unwrap().is_none());
}

#[test]
fn a_key_of_another_group_with_the_same_secret_derives_others() {
    let ours = group_key(1, 4);
    let mut stored = ours.encode().into_vec();
    stored[1] ^= 1;
    let other = GroupKey::decode(&stored).unwrap();
    let (key, access) = ours.new_content_key(&SeededPrimitives::new(2), &message(0)).unwrap();
    let access = SharedAccess { group: other.group, ..access };
    assert_ne!(other.content_key(&message(0), &access).unwrap().unwrap().expose(), key.expose());
}

#[test]
fn what_is_no_stored_key_is_refused() {
    let stored = group_key(1, 4).encode().into_vec();
    for length in 0..stored.len() {
        assert_eq!(GroupKey::decode(&stored[..length]).err(), Some(DecodeError::Truncated));
    }
    assert_eq!(GroupKey::decode(&[&stored[..], &[0]].concat()).err(), Some(DecodeError::Trailing(1)));
    let unknown = DecodeError::UnknownValue { field: "group key format", found: 7 };
    assert_eq!(GroupKey::decode(&[&[7], &stored[1..]].concat()).err(), Some(unknown));
}

#[test]
fn debug_shows_no_secret() {
    insta::assert_compact_debug_snapshot!(group_key(1, 4), @"GroupKey { group: GroupId([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]), epoch: 4, secret: GroupSecret(…) }");
}
