//! Bound, order and names of the cache.

use super::*;
use crate::{curve::CurvePrivateKey, testing::SeededPrimitives};

fn ratchet_key(seed: u64) -> CurveKey {
    CurvePrivateKey::generate(&SeededPrimitives::new(seed)).unwrap().public_key()
}

fn skipped(ratchet_key: CurveKey, number: u32, at: u64) -> SkippedKey {
    let position = MessagePosition { ratchet_key, number };
    let key = MessageKey::copy_of(&[u8::try_from(number % 256).unwrap(); 32]);
    SkippedKey { position, key, skipped_at: Timestamp::from_millis(at) }
}

fn numbers(cache: &MessageKeyCache) -> Vec<u32> {
    cache.keys.iter().map(|skipped| skipped.position.number).collect()
}

#[test]
fn the_oldest_go_when_there_are_more_than_the_limit() {
    let key = ratchet_key(1);
    let mut cache = MessageKeyCache::default();
    let limit = u32::try_from(limits::SKIPPED_KEYS).unwrap();
    (0..limit + 7).for_each(|number| cache.insert(skipped(key, number, 0)));
    assert_eq!(numbers(&cache), (7..limit + 7).collect::<Vec<_>>());
    let mut newer = MessageKeyCache::default();
    (1_000..1_003).for_each(|number| newer.insert(skipped(key, number, 0)));
    cache.append(newer);
    assert_eq!(cache.len(), limits::SKIPPED_KEYS);
    assert_eq!(numbers(&cache)[..2], [10, 11]);
    assert_eq!(numbers(&cache)[limits::SKIPPED_KEYS - 3..], [1_000, 1_001, 1_002]);
}

#[test]
fn a_key_is_named_by_its_chain_and_its_number() {
    let (one, other) = (ratchet_key(1), ratchet_key(2));
    let mut cache = MessageKeyCache::default();
    cache.insert(skipped(one, 5, 0));
    assert!(cache.find(&MessagePosition { ratchet_key: one, number: 5 }).is_some());
    assert!(cache.find(&MessagePosition { ratchet_key: other, number: 5 }).is_none());
    assert!(cache.find(&MessagePosition { ratchet_key: one, number: 4 }).is_none());
}

#[test]
fn a_removed_key_is_gone_and_the_others_keep_their_order() {
    let key = ratchet_key(1);
    let mut cache = MessageKeyCache::default();
    (0..5).for_each(|number| cache.insert(skipped(key, number, 0)));
    cache.remove(&MessagePosition { ratchet_key: key, number: 2 });
    assert_eq!(numbers(&cache), [0, 1, 3, 4]);
}

#[test]
fn keys_expire_by_the_time_they_were_put_in() {
    let key = ratchet_key(1);
    let mut cache = MessageKeyCache::default();
    (0..5).for_each(|number| cache.insert(skipped(key, number, u64::from(number) * 10)));
    assert_eq!(cache.expire_before(Timestamp::from_millis(20)), 2);
    assert_eq!(numbers(&cache), [2, 3, 4]);
}

#[test]
fn a_stored_cache_reads_back_and_never_holds_two_keys_for_one_message() {
    let key = ratchet_key(1);
    let mut cache = MessageKeyCache::default();
    (0..5).for_each(|number| cache.insert(skipped(key, number, 7)));
    assert_eq!(MessageKeyCache::from_bytes(&cache.to_bytes()).unwrap().to_bytes(), cache.to_bytes());
    cache.insert(skipped(key, 3, 9));
    assert!(MessageKeyCache::from_bytes(&cache.to_bytes()).is_err());
}
