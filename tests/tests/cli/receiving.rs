//! `receive`: once, with a wait, in portions, without taking, and on and on.

use std::{fs::File, sync::Arc, time::Duration};

use sealpost_api::v1;
use sealpost_protocol::AgentId;
use sealpost_tests::{
    Home, ScriptedRelay,
    plain::{Carrier, Grpc, PlainAgent, log_in},
    within,
};
use serde_json::Value;

use super::{relay_and_home, texts};

#[tokio::test]
async fn peeking_consumes_nothing_and_taking_does() {
    let (_relay, home) = relay_and_home().await;
    let sent = home.run(["send", "--as", "alice", "bob", "look at me", "--json"]).await.succeeded().document();
    let status = async || {
        let status = home.run(["status", "--as", "alice", sent["id"].as_str().unwrap(), "--json"]).await.succeeded();
        status.document()["recipients"][0].clone()
    };
    for _ in 0..2 {
        let peeked = home.run(["receive", "--as", "bob", "--peek", "--json"]).await.succeeded();
        assert_eq!(texts(&peeked.documents()), ["look at me"]);
        let delivery = status().await;
        assert_eq!(delivery["state"], "delivered");
        assert!(delivery.get("acknowledged_at").is_none(), "{delivery}");
    }
    assert_eq!(texts(&home.run(["receive", "--as", "bob", "--json"]).await.documents()), ["look at me"]);
    assert!(status().await.get("acknowledged_at").is_some());
    assert_eq!(home.run(["receive", "--as", "bob", "--peek", "--json"]).await.succeeded().out, "");
}

#[tokio::test]
async fn mail_that_opens_for_nobody_hides_none_that_comes_after_it() {
    let (relay, home) = relay_and_home().await;
    let bob = home.run(["agent", "show", "bob", "--json"]).await.succeeded().document();
    let bob: AgentId = bob["id"].as_str().unwrap().parse().unwrap();
    let mut stranger = PlainAgent::new();
    let mut carrier: Grpc = log_in(&relay.origin(), &stranger.identity).await;
    carrier.upload_prekeys(stranger.prekeys()).await.unwrap();
    stranger.open_session(bob, carrier.claim_bundle(bob, [1; 16]).await.unwrap());
    for _ in 0..250 {
        let mut request = stranger.seal(bob, "altered").1;
        *request.parts[0].envelope.last_mut().unwrap() ^= 1;
        carrier.send(request).await.unwrap();
    }
    home.run(["send", "--as", "alice", "bob", "after them"]).await.succeeded();
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["after them"]);
    let refusals: Vec<_> = received.err.lines().filter(|line| line.contains("refused a message")).collect();
    assert_eq!(refusals.len(), 250);
    assert!(refusals.iter().all(|line| line.matches("\"message\"").count() <= 1), "{}", refusals[0]);
}

/// Makes a mailbox long again, by entries without a message that are numbered from there on.
fn refill(relay: &ScriptedRelay, above: u64) {
    let mut script = relay.script();
    let read = script.receives.last().map_or(0, |request| request.after);
    script.mailbox.retain(|entry| entry.mailbox_seq > read);
    let nothing = |number| v1::MailboxEntry { mailbox_seq: number, attempt: 1, ..v1::MailboxEntry::default() };
    if script.mailbox.len() < 5_000 {
        script.mailbox.extend((above + 1..=above + 5_000).map(nothing));
    }
}

