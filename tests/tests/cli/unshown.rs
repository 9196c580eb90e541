//! A command that has changed something says so, also where its result cannot be written.

use sealpost_tests::{Finished, FullStreams};
use serde_json::Value;

use super::{relay_and_home, texts};

/// What was told of each thing that went wrong, last of all what ended the command.
fn errors(finished: &Finished) -> Vec<Value> {
    let errors = finished.err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    errors.filter_map(|line| line.get("error").cloned()).collect()
}

#[tokio::test]
async fn an_accepted_message_whose_id_cannot_be_printed_is_9_and_told_on_standard_error() {
    let (_relay, home) = relay_and_home().await;
    let send = ["send", "--as", "alice", "bob", "once", "--json"];
    let sent = home.run_on_a_full_device(send, FullStreams::Output).await.exited(9);
    let told = errors(&sent).pop().unwrap();
    assert_eq!((&told["code"], &told["result"]["state"]), (&"unshown".into(), &"accepted".into()), "{told}");
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded().documents();
    assert_eq!((texts(&received), &received[0]["id"]), (vec!["once"], &told["result"]["id"]));
    for is_closed in [false, true] {
        let told = match is_closed {
            true => home.run_closed(&send[..5]).await.exited(9),
            false => home.run_on_a_full_device(&send[..5], FullStreams::Output).await.exited(9),
        };
        let id = home.run(["receive", "--as", "bob", "--json"]).await.succeeded().document()["id"].clone();
        assert!(told.err.contains(&format!("{}  accepted", id.as_str().unwrap())), "{}", told.err);
    }
}

#[tokio::test]
async fn a_kept_message_whose_id_cannot_be_printed_is_3_and_both_are_told() {
    let (mut relay, home) = relay_and_home().await;
    relay.kill().await;
    let send = ["send", "--as", "alice", "bob", "kept", "--json"];
    let errors = errors(&home.run_on_a_full_device(send, FullStreams::Output).await.exited(3));
    let codes: Vec<_> = errors.iter().map(|error| error["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["unshown", "kept"]);
    let waiting = home.run(["outbox", "list", "--as", "alice", "--json"]).await.succeeded().document();
    assert_eq!(waiting["id"], errors[0]["result"]["id"]);
    let cancel = ["outbox", "cancel", "--as", "alice", waiting["id"].as_str().unwrap()];
    home.run_on_a_full_device(cancel, FullStreams::Output).await.exited(9);
    assert_eq!(home.run(["outbox", "list", "--as", "alice"]).await.succeeded().out, "");
}

#[tokio::test]
async fn whatever_is_changed_and_cannot_be_told_is_9() {
    let (_relay, home) = relay_and_home().await;
    let id = home.run(["agent", "show", "bob", "--json"]).await.succeeded().document()["id"].clone();
    let exported = home.path().join("alice.identity");
    let passphrase = home.path().join("passphrase");
    std::fs::write(&passphrase, "a passphrase for the file\n").unwrap();
    let [exported, passphrase] = [&exported, &passphrase].map(|path| path.to_str().unwrap());
    let commands: [&[&str]; 13] = [
        &["agent", "new", "carol"],
        &["agent", "rekey", "carol"],
        &["agent", "passphrase", "carol", "--new-key-file"],
        &["agent", "export", "carol", exported, "--export-passphrase-file", passphrase],
        &["agent", "import", "dave", exported, "--export-passphrase-file", passphrase],
        &["agent", "trust", "--as", "alice", "robert", id.as_str().unwrap()],
        &["agent", "trust-relay", "alice"],
        &["prekeys", "rotate", "--as", "alice"],
        &["policy", "set", "--as", "alice", "recipient-keys"],
        &["group", "new", "--as", "alice", "team", "bob"],
        &["group", "rotate", "--as", "alice", "team"],
        &["group", "leave", "--as", "alice", "team"],
        &["mark", "--as", "alice", "bob", "--typing"],
    ];
    for command in commands {
        let told = home.run_on_a_full_device(command.iter().chain(&["--json"]), FullStreams::Output).await.exited(9);
        let error = errors(&told).pop().expect(&told.err);
        assert!(error["code"] == "unshown" && error["result"].is_object(), "{}: {error}", told.command);
    }
    let names: Vec<_> = home.run(["agent", "list", "--json"]).await.succeeded().documents();
    let names: Vec<_> = names.iter().map(|agent| agent["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["alice", "bob", "carol", "dave"]);
}
