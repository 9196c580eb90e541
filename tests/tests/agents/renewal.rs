//! A recipient that cannot open what it gets says so under its signature, and gets it again, sealed anew.

use std::{sync::Arc, time::Duration};

use sealpost_agent::{Event, ReceiptCheck, WaitingState};
use sealpost_api::v1;
use sealpost_protocol::{
    DeliveryState, Envelope, FailureReason, MessageId, RefusalReason, Verdict,
    encoding::{Decode, Encode},
};
use sealpost_tests::{
    SdkAgent, ShiftedClock, TestRelay,
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
        Self::with(relay, PlainAgent::new()).await
    }

    async fn with(relay: &TestRelay, agent: PlainAgent) -> Self {
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

/// What must pass before a session that was just opened may be renewed.
const A_WHILE: Duration = Duration::from_secs(61);

async fn alice_and_bob(relay: &TestRelay) -> (SdkAgent, Arc<ShiftedClock>, Recipient) {
    let clock = Arc::new(ShiftedClock::default());
    let alice = SdkAgent::by_clock(&relay.origin(), &clock).await;
    (alice, clock, Recipient::new(relay).await)
}

#[tokio::test]
async fn a_clock_that_is_ahead_keeps_no_message_from_being_sealed_anew_and_replaces_no_prekeys() {
    let relay = TestRelay::start().await;
    let (alice, clock, _) = alice_and_bob(&relay).await;
    let (a_week, a_month) = (Duration::from_secs(8 * 24 * 3600), Duration::from_secs(30 * 24 * 3600));
    let mut bob = Recipient::with(&relay, PlainAgent::whose_manifest_lasts(a_month)).await;
    let sent = alice.send_text(bob.agent.id(), "hello").await;
    bob.answer(Verdict::Refused(RefusalReason::Undecryptable)).await;
    clock.advance(a_week);
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    let noted = events(&alice).await;
    assert_eq!(within("prekeys", alice.prekey_status()).await.unwrap().version, 1);
    let is_anew = |event: &Event| matches!(event, Event::SealedAnew { message, .. } if *message == sent.id);
    assert!(noted.iter().any(is_anew), "{noted:?}");
    let (text, attempt, _) = bob.answer(Verdict::Stored).await;
    assert_eq!((text.as_str(), attempt), ("hello", 2));
}

#[tokio::test]
async fn a_message_that_could_not_be_opened_is_sealed_anew_in_another_session() {
    let relay = TestRelay::start().await;
    let (alice, clock, mut bob) = alice_and_bob(&relay).await;
    for reason in [RefusalReason::Undecryptable, RefusalReason::UnknownSession, RefusalReason::UnknownPrekey] {
        let sent = alice.send_text(bob.agent.id(), "hello").await;
        let (_, attempt, first) = bob.answer(Verdict::Refused(reason)).await;
        assert_eq!(attempt, 1);
        clock.advance(A_WHILE);
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
async fn a_young_session_is_not_renewed_and_the_message_waits_without_holding_up_others() {
    let relay = TestRelay::start().await;
    let (alice, clock, mut bob) = alice_and_bob(&relay).await;
    let sent = alice.send_text(bob.agent.id(), "hello").await;
    let (_, _, first) = bob.answer(Verdict::Refused(RefusalReason::Undecryptable)).await;
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    let status = within("a status", alice.status(sent.id)).await.unwrap();
    assert_eq!(status.renewing, [bob.agent.id()], "it has not failed for good");
    assert!(matches!(status.deliveries[0].status.state, DeliveryState::Failed(_)), "which stays the relay's word");
    let waiting = alice.waiting().await.unwrap();
    assert!(matches!(waiting[0].state, WaitingState::Renewing(_)), "{waiting:?}");
    assert_eq!((waiting.len(), waiting[0].id, &waiting[0].recipients), (1, sent.id, &vec![bob.agent.id()]));
    alice.send_text(bob.agent.id(), "meanwhile").await;
    let (text, _, second) = bob.answer(Verdict::Stored).await;
    assert_eq!((text.as_str(), second), ("meanwhile", first));
    clock.advance(A_WHILE);
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    let (text, attempt, third) = bob.answer(Verdict::Stored).await;
    assert_eq!((text.as_str(), attempt), ("hello", 2));
    assert_ne!(third, first);
    let status = within("a status", alice.status(sent.id)).await.unwrap();
    assert_eq!((status.renewing, alice.waiting().await.unwrap()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_status_renews_too_and_a_message_is_sealed_three_times_at_most() {
    let relay = TestRelay::start().await;
    let (alice, clock, mut bob) = alice_and_bob(&relay).await;
    let sent = alice.send_text(bob.agent.id(), "hello").await;
    let mut sessions = Vec::new();
    for attempt in 1..=3 {
        let (text, found, session) = bob.answer(Verdict::Refused(RefusalReason::Undecryptable)).await;
        assert_eq!((text.as_str(), found), ("hello", attempt));
        sessions.push(session);
        clock.advance(A_WHILE);
        let (state, now, _) = delivery(&alice, sent.id).await;
        assert_eq!(state.is_waiting(), attempt < 3, "{state:?}");
        assert_eq!(u32::from(now), (attempt + 1).min(3));
    }
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 3);
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    let told = events(&alice).await;
    let refused = |event: &&Event| matches!(event, Event::Failed { message, .. } if *message == sent.id);
    assert_eq!(told.iter().filter(refused).count(), 1, "{told:?}");
}

#[tokio::test]
async fn what_waits_to_be_sealed_anew_survives_a_relay_that_is_down_and_a_new_process() {
    let mut relay = TestRelay::start().await;
    let (alice, clock, mut bob) = alice_and_bob(&relay).await;
    let sent = alice.send_text(bob.agent.id(), "hello").await;
    bob.answer(Verdict::Refused(RefusalReason::UnknownSession)).await;
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    clock.advance(A_WHILE);
    relay.kill().await;
    let status = within("a status", alice.status(sent.id)).await.unwrap();
    let (error, _) = status.outdated.expect("the relay is down");
    assert!(error.is_passing(), "{error}");
    assert_eq!(status.deliveries[0].status.attempt.number(), 1, "what was known is told");
    relay.restart().await;
    let bob = &mut bob;
    bob.carrier = log_in(&relay.origin(), &bob.agent.identity).await;
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    let (text, attempt, _) = bob.answer(Verdict::Stored).await;
    assert_eq!((text.as_str(), attempt), ("hello", 2));
}

#[tokio::test]
async fn a_refusal_that_another_session_would_not_mend_is_final_and_told() {
    let relay = TestRelay::start().await;
    let (alice, clock, mut bob) = alice_and_bob(&relay).await;
    for reason in [RefusalReason::Policy, RefusalReason::Replay] {
        let sent = alice.send_text(bob.agent.id(), "hello").await;
        bob.answer(Verdict::Refused(reason)).await;
        clock.advance(A_WHILE);
        within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
        let expected =
            Event::Failed { message: sent.id, recipient: bob.agent.id(), reason: FailureReason::Refused(reason) };
        assert_eq!(events(&alice).await, [expected]);
        assert_eq!(delivery(&alice, sent.id).await.1, 1);
    }
}

#[tokio::test]
async fn what_is_sent_to_an_imported_identity_in_an_old_session_is_sealed_anew() {
    let relay = TestRelay::start().await;
    let clock = Arc::new(ShiftedClock::default());
    let alice = SdkAgent::by_clock(&relay.origin(), &clock).await;
    let bob = SdkAgent::new(&relay.origin()).await;
    alice.send_text(bob.id(), "hello").await;
    assert_eq!(bob.take_texts().await, ["hello"]);
    bob.send_text(alice.id(), "well met").await;
    assert_eq!(alice.take_texts().await, ["well met"]);
    let bob = bob.exported_and_imported(&relay.origin()).await;
    let sent = alice.send_text(bob.id(), "do you know me?").await;
    assert!(bob.take_texts().await.is_empty(), "there is no session yet");
    clock.advance(A_WHILE);
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    assert!(matches!(events(&alice).await[..], [Event::SealedAnew { reason: RefusalReason::UnknownSession, .. }]));
    assert_eq!(bob.take_texts().await, ["do you know me?"]);
    assert_eq!(delivery(&alice, sent.id).await, (DeliveryState::Delivered, 2, ReceiptCheck::Verified));
    bob.send_text(alice.id(), "I do.").await;
    assert_eq!(alice.take_texts().await, ["I do."]);
}
