//! The fields of each command's `--json` form; one document, or one per line.

use std::time::Duration;

use sealpost_tests::{Home, TestRelay};

use super::{assert_fields, relay_and_home};

/// What `demo` shows, in its order.
const DEMO: [&str; 17] = [
    "offline-first-contact",
    "post-quantum-handshake",
    "reply",
    "out-of-order",
    "relay-restart",
    "agent-restart",
    "tampered-envelope-rejected",
    "replayed-envelope-ignored",
    "stranger-refused",
    "status-honest",
    "large-file",
    "thousand-recipients",
    "shared-key-channel",
    "recipient-keys",
    "downgrade-refused",
    "whitened-at-rest",
    "shredded",
];

#[tokio::test]
async fn agents_are_made_listed_and_shown() {
    let relay = TestRelay::start().await;
    let home = Home::new(relay.origin());
    let made = home.run(["agent", "new", "alice", "--json"]).await.succeeded().document();
    assert_fields(&made, &["name", "id", "identity_key", "published"]);
    assert_eq!((made["name"].as_str(), made["published"].as_bool()), (Some("alice"), Some(true)));
    assert!(made["id"].as_str().unwrap().starts_with("agent1"));
    assert_eq!(made["identity_key"].as_str().unwrap().len(), 64);

    let shown = home.run(["agent", "show", "alice", "--json"]).await.succeeded().document();
    assert_fields(&shown, &["name", "id", "identity_key"]);
    assert_eq!(shown["id"], made["id"]);

    home.agent("bob").await;
    let listed = home.run(["agent", "list", "--json"]).await.succeeded().documents();
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0], listed[1]["name"].as_str()), (&shown, Some("bob")), "by name");

    let trusting = home.run(["agent", "trust-relay", "alice", "--json"]).await.succeeded().document();
    assert_eq!((&trusting["id"], trusting["published"].as_bool()), (&made["id"], Some(true)));
}

#[tokio::test]
async fn a_message_is_sent_received_and_followed_up() {
    let (_relay, home) = relay_and_home().await;
    let (alice, bob) = (
        home.run(["agent", "show", "alice", "--json"]).await.document(),
        home.run(["agent", "show", "bob", "--json"]).await.document(),
    );
    let thread = "0190d3a8-0000-7000-8000-000000000001";
    let arguments = ["send", "--as", "alice", "bob", "hello", "--json", "--type", "greeting", "--thread", thread];
    let sent = home.run(arguments.into_iter().chain(["--priority", "high"])).await.succeeded().document();
    assert_fields(&sent, &["id", "state", "recipients", "accepted_at"]);
    assert_eq!(sent["state"], "accepted");
    assert_eq!(sent["recipients"][0], bob["id"]);
    let waiting =
        home.run(["status", "--as", "alice", sent["id"].as_str().unwrap(), "--json"]).await.succeeded().document();
    assert_fields(&waiting, &["id", "state", "accepted_at", "recipients", "content"]);
    assert_fields(&waiting["content"], &["part"]);
    assert_stored(&waiting["content"]["part"], "pooled");

    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded().document();
    let fields = ["id", "from", "from_name", "text", "type", "thread", "priority", "sent_at", "received_at"];
    assert_fields(&received, &fields);
    assert_eq!((&received["id"], &received["from"]), (&sent["id"], &alice["id"]));
    let words = ["from_name", "text", "type", "thread", "priority"].map(|field| received[field].as_str().unwrap());
    assert_eq!(words, ["alice", "hello", "greeting", thread, "high"]);

    let status =
        home.run(["status", "--as", "alice", sent["id"].as_str().unwrap(), "--json"]).await.succeeded().document();
    assert_fields(&status, &["id", "state", "accepted_at", "recipients"]);
    assert_eq!((&status["id"], status["state"].as_str()), (&sent["id"], Some("accepted")));
    let times = ["queued_at", "handed_over_at", "delivered_at", "acknowledged_at"];
    let others = ["recipient", "recipient_name", "attempt", "state", "late", "receipt"];
    let delivery = &status["recipients"][0];
    assert_fields(delivery, &[times.as_slice(), &others].concat());
    assert_eq!((&delivery["recipient"], delivery["recipient_name"].as_str()), (&bob["id"], Some("bob")));
    assert_eq!((delivery["state"].as_str(), delivery["receipt"].as_str()), (Some("delivered"), Some("verified")));
    assert_eq!((delivery["attempt"].as_u64(), delivery["late"].as_bool()), (Some(1), Some(false)));
    let in_order: Vec<_> = times.iter().map(|time| delivery[time].as_str().unwrap()).collect();
    assert!(in_order.is_sorted(), "{in_order:?}");
    assert!(in_order.iter().all(|time| time.ends_with('Z') && time.len() == "2026-11-22T12:43:45.123Z".len()));
}

