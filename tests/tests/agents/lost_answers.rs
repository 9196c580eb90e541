//! The relay did what it was asked, and its answer was lost: the same is asked again, and happens once.

use std::time::Duration;

use futures::StreamExt;
use sealpost_agent::SyncError;
use sealpost_protocol::MessageId;
use sealpost_tests::{
    Proxy, SdkAgent, TestRelay,
    plain::{Carrier, Events, Grpc, PlainAgent, log_in},
    within,
};

use super::{assert_accepted, assert_acknowledged, assert_kept, relay_behind_proxy};

/// Waits until the relay has this event.
async fn await_event(events: &mut Events, kind: &str, id: Option<MessageId>) {
    let is_it = |event: &sealpost_api::v1::Event| {
        event.r#type == kind && id.is_none_or(|id| event.message_id == id.to_string())
    };
    within(kind, async { while !is_it(&events.next().await.expect("the events go on")) {} }).await;
}

/// A plain agent that writes to Bob and hears directly from the relay what becomes of it.
struct Writer {
    agent: PlainAgent,
    carrier: Grpc,
    events: Events,
}

impl Writer {
    async fn to(bob: &SdkAgent, relay: &TestRelay) -> Self {
        let mut agent = PlainAgent::new();
        let mut carrier: Grpc = log_in(&relay.origin(), &agent.identity).await;
        carrier.upload_prekeys(agent.prekeys()).await.unwrap();
        let bundle = carrier.claim_bundle(bob.id(), [1; 16]).await.unwrap();
        agent.open_session(bob.id(), bundle);
        let events = carrier.subscribe(0).await.unwrap();
        Self { agent, carrier, events }
    }

    async fn write(&mut self, bob: &SdkAgent, text: &str) -> MessageId {
        let (id, request) = self.agent.seal(bob.id(), text);
        self.carrier.send(request).await.unwrap();
        id
    }
}

/// Lets `request` reach the relay, whose answer is lost once `has_arrived`.
async fn lose_the_answer<T>(
    proxy: &Proxy,
    request: impl Future<Output = T>,
    has_arrived: impl Future<Output = ()>,
) -> T {
    proxy.hold_answers();
    let cutting = async {
        has_arrived.await;
        proxy.cut();
    };
    let (answer, ()) = within("the request's failure", async { tokio::join!(request, cutting) }).await;
    answer
}

#[tokio::test]
async fn receipts_whose_answer_is_lost_are_given_again_and_count_once() {
    let (relay, proxy) = relay_behind_proxy().await;
    let bob = SdkAgent::new(&proxy.origin()).await;
    let mut writer = Writer::to(&bob, &relay).await;
    for round in 0..3 {
        let id = writer.write(&bob, &format!("message {round}")).await;
        let inbox = bob.sync_inbox().await;
        assert_eq!(inbox.len(), 1);
        bob.take(&[inbox[0].message]).await.unwrap();
        let arrival = await_event(&mut writer.events, "message:acknowledged", Some(id));
        let given = lose_the_answer(&proxy, bob.give_receipts(), arrival).await;
        assert!(matches!(&given, Err(SyncError::Relay(error)) if error.is_passing()), "{given:?}");
        assert_eq!(within("the same receipts again", bob.give_receipts()).await.unwrap(), 1);
        assert_eq!(within("nothing is left to say", bob.give_receipts()).await.unwrap(), 0);
    }
    assert!(bob.sync_inbox().await.is_empty(), "nothing is shown again");
}

#[tokio::test]
async fn a_message_whose_acceptance_is_lost_goes_out_again_and_arrives_once() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (alice, bob) = (SdkAgent::new(&proxy.origin()).await, SdkAgent::new(&relay.origin()).await);
    // With a session, sending is one request.
    alice.send_text(bob.id(), "before").await;
    assert_eq!(bob.take_texts().await, ["before"]);
    let arrival = async {
        let synced = bob.sync(Duration::from_secs(20)).await.unwrap();
        assert_eq!(synced.received, 1);
    };
    let kept = lose_the_answer(&proxy, alice.send_text(bob.id(), "accepted unheard"), arrival).await;
    assert_kept(&kept);
    let after = alice.send_text(bob.id(), "after").await;
    assert_accepted(&after);
    assert_eq!(bob.take_texts().await, ["accepted unheard", "after"]);
    assert_acknowledged(&alice, &[kept.id, after.id]).await;
}

#[tokio::test]
async fn a_page_of_mail_that_is_lost_is_read_again() {
    let (relay, proxy) = relay_behind_proxy().await;
    let bob = SdkAgent::new(&proxy.origin()).await;
    within("a first round, which compares the store", bob.sync(Duration::ZERO)).await.unwrap();
    let mut writer = Writer::to(&bob, &relay).await;
    let id = writer.write(&bob, "read twice").await;
    let arrival = await_event(&mut writer.events, "message:in-transit", Some(id));
    let synced = lose_the_answer(&proxy, bob.sync(Duration::ZERO), arrival).await;
    assert!(matches!(&synced, Err(SyncError::Relay(error)) if error.is_passing()), "{synced:?}");
    assert_eq!(bob.take_texts().await, ["read twice"]);
    await_event(&mut writer.events, "message:acknowledged", Some(id)).await;
}
