//! `outbox`: what waits here, and what is taken back.

use sealpost_tests::{Home, Proxy, TestRelay};
use serde_json::Value;

use super::{assert_fields, relay_and_home, texts};

/// The message has some 110 KB; nothing else that is sent here is nearly as long.
const MIDDLE_OF_A_MESSAGE: usize = 20_000;

async fn list(home: &Home) -> Vec<Value> {
    home.run(["outbox", "list", "--as", "alice", "--json"]).await.succeeded().documents()
}

async fn kept(home: &Home, text: &str) -> String {
    let kept = home.run(["send", "--as", "alice", "bob", text, "--json"]).await.exited(3).document();
    kept["id"].as_str().unwrap().to_owned()
}

async fn cancel(home: &Home, id: &str) -> sealpost_tests::Finished {
    home.run(["outbox", "cancel", "--as", "alice", id, "--json"]).await
}

#[tokio::test]
async fn a_draft_is_listed_and_taken_back_without_a_relay() {
    let (mut relay, home) = relay_and_home().await;
    let bob = home.run(["agent", "show", "bob", "--json"]).await.document()["id"].clone();
    relay.kill().await;
    let (first, second) = (kept(&home, "first").await, kept(&home, "second").await);
    let waiting = list(&home).await;
    assert_fields(&waiting[0], &["id", "recipients", "state", "created_at", "expires_at"]);
    let ids: Vec<_> = waiting.iter().map(|waiting| waiting["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&first, &second]);
    assert_eq!((waiting[0]["state"].as_str(), &waiting[0]["recipients"][0]), (Some("draft"), &bob));
    let text = home.run(["outbox", "list", "--as", "alice"]).await.succeeded().out;
    assert!(text.starts_with(&first) && text.contains("for bob\n"), "{text}");

    let cancelled = cancel(&home, &first).await.succeeded().document();
    assert_eq!((cancelled["id"].as_str(), cancelled["state"].as_str()), (Some(first.as_str()), Some("cancelled")));
    let again = cancel(&home, &first).await.exited(1);
    assert!(again.err.contains("\"not-waiting\""), "{}", again.err);
    let status = home.run(["status", "--as", "alice", &first, "--json"]).await.succeeded().document();
    assert_eq!((status["state"].as_str(), status["reason"].as_str()), (Some("unsent"), Some("cancelled")));

    relay.restart().await;
    home.run(["receive", "--as", "alice"]).await.succeeded();
    assert_eq!(list(&home).await, Vec::<Value>::new());
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["second"]);
}

#[tokio::test]
async fn what_is_sealed_is_taken_back_once_the_relay_says_that_it_has_not_come() {
    let proxy = Proxy::listen().await;
    let mut relay = TestRelay::start_behind(&[&proxy.origin()]).await;
    proxy.lead_to(relay.address());
    let home = Home::new(proxy.origin());
    home.agent("alice").await;
    home.agent("bob").await;
    home.run(["send", "--as", "alice", "bob", "opens a session"]).await.succeeded();
    proxy.cut_after(MIDDLE_OF_A_MESSAGE);
    let id = kept(&home, &"never sent ".repeat(10_000)).await;
    relay.kill().await;
    assert_eq!(list(&home).await[0]["state"], "sealed");
    let refused = cancel(&home, &id).await.exited(3);
    assert!(refused.err.contains("may have left"), "{}", refused.err);
    assert_eq!(list(&home).await.len(), 1, "it waits as before");
    relay.restart().await;
    proxy.lead_to(relay.address());
    cancel(&home, &id).await.succeeded();
    home.run(["send", "--as", "alice", "bob", "the next"]).await.succeeded();
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["opens a session", "the next"]);
}

#[tokio::test]
async fn what_was_accepted_is_not_taken_back() {
    let (_relay, home) = relay_and_home().await;
    let sent = home.run(["send", "--as", "alice", "bob", "gone", "--json"]).await.succeeded().document();
    assert_eq!(list(&home).await, Vec::<Value>::new());
    cancel(&home, sent["id"].as_str().unwrap()).await.exited(1);
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["gone"]);
}

#[tokio::test]
async fn the_agent_may_be_named_once_for_all_commands() {
    let relay = TestRelay::start().await;
    let home = Home::new(relay.origin());
    let (alice, bob) = (home.with("SEALPOST_AGENT", "alice"), home.with("SEALPOST_AGENT", "bob"));
    home.agent("alice").await;
    home.agent("bob").await;
    let sent = alice.run(["send", "bob", "hello", "--json"]).await.succeeded().document();
    alice.run(["status", sent["id"].as_str().unwrap()]).await.succeeded();
    alice.run(["outbox", "list"]).await.succeeded();
    alice.run(["prekeys", "status"]).await.succeeded();
    assert_eq!(alice.run(["receive", "--as", "bob", "--peek"]).await.succeeded().out.lines().count(), 1, "--as rules");
    assert_eq!(texts(&bob.run(["receive", "--json"]).await.succeeded().documents()), ["hello"]);
    home.run(["receive"]).await.exited(2);
}

#[tokio::test]
async fn the_help_of_a_command_shows_how_it_is_typed() {
    let home = Home::new("http://127.0.0.1:1");
    let commands: [&[&str]; 5] = [&[], &["send"], &["receive"], &["status"], &["outbox"]];
    for command in commands {
        let help = home.run(command.iter().copied().chain(["--help"])).await.succeeded();
        let example = format!("Examples:\n  sealpost {}", command.first().unwrap_or(&"demo"));
        assert!(help.out.contains(&example), "{}", help.out);
    }
}
