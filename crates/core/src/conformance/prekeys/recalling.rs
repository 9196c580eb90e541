//! One-time keys that their owner calls back: forgotten together with what takes their place, or not at all.

use std::sync::Arc;

use super::*;
use crate::{limits, ports::StoreManifestError};

/// An upload that calls back whatever else is unused.
fn recall(agent: &Agent, version: u64, ids: impl IntoIterator<Item = u32> + Clone) -> PrekeyUpload {
    PrekeyUpload { forget_unused: true, ..agent.upload(version, ids) }
}

pub async fn unused_keys_are_forgotten_at_the_word_of_their_owner(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=5)).await;
    assert_eq!(publish(&*prekeys, recall(&bob, 2, 11..=12)).await, both(2));
    assert_eq!(counts(&*prekeys, bob.id()).await, both(2));
    for number in 1..=2 {
        let (curve, kem) = key_ids(&claim(&*prekeys, &alice, number, &bob).await);
        assert!(curve > Some(10) && kem > Some(10), "{curve:?}, {kem:?}");
    }
    assert_eq!(key_ids(&claim(&*prekeys, &alice, 3, &bob).await), (None, None));
    assert_eq!(publish(&*prekeys, bob.upload(2, 13..=13)).await, both(1), "a refill forgets nothing");
    assert_eq!(publish(&*prekeys, recall(&bob, 2, [])).await, both(0), "nothing need take their place");
}

pub async fn the_ids_of_keys_that_were_recalled_stay_used(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=2)).await;
    publish(&*prekeys, recall(&bob, 2, [])).await;
    assert_eq!(publish(&*prekeys, bob.upload(2, 1..=2)).await, both(0), "the same again is no error, and no key");
    assert_eq!(publish(&*prekeys, recall(&bob, 2, 1..=2)).await, both(0), "nor with a recall");
    assert_eq!(key_ids(&claim(&*prekeys, &alice, 1, &bob).await), (None, None));
    let other = bob.one_time_curve_until(1, NOW.saturating_add(std::time::Duration::from_secs(60)));
    let reused = PrekeyUpload { one_time_curve: vec![other], ..bob.upload(2, []) };
    let refused = prekeys.publish(reused, NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::KeyIdReused { .. })), "{refused:?}");
}

pub async fn what_was_handed_out_before_a_recall_stays_with_its_claim(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=3)).await;
    let claimed = claim(&*prekeys, &alice, 1, &bob).await;
    publish(&*prekeys, recall(&bob, 2, 11..=11)).await;
    assert_eq!(claim(&*prekeys, &alice, 1, &bob).await, claimed, "the same claim, the same bundle");
    assert_eq!(key_ids(&claim(&*prekeys, &alice, 2, &bob).await), (Some(11), Some(11)));
}

pub async fn a_recall_that_is_repeated_keeps_what_it_brought(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=3)).await;
    assert_eq!(publish(&*prekeys, recall(&bob, 2, 11..=13)).await, both(3));
    let taken = key_ids(&claim(&*prekeys, &alice, 1, &bob).await);
    assert_eq!(publish(&*prekeys, recall(&bob, 2, 11..=13)).await, both(2), "its answer was lost");
    assert_eq!(publish(&*prekeys, recall(&bob, 2, 11..=14)).await, both(3), "a key more");
    for number in 2..=4 {
        let next = key_ids(&claim(&*prekeys, &alice, number, &bob).await);
        assert!(next.0 > Some(10) && next.0 != taken.0 && next.1 != taken.1);
    }
}

pub async fn a_recall_makes_room_for_a_full_set_in_the_same_step(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    let limit = limits::ONE_TIME_PREKEYS as u32;
    publish(&*prekeys, bob.upload(1, 1..=limit)).await;
    assert_eq!(publish(&*prekeys, recall(&bob, 1, limit + 1..=2 * limit)).await, both(u64::from(limit)));
}

pub async fn a_recall_that_is_refused_forgets_nothing(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(2, 1..=2)).await;
    let other = bob.one_time_kem_until(1, NOW.saturating_add(std::time::Duration::from_secs(60)));
    let reused = PrekeyUpload { one_time_kem: vec![other], ..recall(&bob, 3, 11..=11) };
    let refused = prekeys.publish(reused, NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::KeyIdReused { .. })), "{refused:?}");
    let refused = prekeys.publish(recall(&bob, 1, 11..=11), NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::Stale { stored: 2 })), "{refused:?}");
    assert_eq!(counts(&*prekeys, bob.id()).await, both(2));
    assert_eq!(prekeys.manifest(bob.id()).await.unwrap(), Some(bob.manifest(2)));
    assert!(key_ids(&claim(&*prekeys, &alice, 1, &bob).await).0 < Some(10));
}

pub async fn a_recall_is_about_its_agent_alone(prekeys: Arc<dyn Prekeys>) {
    let (bob, carol) = (Agent::bob(), Agent::carol());
    publish(&*prekeys, bob.upload(1, 1..=2)).await;
    publish(&*prekeys, carol.upload(1, 1..=2)).await;
    publish(&*prekeys, recall(&bob, 1, [])).await;
    assert_eq!((counts(&*prekeys, bob.id()).await, counts(&*prekeys, carol.id()).await), (both(0), both(2)));
}
