//! One-time keys of another copy of an agent: the relay forgets them before a stranger is given one, and what was sealed to one
//! all the same is sealed anew and opens.

use std::{sync::Arc, time::Duration};

use sealpost_agent::{Event, ReceiptCheck};
use sealpost_api::v1;
use sealpost_protocol::{
    CurveKey, DeliveryState, Envelope, ErrorCode, KeyId, MessageId, OneTimePrekey, RefusalReason, Verdict,
    encoding::{Decode, Encode},
};
use sealpost_tests::{
    HandClock, ScriptedRelay, SdkAgent, ShiftedClock, TestRelay,
    plain::{Carrier, Grpc, PlainAgent, log_in},
    within,
};
use tempfile::TempDir;

use super::{
    assert_accepted,
    damage::{bundle, entry},
    prekeys::{claim_as_strangers, one_time_keys},
    relay_behind_proxy,
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What must pass before a session that was just opened may be renewed.
const A_WHILE: Duration = Duration::from_secs(61);

/// What the agent is told, once.
async fn told(agent: &SdkAgent) -> Vec<Event> {
    let noted = agent.events(100).await.unwrap();
    agent.take_events(&noted).await.unwrap();
    noted.into_iter().map(|noted| noted.event).collect()
}

async fn round(agent: &SdkAgent) {
    within("a round", agent.sync(Duration::ZERO)).await.unwrap();
}

/// Syncs until the connection of before has been replaced.
async fn reconnect(agent: &SdkAgent) {
    within("a round with the relay of now", async {
        while let Err(error) = agent.sync(Duration::ZERO).await {
            assert!(error.is_passing(), "{error}");
        }
    })
    .await;
}

/// Someone new writes to an agent, which opens it: the first time, or not at all.
async fn assert_a_stranger_is_heard(relay: &TestRelay, agent: &SdkAgent) {
    let stranger = SdkAgent::new(&relay.origin()).await;
    assert_accepted(&stranger.send_text(agent.id(), "a first message").await);
    assert_eq!(agent.take_texts().await, ["a first message"]);
}

/// A copy of an agent, and the lost store's work after it: it has filled its set up with 60 keys that the copy does not have. The
/// relay hands those out once the other 40 are gone.
async fn lose(relay: &TestRelay, agent: &SdkAgent) -> Arc<TempDir> {
    let copy = agent.backup();
    claim_as_strangers(relay, agent.id(), 0..60).await;
    round(agent).await;
    assert_eq!(one_time_keys(agent).await, (100, 100));
    copy
}

#[tokio::test]
async fn a_strangers_first_message_opens_once_an_old_copy_has_been_there_also_when_the_relay_starts_again_after_it() {
    for starts_again in [false, true] {
        let mut relay = TestRelay::start().await;
        let bob = SdkAgent::new(&relay.origin()).await;
        let id = bob.id();
        let copy = lose(&relay, &bob).await;
        bob.rotate_prekeys().await.unwrap(); // which tells the copy what it is
        drop(bob);
        let bob = SdkAgent::restored(copy, &relay.origin()).await;
        round(&bob).await;
        assert!(matches!(told(&bob).await[..], [Event::RestoredCopy { .. }]));
        if starts_again {
            relay.kill().await;
            relay.restart().await;
            reconnect(&bob).await;
        }
        let status = within("the prekeys' status", bob.prekey_status()).await.unwrap();
        assert_eq!((status.one_time_curve, status.one_time_kem, status.recall_due), (100, 100, false));
        claim_as_strangers(&relay, id, 60..100).await;
        assert_a_stranger_is_heard(&relay, &bob).await;
    }
}

/// A new set is some 140 KB; nothing else that an agent sends here is nearly as long.
const MIDDLE_OF_A_SET: usize = 20_000;

#[tokio::test]
async fn a_recall_whose_answer_is_lost_is_repeated_and_keeps_what_it_brought() {
    let (relay, proxy) = relay_behind_proxy().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let copy = lose(&relay, &bob).await;
    bob.rotate_prekeys().await.unwrap();
    drop(bob);
    let bob = SdkAgent::restored(copy, &proxy.origin()).await;
    let mut observer: Grpc = log_in(&relay.origin(), &PlainAgent::new().identity).await;
    let lost = observer.manifest(bob.id()).await.unwrap();
    proxy.hold_answers_after(MIDDLE_OF_A_SET);
    let cut_once_it_has_arrived = async {
        while observer.manifest(bob.id()).await.unwrap() == lost {}
        proxy.cut();
    };
    // The round may go on by another connection: what it asks there comes after the recall.
    let (_synced, ()) = tokio::join!(bob.sync(Duration::ZERO), within("the recall", cut_once_it_has_arrived));
    claim_as_strangers(&relay, bob.id(), 60..100).await;
    reconnect(&bob).await;
    assert_eq!(one_time_keys(&bob).await, (60, 60), "those that went out meanwhile stay out, and the others are good");
    assert!(matches!(told(&bob).await[..], [Event::RestoredCopy { .. }]), "found out once");
    assert_a_stranger_is_heard(&relay, &bob).await;
}

/// How the first attempts of messages to one recipient stand with their sender, proven.
async fn attempts(sender: &SdkAgent, sent: &[MessageId]) -> Vec<(DeliveryState, u16)> {
    let mut attempts = Vec::new();
    for id in sent {
        let status = within("a status", sender.status(*id)).await.unwrap();
        let [delivery] = &status.deliveries[..] else { panic!("{status:?}") };
        assert_ne!(delivery.receipt, ReceiptCheck::Unproven, "{delivery:?}");
        attempts.push((delivery.status.state, delivery.status.attempt.number()));
    }
    attempts
}

/// Nothing but the set was changed since the copy was made, and no message was read: no comparison shows the copy.
#[tokio::test]
async fn a_first_message_shows_a_copy_that_nothing_else_shows_and_opens_once_it_is_sealed_anew() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let copy = lose(&relay, &bob).await;
    drop(bob);
    let bob = SdkAgent::restored(copy, &relay.origin()).await;
    round(&bob).await;
    claim_as_strangers(&relay, bob.id(), 60..100).await;
    round(&bob).await;
    assert_eq!((told(&bob).await, one_time_keys(&bob).await), (vec![], (60, 60)), "it does not know what it is");

    let clock = Arc::new(ShiftedClock::default());
    let alice = SdkAgent::by_clock(&relay.origin(), &clock).await;
    let one = alice.send_text(bob.id(), "one").await.id;
    let sent = [one, alice.send_text(bob.id(), "two").await.id];
    assert_eq!(bob.take_texts().await, [""; 0], "the private half went with the lost store");
    assert_eq!(told(&bob).await, [Event::PrekeysRecalled { message: one, sender: alice.id() }]);
    assert_eq!(one_time_keys(&bob).await, (100, 100), "none of the lost store's");
    let refused = DeliveryState::Failed(sealpost_protocol::FailureReason::Refused(RefusalReason::UnknownPrekey));
    assert_eq!(attempts(&alice, &sent).await, [(refused, 1), (refused, 1)]);

    clock.advance(A_WHILE);
    round(&alice).await;
    let anew = told(&alice).await;
    assert_eq!(anew.iter().filter(|event| matches!(event, Event::SealedAnew { .. })).count(), 2, "{anew:?}");
    assert_eq!(bob.take_texts().await, ["one", "two"]);
    assert_eq!(attempts(&alice, &sent).await, [(DeliveryState::Delivered, 2), (DeliveryState::Delivered, 2)]);
    assert_a_stranger_is_heard(&relay, &bob).await;
}

