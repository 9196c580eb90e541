//! An old copy of an agent's store that is put back seals nothing with used keys.

use std::time::Duration;

use sealpost_agent::{Event, Mark, Marked};
use sealpost_tests::{SdkAgent, TestRelay, within};

use super::{assert_accepted, assert_acknowledged};

async fn restored_copies(agent: &SdkAgent) -> usize {
    let events = agent.events(100).await.unwrap();
    agent.take_events(&events).await.unwrap();
    events.iter().filter(|noted| matches!(noted.event, Event::RestoredCopy { .. })).count()
}

#[tokio::test]
async fn a_copy_that_is_behind_in_what_it_sent_begins_anew_and_its_messages_are_opened() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    alice.send_text(bob.id(), "one").await;
    assert_eq!(bob.take_texts().await, ["one"]);
    bob.send_text(alice.id(), "heard").await;
    assert_eq!(alice.take_texts().await, ["heard"]);
    let backup = alice.backup();
    for words in ["two", "three"] {
        alice.send_text(bob.id(), words).await;
    }
    drop(alice);
    let alice = SdkAgent::restored(backup, &relay.origin()).await;
    let version = alice.prekey_status().await.unwrap().version;
    let sent = alice.send_text(bob.id(), "after a restoration").await;
    assert_accepted(&sent);
    assert_eq!(restored_copies(&alice).await, 1);
    assert_eq!(bob.take_texts().await, ["two", "three", "after a restoration"], "with used keys it would not open");
    assert_acknowledged(&alice, &[sent.id]).await;
    let status = alice.prekey_status().await.unwrap();
    assert!(status.version > version && status.confirmed.is_some(), "{status:?}");

    let again = alice.reopen(&relay.origin()).await;
    assert_accepted(&again.send_text(bob.id(), "and on").await);
    assert_eq!(restored_copies(&again).await, 0, "once");
    assert_eq!(bob.take_texts().await, ["and on"]);
}

#[tokio::test]
async fn a_copy_that_is_behind_in_its_prekeys_begins_anew_too() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let backup = alice.backup();
    let version = alice.rotate_prekeys().await.unwrap().version;
    drop(alice);
    let alice = SdkAgent::restored(backup, &relay.origin()).await;
    assert_accepted(&alice.send_text(bob.id(), "hello").await);
    assert_eq!(restored_copies(&alice).await, 1);
    assert_eq!(alice.prekey_status().await.unwrap().version, version + 1);
    bob.send_text(alice.id(), "hello").await;
    assert_eq!(alice.take_texts().await, ["hello"]);
}

#[tokio::test]
async fn a_store_that_has_lost_nothing_is_no_copy_however_often_it_is_opened() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    for _ in 0..5 {
        let alice = alice.reopen(&relay.origin()).await;
        let (one, other) = tokio::join!(alice.send_text(bob.id(), "x"), alice.send_text(bob.id(), "x"));
        assert_accepted(&one);
        assert_accepted(&other);
        within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
        assert_eq!(restored_copies(&alice).await, 0);
        assert_eq!(bob.take_texts().await.len(), 2);
    }
}

#[tokio::test]
async fn a_copy_without_the_one_time_keys_that_the_relay_has_is_found_out_once() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let hear_from = async |strangers: usize| {
        for _ in 0..strangers {
            let stranger = SdkAgent::new(&relay.origin()).await;
            assert_accepted(&stranger.send_text(alice.id(), "hello").await);
        }
        assert_eq!(alice.take_texts().await.len(), strangers);
    };
    hear_from(40).await;
    let backup = alice.backup();
    hear_from(20).await; // and the set is filled up
    drop(alice);
    let alice = SdkAgent::restored(backup, &relay.origin()).await;
    for _ in 0..3 {
        let alice = alice.reopen(&relay.origin()).await;
        assert_accepted(&alice.send_text(bob.id(), "x").await);
    }
    assert_eq!(restored_copies(&alice).await, 1);
}

#[tokio::test]
async fn a_copy_that_is_behind_in_control_messages_alone_is_found_out_by_the_highest_of_their_ids() {
    let relay = TestRelay::start().await;
    for marks_after_the_copy in [0, 1] {
        let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
        let sent = alice.send_text(bob.id(), "one").await;
        assert_accepted(&sent);
        assert_eq!(bob.take_texts().await, ["one"]);
        let typing = Mark { read: None, typing: true };
        assert!(matches!(bob.mark(alice.id(), typing).await.unwrap(), Marked::Told));
        within("a sync", bob.sync(Duration::ZERO)).await.unwrap();
        let backup = bob.backup();
        // No message of his is accepted after the copy, no receipt given, no key published.
        for _ in 0..marks_after_the_copy {
            let read = Mark { read: Some(sent.id), typing: false };
            assert!(matches!(bob.mark(alice.id(), read).await.unwrap(), Marked::Told));
        }
        drop(bob);
        let bob = SdkAgent::restored(backup, &relay.origin()).await;
        within("a sync", bob.sync(Duration::ZERO)).await.unwrap();
        assert_eq!(restored_copies(&bob).await, marks_after_the_copy, "and only then");
        assert_accepted(&bob.send_text(alice.id(), "two").await);
        assert_eq!(alice.take_texts().await, ["two"], "with used keys it would not open");
        assert_eq!(restored_copies(&bob).await, 0, "once");
    }
}
