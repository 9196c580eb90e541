//! Handing out one-time keys: each to one claim alone.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::*;
use crate::{limits, ports::ClaimKeysError};

pub async fn a_claim_takes_one_key_of_each_kind(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=3)).await;
    let bundle = claim(&*prekeys, &alice, 1, &bob).await;
    assert_eq!(bundle.manifest, bob.manifest(1));
    let (curve, kem) = (bundle.one_time_curve.unwrap(), bundle.one_time_kem.unwrap());
    assert_eq!(curve, bob.one_time_curve(curve.prekey.id.0), "as it was published");
    assert_eq!(kem, bob.one_time_kem(kem.prekey.id.0));
    assert_eq!(counts(&*prekeys, bob.id()).await, both(2));
}

pub async fn a_claim_without_keys_has_the_manifest_alone(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, PrekeyUpload { one_time_kem: vec![bob.one_time_kem(1)], ..bob.upload(1, []) }).await;
    assert_eq!(key_ids(&claim(&*prekeys, &alice, 1, &bob).await), (None, Some(1)));
    let empty = claim(&*prekeys, &alice, 2, &bob).await;
    assert_eq!((key_ids(&empty), empty.manifest), ((None, None), bob.manifest(1)));
}

pub async fn the_same_claim_again_returns_the_same_bundle(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=3)).await;
    let first = claim(&*prekeys, &alice, 1, &bob).await;
    claim(&*prekeys, &alice, 2, &bob).await;
    publish(&*prekeys, bob.upload(2, 4..=6)).await;
    let later = Claim { at: NOW.saturating_add(Duration::from_secs(365 * 86_400)), ..claim_of(&alice, 1, &bob) };
    assert_eq!(prekeys.claim(later).await.unwrap(), Some(first), "whatever was published or expired since");
    assert_eq!(counts(&*prekeys, bob.id()).await, both(4));
}

pub async fn a_claim_is_named_by_requester_id_and_target(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob, carol, mallory) = (Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory());
    publish(&*prekeys, bob.upload(1, 1..=3)).await;
    publish(&*prekeys, carol.upload(1, 1..=3)).await;
    let hers = claim(&*prekeys, &alice, 1, &bob).await;
    let with_other_id = claim(&*prekeys, &alice, 2, &bob).await;
    let by_another = claim(&*prekeys, &mallory, 1, &bob).await;
    let taken: BTreeSet<_> = [&hers, &with_other_id, &by_another].map(|bundle| key_ids(bundle).0).into();
    assert_eq!(taken.len(), 3);
    let of_another = claim(&*prekeys, &alice, 1, &carol).await;
    assert_eq!(of_another.manifest, carol.manifest(1));
    assert_eq!(of_another.one_time_curve.unwrap().verify(&carol.manifest(1).fields().identity), Ok(()));
}

pub async fn a_key_handed_out_is_not_handed_out_again(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=20)).await;
    let (mut curve, mut kem) = (BTreeSet::new(), BTreeSet::new());
    for number in 1..=20 {
        let ids = key_ids(&claim(&*prekeys, &alice, number, &bob).await);
        curve.insert(ids.0.unwrap());
        kem.insert(ids.1.unwrap());
        assert_eq!(counts(&*prekeys, bob.id()).await, both(20 - u64::from(number)));
    }
    assert_eq!((curve.len(), kem.len()), (20, 20));
    assert_eq!(key_ids(&claim(&*prekeys, &alice, 21, &bob).await), (None, None));
}

pub async fn expired_keys_are_passed_over(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let at = |seconds| NOW.saturating_add(Duration::from_secs(seconds));
    let upload = PrekeyUpload {
        manifest: bob.manifest(1),
        one_time_curve: (1..=3).map(|id| bob.one_time_curve_until(id, at(u64::from(id)))).collect(),
        one_time_kem: (1..=3).map(|id| bob.one_time_kem_until(id, at(u64::from(4 - id)))).collect(),
        forget_unused: false,
    };
    publish(&*prekeys, upload).await;
    let claim_at = |number, at| Claim { at, ..claim_of(&alice, number, &bob) };
    let bundle = prekeys.claim(claim_at(1, at(2))).await.unwrap().unwrap();
    assert_eq!(key_ids(&bundle), (Some(3), Some(1)), "a key that expires now has expired");
    let bundle = prekeys.claim(claim_at(2, at(2))).await.unwrap().unwrap();
    assert_eq!(key_ids(&bundle), (None, None));
}

