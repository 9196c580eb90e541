//! The program that shows how the SDK is used, beside the command.

use std::process::Stdio;

use sealpost_tests::{echo_example, within};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::relay_and_home;

#[tokio::test]
async fn the_example_answers_what_the_command_sends() {
    let (relay, home) = relay_and_home().await;
    let mut command = Command::new(echo_example());
    command.arg(home.path().join("bob")).arg(relay.origin());
    let mut bob = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(bob.stdout.take().unwrap()).lines();
    let listens = within("the agent's id", lines.next_line()).await.unwrap().unwrap();
    let id = home.run(["agent", "show", "bob", "--json"]).await.succeeded().document()["id"].clone();
    assert_eq!(listens, format!("{} listens", id.as_str().unwrap()));

    for said in ["Are you there?", "And still?"] {
        let sent = home.run(["send", "--as", "alice", "bob", said, "--json"]).await.succeeded().document();
        let sent = sent["id"].as_str().unwrap();
        let answered = within("an answer", lines.next_line()).await.unwrap().unwrap();
        assert_eq!(answered, format!("answered {sent}"));
        let answer = home.run(["receive", "--as", "alice", "--wait", "10s", "--json"]).await.succeeded().document();
        assert_eq!(answer["text"].as_str(), Some(said));
        assert_eq!(answer["reply_to"].as_str(), Some(sent), "{answer}");
    }
    let refused = Command::new(echo_example()).output().await.unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("usage"), "{refused:?}");
}
