//! `receive` and what strangers may cost: bodies that wait at the relay, and those that are lost there.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use sealpost_tests::{Home, TestRelay};
use serde_json::Value;

use super::{assert_fields, relay_and_home};

/// More than is fetched unasked.
const LENGTH: usize = 40 << 20;

async fn send_large(home: &Home) -> String {
    let path = home.path().join("large.bin");
    fs::write(&path, vec![7; LENGTH]).unwrap();
    let sent = home.run(["send", "--as", "alice", "bob", "--json", "--file", path.to_str().unwrap()]).await.succeeded();
    sent.document()["id"].as_str().unwrap().to_owned()
}

async fn state(home: &Home, id: &str) -> Value {
    home.run(["status", "--as", "alice", id, "--json"]).await.succeeded().document()["recipients"][0].clone()
}

#[tokio::test]
async fn a_stranger_s_large_file_is_shown_as_waiting_and_fetched_when_asked_for() {
    let (_relay, home) = relay_and_home().await;
    let id = send_large(&home).await;
    home.run(["send", "--as", "alice", "bob", "after it"]).await.succeeded();
    let shown = home.run(["receive", "--as", "bob", "--json"]).await.succeeded().documents();
    let texts: Vec<_> = shown.iter().filter_map(|message| message["text"].as_str()).collect();
    assert_eq!(texts, ["after it"], "it holds nothing up");
    let waiting = shown.iter().find(|message| message.get("waiting").is_some()).expect("it is shown");
    let fields = ["id", "from", "from_name", "waiting", "waiting_reason", "priority", "sent_at", "received_at"];
    assert_fields(waiting, &fields);
    assert!(waiting["waiting"].as_u64().unwrap() >= LENGTH as u64 && waiting["waiting_reason"] == "stranger");
    assert_eq!(state(&home, &id).await["state"], "in-transit");

    let text = home.run(["receive", "--as", "bob"]).await.succeeded().out;
    assert!(text.contains("waiting: body of ") && text.contains(&format!("receive with --fetch {id}")), "{text}");
    let other = "0190d3a8-0000-7000-8000-000000000001";
    let unknown = home.run(["receive", "--as", "bob", "--fetch", other, "--json"]).await.exited(1);
    assert!(unknown.err.contains("\"not-waiting\""), "{}", unknown.err);
    let folder = home.path().join("saved");
    let save = folder.to_str().unwrap();
    let saved = home.run(["receive", "--as", "bob", "--fetch", &id, "--save", save, "--json"]).await.succeeded();
    assert_eq!(saved.document()["length"].as_u64(), Some(LENGTH as u64));
    assert_eq!(fs::metadata(folder.join("large.bin")).unwrap().len(), LENGTH as u64);
    assert_eq!(home.run(["receive", "--as", "bob", "--json"]).await.succeeded().out, "", "nothing waits any more");
    assert_eq!(state(&home, &id).await["state"], "delivered");
}

#[tokio::test]
async fn a_body_that_was_asked_for_can_be_asked_for_again_and_one_that_is_gone_keeps_no_other_from_coming() {
    let (mut relay, home) = relay_and_home().await;
    let id = send_large(&home).await;
    home.run(["receive", "--as", "bob"]).await.succeeded();
    relay.kill().await;
    // What it had asked for was cut short.
    home.run(["receive", "--as", "bob", "--fetch", &id]).await.exited(3);
    relay.restart().await;
    let folder = home.path().join("saved");
    let other = "0190d3a8-0000-7000-8000-000000000001";
    let save = ["receive", "--as", "bob", "--save", folder.to_str().unwrap(), "--json"];
    let fetch = ["--fetch", other, "--fetch", &id, "--fetch", "0190d3a8-0000-7000-8000-000000000002"];
    let saved = home.run(save.into_iter().chain(fetch)).await.exited(1);
    assert_eq!(saved.document()["id"].as_str(), Some(id.as_str()));
    assert_eq!(fs::metadata(folder.join("large.bin")).unwrap().len(), LENGTH as u64);
    assert_eq!(saved.err.matches("\"not-waiting\"").count(), 2, "each is told: {}", saved.err);
    assert_eq!(saved.err.matches(other).count(), 1, "{}", saved.err);
}

/// Spoils every page of what the relay stores of contents.
fn spoil(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            spoil(&entry.path());
        } else if entry.metadata().unwrap().len() > 1 << 20 {
            let file = OpenOptions::new().write(true).open(entry.path()).unwrap();
            for place in ((1 << 16)..entry.metadata().unwrap().len()).step_by(1 << 14) {
                file.write_all_at(&[0x5a; 64], place).unwrap();
            }
        }
    }
}

async fn relay_that_lost_a_body() -> (TestRelay, Home, String) {
    let (mut relay, home) = relay_and_home().await;
    let id = send_large(&home).await;
    home.run(["receive", "--as", "bob"]).await.succeeded();
    relay.kill().await;
    spoil(&relay.data_dir().join("blocks"));
    relay.restart().await;
    (relay, home, id)
}

#[tokio::test]
async fn a_body_that_the_relay_has_lost_is_told_to_both_and_is_exit_code_6_once() {
    let (_relay, home, id) = relay_that_lost_a_body().await;
    let lost = home.run(["receive", "--as", "bob", "--fetch", &id, "--json"]).await.exited(6);
    assert_eq!(lost.out, "");
    assert_eq!(lost.err.matches("\"message:body-lost\"").count(), 1, "{}", lost.err);
    assert!(lost.err.contains(&id), "{}", lost.err);
    assert!(lost.err.contains("\"code\":\"lost\""), "{}", lost.err);
    let told = state(&home, &id).await;
    assert_eq!((told["state"].as_str(), told["reason"].as_str()), (Some("failed"), Some("lost")), "{told}");
    let again = home.run(["receive", "--as", "bob"]).await.succeeded();
    assert_eq!((again.out.as_str(), again.err.as_str()), ("", ""), "it is told once, and asked for no more");
}