pub async fn the_key_that_expires_first_goes_first(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let at = |seconds| NOW.saturating_add(Duration::from_secs(seconds));
    let upload = PrekeyUpload {
        manifest: bob.manifest(1),
        one_time_curve: [5, 1, 4].map(|id| bob.one_time_curve_until(id, at(u64::from(id)))).into(),
        one_time_kem: [2, 9, 8].map(|id| bob.one_time_kem_until(id, at(u64::from(20 - id)))).into(),
        forget_unused: false,
    };
    publish(&*prekeys, upload).await;
    for (number, expected) in (1..).zip([(1, 9), (4, 8), (5, 2)]) {
        let ids = key_ids(&claim(&*prekeys, &alice, number, &bob).await);
        assert_eq!(ids, (Some(expected.0), Some(expected.1)), "so that the least goes to waste");
    }
}

pub async fn of_concurrent_claims_each_key_goes_to_one(prekeys: Arc<dyn Prekeys>) {
    const KEYS: u32 = 20;
    const CLAIMS: u8 = 50;
    let bob = Agent::bob();
    publish(&*prekeys, bob.upload(1, 1..=KEYS)).await;
    let claim = |number| {
        let (prekeys, claim) = (Arc::clone(&prekeys), claim_of(&Agent::new(number), 1, &bob));
        tokio::spawn(async move { prekeys.claim(claim).await.unwrap().unwrap() })
    };
    let claiming: Vec<_> = (1..=CLAIMS).map(claim).collect();
    let (mut curve, mut kem) = (Vec::new(), Vec::new());
    for bundle in claiming {
        let ids = key_ids(&bundle.await.unwrap());
        curve.extend(ids.0);
        kem.extend(ids.1);
    }
    curve.sort_unstable();
    kem.sort_unstable();
    let each_once: Vec<_> = (1..=KEYS).collect();
    assert_eq!((curve, kem), (each_once.clone(), each_once));
    assert_eq!(counts(&*prekeys, bob.id()).await, both(0));
}

pub async fn concurrent_repetitions_of_one_claim_take_one_key(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=20)).await;
    let claim = |_| {
        let (prekeys, claim) = (Arc::clone(&prekeys), claim_of(&alice, 1, &bob));
        tokio::spawn(async move { prekeys.claim(claim).await.unwrap().unwrap() })
    };
    let claiming: Vec<_> = (0..16).map(claim).collect();
    let mut bundles = Vec::new();
    for bundle in claiming {
        bundles.push(bundle.await.unwrap());
    }
    assert!(bundles.iter().all(|bundle| *bundle == bundles[0]));
    assert_eq!(counts(&*prekeys, bob.id()).await, both(19));
}

pub async fn a_claim_from_an_unknown_agent_leaves_no_trace(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    assert_eq!(prekeys.claim(claim_of(&alice, 1, &bob)).await.unwrap(), None);
    publish(&*prekeys, bob.upload(1, 1..=1)).await;
    assert_eq!(key_ids(&claim(&*prekeys, &alice, 1, &bob).await), (Some(1), Some(1)), "the claim's id is still free");
}

pub async fn a_requester_s_claims_of_one_target_are_limited(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob, carol, mallory) = (Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory());
    publish(&*prekeys, bob.upload(1, 1..=50)).await;
    publish(&*prekeys, carol.upload(1, 1..=1)).await;
    let limit = u8::try_from(limits::CLAIMS_PER_PAIR).unwrap();
    let second = |number: u8| NOW.saturating_add(Duration::from_secs(number.into()));
    let made = |number| Claim { at: second(number), ..claim_of(&mallory, number, &bob) };
    for number in 1..=limit {
        prekeys.claim(made(number)).await.unwrap().unwrap();
    }
    let refused = prekeys.claim(made(limit + 1)).await;
    let wait = limits::CLAIM_WINDOW - Duration::from_secs(limit.into());
    assert!(matches!(refused, Err(ClaimKeysError::TooMany { retry_after }) if retry_after == wait), "{refused:?}");
    assert_eq!(counts(&*prekeys, bob.id()).await, both(50 - u64::from(limit)), "a refused claim takes nothing");
    assert!(prekeys.claim(made(limit)).await.is_ok(), "a repetition is none");
    assert!(prekeys.claim(claim_of(&mallory, 1, &carol)).await.is_ok(), "another target is another matter");
    assert!(prekeys.claim(claim_of(&alice, 1, &bob)).await.is_ok(), "and so is another requester");
    let later = Claim { at: second(1).saturating_add(limits::CLAIM_WINDOW), ..made(limit + 1) };
    assert!(prekeys.claim(later).await.is_ok(), "after the wait that was told");
}

