//! The relay is killed between "accepted" and "received", again and again, while two agents send without pause: what it
//! accepted arrives, once, in order, and the sender can prove it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests: the first surprise ends them")]

use std::{collections::HashMap, sync::Arc, time::Duration};

use sealpost_agent::{Outgoing, SendError, SendOutcome, SyncError};
use sealpost_protocol::{AgentId, DeliveryState, MessageId, MessageRef};
use sealpost_tests::{SdkAgent, TestRelay, seeded, text, within, words};
use tokio::{sync::watch, time::timeout};

/// How often the relay is killed while something it has accepted has surely not been received.
const ROUNDS: usize = 20;

/// How long the recipient stays with the relay before it looks at what came in.
const ROUND: Duration = Duration::from_millis(150);

/// Where the test stands, as those who take part see it.
#[derive(Debug, Clone, Copy, Default)]
struct Stage {
    /// Whether the relay runs, or is about to.
    is_up: bool,
    /// Whether the recipient may receive.
    may_receive: bool,
    /// Whether it does.
    receives: bool,
    accepted: usize,
    received: usize,
    is_over: bool,
}

/// Everyone watches it and changes their own part.
type Stages = Arc<watch::Sender<Stage>>;

async fn await_stage(stages: &Stages, what: &str, is_reached: impl FnMut(&Stage) -> bool) {
    within(what, stages.subscribe().wait_for(is_reached)).await.unwrap();
}

/// Sends without pause until the end; what could not be handed over goes out with what follows. Returns what was sent, in
/// order.
async fn send_without_pause(sender: Arc<SdkAgent>, to: AgentId, stages: Stages) -> Vec<MessageId> {
    let mut sent = Vec::new();
    while !stages.borrow().is_over {
        let message = sender.send_text(to, &sent.len().to_string()).await;
        sent.push(message.id);
        match message.outcome {
            SendOutcome::Accepted(_) => stages.send_modify(|stage| stage.accepted += 1),
            SendOutcome::Kept(error) => {
                assert!(is_passing(&error), "{error}");
                await_stage(&stages, "the relay's return", |stage| stage.is_up).await;
            }
        }
    }
    sent
}

/// Whether all that is wrong is that the relay does not answer.
fn is_passing(error: &SendError) -> bool {
    matches!(error, SendError::Relay(error) if error.is_passing())
}

/// Receives and takes until everything expected is there, while it may. Returns what was shown, in order.
async fn receive(recipient: Arc<SdkAgent>, stages: Stages) -> Vec<(MessageRef, String)> {
    let mut shown = Vec::new();
    while !stages.borrow().is_over {
        if !stages.borrow().may_receive {
            stages.send_modify(|stage| stage.receives = false);
            await_stage(&stages, "leave to receive", |stage| stage.may_receive || stage.is_over).await;
        }
        stages.send_modify(|stage| stage.receives = true);
        // A round is left wherever it is: it takes in what arrives meanwhile, and there is always something.
        match timeout(ROUND, recipient.sync(Duration::from_millis(20))).await {
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) if error.is_passing() => {
                await_stage(&stages, "the relay's return", |stage| stage.is_up || stage.is_over).await;
            }
            Ok(Err(error)) => panic!("{error}"),
        }
        let page = recipient.unread(None, usize::MAX).await.unwrap();
        let names: Vec<_> = page.iter().map(|message| message.message).collect();
        recipient.take(&names).await.unwrap();
        stages.send_modify(|stage| stage.received += page.len());
        shown.extend(page.iter().map(|message| (message.message, words(message))));
    }
    shown
}

