//! Forgetting claims and keys, and what must not be forgotten with them.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::ports::StoreManifestError;

fn later(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

pub async fn an_old_claim_is_forgotten(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=2)).await;
    let first = claim(&*prekeys, &alice, 1, &bob).await;
    assert_eq!(forget_all(&*prekeys, later(1)).await, 3, "the claim and its two keys");
    assert_eq!(counts(&*prekeys, bob.id()).await, both(1), "they were not unused before");
    let second = claim(&*prekeys, &alice, 1, &bob).await;
    assert_ne!(key_ids(&second), key_ids(&first), "the same words are a new claim now");
    assert_eq!(counts(&*prekeys, bob.id()).await, both(0));
}

pub async fn a_young_claim_is_remembered(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=2)).await;
    let first = claim(&*prekeys, &alice, 1, &bob).await;
    assert_eq!(forget_all(&*prekeys, NOW).await, 0, "made before, not at");
    assert_eq!(claim(&*prekeys, &alice, 1, &bob).await, first);
    assert_eq!(publish(&*prekeys, bob.upload(1, 1..=2)).await, both(1), "and its keys are known");
}

pub async fn the_id_of_a_forgotten_key_stays_used(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=1)).await;
    claim(&*prekeys, &alice, 1, &bob).await;
    assert_eq!(forget_all(&*prekeys, later(1)).await, 3);
    let other = bob.one_time_curve_until(1, later(60));
    let other = PrekeyUpload { one_time_curve: vec![other], ..bob.upload(1, []) };
    let refused = prekeys.publish(other, NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::KeyIdReused { .. })), "{refused:?}");
    assert_eq!(publish(&*prekeys, bob.upload(1, 1..=1)).await, both(0), "the same again is no error");
    assert_eq!(counts(&*prekeys, bob.id()).await, both(0));
    assert_eq!(key_ids(&claim(&*prekeys, &alice, 2, &bob).await), (None, None));
}

pub async fn unused_keys_are_forgotten_when_they_have_expired(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let upload = PrekeyUpload {
        manifest: bob.manifest(1),
        one_time_curve: (1..=3).map(|id| bob.one_time_curve_until(id, later(u64::from(id)))).collect(),
        one_time_kem: vec![bob.one_time_kem_until(1, later(60))],
        forget_unused: false,
    };
    publish(&*prekeys, upload).await;
    assert_eq!(forget_all(&*prekeys, later(3)).await, 2, "expired before, not at");
    assert_eq!(counts(&*prekeys, bob.id()).await, both(1));
    let early = Claim { at: NOW, ..claim_of(&alice, 1, &bob) };
    assert_eq!(key_ids(&prekeys.claim(early).await.unwrap().unwrap()), (Some(3), Some(1)));
    let reused = PrekeyUpload { one_time_curve: vec![bob.one_time_curve(1)], ..bob.upload(1, []) };
    let refused = prekeys.publish(reused, NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::KeyIdReused { .. })), "{refused:?}");
}

pub async fn the_id_of_a_key_is_forgotten_some_time_after_its_end(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let mortal = |id| bob.one_time_curve_until(id, later(u64::from(id)));
    let upload = PrekeyUpload { one_time_curve: (1..=3).map(mortal).collect(), ..bob.upload(1, []) };
    publish(&*prekeys, upload).await;
    claim(&*prekeys, &alice, 1, &bob).await; // of the first key
    assert_eq!(forget_all(&*prekeys, later(3)).await, 3, "a claim and two keys; the third has not expired");
    assert_eq!(prekeys.forget_ids(later(2), 1_000).await.unwrap(), 1, "expired before, not at");
    let again = |id| PrekeyUpload { one_time_curve: vec![bob.one_time_curve(id)], ..bob.upload(1, []) };
    assert_eq!(prekeys.publish(again(1), NOW).await.unwrap().one_time_curve, 2, "another key may have the id");
    for id in [2, 3] {
        let refused = prekeys.publish(again(id), NOW).await;
        assert!(matches!(refused, Err(StoreManifestError::KeyIdReused { .. })), "{refused:?}");
    }
    assert_eq!(prekeys.forget_ids(later(2), 1_000).await.unwrap(), 0);
}

pub async fn ids_of_keys_that_are_there_are_not_forgotten(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=6)).await;
    let claimed = claim(&*prekeys, &alice, 1, &bob).await;
    let far = later(1_000_000_000);
    assert_eq!(prekeys.forget_ids(far, 1_000).await.unwrap(), 0, "as long as the keys are not forgotten");
    assert_eq!(claim(&*prekeys, &alice, 1, &bob).await, claimed);
    assert_eq!(counts(&*prekeys, bob.id()).await, both(5));
    assert_eq!(forget_all(&*prekeys, far).await, 13);
    let mut steps = Vec::new();
    while let rows @ 1.. = prekeys.forget_ids(far, 5).await.unwrap() {
        steps.push(rows);
    }
    assert_eq!(steps, [5, 5, 2], "in small steps");
}

pub async fn forgetting_goes_in_small_steps(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=8)).await;
    for number in 1..=4 {
        claim(&*prekeys, &alice, number, &bob).await;
    }
    let mut total = 0;
    loop {
        let rows = prekeys.forget(later(1), 3).await.unwrap();
        assert!(rows <= 6, "three claims and three keys at most, not {rows}");
        if rows == 0 {
            break;
        }
        total += rows;
    }
    assert_eq!(total, 12);
    assert_eq!(counts(&*prekeys, bob.id()).await, both(4));
}

pub async fn manifests_are_not_forgotten(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    publish(&*prekeys, bob.upload(1, [])).await;
    assert_eq!(forget_all(&*prekeys, later(1_000_000_000)).await, 0);
    assert_eq!(prekeys.manifest(bob.id()).await.unwrap(), Some(bob.manifest(1)));
}