pub async fn a_requester_s_claims_of_all_targets_together_are_limited(prekeys: Arc<dyn Prekeys>) {
    let (alice, mallory) = (Agent::alice(), Agent::mallory());
    let per_target = u8::try_from(limits::CLAIMS_PER_PAIR).unwrap();
    let targets = u8::try_from(limits::CLAIMS_PER_REQUESTER / limits::CLAIMS_PER_PAIR).unwrap();
    for target in (100..100 + targets).map(Agent::new) {
        publish(&*prekeys, target.upload(1, [])).await;
        let made = (1..=per_target).map(|number| {
            let (prekeys, claim) = (Arc::clone(&prekeys), claim_of(&mallory, number, &target));
            tokio::spawn(async move { prekeys.claim(claim).await.unwrap().unwrap() })
        });
        for claim in made.collect::<Vec<_>>() {
            claim.await.unwrap();
        }
    }
    let last = Agent::new(99);
    publish(&*prekeys, last.upload(1, 1..=1)).await;
    let refused = prekeys.claim(claim_of(&mallory, 1, &last)).await;
    assert!(matches!(refused, Err(ClaimKeysError::TooMany { .. })), "{refused:?}");
    assert_eq!(counts(&*prekeys, last.id()).await, both(1), "a refused claim takes nothing");
    assert!(prekeys.claim(claim_of(&alice, 1, &last)).await.is_ok(), "another requester is another matter");
    let later = NOW.saturating_add(limits::CLAIM_WINDOW);
    assert!(prekeys.claim(Claim { at: later, ..claim_of(&mallory, 1, &last) }).await.is_ok(), "the hour is over");
}

pub async fn one_time_keys_of_a_target_are_protected_from_all_requesters_together(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    let limit = u32::try_from(limits::ONE_TIME_CLAIMS_PER_TARGET).unwrap();
    publish(&*prekeys, bob.upload(1, 1..=limit)).await;
    let by = |number: u32| Claim {
        id: ClaimId(u128::from(number).to_be_bytes()),
        ..claim_of(&Agent::new(u8::try_from(number % 200 + 1).unwrap()), 0, &bob)
    };
    for number in 0..limit {
        assert!(prekeys.claim(by(number)).await.unwrap().unwrap().one_time_kem.is_some(), "{number}");
    }
    publish(&*prekeys, bob.upload(1, limit + 1..=limit + 10)).await;
    let protected = prekeys.claim(by(limit)).await.unwrap().unwrap();
    assert_eq!((key_ids(&protected), &protected.manifest), ((None, None), &bob.manifest(1)));
    assert_eq!(counts(&*prekeys, bob.id()).await, both(10));
    let later = NOW.saturating_add(limits::CLAIM_WINDOW);
    let bundle = prekeys.claim(Claim { at: later, ..by(limit + 1) }).await.unwrap().unwrap();
    assert!(bundle.one_time_curve.is_some(), "the hour is over");
}

pub async fn expired_keys_do_not_count(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    let soon = NOW.saturating_add(Duration::from_secs(1));
    let upload = PrekeyUpload {
        one_time_curve: vec![bob.one_time_curve_until(1, soon), bob.one_time_curve(2)],
        ..bob.upload(1, [])
    };
    assert_eq!(publish(&*prekeys, upload).await.one_time_curve, 2);
    assert_eq!(prekeys.counts(bob.id(), soon).await.unwrap().one_time_curve, 1);
    let many = bob.upload(1, 10..=9 + u32::try_from(limits::ONE_TIME_PREKEYS).unwrap() - 1);
    assert!(
        prekeys.publish(PrekeyUpload { one_time_kem: Vec::new(), ..many }, soon).await.is_ok(),
        "nor against the limit"
    );
}