/// Kills the relay at the moments of the seed: each round while something accepted waits for a recipient who does not
/// receive, and in every other round once more while it does.
async fn kill_again_and_again(relay: &mut TestRelay, stages: &Stages) {
    let mut random = seeded("killed_relay");
    let kill_and_restart = async |relay: &mut TestRelay, pause: Duration| {
        tokio::time::sleep(pause).await;
        relay.kill().await;
        stages.send_modify(|stage| stage.is_up = false);
        relay.restart().await;
        stages.send_modify(|stage| stage.is_up = true);
    };
    for round in 0..ROUNDS {
        stages.send_modify(|stage| stage.may_receive = false);
        await_stage(stages, "the recipient's rest", |stage| !stage.receives).await;
        let target = stages.borrow().accepted + random.usize(1..=20);
        await_stage(stages, "messages accepted", |stage| stage.accepted >= target).await;
        kill_and_restart(relay, Duration::from_micros(random.u64(0..20_000))).await;

        stages.send_modify(|stage| stage.may_receive = true);
        let target = stages.borrow().received + random.usize(1..=20);
        await_stage(stages, "messages received", |stage| stage.received >= target).await;
        if round % 2 == 1 {
            kill_and_restart(relay, Duration::from_micros(random.u64(0..20_000))).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_relay_accepted_outlives_twenty_kills() {
    let mut relay = TestRelay::start().await;
    let origin = relay.origin();
    let senders = [Arc::new(SdkAgent::new(&origin).await), Arc::new(SdkAgent::new(&origin).await)];
    let bob = Arc::new(SdkAgent::new(&origin).await);
    let stages: Stages = Arc::new(watch::Sender::new(Stage { is_up: true, may_receive: true, ..Stage::default() }));
    let receiving = tokio::spawn(receive(Arc::clone(&bob), Arc::clone(&stages)));
    let sending = senders.clone().map(|sender| tokio::spawn(send_without_pause(sender, bob.id(), Arc::clone(&stages))));
    kill_again_and_again(&mut relay, &stages).await;
    stages.send_modify(|stage| stage.is_over = true);

    let mut sent = HashMap::new();
    for (sender, sending) in senders.iter().zip(sending) {
        sent.insert(sender.id(), within("the senders' end", sending).await.unwrap());
        within("what was kept goes out", sender.sync(Duration::ZERO)).await.unwrap();
    }
    let mut shown = within("the recipient's end", receiving).await.unwrap();
    shown.extend(bob.sync_inbox().await.iter().map(|message| (message.message, words(message))));
    let rest: Vec<_> = bob.inbox().await.iter().map(|message| message.message).collect();
    bob.take(&rest).await.unwrap();
    within("the last receipts", bob.give_receipts()).await.unwrap();

    for sender in &senders {
        let expected: Vec<_> = sent[&sender.id()].iter().enumerate().map(|(at, id)| (*id, at.to_string())).collect();
        let from_this_one = shown.iter().filter(|(message, _)| message.sender == sender.id());
        let found: Vec<_> = from_this_one.map(|(message, words)| (message.id, words.clone())).collect();
        assert_eq!(found, expected, "each message once, and in order");
        check_statuses(sender, &sent[&sender.id()]).await;
    }
}

/// The relay says of each message that it was taken, and the recipient has signed for it.
async fn check_statuses(sender: &SdkAgent, sent: &[MessageId]) {
    for id in sent {
        let status = within("a status", sender.status(*id)).await.unwrap();
        let [delivery] = status.deliveries.as_slice() else { panic!("{status:?}") };
        assert_eq!(delivery.status.state, DeliveryState::Delivered);
        assert!(delivery.status.acknowledged_at.is_some(), "{status:?}");
        assert_eq!(delivery.receipt, sealpost_agent::ReceiptCheck::Verified);
    }
}

#[tokio::test]
async fn a_message_kept_while_the_relay_is_down_goes_out_with_the_next() {
    let mut relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    alice.send_text(bob.id(), "before").await;
    relay.kill().await;
    let kept = within("an answer", alice.send(Outgoing::to([bob.id()], text("meanwhile")))).await.unwrap();
    assert!(matches!(&kept.outcome, SendOutcome::Kept(error) if is_passing(error)), "{kept:?}");
    assert!(matches!(bob.sync(Duration::ZERO).await, Err(SyncError::Relay(error)) if error.is_passing()));
    relay.restart().await;
    let after = alice.send_text(bob.id(), "after").await;
    assert!(matches!(after.outcome, SendOutcome::Accepted(_)), "{after:?}");
    assert_eq!(bob.take_texts().await, ["before", "meanwhile", "after"]);
}
