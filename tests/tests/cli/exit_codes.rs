//! Exit codes, as `sealpost --help` prints them, and what is on which stream.

use sealpost_protocol::{AgentId, ErrorCode};
use sealpost_tests::{FullStreams, Home, ScriptedRelay, TestRelay};

use super::{relay_and_home, texts};

/// The exit codes and what they mean, as the README has them.
fn documented() -> Vec<(i32, String)> {
    let readme = include_str!("../../../README.md");
    let section = readme.split("### Exit codes\n").nth(1).expect("a section").split("\n## ").next().unwrap();
    let row = |line: &str| {
        let (code, meaning) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        Some((code.parse().ok()?, meaning.to_owned()))
    };
    section.lines().filter_map(row).collect()
}

#[tokio::test]
async fn the_help_lists_every_exit_code_in_the_words_of_the_readme() {
    let help = Home::new("http://127.0.0.1:1").run(["--help"]).await.succeeded().out;
    let codes = help.split("Exit codes:\n").nth(1).expect("a list");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let mut expected = Vec::new();
    for (code, meaning) in documented() {
        expected.push(format!("{code} {}", words(&meaning)));
    }
    assert_eq!(expected.len(), 11);
    assert_eq!(words(codes), expected.join(" "));
}

#[cfg(unix)]
#[tokio::test]
async fn arguments_that_are_no_text_are_not_understood() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let home = Home::new("http://127.0.0.1:1");
    let strange = OsStr::from_bytes(b"bk\xff");
    let commands: [&[&str]; 4] =
        [&["agent", "new"], &["send", "--as", "alice", "bob"], &[], &["backup", "--admin", "127.0.0.1:1", "--to"]];
    for command in commands {
        let arguments: Vec<_> = command.iter().map(OsStr::new).chain([strange]).collect();
        let told = home.run(&arguments).await.exited(2);
        assert!(told.err.contains("error: "), "{}", told.err);
        let told = home.run([OsStr::new("--json")].into_iter().chain(arguments)).await.exited(2);
        let error: serde_json::Value = serde_json::from_str(told.err.trim()).unwrap();
        assert_eq!(error["error"]["code"], "usage", "{}", told.err);
    }
}

#[tokio::test]
async fn success_leaves_standard_error_empty() {
    let (_relay, home) = relay_and_home().await;
    let commands: [&[&str]; 6] = [
        &["agent", "list"],
        &["agent", "show", "alice"],
        &["send", "--as", "alice", "bob", "hello"],
        &["receive", "--as", "bob"],
        &["prekeys", "status", "--as", "alice"],
        &["prekeys", "rotate", "--as", "alice"],
    ];
    for command in commands {
        let finished = home.run(command).await.succeeded();
        assert_eq!(finished.err, "", "{}", finished.command);
        assert_ne!(finished.out, "", "{}", finished.command);
    }
}

#[tokio::test]
async fn without_a_relay_a_message_is_kept_and_goes_out_with_the_next_command() {
    let (mut relay, home) = relay_and_home().await;
    relay.kill().await;
    let kept = home.run(["send", "--as", "alice", "bob", "kept", "--json"]).await.exited(3);
    let message = kept.document();
    assert_eq!(message["state"], "kept");
    assert!(message.get("accepted_at").is_none());
    assert_eq!(message["reason"], "unreachable");
    let error: serde_json::Value = serde_json::from_str(kept.err.trim()).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["cause"]), (&"kept".into(), &"unreachable".into()));
    let id = message["id"].as_str().unwrap();
    let status = home.run(["status", "--as", "alice", id, "--json"]).await.exited(3).document();
    let words = ["id", "state", "reason"].map(|field| status[field].as_str());
    assert_eq!(words, [Some(id), Some("kept"), Some("unreachable")]);
    assert_eq!(home.run(["receive", "--as", "bob"]).await.exited(3).out, "");
    assert_eq!(home.run(["prekeys", "status", "--as", "bob"]).await.exited(3).out, "");

    relay.restart().await;
    home.run(["send", "--as", "alice", "bob", "next"]).await.succeeded();
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["kept", "next"]);
}