#[tokio::test]
async fn a_reply_names_the_message_that_it_answers() {
    let (_relay, home) = relay_and_home().await;
    let send = async |from: &str, to: &str, more: &[&str]| {
        home.run([&["send", "--as", from, to, "words", "--json"], more].concat()).await
    };
    let asked = send("alice", "bob", &[]).await.succeeded().document()["id"].as_str().unwrap().to_owned();
    let early = send("bob", "alice", &["--reply-to", &asked]).await.exited(2);
    assert!(early.err.contains("no message"), "{}", early.err);
    home.run(["receive", "--as", "bob"]).await.succeeded();

    let alice = home.run(["agent", "show", "alice", "--json"]).await.document()["id"].clone();
    send("bob", "alice", &["--reply-to", &asked]).await.succeeded();
    let answer = home.run(["receive", "--as", "alice", "--peek", "--json"]).await.succeeded().document();
    assert_eq!((answer["reply_to"].as_str(), &answer["reply_to_from"]), (Some(asked.as_str()), &alice));
    let shown = home.run(["receive", "--as", "alice"]).await.succeeded().out;
    assert!(shown.contains(&format!(", in reply to {asked}: words")), "{shown}");

    let file = home.path().join("long");
    std::fs::write(&file, vec![7; 1 << 20]).unwrap();
    let long = ["send", "--as", "alice", "bob", "--reply-to", &asked, "--json", "--file", file.to_str().unwrap()];
    home.run(long).await.succeeded();
    let added = home.run(["receive", "--as", "bob", "--json", "--peek"]).await.succeeded().document();
    assert_eq!((added["reply_to"].as_str(), &added["reply_to_from"]), (Some(asked.as_str()), &alice), "her own");

    home.agent("carol").await;
    send("bob", "carol", &["--reply-to", &asked]).await.exited(2);
}

#[tokio::test]
async fn prekeys_are_shown_and_rotated() {
    let (_relay, home) = relay_and_home().await;
    let counts = ["one_time_curve", "one_time_kem"];
    let flags = ["low", "refused", "recall_due"];
    let fields = [["version", "created_at", "expires_at", "confirmed_at"].as_slice(), &counts, &flags].concat();
    let status = home.run(["prekeys", "status", "--as", "alice", "--json"]).await.succeeded().document();
    assert_fields(&status, &fields);
    assert_eq!((status["version"].as_u64(), status["one_time_kem"].as_u64()), (Some(1), Some(100)));
    let rotated = home.run(["prekeys", "rotate", "--as", "alice", "--json"]).await.succeeded().document();
    assert_fields(&rotated, &fields);
    assert_eq!((rotated["version"].as_u64(), rotated["one_time_curve"].as_u64()), (Some(2), Some(100)));
}

#[tokio::test]
async fn a_relay_says_where_it_is_and_who() {
    let home = Home::new("http://127.0.0.1:1");
    let folder = home.path().join("relay");
    let arguments = ["serve", "--json", "--listen", "127.0.0.1:0", "--data-dir", folder.to_str().unwrap()];
    let mut serving = home.start(arguments);
    let started = serving.next_document().await.unwrap();
    assert_fields(&started, &["address", "origin", "node_id", "ledger_id", "data_dir"]);
    assert_eq!(started["origin"], format!("http://{}", started["address"].as_str().unwrap()));
    assert!(started["node_id"].as_str().unwrap().starts_with("node1"));
    assert_eq!(started["data_dir"].as_str(), folder.to_str());
    assert!(serving.kill().await.was_interrupted);
}

