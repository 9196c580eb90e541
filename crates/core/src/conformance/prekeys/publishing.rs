//! Publishing manifests and one-time keys.

use std::sync::Arc;

use super::*;
use crate::{limits, ports::StoreManifestError};

pub async fn what_was_published_is_there(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    assert_eq!(publish(&*prekeys, bob.upload(1, 1..=3)).await, both(3));
    assert_eq!(prekeys.manifest(bob.id()).await.unwrap(), Some(bob.manifest(1)));
    assert_eq!(counts(&*prekeys, bob.id()).await, both(3));
}

pub async fn an_agent_that_published_nothing_is_unknown(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, alice.upload(1, 1..=1)).await;
    assert_eq!(prekeys.manifest(bob.id()).await.unwrap(), None);
    assert_eq!(prekeys.claim(claim_of(&alice, 1, &bob)).await.unwrap(), None);
    assert_eq!(counts(&*prekeys, bob.id()).await, both(0));
}

pub async fn the_first_unknown_agent_is_named(prekeys: Arc<dyn Prekeys>) {
    let agents: Vec<_> = (1..=5).map(Agent::new).collect();
    let ids: Vec<_> = agents.iter().map(Agent::id).collect();
    for known in [0, 1, 3] {
        publish(&*prekeys, agents[known].upload(1, [])).await;
    }
    assert_eq!(prekeys.first_unknown(&ids).await.unwrap(), Some(ids[2]));
    assert_eq!(prekeys.first_unknown(&[ids[4], ids[2]]).await.unwrap(), Some(ids[4]), "in the order of the question");
    assert_eq!(prekeys.first_unknown(&[ids[3], ids[0], ids[3]]).await.unwrap(), None);
    assert_eq!(prekeys.first_unknown(&[]).await.unwrap(), None);
    publish(&*prekeys, agents[2].upload(1, [])).await;
    assert_eq!(prekeys.first_unknown(&ids).await.unwrap(), Some(ids[4]), "who was unknown has published since");
}

pub async fn publishing_the_same_again_changes_nothing(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=3)).await;
    assert_eq!(publish(&*prekeys, bob.upload(1, 1..=3)).await, both(3));
    let taken = key_ids(&claim(&*prekeys, &alice, 1, &bob).await);
    assert_eq!(publish(&*prekeys, bob.upload(1, 1..=3)).await, both(2), "a key that went out stays out");
    for number in 2..=3 {
        let other = key_ids(&claim(&*prekeys, &alice, number, &bob).await);
        assert!(other.0 != taken.0 && other.1 != taken.1);
    }
}

pub async fn a_newer_manifest_takes_the_place_of_the_older(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=2)).await;
    assert_eq!(publish(&*prekeys, bob.upload(5, 3..=3)).await, both(3), "the keys that are there stay");
    assert_eq!(prekeys.manifest(bob.id()).await.unwrap(), Some(bob.manifest(5)));
    assert_eq!(claim(&*prekeys, &alice, 1, &bob).await.manifest, bob.manifest(5));
}

/// Checks that an upload is refused because of its version, and that its keys are not taken.
async fn is_stale(prekeys: &dyn Prekeys, upload: PrekeyUpload, expected: u64) {
    let agent = upload.manifest.agent_id();
    let before = (prekeys.manifest(agent).await.unwrap(), counts(prekeys, agent).await);
    let refused = prekeys.publish(upload, NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::Stale { stored }) if stored == expected), "{refused:?}");
    assert_eq!((prekeys.manifest(agent).await.unwrap(), counts(prekeys, agent).await), before);
}

pub async fn an_older_manifest_is_stale(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    publish(&*prekeys, bob.upload(2, 1..=2)).await;
    is_stale(&*prekeys, bob.upload(1, 3..=4), 2).await;
    is_stale(&*prekeys, bob.upload(0, []), 2).await;
}

pub async fn another_manifest_of_the_same_version_is_stale(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    publish(&*prekeys, bob.upload(2, 1..=2)).await;
    let mut fields = bob.manifest_fields(2);
    fields.sealing_key.id = KeyId(77);
    let other = PrekeyUpload { manifest: bob.sign_manifest(fields), ..bob.upload(2, 3..=4) };
    is_stale(&*prekeys, other, 2).await;
}

pub async fn the_highest_version_is_a_version_too(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    let upload = |version| {
        let manifest = bob.sign_manifest(sealpost_protocol::ManifestFields { version, ..bob.manifest_fields(1) });
        PrekeyUpload { manifest, ..bob.upload(1, []) }
    };
    publish(&*prekeys, upload(1)).await;
    publish(&*prekeys, upload(u64::MAX - 1)).await;
    is_stale(&*prekeys, upload(1), u64::MAX - 1).await;
    publish(&*prekeys, upload(u64::MAX)).await;
    is_stale(&*prekeys, upload(u64::MAX - 1), u64::MAX).await;
}

pub async fn the_same_manifest_may_bring_more_keys(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    publish(&*prekeys, bob.upload(1, 1..=2)).await;
    assert_eq!(publish(&*prekeys, bob.upload(1, 2..=4)).await, both(4), "one of them was there");
}

/// An upload whose curve key of this id is another than [`Agent::upload`] makes.
fn other_curve_key(agent: &Agent, id: u32) -> PrekeyUpload {
    let other = agent.one_time_curve_until(id, NOW.saturating_add(std::time::Duration::from_secs(60)));
    PrekeyUpload { one_time_curve: vec![other], ..agent.upload(1, []) }
}

