//! A relay's data folder that was put back from a copy without a word: who runs it is told what to do, and then all goes on.

use sealpost_tests::{Home, within};

use super::{relay_and_home, texts};

async fn send(home: &Home, words: &str) -> String {
    let sent = home.run(["send", "--as", "alice", "bob", words, "--json"]).await.succeeded().document();
    sent["id"].as_str().unwrap().to_owned()
}

async fn receive(home: &Home) -> Vec<String> {
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    texts(&received.documents()).into_iter().map(str::to_owned).collect()
}

/// How a message stands with bob, as alice is told; `None` if the relay does not have it.
async fn state(home: &Home, id: &str) -> Option<String> {
    let status = home.run(["status", "--as", "alice", id, "--json"]).await;
    (status.exit == 0).then(|| status.document()["recipients"][0]["state"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_folder_copied_back_is_told_with_what_to_do_and_goes_on_after_it() {
    let (mut relay, home) = relay_and_home().await;
    let before = send(&home, "before the copy").await;
    assert_eq!(receive(&home).await, ["before the copy"]);
    relay.kill().await;
    let copy = relay.copy_ledger();
    relay.restart().await;
    let taken = send(&home, "after the copy").await;
    assert_eq!(receive(&home).await, ["after the copy"]);
    assert_eq!(state(&home, &taken).await.as_deref(), Some("delivered"));
    let lost = send(&home, "accepted, and lost with the folder").await;

    relay.kill().await;
    relay.put_back(&copy);
    relay.restart().await;
    let since = send(&home, "to the copy").await;
    let told = home.run(["receive", "--as", "bob"]).await.exited(7);
    assert!(told.out.contains("to the copy"), "mail still comes: {}", told.out);
    assert!(told.err.contains("`serve --restored`"), "who runs the relay is told what to do: {}", told.err);
    let told = home.run(["receive", "--as", "bob", "--json"]).await.exited(7);
    assert!(told.err.contains("\"code\":\"forked\"") && told.err.contains("--restored"), "{}", told.err);
    assert_ne!(state(&home, &since).await.as_deref(), Some("delivered"), "the copy is given no receipts");
    assert_ne!(state(&home, &lost).await.as_deref(), Some("delivered"), "nobody has it");

    relay.kill().await;
    relay.restart_with(&["--restored"]).await;
    assert_eq!(receive(&home).await, Vec::<String>::new(), "each was shown once");
    within("the receipt of what came meanwhile", async {
        while state(&home, &since).await.as_deref() != Some("delivered") {
            receive(&home).await;
        }
    })
    .await;
    assert_ne!(state(&home, &lost).await.as_deref(), Some("delivered"), "still nobody has it");
    assert_eq!(state(&home, &before).await.as_deref(), Some("delivered"));
    let next = send(&home, "and on").await;
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["and on"]);
    assert!(!received.err.contains("relay:forked"), "told once: {}", received.err);
    assert_eq!(state(&home, &next).await.as_deref(), Some("delivered"));
}