#[tokio::test]
async fn a_failure_is_one_document_on_standard_error() {
    let (_relay, home) = relay_and_home().await;
    let failed = home.run(["agent", "new", "alice", "--json"]).await.exited(5);
    assert_eq!(failed.out, "");
    let error: serde_json::Value = serde_json::from_str(failed.err.trim()).unwrap();
    assert_fields(&error, &["error"]);
    assert_fields(&error["error"], &["code", "message"]);
    assert_eq!(error["error"]["code"], "local-state");
}

#[tokio::test]
async fn the_demonstration_does_all_it_shows() {
    let home = Home::new("http://127.0.0.1:1");
    // Under a minute when it is optimised and alone; here it is neither.
    let shown = home.run_for(Duration::from_secs(180), ["demo", "--json"]).await.succeeded().document();
    assert_eq!(shown["ok"], true);
    let steps = shown["steps"].as_array().expect("its steps");
    let names: Vec<_> = steps.iter().map(|step| step["name"].as_str().expect("a name")).collect();
    assert_eq!(names, DEMO);
    assert!(steps.iter().all(|step| step["ok"] == true && step["ms"].is_u64()), "{shown}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "it keeps nothing");
}

#[tokio::test]
async fn a_demonstration_that_cannot_go_on_says_so_and_fails() {
    let home = Home::new("http://127.0.0.1:1").with("TMPDIR", "/nowhere");
    let failed = home.run(["demo", "--json"]).await.exited(1);
    let shown = failed.document();
    assert_eq!((shown["ok"].as_bool(), shown["steps"][0]["ok"].as_bool()), (Some(false), Some(false)), "{shown}");
    assert!(shown["steps"][0]["error"].as_str().is_some_and(|error| error.contains("/nowhere")), "{shown}");
    home.run(["demo"]).await.exited(1);
}

/// The form of what a relay says of a stored content.
fn assert_stored(stored: &serde_json::Value, policy: &str) {
    let fields = ["length", "padded_length", "block_size", "tuple_size", "policy", "is_cbl", "block_ids"];
    assert_fields(stored, &fields);
    let number = |field: &str| stored[field].as_u64().unwrap();
    assert!(number("length") > 0 && number("padded_length") >= number("length"), "{stored}");
    assert!(number("block_size") >= 1 << 10 && number("tuple_size") == 3, "{stored}");
    assert_eq!((stored["policy"].as_str(), stored["is_cbl"].as_bool()), (Some(policy), Some(false)), "{stored}");
    let ids = stored["block_ids"].as_array().unwrap();
    assert!(!ids.is_empty() && ids.iter().all(|id| id.as_str().unwrap().len() == 64), "{stored}");
}

#[tokio::test]
async fn a_status_shows_how_a_body_is_stored() {
    let (_relay, home) = relay_and_home().await;
    let path = home.path().join("file.bin");
    std::fs::write(&path, vec![7; 3 << 20]).unwrap();
    let send = ["send", "--as", "alice", "bob", "--scheme", "none", "--file", path.to_str().unwrap(), "--json"];
    let sent = home.run(send).await.succeeded().document();
    let status = ["status", "--as", "alice", sent["id"].as_str().unwrap()];
    let content = home.run(status.iter().chain(&["--json"])).await.succeeded().document()["content"].clone();
    assert_fields(&content, &["body", "part"]);
    assert_fields(&content["body"], &["length", "pieces", "contents"]);
    let pieces = content["body"]["pieces"].as_u64().unwrap();
    assert!(pieces > 3 && content["body"]["length"].as_u64().unwrap() > 3 << 20, "{content}");
    assert_eq!(content["body"]["contents"].as_array().map(Vec::len), Some(usize::try_from(pieces).unwrap()));
    assert_eq!(content["body"]["contents"][0]["policy"], "fresh");
    let text = home.run(status).await.succeeded().out;
    let expected =
        format!("  body: {} bytes in {pieces} pieces, fresh whitened in blocks of ", content["body"]["length"]);
    assert!(text.contains(&expected) && text.contains("  part: "), "{text}");
}