#[tokio::test]
async fn a_relay_that_refuses_is_4() {
    let (_relay, home) = relay_and_home().await;
    let nobody = AgentId::from_array([1; 32]).to_string();
    let refused = home.run(["send", "--as", "alice", &nobody, "hello", "--json"]).await.exited(4);
    assert_eq!(refused.out, "", "a message that was refused has no result");
    assert!(refused.err.contains("\"unknown-recipient\""), "{}", refused.err);
}

#[tokio::test]
async fn another_node_in_the_relays_place_is_4_until_it_is_trusted() {
    let (mut relay, home) = relay_and_home().await;
    relay.kill().await;
    relay.lose_data();
    relay.restart().await;
    let refused = home.run(["receive", "--as", "bob", "--json"]).await.exited(4);
    assert!(refused.err.contains("\"other-node\""), "{}", refused.err);
    for agent in ["alice", "bob"] {
        home.run(["agent", "trust-relay", agent]).await.succeeded();
    }
    home.run(["send", "--as", "alice", "bob", "hello again"]).await.succeeded();
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["hello again"]);
}

#[tokio::test]
async fn a_command_line_that_is_not_understood_is_2() {
    let (_relay, home) = relay_and_home().await;
    let too_long = "no/name";
    let (file, folder) = (home.path().join("plain"), "/there/is/no/such/folder");
    std::fs::write(&file, "a file").unwrap();
    let commands: [&[&str]; 24] = [
        &["receive", "--as", "bob", "--wait", "500000000000years"],
        &["delegation", "waiting", "x", "--wait", "500000000000years"],
        &[],
        &["sent"],
        &["send", "--as", "alice", "bob"],
        &["send", "--as", "alice", "bob", "text", "--file", "and-file"],
        &["send", "--as", "alice", "nobody-here", "hello"],
        &["send", "--as", "alice", "alice", "to myself"],
        &["send", "--as", "alice", "bob", "hello", "--life", "31days"],
        &["send", "--as", "alice", "bob", "--file", "/there/is/no/such/file"],
        &["agent", "new", too_long],
        &["status", "--as", "alice", "no-uuid"],
        &["receive", "--as", "bob", "--relay", "not an origin"],
        &["receive", "--as", "bob", "--relay", "http://127.0.0.1:99999"],
        &["receive", "--as", "bob", "--relay", "http://127.0.0.1:7117/path"],
        &["agent", "list", "--relay", "http://name:word@127.0.0.1:7117"],
        &["agent", "list", "--relay", "http://127.0.0.1:7117?query"],
        &["agent", "new", "carol", "--offline", "--relay", "ftp://127.0.0.1:7117"],
        &["receive", "--as", "bob", "--limit", "0"],
        &["receive", "--as", "bob", "--save", file.to_str().unwrap()],
        &["bench", "relay", "--clients", "0"],
        &["bench", "relay", "--clients", "4", "--inflight", "3"],
        &["bench", "blocks", "--mib", "1"],
        &["bench", "relay", "--folder", folder],
    ];
    for command in commands {
        let finished = home.run(command).await.exited(2);
        assert_eq!(finished.out, "", "{}", finished.command);
        assert_ne!(finished.err, "", "{}", finished.command);
    }
    let refused =
        home.with("SEALPOST_RELAY", "http://127.0.0.1:99999").run(["agent", "list", "--json"]).await.exited(2);
    assert!(refused.err.contains("\"usage\"") && refused.err.contains("is no relay's address"), "{}", refused.err);
    home.run(["agent", "list", "--relay", "http://[::1]:7117/"]).await.succeeded();
    assert_eq!(home.run(["receive", "--as", "bob"]).await.succeeded().out, "", "nothing of it was sent");
}