#[tokio::test]
async fn mail_without_end_of_which_nothing_is_shown_ends_the_command_after_a_minute_and_it_says_so() {
    let relay = Arc::new(ScriptedRelay::start().await);
    let home = Home::new(relay.origin()).with("RUST_LOG", "off");
    home.agent("bob").await;
    let handing = Arc::clone(&relay);
    let refilling = tokio::spawn(async move {
        for round in 0.. {
            refill(&handing, round * 5_000);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let patience = Duration::from_secs(150);
    let stopped = home.run_for(patience, ["receive", "--as", "bob", "--json"]).await.exited(8);
    refilling.abort();
    let error: Value = serde_json::from_str(stopped.err.trim()).unwrap();
    assert_eq!((stopped.out.as_str(), &error["error"]["code"]), ("", &"more".into()));
}

#[tokio::test]
async fn a_limit_leaves_the_rest_for_the_next_time() {
    let (_relay, home) = relay_and_home().await;
    for text in ["1", "2", "3", "4", "5"] {
        home.run(["send", "--as", "alice", "bob", text]).await.succeeded();
    }
    for expected in [["1", "2"].as_slice(), &["3", "4"], &["5"], &[]] {
        let peeked = home.run(["receive", "--as", "bob", "--peek", "--limit", "2", "--json"]).await.succeeded();
        assert_eq!(texts(&peeked.documents()), expected);
        let taken = home.run(["receive", "--as", "bob", "--limit", "2", "--json"]).await.succeeded();
        assert_eq!(texts(&taken.documents()), expected);
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_first_message() {
    let (_relay, home) = relay_and_home().await;
    let mut waiting = home.start(["receive", "--as", "bob", "--wait", "10m", "--json"]);
    home.run(["send", "--as", "alice", "bob", "at last"]).await.succeeded();
    assert_eq!(waiting.next_document().await.unwrap()["text"], "at last");
    assert_eq!(waiting.next_document().await, None, "and then it ends by itself");
}

#[tokio::test]
async fn what_was_received_is_shown_even_if_the_relay_is_gone() {
    let (mut relay, home) = relay_and_home().await;
    home.run(["send", "--as", "alice", "bob", "in the inbox"]).await.succeeded();
    home.run(["receive", "--as", "bob", "--peek"]).await.succeeded();
    relay.kill().await;
    let shown = home.run(["receive", "--as", "bob", "--json"]).await.exited(3);
    assert_eq!(texts(&shown.documents()), ["in the inbox"]);
    assert_eq!(home.run(["receive", "--as", "bob", "--json"]).await.exited(3).out, "");
}

#[tokio::test]
async fn following_goes_on_when_the_relay_was_away() {
    let (mut relay, home) = relay_and_home().await;
    let mut following = home.start(["receive", "--as", "bob", "--follow", "--json"]);
    home.run(["send", "--as", "alice", "bob", "before"]).await.succeeded();
    assert_eq!(following.next_document().await.unwrap()["text"], "before");
    relay.kill().await;
    relay.restart().await;
    home.run(["send", "--as", "alice", "bob", "after"]).await.succeeded();
    assert_eq!(following.next_document().await.unwrap()["text"], "after");
    assert!(following.kill().await.was_interrupted);
}

#[tokio::test]
async fn following_goes_on_after_another_process_has_changed_the_keys() {
    let (_relay, home) = relay_and_home().await;
    let mut following = home.start(["receive", "--as", "bob", "--follow", "--json"]);
    home.run(["send", "--as", "alice", "bob", "before"]).await.succeeded();
    assert_eq!(following.next_document().await.unwrap()["text"], "before");
    let changes: [&[&str]; 3] =
        [&["agent", "rekey", "bob"], &["agent", "passphrase", "bob", "--new-key-file"], &["agent", "rekey", "bob"]];
    for (number, change) in changes.into_iter().enumerate() {
        home.run(change).await.succeeded();
        let words = format!("after change {number}");
        home.run(["send", "--as", "alice", "bob", &words]).await.succeeded();
        assert_eq!(following.next_document().await.expect("it goes on")["text"], words);
    }
    assert!(following.kill().await.was_interrupted);
}

#[tokio::test]
async fn two_terminals_follow_one_agent_and_each_message_is_shown_on_one_of_them() {
    let (_relay, home) = relay_and_home().await;
    let follow = || home.start(["receive", "--as", "bob", "--follow", "--json"]);
    let mut terminals = [follow(), follow()];
    let mut expected = Vec::new();
    for number in 10..30 {
        let text = number.to_string();
        home.run(["send", "--as", "alice", "bob", &text]).await.succeeded();
        expected.push(text);
    }
    let mut shown = Vec::new();
    within("every message on one of the terminals", async {
        while shown.len() < expected.len() {
            let [one, other] = &mut terminals;
            let document = tokio::select! {
                document = one.next_document() => document,
                document = other.next_document() => document,
            };
            shown.push(document.expect("both go on")["text"].as_str().unwrap().to_owned());
        }
    })
    .await;
    shown.sort_unstable();
    assert_eq!(shown, expected, "each on one of them");
    // What is shown is taken right after.
    within("an empty inbox", async {
        while !home.run(["receive", "--as", "bob", "--peek"]).await.succeeded().out.is_empty() {}
    })
    .await;
    for terminal in terminals {
        let killed = terminal.kill().await;
        assert!(killed.was_interrupted, "both still follow");
        assert_eq!(killed.documents, Vec::<Value>::new(), "nothing was shown on both");
    }
}

#[tokio::test]
async fn an_interrupt_ends_it_also_while_another_process_reads_the_inbox() {
    let (_relay, home) = relay_and_home().await;
    let mut following = home.start(["receive", "--as", "bob", "--follow", "--json"]);
    let first = send_to_bob(&home, "first").await;
    assert_eq!(following.next_document().await.unwrap()["text"], "first");
    has_come_so_far(&home, &first, "acknowledged_at").await;
    let reader = File::open(home.path().join("bob/reader.lock")).unwrap();
    reader.try_lock().expect("it waits for mail");
    let second = send_to_bob(&home, "second").await;
    has_come_so_far(&home, &second, "delivered_at").await;
    // It goes for its turn to read right after; nothing outside shows that it waits for it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(following.interrupt().await, 0);
    drop(reader);
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["second"], "it was not shown, and is not lost");
}

async fn send_to_bob(home: &Home, text: &str) -> String {
    let sent = home.run(["send", "--as", "alice", "bob", text, "--json"]).await.succeeded().document();
    sent["id"].as_str().unwrap().to_owned()
}

/// Waits until the status of a message has this time.
async fn has_come_so_far(home: &Home, id: &str, time: &str) {
    within(time, async {
        loop {
            let status = home.run(["status", "--as", "alice", id, "--json"]).await.succeeded().document();
            if status["recipients"][0].get(time).is_some() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn messages_that_never_came_are_told_beside_the_results() {
    let (_relay, home) = relay_and_home().await;
    let send =
        async |text: &str| home.run(["send", "--as", "alice", "bob", text, "--json"]).await.succeeded().document();
    let receive = async || home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    send("1").await;
    assert_eq!(texts(&receive().await.documents()), ["1"]);
    // What the folder takes in from here on is lost with it.
    let folder = home.path().join("bob");
    let kept = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    };
    copy(&folder, kept.path());
    for text in ["2", "3"] {
        send(text).await;
        receive().await;
    }
    for file in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
        std::fs::remove_file(file.path()).unwrap();
    }
    copy(kept.path(), &folder);
    let fourth = send("4").await;
    let received = receive().await;
    assert_eq!(texts(&received.documents()), ["4"]);
    let told: Vec<Value> = received.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let missing = told.iter().find(|told| told["event"] == "message:missing").expect("it is told");
    assert_eq!((&missing["id"], &missing["count"]), (&fourth["id"], &2.into()));
    assert!(told.iter().any(|told| told["event"] == "agent:restored-copy"), "{}", received.err);
    assert!(!receive().await.err.contains("missing"), "once");
}
