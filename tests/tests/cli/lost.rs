//! Mail that failed after it was accepted: both ends are told without asking for a status, each once.

use sealpost_tests::{Finished, Home, within};
use serde_json::Value;

use super::relay_and_home;

/// The events that were told.
fn events(finished: &Finished) -> Vec<Value> {
    let lines = finished.err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line.get("event").is_some()).collect()
}

async fn send(home: &Home, text: &str, more: &[&str]) -> Value {
    let command = ["send", "--as", "alice", "bob", text, "--json"];
    home.run(command.iter().chain(more)).await.succeeded().document()["id"].clone()
}

#[tokio::test]
async fn what_a_repair_finds_lost_is_told_to_sender_and_recipient() {
    let (mut relay, home) = relay_and_home().await;
    let id = send(&home, "lost on the way", &[]).await;
    relay.kill().await;
    let data_dir = relay.data_dir();
    let ledger = rusqlite::Connection::open(data_dir.join("ledger.sqlite3")).unwrap();
    ledger.execute_batch("DELETE FROM parts").unwrap();
    drop(ledger);
    home.run(["blocks", "repair", "--data-dir", data_dir.to_str().unwrap()]).await.succeeded();
    relay.restart().await;

    let told = events(&home.run(["receive", "--as", "alice", "--json"]).await.succeeded());
    let [failed] = told.as_slice() else { panic!("{told:?}") };
    let words = ["event", "reason", "recipient_name"].map(|field| failed[field].as_str().unwrap());
    assert_eq!((words, &failed["id"]), (["message:failed", "lost", "bob"], &id));
    let told = home.run(["receive", "--as", "bob", "--json"]).await.exited(6);
    let lost = &events(&told)[0];
    let words = ["event", "reason", "sender_name"].map(|field| lost[field].as_str().unwrap());
    assert_eq!((words, &lost["id"]), (["message:body-lost", "lost", "alice"], &id));
    for agent in ["alice", "bob"] {
        assert_eq!(home.run(["receive", "--as", agent]).await.succeeded().err, "", "once");
    }
}

#[tokio::test]
async fn a_message_whose_life_has_ended_is_told_to_its_sender_while_it_follows() {
    let (_relay, home) = relay_and_home().await;
    let id = send(&home, "too late", &["--life", "1s"]).await;
    within("the end of its life", async {
        loop {
            let status = home.run(["status", "--as", "alice", id.as_str().unwrap(), "--json"]).await.succeeded();
            if status.document()["recipients"][0]["state"] == "failed" {
                break;
            }
        }
    })
    .await;
    let told = home.run(["receive", "--as", "alice"]).await.succeeded();
    let expected = format!("{} has not reached bob: its life is over", id.as_str().unwrap());
    assert!(told.err.contains(&expected), "{}", told.err);
    assert_eq!(home.run(["receive", "--as", "alice"]).await.succeeded().err, "", "once");
    assert_eq!(events(&home.run(["receive", "--as", "bob", "--json"]).await.succeeded()), Vec::<Value>::new());
}