#[tokio::test]
async fn an_agent_that_cannot_be_used_is_5() {
    let (_relay, home) = relay_and_home().await;
    let commands: [&[&str]; 5] = [
        &["send", "--as", "carol", "bob", "hello"],
        &["receive", "--as", "carol"],
        &["agent", "show", "carol"],
        &["agent", "new", "alice"],
        &["status", "--as", "carol", "0190d3a8-0000-7000-8000-000000000001"],
    ];
    for command in commands {
        assert_eq!(home.run(command).await.exited(5).out, "");
    }
    std::fs::write(home.path().join("alice/master.key"), [1; 32]).unwrap();
    assert_eq!(home.run(["receive", "--as", "alice"]).await.exited(5).out, "", "another key opens nothing");
}

#[tokio::test]
async fn the_status_of_a_message_never_sent_is_1() {
    let (_relay, home) = relay_and_home().await;
    let asked = home.run(["status", "--as", "alice", "0190d3a8-0000-7000-8000-000000000001", "--json"]).await.exited(1);
    assert!(asked.err.contains("\"not-found\""), "{}", asked.err);
}

#[tokio::test]
async fn an_agent_made_offline_publishes_with_its_first_command_that_reaches_the_relay() {
    let relay = TestRelay::start().await;
    let home = Home::new(relay.origin());
    home.agent("alice").await;
    for (name, first) in
        [("bob", ["receive", "--as", "bob"].as_slice()), ("carol", &["send", "--as", "carol", "alice", "hello"])]
    {
        let made = home.run(["agent", "new", name, "--offline", "--json"]).await.succeeded().document();
        assert_eq!(made["published"], false);
        home.run(["send", "--as", "alice", name, "too early"]).await.exited(4);
        home.run(first).await.succeeded();
        home.run(["send", "--as", "alice", name, "in time"]).await.succeeded();
        let received = home.run(["receive", "--as", name, "--json"]).await.succeeded();
        assert_eq!(texts(&received.documents()), ["in time"]);
    }
}

