//! Processes of an agent are killed at random moments while many messages are under way, and run two at a time: nothing is
//! lost, and nothing is in an inbox twice.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests: the first surprise ends them"
)]

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;
use sealpost_agent::ReceiptCheck;
use sealpost_protocol::{AgentId, DeliveryState, MessageId};
use sealpost_tests::{Finished, Home, SdkAgent, TestRelay, seeded, within};
use serde_json::Value;

/// Kills in one test.
const ROUNDS: usize = 15;

/// Messages that are sent to the one who is killed, each round.
const MESSAGES: usize = 8;

/// A relay, an agent by the SDK, and an agent `bob` that lives in processes of the command.
struct Scene {
    relay: TestRelay,
    alice: SdkAgent,
    home: Home,
    bob: AgentId,
    /// What Alice has sent: the number of a message is its text.
    sent: Vec<MessageId>,
}

impl Scene {
    async fn set() -> Self {
        let relay = TestRelay::start().await;
        let home = Home::new(relay.origin());
        let bob = home.agent("bob").await.parse().unwrap();
        Self { alice: SdkAgent::new(&relay.origin()).await, relay, home, bob, sent: Vec::new() }
    }

    async fn send(&mut self, count: usize) {
        for _ in 0..count {
            let text = self.sent.len().to_string();
            self.sent.push(self.alice.send_text(self.bob, &text).await.id);
        }
    }

    /// The command with these arguments, killed somewhere between its first steps and a moment in which it is mostly done.
    async fn kill_within(&self, arguments: &[&str], random: &mut Rng, longest: u64) -> (bool, Vec<Value>) {
        let running = self.home.start(arguments);
        tokio::time::sleep(Duration::from_micros(random.u64(0..longest * 1_000))).await;
        let killed = running.kill().await;
        (killed.was_interrupted, killed.documents)
    }

    /// What Alice has sent, as the receiving command shows it.
    fn expected(&self) -> Vec<(String, String)> {
        self.sent.iter().enumerate().map(|(number, id)| (id.to_string(), number.to_string())).collect()
    }

    /// Every message was taken, and Bob has signed for it.
    async fn check_statuses(&self) {
        for id in &self.sent {
            let status = within("a status", self.alice.status(*id)).await.unwrap();
            let [delivery] = status.deliveries.as_slice() else { panic!("{status:?}") };
            assert_eq!((delivery.status.state, delivery.receipt), (DeliveryState::Delivered, ReceiptCheck::Verified));
            assert!(delivery.status.acknowledged_at.is_some(), "{status:?}");
        }
    }
}

/// Id and text of each message in the output of `receive --json`.
fn messages(documents: &[Value]) -> Vec<(String, String)> {
    let field = |document: &Value, name: &str| document[name].as_str().expect("a text").to_owned();
    documents.iter().map(|document| (field(document, "id"), field(document, "text"))).collect()
}

