//! A relay that lost its data is another node: agents notice, and go on with it once they are told to.

use std::time::Duration;

use sealpost_agent::{RelayError, SendError, SendOutcome, SyncError};
use sealpost_protocol::{DeliveryState, NodeId};
use sealpost_tests::{Proxy, ScriptedRelay, SdkAgent, TestRelay, within};

use super::{assert_accepted, assert_acknowledged, proven_status};

/// Puts another node in the relay's place, and returns which there was and which there is.
async fn replace(relay: &mut TestRelay) -> (NodeId, NodeId) {
    let before = relay.node_id();
    relay.kill().await;
    relay.lose_data();
    relay.restart().await;
    assert_ne!(relay.node_id(), before);
    (before, relay.node_id())
}

/// The first error of a sync that is not passing, as one on a dead connection is.
async fn lasting_error(agent: &SdkAgent) -> RelayError {
    within("an error that lasts", async {
        loop {
            match agent.sync(Duration::ZERO).await {
                Err(SyncError::Relay(error)) if !error.is_passing() => return error,
                Err(SyncError::Relay(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await
}

/// The agent after it was told to trust whichever node it meets.
async fn trust_anew(agent: &SdkAgent, relay: &TestRelay) -> SdkAgent {
    agent.forget_relay(&relay.origin()).await.unwrap();
    let agent = agent.reopen(&relay.origin()).await;
    within("the publication at the new node", agent.publish_prekeys()).await.unwrap();
    agent
}

#[tokio::test]
async fn the_node_that_another_process_of_the_agent_met_first_is_the_one() {
    let (one, other) = (ScriptedRelay::start().await, ScriptedRelay::start().await);
    let proxy = Proxy::listen().await;
    let alice = SdkAgent::unpublished(&proxy.origin()).await;
    let other_alice = alice.reopen(&proxy.origin()).await;
    proxy.lead_to(one.address());
    within("the first contact", alice.publish_prekeys()).await.unwrap();
    proxy.lead_to(other.address());
    proxy.cut();
    let met = within("an answer", other_alice.sync(Duration::ZERO)).await;
    assert!(matches!(met, Err(SyncError::Relay(RelayError::OtherNode { .. }))), "{met:?}");
    assert_eq!(other.script().receives, [], "it is told nothing");
}

#[tokio::test]
async fn another_node_at_a_known_address_is_refused_and_what_was_sent_is_kept() {
    let mut relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    alice.send_text(bob.id(), "at the first node").await;
    assert_eq!(bob.take_texts().await, ["at the first node"]);
    let (before, now) = replace(&mut relay).await;

    let error = lasting_error(&bob).await;
    assert!(
        matches!(error, RelayError::OtherNode { pinned, found, .. } if (pinned, found) == (before, now)),
        "{error:?}"
    );
    let error = lasting_error(&alice).await;
    assert!(matches!(error, RelayError::OtherNode { .. }), "{error:?}");
    let kept = alice.send_text(bob.id(), "to whom?").await;
    let is_kept = matches!(&kept.outcome, SendOutcome::Kept(SendError::Relay(RelayError::OtherNode { .. })));
    assert!(is_kept, "{kept:?}");
    let reopened = alice.reopen(&relay.origin()).await;
    assert!(matches!(lasting_error(&reopened).await, RelayError::OtherNode { .. }), "it is remembered");

    let bob = trust_anew(&bob, &relay).await;
    let alice = trust_anew(&alice, &relay).await;
    within("what was kept goes out", alice.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(bob.take_texts().await, ["to whom?"], "in the session of before");
}

#[tokio::test]
async fn with_a_new_node_receipts_begin_anew_and_those_it_does_not_know_are_set_apart() {
    let mut relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    alice.send_text(bob.id(), "first of the old").await;
    alice.send_text(bob.id(), "second of the old").await;
    assert_eq!(bob.sync_inbox().await.len(), 2);
    replace(&mut relay).await;
    let (alice, bob) = (trust_anew(&alice, &relay).await, trust_anew(&bob, &relay).await);

    let new = alice.send_text(bob.id(), "of the new").await;
    assert_accepted(&new);
    // The receipts for all three go in one batch, and the new node knows one of the messages.
    assert_eq!(bob.take_texts().await, ["first of the old", "second of the old", "of the new"]);
    assert_acknowledged(&alice, &[new.id]).await;

    let next = alice.send_text(bob.id(), "and on").await;
    assert_eq!(bob.take_texts().await, ["and on"]);
    assert_acknowledged(&alice, &[next.id]).await;
    alice.sync_inbox().await;
    assert_eq!(proven_status(&alice, next.id).await.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn receipts_that_were_under_way_to_the_old_node_do_not_stop_those_for_the_new() {
    let mut relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    alice.send_text(bob.id(), "old").await;
    let inbox = bob.sync_inbox().await;
    relay.kill().await;
    bob.take(&[inbox[0].message]).await.unwrap();
    let given = within("a failure", bob.give_receipts()).await;
    assert!(matches!(&given, Err(SyncError::Relay(error)) if error.is_passing()), "{given:?}");
    relay.lose_data();
    relay.restart().await;
    let (alice, bob) = (trust_anew(&alice, &relay).await, trust_anew(&bob, &relay).await);
    let new = alice.send_text(bob.id(), "new").await;
    assert_eq!(bob.take_texts().await, ["new"]);
    assert_acknowledged(&alice, &[new.id]).await;
}