#[tokio::test]
async fn an_agent_made_while_the_relay_is_down_publishes_with_its_first_command_that_reaches_it() {
    let (mut relay, home) = relay_and_home().await;
    relay.kill().await;
    let made = home.run(["agent", "new", "carol", "--json"]).await.exited(3);
    assert_eq!(made.document()["published"], false);
    relay.restart().await;
    home.run(["send", "--as", "carol", "alice", "hello"]).await.succeeded();
    home.run(["send", "--as", "alice", "carol", "hello"]).await.succeeded();
    let received = home.run(["receive", "--as", "carol", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["hello"]);
}

#[tokio::test]
async fn a_command_line_that_is_not_understood_is_told_as_json_where_json_was_asked_for() {
    let home = Home::new("http://127.0.0.1:1");
    let commands: [&[&str]; 4] = [
        &["--json"],
        &["--json", "sent"],
        &["send", "--as", "alice", "bob", "--json"],
        &["status", "--as", "alice", "no-uuid", "--json"],
    ];
    for command in commands {
        let finished = home.run(command).await.exited(2);
        assert_eq!(finished.out, "", "{}", finished.command);
        let error: serde_json::Value = serde_json::from_str(finished.err.trim()).expect(&finished.err);
        assert_eq!(error["error"]["code"], "usage");
        assert_ne!(error["error"]["message"], "");
    }
    let text = home.run(["send", "--as", "alice", "bob", "--", "--json", "more"]).await.exited(2);
    assert!(text.err.starts_with("error: "), "what follows -- is no option: {}", text.err);
}

#[tokio::test]
async fn output_that_nobody_takes_is_1_with_a_clear_error() {
    let (_relay, home) = relay_and_home().await;
    let commands: [&[&str]; 8] = [
        &["--help"],
        &["--version"],
        &["send", "--help"],
        &["completions", "bash"],
        &["completions", "zsh", "--json"],
        &["agent", "list"],
        &["prekeys", "status", "--as", "alice", "--json"],
        &["demo"],
    ];
    for command in commands {
        let finished = home.run_on_a_full_device(command, FullStreams::Output).await.exited(9);
        assert!(finished.err.contains("standard output: "), "{}: {}", finished.command, finished.err);
        assert!(!finished.err.contains("panicked"), "{}: {}", finished.command, finished.err);
        home.run_on_a_full_device(command, FullStreams::Both).await.exited(9);
    }
    home.run_on_a_full_device(["sent"], FullStreams::Both).await.exited(2);
}

#[tokio::test]
async fn why_a_message_is_kept_is_told_by_its_code() {
    let relay = ScriptedRelay::start().await;
    relay.script().refuses_tokens = Some(ErrorCode::RateLimited);
    let home = Home::new(relay.origin());
    home.run(["agent", "new", "alice", "--offline"]).await.succeeded();
    let bob = AgentId::from_array([1; 32]).to_string();
    let kept = home.run(["send", "--as", "alice", &bob, "hello", "--json"]).await.exited(3);
    let error: serde_json::Value = serde_json::from_str(kept.err.lines().last().unwrap()).expect("after the log");
    assert_eq!(kept.document()["reason"], "rate-limited");
    assert_eq!((&error["error"]["code"], &error["error"]["cause"]), (&"kept".into(), &"rate-limited".into()));
}

#[tokio::test]
async fn a_reader_who_has_had_enough_ends_a_command_quietly_and_takes_nothing() {
    let (mut relay, home) = relay_and_home().await;
    home.run(["send", "--as", "alice", "bob", "unread"]).await.succeeded();
    let commands: [&[&str]; 7] = [
        &["--help"],
        &["completions", "bash"],
        &["agent", "list"],
        &["prekeys", "status", "--as", "alice", "--json"],
        &["receive", "--as", "bob", "--json"],
        &["receive", "--as", "bob", "--follow"],
        &["demo"],
    ];
    for command in commands {
        let finished = home.run_unread(command).await.succeeded();
        assert_eq!(finished.err, "", "{}", finished.command);
    }
    home.run_on_a_full_device(["receive", "--as", "bob"], FullStreams::Output).await.exited(9);
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["unread"]);
    relay.kill().await;
    let kept = home.run_unread(["send", "--as", "alice", "bob", "kept", "--json"]).await.exited(3);
    assert!(kept.err.contains("\"kept\""), "what matters is told all the same: {}", kept.err);
}

#[tokio::test]
async fn a_status_sends_what_was_kept() {
    let (mut relay, home) = relay_and_home().await;
    relay.kill().await;
    let kept = home.run(["send", "--as", "alice", "bob", "kept", "--json"]).await.exited(3).document();
    let id = kept["id"].as_str().unwrap();
    relay.restart().await;
    let status = home.run(["status", "--as", "alice", id, "--json"]).await.succeeded().document();
    assert_eq!(
        (status["state"].as_str(), status["recipients"][0]["state"].as_str()),
        (Some("accepted"), Some("pending"))
    );
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["kept"]);
}

#[tokio::test]
async fn without_a_relay_a_status_is_what_was_last_known_and_3() {
    let (mut relay, home) = relay_and_home().await;
    let sent = home.run(["send", "--as", "alice", "bob", "hello", "--json"]).await.succeeded().document();
    let id = sent["id"].as_str().unwrap();
    let status = ["status", "--as", "alice", id, "--json"];
    home.run(["receive", "--as", "bob"]).await.succeeded();
    let known = home.run(status).await.succeeded().document();
    relay.kill().await;
    let told = home.run(status).await.exited(3);
    let mut document = told.document();
    let as_of = document.as_object_mut().unwrap().remove("as_of").expect("how old it is");
    assert!(as_of.as_str().unwrap() > known["recipients"][0]["delivered_at"].as_str().unwrap());
    assert_eq!(document, known);
    assert!(told.err.contains("\"unreachable\"") && told.err.contains(" old"), "{}", told.err);
    let text = home.run(&status[..4]).await.exited(3);
    assert!(text.out.contains("as of 2"), "{}", text.out);
}

