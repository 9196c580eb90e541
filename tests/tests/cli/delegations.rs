//! An agent lets others act for it at its relay, and takes that back.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{assert_fields, relay_and_home};

#[tokio::test]
async fn a_delegation_is_made_narrowed_used_and_revoked() {
    let (mut relay, home) = relay_and_home().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (wide, narrow) = (file("wide.delegation"), file("narrow.delegation"));
    let made = ["agent", "delegate", "bob", "--may", "send,read", "--for", "7d", "--label", "a helper", "--file"];
    let made = home.run(made.into_iter().chain([wide.as_str(), "--json"])).await.succeeded().document();
    let fields = ["id", "agent", "rights", "until", "relay", "node_id", "file"];
    assert_fields(&made, &fields);
    assert_eq!(made["rights"], serde_json::json!(["send", "read"]));
    assert_eq!(fs::metadata(&wide).unwrap().permissions().mode() & 0o777, 0o600, "it is as secret as a key");
    let text = fs::read_to_string(&wide).unwrap();
    let shown = home.run(["delegation", "show", &wide, "--json"]).await.succeeded();
    assert_fields(&shown.document(), &fields[..6]);
    assert!(!shown.out.contains(text.trim()), "{}", shown.out);

    let narrowed = ["delegation", "narrow", &wide, "--only", "read", "--for", "1h", "--into", &narrow, "--json"];
    let narrowed = home.run(narrowed).await.succeeded().document();
    assert_eq!((&narrowed["rights"], &narrowed["agent"]), (&serde_json::json!(["read"]), &made["agent"]));
    assert_ne!(narrowed["id"], made["id"]);
    home.run(["delegation", "narrow", &wide, "--into", &narrow]).await.exited(2);
    assert_eq!(fs::read_to_string(&narrow).unwrap().lines().count(), 1, "it is not written over");

    let none = home.run(["delegation", "waiting", &narrow, "--json"]).await.succeeded();
    assert_eq!(none.out, "");
    let sent = home.run(["send", "--as", "alice", "bob", "wake up", "--json"]).await.succeeded().document();
    let waiting = home.run(["delegation", "waiting", &narrow, "--wait", "30s", "--json"]).await.succeeded().document();
    let fields = ["seq", "id", "from", "attempt", "scheme", "priority", "sent_at", "queued_at", "expires_at", "length"];
    assert_fields(&waiting, &fields);
    assert_eq!(waiting["id"], sent["id"]);
    let seen = waiting["seq"].to_string();
    assert_eq!(home.run(["delegation", "waiting", &narrow, "--after", &seen]).await.succeeded().out, "", "it was seen");
    let events = home.run(["delegation", "events", &narrow, "--json"]).await.succeeded().documents();
    let fields = ["seq", "type", "sender", "message_id", "recipient", "attempt", "reason"];
    assert_fields(events.last().unwrap(), &fields);
    let seq = events.last().unwrap()["seq"].to_string();
    assert_eq!(home.run(["delegation", "events", &narrow, "--after", &seq, "--json"]).await.succeeded().out, "");

    let listed = home.run(["agent", "delegations", "bob", "--json"]).await.succeeded().document();
    assert_fields(&listed, &["id", "label", "rights", "created_at", "until", "node_id"]);
    assert_eq!((&listed["id"], &listed["label"]), (&made["id"], &serde_json::json!("a helper")));
    let id = made["id"].as_str().unwrap();
    let revoked = home.run(["agent", "revoke", "bob", id, "--json"]).await.succeeded().document();
    assert_fields(&revoked, &["id", "revoked", "all"]);
    for file in [&wide, &narrow] {
        let refused = home.run(["delegation", "waiting", file, "--json"]).await.exited(4);
        assert!(refused.err.contains("\"forbidden\"") && refused.err.contains("revoked"), "{}", refused.err);
    }
    let listed = home.run(["agent", "delegations", "bob", "--json"]).await.succeeded().document();
    assert_fields(&listed, &["id", "label", "rights", "created_at", "until", "node_id", "revoked_at"]);
    relay.kill().await;
    let kept = home.run(["agent", "revoke", "bob", "--all"]).await.exited(3);
    assert!(kept.err.contains("it is noted here"), "{}", kept.err);
    let listed = home.run(["agent", "delegations", "bob", "--json"]).await.succeeded().document();
    assert_fields(&listed, &["id", "label", "rights", "created_at", "until", "node_id", "revoked_at", "untold"]);
    relay.restart().await;
    let all = home.run(["agent", "revoke", "bob", "--all"]).await.succeeded();
    assert!(all.out.contains("bob"), "{}", all.out);
    let received = home.run(["receive", "--as", "bob"]).await.succeeded();
    assert!(received.out.contains("wake up"), "the agent itself goes on: {}", received.out);
}

#[tokio::test]
async fn what_is_no_delegation_is_refused_before_anything_is_asked() {
    let (_relay, home) = relay_and_home().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let file = path.display().to_string();
    for content in ["", "no delegation", "AQ", &"A".repeat(20_000)] {
        fs::write(&path, content).unwrap();
        for command in [&["delegation", "show", &file][..], &["delegation", "waiting", &file]] {
            home.run(command).await.exited(2);
        }
    }
    let make =
        |may: &'static str, life: &'static str| ["agent", "delegate", "bob", "--may", may, "--for", life, "--file"];
    for (may, life) in [("sign", "7d"), ("", "7d"), ("read", "91days"), ("read", "0s"), ("read", "soon")] {
        let new = folder.path().join("new").display().to_string();
        home.run(make(may, life).into_iter().chain([new.as_str()])).await.exited(2);
        assert!(!folder.path().join("new").exists());
    }
    home.run(make("read", "7d").into_iter().chain([file.as_str()])).await.exited(2);
    assert_eq!(fs::metadata(&path).unwrap().len(), 20_000, "nothing is written over");
    assert_eq!(home.run(["agent", "delegations", "bob"]).await.succeeded().out, "");
    home.run(["agent", "revoke", "bob"]).await.exited(2);
    home.run(["agent", "revoke", "bob", "xyz"]).await.exited(2);
}
