//! Agents under a passphrase instead of a key file.

use sealpost_tests::{Home, TestRelay};

use super::texts;

#[tokio::test]
async fn an_agent_under_a_passphrase_opens_with_it_and_with_nothing_else() {
    let relay = TestRelay::start().await;
    let home = Home::new(relay.origin());
    let secret = home.with("SEALPOST_PASSPHRASE", "correct horse");
    let bob = home.agent("bob").await;
    secret.agent("alice").await;
    assert!(!home.path().join("alice/master.key").exists());

    secret.run(["send", "--as", "alice", &bob, "by passphrase"]).await.succeeded();
    let wrong =
        home.with("SEALPOST_PASSPHRASE", "wrong horse").run(["receive", "--as", "alice", "--json"]).await.exited(5);
    assert_eq!(wrong.out, "");
    assert!(!wrong.err.contains("horse"), "no passphrase is repeated: {}", wrong.err);
    assert_eq!(home.run(["receive", "--as", "alice"]).await.exited(5).out, "", "without one");

    let file = home.path().join("passphrase");
    std::fs::write(&file, "correct horse\nand a second line that does not count\n").unwrap();
    let file = file.to_str().unwrap();
    home.run(["send", "--as", "alice", "bob", "by file", "--passphrase-file", file]).await.succeeded();
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["by passphrase", "by file"]);
    assert_eq!(home.run(["receive", "--as", "bob", "--passphrase-file", "/no/such/file"]).await.exited(2).out, "");
}

#[tokio::test]
async fn an_agent_with_a_key_file_opens_whatever_passphrase_is_set() {
    let relay = TestRelay::start().await;
    let home = Home::new(relay.origin());
    home.agent("alice").await;
    home.with("SEALPOST_PASSPHRASE", "for others").run(["receive", "--as", "alice"]).await.succeeded();
}

#[tokio::test]
async fn an_empty_passphrase_protects_nothing_and_is_refused() {
    let home = Home::new("http://127.0.0.1:1").with("SEALPOST_PASSPHRASE", "");
    assert_eq!(home.run(["agent", "new", "alice", "--offline"]).await.exited(5).out, "");
    assert!(!home.path().join("alice").exists());
}

#[tokio::test]
async fn public_things_need_no_passphrase() {
    let relay = TestRelay::start().await;
    let home = Home::new(relay.origin());
    let id = home.with("SEALPOST_PASSPHRASE", "secret").agent("alice").await;
    let shown = home.run(["agent", "show", "alice", "--json"]).await.succeeded().document();
    assert_eq!(shown["id"].as_str(), Some(id.as_str()));
    assert_eq!(home.run(["agent", "list", "--json"]).await.succeeded().documents().len(), 1);
}

#[tokio::test]
async fn making_an_agent_that_exists_shuts_nobody_out() {
    let relay = TestRelay::start().await;
    let home = Home::new(relay.origin());
    let secret = home.with("SEALPOST_PASSPHRASE", "correct horse");
    secret.agent("alice").await;
    let refused = home.run(["agent", "new", "alice", "--json"]).await.exited(5);
    assert!(refused.err.contains("already"), "{}", refused.err);
    assert!(!home.path().join("alice/master.key").exists(), "no key is made beside another's store");
    secret.run(["receive", "--as", "alice"]).await.succeeded();
    // A key file that came to lie there all the same opens nothing, and keeps nobody out.
    std::fs::write(home.path().join("alice/master.key"), [1; 32]).unwrap();
    secret.run(["receive", "--as", "alice"]).await.succeeded();
    home.run(["receive", "--as", "alice"]).await.exited(5);
}

#[tokio::test]
async fn a_passphrase_that_never_ends_or_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;

    let home = Home::new("http://127.0.0.1:1");
    let endless = home.run(["agent", "list", "--passphrase-file", "/dev/zero"]).await.exited(2);
    assert!(endless.err.contains("/dev/zero: "), "{}", endless.err);
    let no_text = home.with("SEALPOST_PASSPHRASE", std::ffi::OsStr::from_bytes(b"\xff"));
    assert_eq!(no_text.run(["agent", "new", "alice", "--offline"]).await.exited(2).out, "");
    assert!(!home.path().join("alice").exists());
}