#[tokio::test]
async fn a_kept_message_that_is_refused_later_is_told_once_by_the_next_command_and_by_its_status() {
    let (mut relay, home) = relay_and_home().await;
    let carol = home.run(["agent", "new", "carol", "--offline", "--json"]).await.succeeded().document();
    let carol = carol["id"].as_str().unwrap();
    for next in [["receive", "--as", "alice", "--json"].as_slice(), &["send", "--as", "alice", "bob", "x", "--json"]] {
        relay.kill().await;
        let kept = home.run(["send", "--as", "alice", carol, "hello?", "--json"]).await.exited(3).document();
        let id = kept["id"].as_str().unwrap();
        relay.restart().await;
        let told = home.run(next).await.succeeded();
        let event: serde_json::Value = serde_json::from_str(told.err.trim()).expect(&told.err);
        let words = ["event", "id", "reason"].map(|field| event[field].as_str());
        assert_eq!(words, [Some("message:unsent"), Some(id), Some("unknown-recipient")]);
        assert_eq!(home.run(["receive", "--as", "alice"]).await.succeeded().err, "", "once");
        let status = home.run(["status", "--as", "alice", id, "--json"]).await.succeeded().document();
        let words = ["state", "reason"].map(|field| status[field].as_str());
        assert_eq!(words, [Some("unsent"), Some("unknown-recipient")]);
    }
}

#[tokio::test]
async fn what_is_too_large_is_told_with_its_size_and_the_limit() {
    let (_relay, home) = relay_and_home().await;
    // Nothing of it lies on the disk.
    let large = home.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    let file = home.run(["send", "--as", "alice", "bob", "--file", large.to_str().unwrap()]).await.exited(2);
    assert!(file.err.contains("66571993088 bytes"), "the limit is named: {}", file.err);
    let open =
        home.run(["serve", "--listen", "0.0.0.0:0", "--data-dir", home.path().to_str().unwrap()]).await.exited(2);
    assert!(open.err.contains("--allow-plaintext"), "{}", open.err);
}

#[tokio::test]
async fn a_list_shows_what_is_whole_and_says_what_is_not() {
    let (_relay, home) = relay_and_home().await;
    std::fs::create_dir(home.path().join("unfinished")).unwrap();
    std::fs::write(home.path().join("unfinished/master.key"), [1; 32]).unwrap();
    std::fs::create_dir(home.path().join("damaged")).unwrap();
    std::fs::write(home.path().join("damaged/agent.sqlite3"), "no database at all, but long enough to look at")
        .unwrap();
    std::fs::create_dir(home.path().join("something else")).unwrap();
    let listed = home.run(["agent", "list", "--json"]).await.succeeded().documents();
    let names: Vec<_> = listed.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["alice", "bob", "damaged", "unfinished"]);
    for (entry, is_whole) in listed.iter().zip([true, true, false, false]) {
        assert_eq!((entry.get("id").is_some(), entry.get("problem").is_none()), (is_whole, is_whole), "{entry}");
    }
    assert!(home.run(["agent", "list"]).await.succeeded().out.contains("agent new unfinished"));
    home.run(["agent", "show", "damaged"]).await.exited(5);
    home.run(["agent", "new", "unfinished"]).await.succeeded();
    home.run(["agent", "show", "unfinished"]).await.succeeded();
}

#[tokio::test]
async fn a_list_leaves_nothing_behind() {
    let (_relay, home) = relay_and_home().await;
    let files = || {
        let mut files: Vec<_> =
            std::fs::read_dir(home.path().join("alice")).unwrap().map(|file| file.unwrap()).collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        let stamp = |file: &std::fs::DirEntry| (file.file_name(), file.metadata().unwrap().modified().unwrap());
        files.iter().map(stamp).collect::<Vec<_>>()
    };
    let before = files();
    home.run(["agent", "list"]).await.succeeded();
    home.run(["agent", "show", "alice"]).await.succeeded();
    assert_eq!(files(), before);
}
