//! A recipient that cannot open what it gets says so under its signature, and gets it again, sealed anew.

use std::time::Duration;

use sealpost_agent::{Event, ReceiptCheck};
use sealpost_api::v1;
use sealpost_protocol::{
    DeliveryState, Envelope, MessageId, RefusalReason, Verdict,
    encoding::{Decode, Encode},
};
use sealpost_tests::{
    SdkAgent, TestRelay,
    plain::{Carrier, Grpc, PlainAgent, log_in},
    within,
};

/// A recipient that signs what the test tells it to.
struct Recipient {
    agent: PlainAgent,
    carrier: Grpc,
}

impl Recipient {
    async fn new(relay: &TestRelay) -> Self {
        let agent = PlainAgent::new();
        let mut carrier: Grpc = log_in(&relay.origin(), &agent.identity).await;
        carrier.upload_prekeys(agent.prekeys()).await.unwrap();
        Self { agent, carrier }
    }

    /// Reads its one message and signs `verdict` for it. Returns its text, its attempt and its session.
    async fn answer(&mut self, verdict: Verdict) -> (String, u32, [u8; 16]) {
        let page = self.carrier.receive(v1::ReceiveRequest::default()).await.unwrap();
        assert_eq!(page.entries.len(), 1, "{page:?}");
        let entry = &page.entries[0];
        let opened = self.agent.open(entry);
        let batch = self.agent.sign_receipt(&opened, verdict);
        self.carrier.acknowledge(batch.to_bytes()).await.unwrap();
        (opened.text, entry.attempt, Envelope::from_bytes(&entry.envelope).unwrap().header.session)
    }
}

async fn events(agent: &SdkAgent) -> Vec<Event> {
    let noted = agent.events(100).await.unwrap();
    agent.take_events(&noted).await.unwrap();
    noted.into_iter().map(|noted| noted.event).collect()
}

async fn delivery(agent: &SdkAgent, id: MessageId) -> (DeliveryState, u16, ReceiptCheck) {
    let status = within("a status", agent.status(id)).await.unwrap();
    let delivery = &status.deliveries[0];
    (delivery.status.state, delivery.status.attempt.number(), delivery.receipt)
}

#[tokio::test]
async fn a_message_that_could_not_be_opened_is_sealed_anew_in_another_session() {
    let relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    let mut bob = Recipient::new(&relay).await;
    for reason in [RefusalReason::Undecryptable, RefusalReason::UnknownSession, RefusalReason::UnknownPrekey] {
        let sent = alice.send_text(bob.agent.id(), "hello").await;
        let (_, attempt, first) = bob.answer(Verdict::Refused(reason)).await;
        assert_eq!(attempt, 1);
        within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
        let noted = events(&alice).await;
        let [Event::SealedAnew { message, recipient, attempt, reason: told }] = noted.as_slice() else {
            panic!("{noted:?}")
        };
        assert_eq!((*message, *recipient, attempt.number(), *told), (sent.id, bob.agent.id(), 2, reason));

        let (text, attempt, second) = bob.answer(Verdict::Stored).await;
        assert_eq!((text.as_str(), attempt), ("hello", 2));
        assert_ne!(first, second, "the session that failed is not used again");
        assert_eq!(delivery(&alice, sent.id).await, (DeliveryState::Delivered, 2, ReceiptCheck::Verified));
        alice.send_text(bob.agent.id(), "and on").await;
        let (text, _, third) = bob.answer(Verdict::Stored).await;
        assert_eq!((text.as_str(), third), ("and on", second), "the new session goes on");
        within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
        assert_eq!(events(&alice).await, []);
    }
}

#[tokio::test]
async fn a_status_renews_too_and_a_message_is_sealed_three_times_at_most() {
    let relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    let mut bob = Recipient::new(&relay).await;
    let sent = alice.send_text(bob.agent.id(), "hello").await;
    let mut sessions = Vec::new();
    for attempt in 1..=3 {
        let (text, found, session) = bob.answer(Verdict::Refused(RefusalReason::Undecryptable)).await;
        assert_eq!((text.as_str(), found), ("hello", attempt));
        sessions.push(session);
        let (state, now, _) = delivery(&alice, sent.id).await;
        assert_eq!(state.is_waiting(), attempt < 3, "{state:?}");
        assert_eq!(u32::from(now), (attempt + 1).min(3));
    }
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 3);
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    let told = events(&alice).await;
    let refused = |event: &&Event| matches!(event, Event::Refused { message, .. } if *message == sent.id);
    assert_eq!(told.iter().filter(refused).count(), 1, "{told:?}");
}

#[tokio::test]
async fn what_waits_to_be_sealed_anew_survives_a_relay_that_is_down_and_a_new_process() {
    let mut relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    let mut bob = Recipient::new(&relay).await;
    let sent = alice.send_text(bob.agent.id(), "hello").await;
    let other = alice.send_text(bob.agent.id(), "no news").await;
    let page = bob.carrier.receive(v1::ReceiveRequest::default()).await.unwrap();
    let opened = bob.agent.open(&page.entries[0]);
    let batch = bob.agent.sign_receipt(&opened, Verdict::Refused(RefusalReason::UnknownSession));
    bob.carrier.acknowledge(batch.to_bytes()).await.unwrap();
    assert_eq!(delivery(&alice, sent.id).await.1, 2);
    relay.kill().await;
    let status = within("a status", alice.reopen(&relay.origin()).await.status(other.id)).await.unwrap();
    assert!(status.outdated.is_some() && status.deliveries.is_empty(), "{status:?}");
    let status = within("a status", alice.reopen(&relay.origin()).await.status(sent.id)).await.unwrap();
    assert!(status.outdated.is_some(), "{status:?}");
    assert_eq!(status.deliveries[0].status.attempt.number(), 2, "what was known is told");
    relay.restart().await;
    let mut bob = Recipient { carrier: log_in(&relay.origin(), &bob.agent.identity).await, agent: bob.agent };
    let page = bob.carrier.receive(v1::ReceiveRequest::default()).await.unwrap();
    let texts: Vec<_> = page.entries.iter().map(|entry| bob.agent.open(entry).text).collect();
    assert_eq!(texts, ["no news", "hello"]);
}

#[tokio::test]
async fn a_refusal_by_policy_is_final_and_told() {
    let relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    let mut bob = Recipient::new(&relay).await;
    let sent = alice.send_text(bob.agent.id(), "hello").await;
    bob.answer(Verdict::Refused(RefusalReason::Policy)).await;
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    let expected = Event::Refused { message: sent.id, recipient: bob.agent.id(), reason: RefusalReason::Policy };
    assert_eq!(events(&alice).await, [expected]);
    assert_eq!(delivery(&alice, sent.id).await.1, 1);
}
