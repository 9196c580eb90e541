//! The outbox: what holds up whom, what is given up, and the order of what goes out.

use std::time::Duration;

use sealpost_agent::{Event, LocalState, Outgoing, RelayError, SendError, SendOutcome, limits::CONTENT};
use sealpost_protocol::{ErrorCode, MessageId};
use sealpost_tests::{
    HandClock, SdkAgent, TestRelay,
    plain::{Carrier, Grpc, PlainAgent, log_in},
    text, within,
};

use super::{assert_accepted, assert_acknowledged, assert_kept};

/// The area of drafts in the store, as `crates/agent` numbers it.
const SENT: u8 = 8;

#[tokio::test]
async fn a_message_that_cannot_be_sealed_holds_up_no_one_elses() {
    let relay = TestRelay::start().await;
    let clock = HandClock::now();
    let alice = SdkAgent::by_clock(&relay.origin(), &clock).await;
    let bob = SdkAgent::new(&relay.origin()).await;
    // Short of what a relay takes for a clock that is wrong.
    let life = Duration::from_secs(20);
    let lapsed = PlainAgent::whose_manifest_lasts(life);
    let mut carrier: Grpc = log_in(&relay.origin(), &lapsed.identity).await;
    carrier.upload_prekeys(lapsed.prekeys()).await.unwrap();
    clock.advance(life + Duration::from_secs(1));

    let kept = alice.send_text(lapsed.id(), "under an expired key").await;
    let is_kept = matches!(&kept.outcome, SendOutcome::Kept(SendError::Bundle { agent, .. }) if *agent == lapsed.id());
    assert!(is_kept, "{kept:?}");
    let sent = alice.send_text(bob.id(), "to someone else").await;
    assert_accepted(&sent);
    assert_eq!(bob.take_texts().await, ["to someone else"]);
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    assert_acknowledged(&alice, &[sent.id]).await;
}

#[tokio::test]
async fn a_message_to_an_unknown_recipient_is_refused_for_good() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let unknown = SdkAgent::unpublished(&relay.origin()).await;
    let refused = within("a refusal", alice.send(Outgoing::to([unknown.id()], text("hello?")))).await;
    let Err(SendError::Relay(RelayError::Refused { code, .. })) = refused else { panic!("{refused:?}") };
    assert_eq!(code, ErrorCode::UnknownRecipient);
    assert_accepted(&alice.send_text(bob.id(), "hello").await);
    unknown.publish_prekeys().await.unwrap();
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    assert!(unknown.take_texts().await.is_empty(), "what was refused for good does not come later");
}

#[tokio::test]
async fn a_message_refused_while_it_waited_is_noted_as_not_sent() {
    let mut relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    let unknown = SdkAgent::unpublished(&relay.origin()).await;
    relay.kill().await;
    let kept = alice.send_text(unknown.id(), "hello?").await;
    assert_kept(&kept);
    assert_eq!(alice.status(kept.id).await.unwrap().local, LocalState::Kept);
    relay.restart().await;
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    let expected = LocalState::Unsent("unknown-recipient".to_owned());
    assert_eq!(alice.status(kept.id).await.unwrap().local, expected);
    let events = alice.events(10).await.unwrap();
    let told = Event::Unsent { message: kept.id, code: "unknown-recipient".to_owned() };
    assert_eq!(events.iter().map(|noted| &noted.event).collect::<Vec<_>>(), [&told]);
    alice.take_events(&events).await.unwrap();
    assert_eq!(alice.events(10).await.unwrap(), []);
}

#[tokio::test]
async fn messages_kept_while_the_relay_was_down_go_out_in_the_order_they_were_sent() {
    let mut relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    alice.send_text(bob.id(), "0").await;
    relay.kill().await;
    let mut ids: Vec<MessageId> = Vec::new();
    for number in 1..=100 {
        let kept = alice.send_text(bob.id(), &number.to_string()).await;
        assert_kept(&kept);
        ids.push(kept.id);
    }
    relay.restart().await;
    within("what was kept goes out", alice.sync(Duration::ZERO)).await.unwrap();
    let expected: Vec<_> = (0..=100).map(|number| number.to_string()).collect();
    assert_eq!(bob.take_texts().await, expected);
    assert_acknowledged(&alice, &ids).await;
}

#[tokio::test]
async fn two_instances_of_one_agent_send_at_once_and_each_message_arrives_once() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let other_alice = alice.reopen(&relay.origin()).await;
    let send_all = async |sender: &SdkAgent, name: &str| {
        for number in 0..40 {
            assert_accepted(&sender.send_text(bob.id(), &format!("{name} {number}")).await);
        }
    };
    tokio::join!(send_all(&alice, "one"), send_all(&other_alice, "other"));
    let texts = bob.take_texts().await;
    for name in ["one", "other"] {
        let from_it: Vec<_> = texts.iter().filter(|text| text.starts_with(&format!("{name} "))).cloned().collect();
        assert_eq!(from_it, (0..40).map(|number| format!("{name} {number}")).collect::<Vec<_>>());
    }
    assert_eq!(texts.len(), 80);
}

#[tokio::test]
async fn a_content_for_several_is_sealed_once_as_a_body_and_each_of_them_reads_it() {
    let relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(SdkAgent::new(&relay.origin()).await);
    }
    let to: Vec<_> = peers.iter().map(|peer| peer.id()).collect();
    for length in [40_000, CONTENT] {
        let words = "x".repeat(length);
        let sent = within("an answer", alice.send(Outgoing::to(to.clone(), text(&words)))).await.unwrap();
        assert_accepted(&sent);
        for peer in &peers {
            assert_eq!(peer.take_texts().await, std::slice::from_ref(&words));
        }
        let rows: usize = alice.stored(SENT, &[]).iter().map(|(_, length)| length).sum();
        assert!(rows < 4_000, "the row holds a key and no content: {rows} bytes");
    }
}
