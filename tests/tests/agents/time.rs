//! What only time brings about, by a clock that is turned by hand.

use std::time::Duration;

use sealpost_agent::{Event, LocalState, SendOutcome};
use sealpost_api::v1;
use sealpost_protocol::{Clock, CurveKey, ErrorCode, OneTimePrekey, SignedManifest, encoding::Decode};
use sealpost_tests::{HandClock, ScriptedRelay, SdkAgent, plain::PlainAgent, within, words};

use super::{
    assert_accepted, assert_kept,
    damage::{bundle, entry},
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Areas of the store, as `crates/agent` numbers them.
const PREKEYS: u8 = 3;
const SENT: u8 = 8;

/// Kinds of prekeys, and the names of the first two signed ones.
const ONE_TIME_CURVE: [u8; 1] = [2];
const SIGNED: [u8; 1] = [1];
const FIRST_SIGNED: [u8; 5] = [1, 0, 0, 0, 1];
const SECOND_SIGNED: [u8; 5] = [1, 0, 0, 0, 2];

fn published_version(relay: &ScriptedRelay) -> u64 {
    let manifest = relay.script().uploaded.as_ref().expect("an upload").manifest.clone();
    SignedManifest::from_bytes(&manifest).unwrap().fields().version
}

async fn sync(agent: &SdkAgent) {
    within("a round", agent.sync(Duration::ZERO)).await.unwrap();
}

#[tokio::test]
async fn the_keys_of_a_manifest_are_replaced_weekly_and_erased_31_days_after_that() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let bob = SdkAgent::by_clock(relay.origin(), &clock).await;
    clock.advance(7 * DAY - SECOND);
    sync(&bob).await;
    assert_eq!(published_version(&relay), 1);
    clock.advance(SECOND);
    sync(&bob).await;
    assert_eq!(published_version(&relay), 2);

    clock.advance(31 * DAY);
    sync(&bob).await;
    assert_eq!(published_version(&relay), 3);
    let signed = |bob: &SdkAgent| bob.stored(PREKEYS, &SIGNED).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(signed(&bob)[0], FIRST_SIGNED, "a message of the last day still opens");
    clock.advance(SECOND);
    sync(&bob).await;
    assert_eq!(signed(&bob)[0], SECOND_SIGNED);
    assert_eq!(signed(&bob).len(), 2);
}

#[tokio::test]
async fn one_time_keys_are_erased_31_days_after_nobody_may_begin_with_them() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let bob = SdkAgent::by_clock(relay.origin(), &clock).await;
    clock.advance((180 + 31) * DAY);
    sync(&bob).await;
    assert_eq!(bob.stored(PREKEYS, &ONE_TIME_CURVE).len(), 100);
    clock.advance(7 * DAY);
    sync(&bob).await;
    assert_eq!(bob.stored(PREKEYS, &ONE_TIME_CURVE).len(), 0, "with the next rotation");
}

#[tokio::test]
async fn a_draft_whose_life_is_over_is_not_sent_and_that_is_told() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let (alice, bob) = (SdkAgent::by_clock(relay.origin(), &clock).await, PlainAgent::new());
    relay.script().bundle = Some(v1::PrekeyBundle { manifest: bob.prekeys().manifest, ..Default::default() });
    relay.script().refuses_tokens = Some(ErrorCode::Unavailable);
    let alice = alice.reopen(relay.origin()).await;
    let kept = alice.send_text(bob.id(), "hello").await;
    assert_kept(&kept);
    clock.advance(30 * DAY + SECOND);
    relay.script().refuses_tokens = None;
    sync(&alice).await;
    let status = within("a status", alice.status(kept.id)).await.unwrap();
    assert_eq!(status.local, LocalState::Unsent("expired".to_owned()));
    let events: Vec<_> = alice.events(10).await.unwrap().into_iter().map(|noted| noted.event).collect();
    assert_eq!(events, [Event::Unsent { message: kept.id, code: "expired".to_owned() }]);
    assert_eq!(relay.script().sends, 0);
}

#[tokio::test]
async fn keys_that_both_clocks_have_dated_ahead_are_replaced_once_they_are_right() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let bob = SdkAgent::by_clock(relay.origin(), &clock).await;
    clock.advance(20 * DAY);
    relay.script().refuses_uploads = Some(ErrorCode::Expired);
    within("a refused rotation", bob.rotate_prekeys()).await.unwrap_err();
    assert_eq!(published_version(&relay), 2);
    relay.script().counts = v1::PrekeyCounts::default();
    sync(&bob).await;
    let told: Vec<_> = bob.events(10).await.unwrap().into_iter().map(|noted| noted.event).collect();
    assert!(told.contains(&Event::PrekeysRefused { code: "expired".to_owned() }), "{told:?}");
    clock.turn_back(20 * DAY);
    relay.script().refuses_uploads = None;
    relay.script().uploaded = None;
    sync(&bob).await;
    assert_eq!(published_version(&relay), 3);
    let upload = relay.script().uploaded.clone().expect("an upload");
    let latest = clock.now();
    assert!(SignedManifest::from_bytes(&upload.manifest).unwrap().fields().created <= latest);
    assert_eq!(upload.one_time_curve.len(), 100);
    for key in &upload.one_time_curve {
        assert!(OneTimePrekey::<CurveKey>::from_bytes(key).unwrap().prekey.created <= latest);
    }
}

