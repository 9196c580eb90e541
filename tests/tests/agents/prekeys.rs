//! Prekeys: they run out, are filled up again, and are replaced while messages wait under them.

use std::{ops::Range, time::Duration};

use sealpost_agent::{Event, PrekeyStatus, PrekeysError, RelayError, SyncError};
use sealpost_api::v1;
use sealpost_protocol::{AgentId, ErrorCode};
use sealpost_tests::{
    ScriptedRelay, SdkAgent, TestRelay,
    plain::{Carrier, Grpc, PlainAgent, log_in},
    within,
};

use super::{assert_accepted, assert_acknowledged, relay_behind_proxy};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Claims bundles of `target` under these names, as strangers of whom each stays below the limit.
pub(super) async fn claim_as_strangers(relay: &TestRelay, target: AgentId, names: Range<u32>) {
    let names: Vec<_> = names.collect();
    for names in names.chunks(20) {
        let mut stranger: Grpc = log_in(&relay.origin(), &PlainAgent::new().identity).await;
        for name in names {
            stranger.claim_bundle(target, u128::from(*name).to_be_bytes()).await.unwrap();
        }
    }
}

pub(super) async fn one_time_keys(agent: &SdkAgent) -> (u64, u64) {
    let PrekeyStatus { one_time_curve, one_time_kem, .. } =
        within("the prekeys' status", agent.prekey_status()).await.unwrap();
    (one_time_curve, one_time_kem)
}

#[tokio::test]
async fn when_one_time_keys_are_out_the_last_resort_key_serves_and_the_set_is_filled_up() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    claim_as_strangers(&relay, bob.id(), 0..100).await;
    assert_eq!(one_time_keys(&bob).await, (0, 0));

    let strangers = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    let mut sent = Vec::new();
    for stranger in &strangers {
        let message = stranger.send_text(bob.id(), "without a one-time key").await;
        assert_accepted(&message);
        sent.push(message.id);
    }
    assert_eq!(bob.take_texts().await.len(), 2, "both are opened with the same last-resort key");
    for (stranger, id) in strangers.iter().zip(sent) {
        assert_acknowledged(stranger, &[id]).await;
    }
    assert_eq!(one_time_keys(&bob).await, (100, 100));
    let newcomer = SdkAgent::new(&relay.origin()).await;
    newcomer.send_text(bob.id(), "with a new one-time key").await;
    assert_eq!(bob.take_texts().await.len(), 1);
    assert_eq!(one_time_keys(&bob).await, (99, 99));
}

#[tokio::test]
async fn the_set_is_filled_up_when_half_of_it_is_gone_and_not_before() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    claim_as_strangers(&relay, bob.id(), 0..50).await;
    bob.sync_inbox().await;
    assert_eq!(one_time_keys(&bob).await, (50, 50));
    claim_as_strangers(&relay, bob.id(), 50..51).await;
    bob.sync_inbox().await;
    assert_eq!(one_time_keys(&bob).await, (100, 100));
}

/// Sixty new keys are some 80 KB; nothing else that an agent sends here is nearly as long.
const MIDDLE_OF_A_REFILL: usize = 20_000;

#[tokio::test]
async fn a_refill_whose_answer_is_lost_does_no_harm() {
    let (relay, proxy) = relay_behind_proxy().await;
    let bob = SdkAgent::new(&proxy.origin()).await;
    let direct = bob.reopen(&relay.origin()).await;
    // Sixty keys go each time. Those of the first refill count as unpublished, so the second makes no more than fits.
    for (round, left) in [(0, 100), (1, 80)] {
        claim_as_strangers(&relay, bob.id(), 60 * round..60 * (round + 1)).await;
        proxy.hold_answers_after(MIDDLE_OF_A_REFILL);
        let cut_once_it_has_arrived = async {
            while one_time_keys(&direct).await != (left, left) {}
            proxy.cut();
        };
        let (synced, ()) = tokio::join!(bob.sync(Duration::ZERO), within("the refill", cut_once_it_has_arrived));
        assert!(
            matches!(&synced, Err(SyncError::Prekeys(PrekeysError::Relay(error))) if error.is_passing()),
            "{synced:?}"
        );
    }
    claim_as_strangers(&relay, bob.id(), 120..180).await;
    for _ in 0..2 {
        within("a sync", bob.sync(Duration::ZERO)).await.unwrap();
    }
    assert_eq!(one_time_keys(&bob).await, (100, 100));
}