fn other_kem_key(agent: &Agent, id: u32) -> PrekeyUpload {
    let other = agent.one_time_kem_until(id, NOW.saturating_add(std::time::Duration::from_secs(60)));
    PrekeyUpload { one_time_kem: vec![other], ..agent.upload(1, []) }
}

pub async fn one_key_id_names_one_key_of_a_kind(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    publish(&*prekeys, bob.upload(1, 1..=1)).await;
    for is_handed_out in [false, true] {
        let uploads = [
            (other_curve_key(&bob, 1), "the id of the one-time-curve prekey 1 was used before, for another"),
            (other_kem_key(&bob, 1), "the id of the one-time-kem prekey 1 was used before, for another"),
        ];
        for (upload, expected) in uploads {
            let refused = prekeys.publish(upload, NOW).await.map_err(|error| error.to_string());
            assert_eq!(refused, Err(expected.to_owned()), "{is_handed_out}");
        }
        if !is_handed_out {
            assert_eq!(key_ids(&claim(&*prekeys, &alice, 1, &bob).await), (Some(1), Some(1)));
        }
    }
    let twice = [other_curve_key(&bob, 2).one_time_curve, vec![bob.one_time_curve(2)]].concat();
    let refused = prekeys.publish(PrekeyUpload { one_time_curve: twice, ..bob.upload(1, []) }, NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::KeyIdReused { .. })), "two in one upload: {refused:?}");
    assert_eq!(counts(&*prekeys, bob.id()).await, both(0));
}

pub async fn a_kind_and_an_agent_have_ids_of_their_own(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    publish(&*prekeys, PrekeyUpload { one_time_kem: Vec::new(), ..bob.upload(1, [7, u32::MAX]) }).await;
    publish(&*prekeys, carol.upload(1, [7])).await;
    let counted = publish(&*prekeys, bob.upload(1, [7, 0])).await;
    assert_eq!(counted, PrekeyCounts { one_time_curve: 3, one_time_kem: 2 });
    let bundle = claim(&*prekeys, &alice, 1, &carol).await;
    assert_eq!(bundle.one_time_curve, Some(carol.one_time_curve(7)));
    assert_eq!(bundle.one_time_kem, Some(carol.one_time_kem(7)));
    assert_eq!(counts(&*prekeys, bob.id()).await, counted);
}

pub async fn an_upload_is_stored_whole_or_not_at_all(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    publish(&*prekeys, bob.upload(1, 1..=2)).await;
    let reused = PrekeyUpload { one_time_kem: other_kem_key(&bob, 1).one_time_kem, ..bob.upload(2, 10..=12) };
    let refused = prekeys.publish(reused, NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::KeyIdReused { .. })), "{refused:?}");
    let too_many =
        PrekeyUpload { one_time_curve: Vec::new(), ..bob.upload(2, 10..=limits::ONE_TIME_PREKEYS as u32 + 10) };
    let refused = prekeys.publish(too_many, NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::TooMany)), "{refused:?}");
    assert_eq!(prekeys.manifest(bob.id()).await.unwrap(), Some(bob.manifest(1)));
    assert_eq!(counts(&*prekeys, bob.id()).await, both(2));
    let first = other_curve_key(&Agent::carol(), 1);
    let unfit = PrekeyUpload {
        one_time_curve: [first.one_time_curve.clone(), vec![Agent::carol().one_time_curve(1)]].concat(),
        ..first
    };
    assert!(prekeys.publish(unfit, NOW).await.is_err());
    assert_eq!(prekeys.manifest(Agent::carol().id()).await.unwrap(), None, "a first upload too");
}

pub async fn so_many_unused_keys_and_no_more(prekeys: Arc<dyn Prekeys>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let limit = limits::ONE_TIME_PREKEYS as u32;
    assert_eq!(publish(&*prekeys, bob.upload(1, 1..=limit)).await, both(u64::from(limit)));
    let one_more = PrekeyUpload { one_time_kem: Vec::new(), ..bob.upload(1, [limit + 1]) };
    let refused = prekeys.publish(one_more.clone(), NOW).await;
    assert!(matches!(refused, Err(StoreManifestError::TooMany)), "{refused:?}");
    assert_eq!(publish(&*prekeys, bob.upload(1, 1..=limit)).await, both(u64::from(limit)), "the same are not more");
    claim(&*prekeys, &alice, 1, &bob).await;
    assert_eq!(publish(&*prekeys, one_more).await.one_time_curve, u64::from(limit), "a used one makes room");
}

pub async fn concurrent_uploads_of_one_agent_are_counted_together(prekeys: Arc<dyn Prekeys>) {
    let bob = Agent::bob();
    publish(&*prekeys, bob.upload(1, [])).await;
    let upload = |number: u32| {
        let (prekeys, upload) = (Arc::clone(&prekeys), bob.upload(1, number * 30..number * 30 + 30));
        tokio::spawn(async move { prekeys.publish(upload, NOW).await })
    };
    let publishing: Vec<_> = (0..10).map(upload).collect();
    let mut stored = 0;
    for result in publishing {
        match result.await.unwrap() {
            Ok(_) => stored += 30,
            Err(error) => assert!(matches!(error, StoreManifestError::TooMany), "{error:?}"),
        }
    }
    assert_eq!(counts(&*prekeys, bob.id()).await, both(stored));
    assert_eq!(stored, 180, "as many as fit");
}