fn numbers(documents: &[Value]) -> Vec<usize> {
    messages(documents).iter().map(|(_, text)| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_receiver_killed_while_messages_come_in_has_each_once_in_its_inbox() {
    let (mut scene, mut random) = (Scene::set().await, seeded("killed while messages come in"));
    let mut interrupted = 0;
    for _ in 0..ROUNDS {
        scene.send(MESSAGES).await;
        let (was_interrupted, _) =
            scene.kill_within(&["receive", "--as", "bob", "--peek", "--json"], &mut random, 150).await;
        interrupted += usize::from(was_interrupted);
    }
    assert!(interrupted > 0, "some were killed at work");
    let inbox = scene.home.run(["receive", "--as", "bob", "--peek", "--json"]).await.succeeded();
    assert_eq!(messages(&inbox.documents()), scene.expected(), "each once, in order");
    let taken = scene.home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(messages(&taken.documents()), scene.expected());
    assert_eq!(scene.home.run(["receive", "--as", "bob", "--json"]).await.succeeded().out, "", "and never again");
    scene.check_statuses().await;
}

#[tokio::test]
async fn a_receiver_killed_while_it_shows_messages_has_shown_each() {
    let (mut scene, mut random) = (Scene::set().await, seeded("killed while it shows messages"));
    let (mut shown, mut interrupted) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        scene.send(MESSAGES).await;
        let (was_interrupted, documents) =
            scene.kill_within(&["receive", "--as", "bob", "--json"], &mut random, 150).await;
        interrupted += usize::from(was_interrupted);
        let page = numbers(&documents);
        assert!(page.is_sorted_by(|a, b| a < b), "each once per page, in order: {page:?}");
        shown.extend(page);
    }
    assert!(interrupted > 0, "some were killed at work");
    shown.extend(numbers(&scene.home.run(["receive", "--as", "bob", "--json"]).await.succeeded().documents()));
    let all: BTreeSet<usize> = shown.into_iter().collect();
    assert_eq!(all, (0..scene.sent.len()).collect(), "each was shown");
    assert_eq!(scene.home.run(["receive", "--as", "bob", "--json"]).await.succeeded().out, "", "and is not again");
    scene.check_statuses().await;
}

#[tokio::test]
async fn a_sender_killed_while_it_sends_loses_nothing_it_has_reported() {
    let (scene, mut random) = (Scene::set().await, seeded("killed while it sends"));
    let to = scene.alice.id().to_string();
    let (mut reported, mut interrupted) = (Vec::new(), 0);
    for number in 0..2 * ROUNDS {
        let arguments = ["send", "--as", "bob", &to, &number.to_string(), "--json"];
        let (was_interrupted, documents) = scene.kill_within(&arguments, &mut random, 100).await;
        interrupted += usize::from(was_interrupted);
        if !documents.is_empty() {
            reported.push(number);
        }
    }
    assert!(interrupted > 0, "some were killed at work");
    let last = 2 * ROUNDS;
    scene.home.run(["send", "--as", "bob", &to, &last.to_string()]).await.succeeded();
    reported.push(last);

    let arrived: Vec<usize> = scene.alice.take_texts().await.iter().map(|text| text.parse().unwrap()).collect();
    assert!(arrived.is_sorted_by(|a, b| a < b), "each once, in order: {arrived:?}");
    let lost: Vec<_> = reported.iter().filter(|number| !arrived.contains(number)).collect();
    assert!(lost.is_empty(), "reported and lost: {lost:?}");
}

#[tokio::test]
async fn an_agent_whose_making_was_cut_short_can_be_used_or_made_again() {
    let (scene, mut random) = (Scene::set().await, seeded("killed while an agent is made"));
    let mut interrupted = 0;
    for number in 0..2 * ROUNDS {
        let name = format!("agent{number}");
        let (was_interrupted, _) = scene.kill_within(&["agent", "new", &name], &mut random, 60).await;
        interrupted += usize::from(was_interrupted);
        let again = scene.home.run(["agent", "new", &name, "--json"]).await;
        assert!(again.exit == 0 || again.err.contains("already"), "{again:?}");
        scene.home.run(["receive", "--as", &name]).await.succeeded();
        scene.home.run(["send", "--as", &name, "bob", "made"]).await.succeeded();
    }
    assert!(interrupted > 0, "some were killed at work");
    let received = scene.home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(received.documents().len(), 2 * ROUNDS);
}

#[tokio::test]
async fn two_processes_of_one_agent_send_and_receive_at_once() {
    let scene = Scene::set().await;
    let to = scene.alice.id().to_string();
    let send_all = async |prefix: &str| {
        for number in 0..10 {
            let text = format!("{prefix}{number}");
            scene.home.run(["send", "--as", "bob", &to, &text]).await.succeeded();
        }
    };
    tokio::join!(send_all("a"), send_all("b"));
    let arrived = scene.alice.take_texts().await;
    for prefix in ["a", "b"] {
        let from_one: Vec<_> = arrived.iter().filter(|text| text.starts_with(prefix)).cloned().collect();
        assert_eq!(from_one, (0..10).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>());
    }
    assert_eq!(arrived.len(), 20, "each once");
}

#[tokio::test]
async fn two_processes_of_one_agent_receive_at_once() {
    let mut scene = Scene::set().await;
    for _ in 0..6 {
        scene.send(2 * MESSAGES).await;
        let receive = async || scene.home.run(["receive", "--as", "bob", "--peek", "--json"]).await;
        let both: [Finished; 2] = tokio::join!(receive(), receive()).into();
        for finished in both {
            let inbox = numbers(&finished.succeeded().documents());
            assert!(inbox.is_sorted_by(|a, b| a < b), "each once, in order: {inbox:?}");
        }
    }
    let taken = scene.home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(messages(&taken.documents()), scene.expected(), "each once, in order");
    scene.check_statuses().await;
    drop(scene.relay);
}

#[tokio::test]
async fn two_processes_of_one_agent_take_at_once_and_each_message_is_shown_by_one_of_them() {
    let mut scene = Scene::set().await;
    let mut shown = Vec::new();
    for _ in 0..6 {
        scene.send(2 * MESSAGES).await;
        let receive = async || scene.home.run(["receive", "--as", "bob", "--json"]).await;
        let both: [Finished; 2] = tokio::join!(receive(), receive()).into();
        for finished in both {
            let page = numbers(&finished.succeeded().documents());
            assert!(page.is_sorted_by(|a, b| a < b), "each once per process, in order: {page:?}");
            shown.extend(page);
        }
        shown.sort_unstable();
        assert_eq!(shown, (0..scene.sent.len()).collect::<Vec<_>>());
    }
    assert_eq!(scene.home.run(["receive", "--as", "bob", "--json"]).await.succeeded().out, "");
    scene.check_statuses().await;
}
