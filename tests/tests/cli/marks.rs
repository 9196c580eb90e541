//! `mark`: what was read and that something is written, shown to a peer.

use super::{assert_fields, relay_and_home};

#[tokio::test]
async fn what_was_read_and_that_something_is_written_is_shown_to_the_sender() {
    let (_relay, home) = relay_and_home().await;
    let bob = home.run(["agent", "show", "bob", "--json"]).await.succeeded().document();
    let sent = home.run(["send", "--as", "alice", "bob", "hello", "--json"]).await.succeeded().document();
    let id = sent["id"].as_str().unwrap();
    let not_yet = home.run(["mark", "--as", "bob", "alice", "--read", id, "--json"]).await.exited(2);
    assert!(not_yet.err.contains("\"code\":\"usage\""), "{}", not_yet.err);
    home.run(["receive", "--as", "bob"]).await.succeeded();
    let marked = home.run(["mark", "--as", "bob", "alice", "--read", id, "--json"]).await.succeeded().document();
    assert_fields(&marked, &["agent", "state"]);
    assert_eq!(marked["state"].as_str(), Some("told"));
    let told = home.run(["receive", "--as", "alice", "--json"]).await.succeeded();
    assert!(told.out.is_empty(), "{}", told.out);
    let event: serde_json::Value = serde_json::from_str(told.err.trim()).unwrap();
    assert_fields(&event, &["event", "id", "agent", "agent_name", "at"]);
    assert_eq!((event["event"].as_str(), event["id"].as_str()), (Some("message:read"), Some(id)));
    assert_eq!(event["agent"], bob["id"]);

    let again = home.run(["mark", "--as", "bob", "alice", "--read", id]).await.succeeded().out;
    assert!(again.contains("known"), "{again}");
    home.run(["mark", "--as", "bob", "alice", "--typing"]).await.succeeded();
    let told = home.run(["receive", "--as", "alice"]).await.succeeded();
    assert!(told.err.contains("is writing"), "{}", told.err);
    let marked = home.run(["mark", "--as", "alice", "bob", "--typing", "--json"]).await.succeeded().document();
    assert_eq!(marked["state"].as_str(), Some("told"), "his mark has answered in the session");
    home.run(["mark", "--as", "alice", "bob"]).await.exited(2);
    let stopped = home.run(["mark", "--as", "alice", "bob", "--not-typing", "--json"]).await.succeeded().document();
    assert_eq!(stopped["state"].as_str(), Some("told"));
    home.run(["receive", "--as", "bob"]).await.succeeded();
    let again = home.run(["mark", "--as", "alice", "bob", "--not-typing", "--json"]).await.succeeded().document();
    assert_eq!(again["state"].as_str(), Some("known"));
    home.run(["mark", "--as", "alice", "bob", "--typing", "--not-typing"]).await.exited(2);
}

#[tokio::test]
async fn a_mark_that_nobody_hears_of_is_not_said_to_be_kept() {
    let (mut relay, home) = relay_and_home().await;
    let typing = ["mark", "--as", "bob", "alice", "--typing"];
    let alone = home.run(typing.iter().chain(&["--json"])).await.succeeded().document();
    assert_fields(&alone, &["agent", "state", "reason"]);
    assert_eq!((alone["state"].as_str(), alone["reason"].as_str()), (Some("not-told"), Some("no-session")));
    let text = home.run(typing).await.succeeded().out;
    assert!(text.contains("not-told: there is no session") && text.contains("travels with the next mark"), "{text}");
    let sent = home.run(["send", "--as", "alice", "bob", "hello", "--json"]).await.succeeded().document();
    let id = sent["id"].as_str().unwrap();
    home.run(["receive", "--as", "bob"]).await.succeeded();
    relay.kill().await;
    let read = ["mark", "--as", "bob", "alice", "--read", id, "--json"];
    let cut_off = home.run(read).await.exited(3);
    assert_eq!(cut_off.document()["state"].as_str(), Some("not-told"));
    assert_eq!(cut_off.document()["reason"].as_str(), Some("unreachable"));
    assert!(cut_off.err.contains("travels with the next mark"), "{}", cut_off.err);
    relay.restart().await;
    assert_eq!(home.run(read).await.succeeded().document()["state"].as_str(), Some("told"));
}
