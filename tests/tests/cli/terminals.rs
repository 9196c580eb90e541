//! What people see: text, completions, and nothing of a stranger's choosing that a terminal would obey.

use sealpost_protocol::{AgentId, ErrorCode};
use sealpost_tests::{Home, ScriptedRelay};

use super::relay_and_home;

/// What a terminal takes for an order: control characters of both sets, but for line ends and tabs.
fn orders(text: &str) -> String {
    text.chars().filter(|character| character.is_control() && !matches!(character, '\n' | '\t')).collect()
}

#[tokio::test]
async fn a_text_does_not_steer_the_readers_terminal() {
    let (_relay, home) = relay_and_home().await;
    let hostile = "\u{1b}[2Jgone\u{1b}]0;title\u{7} \u{9b}31m red \r over \u{8}\u{7f} tab\tand\nline";
    home.run(["send", "--as", "alice", "bob", hostile]).await.succeeded();
    let peeked = home.run(["receive", "--as", "bob", "--peek"]).await.succeeded();
    assert_eq!(orders(&peeked.out), "", "{:?}", peeked.out);
    for harmless in ["gone", "red", "tab\tand\n", "line"] {
        assert!(peeked.out.contains(harmless), "{:?}", peeked.out);
    }
    let taken = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(taken.document()["text"].as_str(), Some(hostile), "a program gets it as it is");
    assert!(!taken.out.contains('\u{1b}'), "JSON escapes it");
}

#[tokio::test]
async fn the_name_of_a_file_does_not_steer_the_readers_terminal() {
    let (_relay, home) = relay_and_home().await;
    let path = home.path().join("\u{1b}[2J\u{9b}31m.txt");
    std::fs::write(&path, "content").unwrap();
    home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
    let (received, folder) = (home.run(["receive", "--as", "bob"]).await.succeeded(), home.path().join("saved"));
    assert!(received.out.contains("(7 bytes)"), "{:?}", received.out);
    let saved = home.run(["receive", "--as", "bob", "--save", folder.to_str().unwrap()]).await.succeeded();
    for shown in [received, saved] {
        assert_eq!(orders(&shown.out), "", "{:?}", shown.out);
    }
}

#[tokio::test]
async fn what_a_relay_says_does_not_steer_the_terminal() {
    let relay = ScriptedRelay::start().await;
    let hostile = "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m \u{202e}its words";
    (relay.script().refuses_tokens, relay.script().words) = (Some(ErrorCode::Forbidden), hostile.to_owned());
    let home = Home::new(relay.origin());
    home.run(["agent", "new", "alice", "--offline"]).await.succeeded();
    let bob = AgentId::from_array([1; 32]).to_string();
    let commands: [&[&str]; 3] = [
        &["send", "--as", "alice", &bob, "hello"],
        &["receive", "--as", "alice"],
        &["prekeys", "status", "--as", "alice"],
    ];
    for command in commands {
        for form in [None, Some("--json")] {
            let refused = home.run(command.iter().copied().chain(form)).await;
            assert!(refused.exit == 3 || refused.exit == 4, "{refused:?}");
            assert!(refused.err.contains("its words"), "{refused:?}");
            let seen = orders(&refused.err) + &orders(&refused.out);
            assert!(seen.is_empty() && !refused.err.contains('\u{202e}'), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn people_are_told_who_wrote_when_and_what() {
    let (_relay, home) = relay_and_home().await;
    let sent = home.run(["send", "--as", "alice", "bob", "hello"]).await.succeeded();
    let (id, state) = sent.out.trim().split_once("  ").unwrap();
    assert_eq!(state, "accepted");
    let received = home.run(["receive", "--as", "bob"]).await.succeeded();
    assert!(received.out.starts_with("alice at 2") && received.out.ends_with("Z: hello\n"), "{:?}", received.out);
    let status = home.run(["status", "--as", "alice", id]).await.succeeded();
    assert!(status.out.contains("bob: delivered, receipt verified"), "{}", status.out);
}

#[tokio::test]
async fn every_shell_gets_its_completions() {
    let home = Home::new("http://127.0.0.1:1");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let completions = home.run(["completions", shell]).await.succeeded();
        for word in ["sealpost", "receive", "trust-relay", "--passphrase-file"] {
            // PowerShell and Fish name the option without its dashes.
            assert!(completions.out.contains(word.trim_start_matches('-')), "{word} for {shell}");
        }
        assert_eq!(completions.err, "");
    }
}

#[tokio::test]
async fn the_version_is_printed() {
    let version = Home::new("http://127.0.0.1:1").run(["--version"]).await.succeeded();
    assert!(version.out.starts_with("sealpost "), "{}", version.out);
}