#[tokio::test]
async fn what_was_sealed_to_a_key_that_went_with_the_lost_store_is_sealed_anew_and_opens() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let copy = lose(&relay, &bob).await;
    claim_as_strangers(&relay, bob.id(), 60..100).await;
    let clock = Arc::new(ShiftedClock::default());
    let alice = SdkAgent::by_clock(&relay.origin(), &clock).await;
    let under_a_one_time_key = alice.send_text(bob.id(), "to a key that is lost").await.id;
    bob.rotate_prekeys().await.unwrap();
    let carol = SdkAgent::by_clock(&relay.origin(), &clock).await;
    let under_a_manifest = carol.send_text(bob.id(), "to a manifest that is lost").await.id;
    drop(bob);

    let bob = SdkAgent::restored(copy, &relay.origin()).await;
    assert_eq!(bob.take_texts().await, [""; 0]);
    assert!(
        matches!(told(&bob).await[..], [Event::RestoredCopy { .. }]),
        "and no more, for nothing is to be called back"
    );
    clock.advance(A_WHILE);
    for (sender, sent) in [(&alice, under_a_one_time_key), (&carol, under_a_manifest)] {
        round(sender).await;
        assert_eq!(bob.take_texts().await.len(), 1);
        assert_eq!(attempts(sender, &[sent]).await, [(DeliveryState::Delivered, 2)]);
    }
}