#[tokio::test]
async fn two_instances_of_one_agent_fill_the_set_up_once() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let other_bob = bob.reopen(&relay.origin()).await;
    for round in 0..3 {
        claim_as_strangers(&relay, bob.id(), 60 * round..60 * (round + 1)).await;
        let (one, other) = tokio::join!(bob.sync(Duration::ZERO), other_bob.sync(Duration::ZERO));
        one.unwrap();
        other.unwrap();
        assert_eq!(one_time_keys(&bob).await, (100, 100));
    }
}

#[tokio::test]
async fn refills_that_never_arrive_do_not_pile_up() {
    let (relay, proxy) = relay_behind_proxy().await;
    let bob = SdkAgent::new(&proxy.origin()).await;
    claim_as_strangers(&relay, bob.id(), 0..60).await;
    for _ in 0..6 {
        proxy.cut_after(MIDDLE_OF_A_REFILL);
        let synced = within("a sync", bob.sync(Duration::ZERO)).await;
        assert!(
            matches!(&synced, Err(SyncError::Prekeys(PrekeysError::Relay(error))) if error.is_passing()),
            "{synced:?}"
        );
    }
    within("a sync", bob.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(one_time_keys(&bob).await, (140, 140), "the forty that were left, and one full set");
}

#[tokio::test]
async fn a_message_that_waits_under_a_replaced_key_is_opened() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let waiting = alice.send_text(bob.id(), "under the first key").await.id;
    for version in 2..=3 {
        let status = within("a rotation", bob.rotate_prekeys()).await.unwrap();
        assert_eq!((status.version, status.confirmed.is_some()), (version, true));
    }
    let later = alice.send_text(bob.id(), "in the same session").await.id;
    let carol = SdkAgent::new(&relay.origin()).await;
    let new = carol.send_text(bob.id(), "under the third key").await.id;
    assert_eq!(bob.take_texts().await, ["under the first key", "in the same session", "under the third key"]);
    assert_acknowledged(&alice, &[waiting, later]).await;
    assert_acknowledged(&carol, &[new]).await;
}

/// The area of private prekeys in the store, as `crates/agent` numbers it, and the kind of one-time curve keys.
const ONE_TIME_CURVE: (u8, &[u8]) = (3, &[2]);

#[tokio::test]
async fn ids_that_the_relay_holds_to_be_used_are_spent_and_others_take_their_place() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::unpublished(relay.origin()).await;
    relay.script().refuses_uploads = Some(ErrorCode::Unavailable);
    within("an upload", bob.publish_prekeys()).await.unwrap_err();
    let first = relay.script().uploaded.take().expect("it has arrived");

    relay.script().refuses_uploads = None;
    relay.script().spent = vec![first.one_time_curve[7].clone()];
    within("a round", bob.sync(Duration::ZERO)).await.unwrap();
    let second = relay.script().uploaded.clone().expect("an upload without the key that was used");
    assert_eq!((second.one_time_curve.len(), second.one_time_kem.len()), (100, 100));
    assert_eq!(second.manifest, first.manifest);
    assert!(!second.one_time_curve.iter().any(|key| first.one_time_curve.contains(key)), "all ids are new");
    assert_eq!(bob.stored(ONE_TIME_CURVE.0, ONE_TIME_CURVE.1).len(), 200, "messages may name the old ones");
}

#[tokio::test]
async fn no_ids_are_spent_for_a_manifest_that_the_relay_refuses() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::unpublished(relay.origin()).await;
    relay.script().refuses_uploads = Some(ErrorCode::Unavailable);
    within("an upload", bob.publish_prekeys()).await.unwrap_err();
    let manifest = relay.script().uploaded.take().expect("it has arrived").manifest;
    relay.script().refuses_uploads = None;
    relay.script().spent = vec![manifest];
    for _ in 0..3 {
        within("a round", bob.sync(Duration::ZERO)).await.unwrap();
    }
    assert_eq!(told(&bob).await, [Event::PrekeysRefused { code: "conflict".to_owned() }]);
    assert_eq!(bob.stored(ONE_TIME_CURVE.0, ONE_TIME_CURVE.1).len(), 100);
}

