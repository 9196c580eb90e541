//! A node that lost its ledger, or was given an old copy of it: agents notice by themselves and begin anew.

use std::time::Duration;

use sealpost_agent::{Outgoing, SendOutcome};
use sealpost_tests::{SdkAgent, TestRelay, text, within};

use super::{assert_accepted, assert_acknowledged};

/// Two agents, of whom each has written and given receipts.
async fn friends(relay: &TestRelay) -> [SdkAgent; 2] {
    let friends = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    converse(&friends).await;
    friends
}

/// Each writes to the other, who takes it; both know that it has arrived.
async fn converse([alice, bob]: &[SdkAgent; 2]) {
    for (from, to) in [(alice, bob), (bob, alice)] {
        let sent = from.send_text(to.id(), "hello").await;
        assert_accepted(&sent);
        assert_eq!(to.take_texts().await, ["hello"]);
        assert_acknowledged(from, &[sent.id]).await;
    }
}

/// Syncs until the connection of before has been replaced.
async fn reconnect(agents: &[SdkAgent; 2]) {
    for agent in agents {
        within("a sync with the relay of now", async {
            while let Err(error) = agent.sync(Duration::ZERO).await {
                assert!(error.to_string().contains("does not answer"), "{error}");
            }
        })
        .await;
    }
}

async fn one_time_keys(agent: &SdkAgent) -> (u64, u64) {
    let status = within("the prekeys' status", agent.prekey_status()).await.unwrap();
    (status.one_time_curve, status.one_time_kem)
}

#[tokio::test]
async fn after_a_lost_ledger_agents_publish_again_and_go_on_without_being_told() {
    let mut relay = TestRelay::start().await;
    let friends = friends(&relay).await;
    let node = relay.node_id();
    relay.kill().await;
    relay.lose_ledger();
    relay.restart().await;
    assert_eq!(relay.node_id(), node);
    reconnect(&friends).await;
    for agent in &friends {
        assert_eq!(one_time_keys(agent).await, (100, 100));
    }
    converse(&friends).await;
    let stranger = SdkAgent::new(&relay.origin()).await;
    let sent = stranger.send_text(friends[0].id(), "a first message").await;
    assert_accepted(&sent);
    assert_eq!(friends[0].take_texts().await, ["a first message"]);
}

#[tokio::test]
async fn after_a_copy_was_put_back_what_it_kept_arrives_once_and_receipts_go_on() {
    let mut relay = TestRelay::start().await;
    let friends = friends(&relay).await;
    let [alice, bob] = &friends;
    let waiting = alice.send_text(bob.id(), "in the copy").await;
    relay.kill().await;
    let copy = relay.copy_ledger();
    relay.restart().await;
    reconnect(&friends).await;
    assert_eq!(bob.take_texts().await, ["in the copy"]);
    converse(&friends).await;

    relay.kill().await;
    relay.put_back(&copy);
    relay.restart_with(&["--restored"]).await;
    reconnect(&friends).await;
    assert_eq!(bob.take_texts().await, Vec::<String>::new(), "it was taken before");
    assert_acknowledged(alice, &[waiting.id]).await;
    for agent in &friends {
        assert_eq!(one_time_keys(agent).await, (100, 100), "none of the copy's");
    }
    converse(&friends).await;
}

#[tokio::test]
async fn mail_to_one_whom_a_copy_has_forgotten_waits_until_it_has_been_there_again() {
    let mut relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    relay.kill().await;
    let copy = relay.copy_ledger();
    relay.restart().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let friends = [alice, bob];
    reconnect(&friends).await;
    converse(&friends).await;

    relay.kill().await;
    relay.put_back(&copy);
    relay.restart_with(&["--restored"]).await;
    let [alice, bob] = &friends;
    within("a connection to the relay of now", async {
        while let Err(error) = alice.sync(Duration::ZERO).await {
            assert!(error.to_string().contains("does not answer"), "{error}");
        }
    })
    .await;
    let kept = alice.send_text(bob.id(), "to whom it has forgotten").await;
    let SendOutcome::Kept(why) = &kept.outcome else { panic!("{kept:?}") };
    assert_eq!(why.code(), "unknown-recipient");
    reconnect(&friends).await;
    assert_accepted(&alice.send_text(bob.id(), "since it is back").await);
    assert_eq!(bob.take_texts().await, ["to whom it has forgotten", "since it is back"]);
    let nobody = SdkAgent::unpublished(&relay.origin()).await;
    let refused = within("a refusal", alice.send(Outgoing::to([nobody.id()], text("hello")))).await;
    assert!(refused.is_err_and(|error| error.code() == "unknown-recipient"), "who never was there is refused for good");
}

/// Where `crates/agent` keeps private prekeys, and the kind of one-time curve keys.
const PREKEYS: u8 = 3;
const ONE_TIME_CURVE: [u8; 1] = [2];

#[tokio::test]
async fn who_goes_to_and_fro_between_two_relays_publishes_once_at_each() {
    let relays = [TestRelay::start().await, TestRelay::start().await];
    let bob = SdkAgent::new(&relays[0].origin()).await;
    for round in 0..3 {
        for (relay, version) in relays.iter().zip([1, 1]) {
            let bob = bob.reopen(&relay.origin()).await;
            within("a round", bob.sync(Duration::ZERO)).await.unwrap();
            let status = within("the prekeys' status", bob.prekey_status()).await.unwrap();
            assert_eq!((status.version, status.one_time_curve, status.one_time_kem), (version, 100, 100), "{round}");
            assert!(status.confirmed.is_some());
        }
    }
    assert_eq!(bob.stored(PREKEYS, &ONE_TIME_CURVE).len(), 200, "a set for each");
    within("a rotation", bob.rotate_prekeys()).await.unwrap();
    let other = bob.reopen(&relays[1].origin()).await;
    within("a round", other.sync(Duration::ZERO)).await.unwrap();
    for relay in &relays {
        let stranger = SdkAgent::new(&relay.origin()).await;
        assert_accepted(&stranger.send_text(bob.id(), "hello").await);
        assert_eq!(bob.reopen(&relay.origin()).await.take_texts().await, ["hello"]);
    }
    let versions = async |relay: &TestRelay| {
        let bob = bob.reopen(&relay.origin()).await;
        within("the prekeys' status", bob.prekey_status()).await.unwrap().version
    };
    assert_eq!((versions(&relays[0]).await, versions(&relays[1]).await), (2, 2));
}