#[tokio::test]
async fn an_imported_identity_calls_back_what_was_published_since_it_was_exported() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let file = bob.exported().await;
    lose(&relay, &bob).await;
    drop(bob);
    let bob = SdkAgent::imported(&file, &relay.origin()).await;
    assert_eq!(one_time_keys(&bob).await, (100, 100), "its own and none else");
    claim_as_strangers(&relay, bob.id(), 60..100).await;
    assert_a_stranger_is_heard(&relay, &bob).await;
}

#[tokio::test]
async fn an_old_copy_calls_back_at_every_relay_that_the_lost_store_knew() {
    let relays = [TestRelay::start().await, TestRelay::start().await];
    let bob = SdkAgent::new(&relays[0].origin()).await;
    let elsewhere = bob.reopen(&relays[1].origin()).await;
    round(&elsewhere).await;
    let copy = elsewhere.backup();
    claim_as_strangers(&relays[1], bob.id(), 0..60).await;
    round(&elsewhere).await; // fills the set up there
    round(&bob).await;
    within("a rotation", bob.rotate_prekeys()).await.unwrap();
    drop((bob, elsewhere));

    let bob = SdkAgent::restored(copy, &relays[0].origin()).await;
    round(&bob).await;
    let elsewhere = bob.reopen(&relays[1].origin()).await;
    round(&elsewhere).await;
    assert_eq!(one_time_keys(&elsewhere).await, (100, 100));
    claim_as_strangers(&relays[1], bob.id(), 60..100).await;
    assert_a_stranger_is_heard(&relays[1], &elsewhere).await;
}

/// Where `crates/agent` keeps private prekeys, and the kind of one-time curve keys.
const PREKEYS: u8 = 3;
const ONE_TIME_CURVE: u8 = 2;

/// An agent at a relay that does as it is told, and somebody who makes up what it likes.
struct Stage {
    relay: ScriptedRelay,
    clock: Arc<HandClock>,
    alice: SdkAgent,
    mallory: PlainAgent,
    delivered: u64,
}

impl Stage {
    async fn new() -> Self {
        let (relay, clock) = (ScriptedRelay::start().await, HandClock::now());
        let alice = SdkAgent::by_clock(relay.origin(), &clock).await;
        round(&alice).await;
        Self { relay, clock, alice, mallory: PlainAgent::new(), delivered: 0 }
    }

    /// A first message of Mallory's that names this one-time key.
    fn naming(&mut self, id: u32) -> v1::MailboxEntry {
        self.delivered += 1;
        let bundle = bundle(&self.relay);
        self.mallory.open_session(self.alice.id(), bundle);
        let mut entry = entry(self.delivered, &mut self.mallory, &self.alice, "hello");
        let mut envelope = Envelope::from_bytes(&entry.envelope).unwrap();
        envelope.opening.as_mut().unwrap().one_time_curve = Some(KeyId(id));
        entry.envelope = envelope.to_bytes();
        entry
    }

    /// Hands an entry out, which is refused. Returns what was uploaded for it.
    async fn refused(&mut self, entry: v1::MailboxEntry) -> Option<v1::UploadPrekeysRequest> {
        let before = {
            let mut script = self.relay.script();
            script.receipts.clear();
            script.mailbox = vec![entry];
            script.uploaded.take()
        };
        round(&self.alice).await;
        let mut script = self.relay.script();
        let verdict = script.receipts.first().expect("a receipt").verdict;
        assert_eq!(verdict, Verdict::Refused(RefusalReason::UnknownPrekey));
        let uploaded = script.uploaded.clone();
        script.uploaded = uploaded.clone().or(before);
        uploaded
    }
}