#[tokio::test]
async fn a_draft_that_a_fast_clock_has_dated_ahead_is_told_and_holds_nobody_up() {
    let (relay, clock) = (ScriptedRelay::start().await, HandClock::now());
    let (alice, bob) = (SdkAgent::by_clock(relay.origin(), &clock).await, PlainAgent::new());
    relay.script().bundle = Some(v1::PrekeyBundle { manifest: bob.prekeys().manifest, ..Default::default() });
    let alice = {
        relay.script().refuses_tokens = Some(ErrorCode::Unavailable);
        alice.reopen(relay.origin()).await
    };
    clock.advance(4 * 60 * SECOND);
    let nearly = alice.send_text(bob.id(), "nearly right").await;
    clock.advance(DAY);
    let ahead = alice.send_text(bob.id(), "ahead").await;
    assert_kept(&ahead);
    clock.turn_back(DAY + 4 * 60 * SECOND);
    let alice = alice.reopen(relay.origin()).await;
    let after = alice.send_text(bob.id(), "after").await;
    assert_kept(&after);
    relay.script().refuses_tokens = None;
    sync(&alice).await;
    let local = async |id| within("a status", alice.status(id)).await.unwrap().local;
    assert_eq!(local(ahead.id).await, LocalState::Unsent("clock-skew".to_owned()));
    assert!(matches!(local(nearly.id).await, LocalState::Accepted(_)));
    assert!(matches!(local(after.id).await, LocalState::Accepted(_)));
    let events: Vec<_> = alice.events(10).await.unwrap().into_iter().map(|noted| noted.event).collect();
    assert_eq!(events, [Event::Unsent { message: ahead.id, code: "clock-skew".to_owned() }]);
    assert_eq!(relay.script().sends, 2, "no key was spent on it");
}

#[tokio::test]
async fn what_was_sealed_by_a_fast_clock_waits_until_the_clock_is_right_and_is_told_then() {
    let (relay, clock) = (ScriptedRelay::start().await, HandClock::now());
    let (alice, bob) = (SdkAgent::by_clock(relay.origin(), &clock).await, PlainAgent::new());
    relay.script().bundle = Some(v1::PrekeyBundle { manifest: bob.prekeys().manifest, ..Default::default() });
    clock.advance(DAY);
    relay.script().refuses_messages = Some(ErrorCode::ClockSkew);
    let sent = alice.send_text(bob.id(), "ahead").await;
    assert!(matches!(&sent.outcome, SendOutcome::Kept(error) if error.code() == "clock-skew"), "{sent:?}");
    let local = async || within("a status", alice.status(sent.id)).await.unwrap().local;
    assert_eq!(local().await, LocalState::Kept, "the clock here may be the one that is wrong, or the relay's");
    clock.turn_back(DAY);
    assert_eq!(local().await, LocalState::Unsent("clock-skew".to_owned()));
}

#[tokio::test]
async fn the_relays_bare_word_that_a_life_is_over_erases_nothing() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let (alice, bob) = (SdkAgent::by_clock(relay.origin(), &clock).await, PlainAgent::new());
    relay.script().bundle = Some(v1::PrekeyBundle { manifest: bob.prekeys().manifest, ..Default::default() });
    let sent = alice.send_text(bob.id(), &"x".repeat(10_000)).await;
    assert_accepted(&sent);
    let expired = v1::DeliveryStatus {
        recipient: bob.id().to_string(),
        attempt: 1,
        state: "failed".to_owned(),
        reason: "expired".to_owned(),
        ..v1::DeliveryStatus::default()
    };
    relay.script().statuses.insert(sent.id.to_string(), vec![expired]);
    let stored = |alice: &SdkAgent| alice.stored(SENT, sent.id.as_bytes())[0].1;
    clock.advance(30 * DAY - SECOND);
    within("a status", alice.status(sent.id)).await.unwrap();
    assert!(stored(&alice) > 10_000, "its life is not over");
    clock.advance(SECOND);
    within("a status", alice.status(sent.id)).await.unwrap();
    assert!(stored(&alice) < 1_000, "now it is");
}

#[tokio::test]
async fn messages_stay_in_order_when_the_clock_goes_back() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let alice = SdkAgent::by_clock(relay.origin(), &clock).await;
    let mut carol = PlainAgent::new();
    carol.open_session(alice.id(), bundle(&relay));
    for (number, words) in (1..).zip(["1", "2", "3"]) {
        let entry = entry(number, &mut carol, &alice, words);
        relay.script().mailbox.push(entry);
        sync(&alice).await;
        clock.turn_back(60 * SECOND);
    }
    let inbox = alice.inbox().await;
    assert_eq!(inbox.iter().map(words).collect::<Vec<_>>(), ["1", "2", "3"]);

    let names: Vec<_> = inbox.iter().map(|message| message.message).collect();
    alice.take(&names).await.unwrap();
    let fourth = entry(4, &mut carol, &alice, "4");
    relay.script().mailbox.push(fourth);
    sync(&alice).await;
    let behind = alice.unread(inbox.last().map(|last| &last.arrival), 10).await.unwrap();
    assert_eq!(behind.iter().map(words).collect::<Vec<_>>(), ["4"], "it comes behind what was shown before");
}

#[tokio::test]
async fn a_token_is_replaced_shortly_before_its_end() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let alice = SdkAgent::by_clock(relay.origin(), &clock).await;
    clock.advance(59 * 60 * SECOND);
    sync(&alice).await;
    assert_eq!(relay.script().tokens, 1);
    clock.advance(31 * SECOND);
    sync(&alice).await;
    assert_eq!(relay.script().tokens, 2);
}