/// What the agent is told, once.
async fn told(agent: &SdkAgent) -> Vec<Event> {
    let noted = agent.events(100).await.unwrap();
    agent.take_events(&noted).await.unwrap();
    noted.into_iter().map(|noted| noted.event).collect()
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_lasting_refusal_of_prekeys_is_told_once_a_day_and_shown_until_they_are_taken() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let bob = SdkAgent::by_clock(relay.origin(), &clock).await;
    let refused = || [Event::PrekeysRefused { code: "expired".to_owned() }];
    clock.advance(WEEK);
    relay.script().refuses_uploads = Some(ErrorCode::Expired);
    for day in 0..2 {
        for round in 0..3 {
            relay.script().uploaded = None;
            within("a round", bob.sync(Duration::ZERO)).await.unwrap();
            assert!(relay.script().uploaded.is_some(), "it is tried again, day {day}, round {round}");
        }
        assert_eq!(told(&bob).await, refused(), "day {day}");
        clock.advance(DAY);
    }
    let status = within("a status", bob.prekey_status()).await.unwrap();
    assert_eq!((status.refused.as_deref(), status.confirmed, status.version), (Some("expired"), None, 2));

    relay.script().refuses_uploads = None;
    within("a round", bob.sync(Duration::ZERO)).await.unwrap();
    let status = within("a status", bob.prekey_status()).await.unwrap();
    assert_eq!((status.refused, status.confirmed.is_some(), status.version), (None, true, 2));
    assert_eq!(told(&bob).await, []);

    // What is refused after that is another matter; a relay that is busy is none.
    clock.advance(WEEK);
    relay.script().refuses_uploads = Some(ErrorCode::Unavailable);
    within("a round", bob.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(told(&bob).await, []);
    relay.script().refuses_uploads = Some(ErrorCode::Expired);
    within("a round", bob.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(told(&bob).await, refused());
}

fn counts(one_time_curve: u64, one_time_kem: u64) -> v1::PrekeyCounts {
    v1::PrekeyCounts { one_time_curve, one_time_kem }
}

#[tokio::test]
async fn fewer_than_ten_one_time_keys_are_told_once_a_day_also_while_a_manifest_is_unconfirmed() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let bob = SdkAgent::by_clock(relay.origin(), &clock).await;
    let round = async || within("a round", bob.sync(Duration::ZERO)).await.unwrap();
    let is_low = async || within("a status", bob.prekey_status()).await.unwrap().is_low;
    relay.script().counts = counts(10, 10);
    round().await;
    assert_eq!((told(&bob).await, is_low().await), (vec![], false), "ten are enough");
    relay.script().counts = counts(100, 9);
    let low = |one_time_curve, one_time_kem| vec![Event::PrekeysLow { one_time_curve, one_time_kem }];
    round().await;
    round().await;
    assert_eq!((told(&bob).await, is_low().await), (low(100, 9), true));
    clock.advance(DAY);
    round().await;
    assert_eq!(told(&bob).await, low(100, 9), "told again while it lasts");
    relay.script().counts = counts(100, 100);
    round().await;
    assert_eq!((told(&bob).await, is_low().await), (vec![], false));

    relay.script().refuses_uploads = Some(ErrorCode::Expired);
    clock.advance(WEEK);
    round().await;
    assert_eq!(told(&bob).await, [Event::PrekeysRefused { code: "expired".to_owned() }]);
    relay.script().counts = counts(3, 100);
    round().await;
    assert_eq!(told(&bob).await, low(3, 100), "with a manifest that is not confirmed");
}

#[tokio::test]
async fn a_first_publication_is_no_shortage() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::unpublished(relay.origin()).await;
    relay.script().counts = counts(0, 0);
    relay.script().refuses_uploads = Some(ErrorCode::Unavailable);
    within("an upload", bob.publish_prekeys()).await.unwrap_err();
    within("a round", bob.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(told(&bob).await, []);
}

#[tokio::test]
async fn an_imported_identity_publishes_above_no_manifest_but_its_own() {
    let relay = ScriptedRelay::start().await;
    let exported = SdkAgent::new(relay.origin()).await.exported().await;
    relay.script().manifest = Some(PlainAgent::new().prekeys().manifest);
    let imported = SdkAgent::imported_unpublished(&exported, relay.origin()).await;
    let published = within("an upload", imported.publish_prekeys()).await;
    assert!(matches!(published, Err(PrekeysError::Relay(RelayError::Answer(_)))), "{published:?}");
}

#[tokio::test]
async fn two_instances_of_one_agent_make_one_set_when_it_is_due() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let bob = SdkAgent::by_clock(relay.origin(), &clock).await;
    let other_bob = bob.reopen(relay.origin()).await;
    clock.advance(WEEK);
    let (one, other) = tokio::join!(bob.sync(Duration::ZERO), other_bob.sync(Duration::ZERO));
    one.unwrap();
    other.unwrap();
    let status = within("a status", bob.prekey_status()).await.unwrap();
    assert_eq!(status.version, 2);
    let (one, other) = tokio::join!(bob.rotate_prekeys(), other_bob.rotate_prekeys());
    let mut versions = [one.unwrap().version, other.unwrap().version];
    versions.sort_unstable();
    assert_eq!(versions, [3, 4], "asked for twice, made twice, one after the other");
}