/// The ids of the one-time curve keys of an upload.
fn curve_ids(upload: &v1::UploadPrekeysRequest) -> Vec<u32> {
    let id = |key: &Vec<u8>| OneTimePrekey::<CurveKey>::from_bytes(key).unwrap().prekey.id.0;
    upload.one_time_curve.iter().map(id).collect()
}

#[tokio::test]
async fn made_up_names_of_keys_have_an_agent_replace_its_set_once_a_week_at_most() {
    let mut stage = Stage::new().await;
    let version = stage.alice.prekey_status().await.unwrap().version;
    let made_up = stage.naming(101); // a set has the ids 1 to 100
    let recall = stage.refused(made_up.clone()).await.expect("a recall");
    assert!(recall.forget_unused);
    assert_eq!((recall.one_time_curve.len(), recall.one_time_kem.len()), (100, 100));
    assert!(curve_ids(&recall).iter().all(|id| *id > 1 << 20), "no id that another copy may have given");
    assert_eq!(stage.alice.prekey_status().await.unwrap().version, version, "the manifest is as good as it was");
    assert_eq!(told(&stage.alice).await.len(), 1);

    for id in [(2 << 20) + 1_000, u32::MAX, 101] {
        let made_up = stage.naming(id);
        assert_eq!(stage.refused(made_up).await, None, "{id}");
    }
    stage.clock.advance(WEEK);
    round(&stage.alice).await; // rotates
    assert_eq!(told(&stage.alice).await, []);
    let between = stage.naming(5_000);
    assert_eq!(
        stage.refused(between).await,
        None,
        "below what was made since: it is another copy's, and was called back"
    );
    let made_up = stage.naming(u32::MAX);
    assert!(stage.refused(made_up).await.is_some_and(|upload| upload.forget_unused));
    assert!(matches!(told(&stage.alice).await[..], [Event::PrekeysRecalled { .. }]));
}

#[tokio::test]
async fn a_name_of_a_key_that_was_used_calls_nothing_back() {
    let mut stage = Stage::new().await;
    stage.alice.erase(PREKEYS, &[[ONE_TIME_CURVE].as_slice(), &7_u32.to_be_bytes()].concat());
    let repetition = stage.naming(7);
    assert_eq!(stage.refused(repetition).await, None);
    assert_eq!(told(&stage.alice).await, []);
}

#[tokio::test]
async fn a_recall_that_the_relay_refuses_keeps_nobody_from_mail_and_is_tried_until_it_is_taken() {
    let mut stage = Stage::new().await;
    stage.relay.script().refuses_uploads = Some(ErrorCode::Expired);
    let made_up = stage.naming(101);
    let tried = stage.refused(made_up).await.expect("it was tried");
    assert!(tried.forget_unused);
    let status = stage.alice.prekey_status().await.unwrap();
    assert!(status.recall_due && status.refused.is_some(), "{status:?}");
    stage.relay.script().refuses_uploads = None;
    round(&stage.alice).await;
    let again = stage.relay.script().uploaded.clone().unwrap();
    assert_eq!(again, tried, "no further keys are made");
    let status = stage.alice.prekey_status().await.unwrap();
    assert!(!status.recall_due && status.refused.is_none(), "{status:?}");
    stage.relay.script().uploaded = None;
    round(&stage.alice).await;
    assert_eq!(stage.relay.script().uploaded, None, "once");
}

/// A relay of before there were recalls does not know what it is told.
#[tokio::test]
async fn a_relay_that_forgets_nothing_has_an_old_copy_found_out_once() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    relay.script().counts = v1::PrekeyCounts { one_time_curve: 250, one_time_kem: 100 };
    for number in 0..3 {
        let alice = alice.reopen(relay.origin()).await;
        round(&alice).await;
        assert_eq!(told(&alice).await.len(), usize::from(number == 0), "{number}");
    }
}
