//! `send --keep`: until when a relay keeps a message, whoever sends it in the end.

use sealpost_tests::{Home, Proxy, TestRelay};

use super::relay_and_home;

/// Longer than a handshake and a login, shorter than what is sent.
const MIDDLE_OF_A_MESSAGE: u64 = 20_000;

/// How many contents the relay still has of a message that Bob has taken.
async fn kept(relay: &mut TestRelay, home: &Home, id: &str) -> usize {
    let taken = home.run(["receive", "--as", "bob", "--json"]).await.succeeded().document();
    assert_eq!(taken["id"], id);
    relay.kill().await;
    let data = relay.data_dir();
    let found = home.run(["blocks", "url", id, "--json", "--data-dir", data.to_str().unwrap()]).await;
    relay.restart().await;
    if found.exit == 0 {
        return found.document()["contents"].as_array().unwrap().len();
    }
    assert!(found.err.contains("nothing of this message is kept here"), "{}", found.err);
    0
}

#[tokio::test]
async fn a_message_is_kept_as_its_sender_says_and_else_as_its_scheme_has_it() {
    let (mut relay, home) = relay_and_home().await;
    for (options, contents) in [
        (&[][..], 0),
        (&["--keep", "delivery"], 0),
        (&["--keep", "expiry"], 1),
        (&["--scheme", "recipient-keys"], 2),
        (&["--scheme", "recipient-keys", "--keep", "delivery"], 0),
    ] {
        let send = ["send", "--as", "alice", "bob", "how long", "--json"];
        let sent = home.run(send.iter().chain(options)).await.succeeded().document();
        let found = kept(&mut relay, &home, sent["id"].as_str().unwrap()).await;
        assert_eq!(found, contents, "{options:?}");
    }
}

#[tokio::test]
async fn a_message_whose_sender_is_killed_is_kept_as_it_was_said() {
    let proxy = Proxy::listen().await;
    let mut relay = TestRelay::start_behind(&[&proxy.origin()]).await;
    proxy.lead_to(relay.address());
    let home = Home::new(proxy.origin());
    home.agent("alice").await;
    home.agent("bob").await;
    home.run(["send", "--as", "alice", "bob", "opens a session"]).await.succeeded();
    home.run(["receive", "--as", "bob"]).await.succeeded();
    let text = "how long ".repeat(10_000);
    for (keep, contents) in [("delivery", 0), ("expiry", 1)] {
        proxy.stall_after(MIDDLE_OF_A_MESSAGE);
        let sending = home.start(["send", "--as", "alice", "bob", &text, "--keep", keep]);
        proxy.stalled().await;
        assert!(sending.kill().await.was_interrupted);
        proxy.cut();
        let waiting = home.run(["outbox", "list", "--as", "alice", "--json"]).await.succeeded().document();
        let id = waiting["id"].as_str().unwrap();
        home.run(["receive", "--as", "alice"]).await.succeeded();
        assert_eq!(kept(&mut relay, &home, id).await, contents, "{keep}");
    }
}
