//! Sending without a ratchet, and the policy that says how weakly an agent may be written to.

use super::relay_and_home;

#[tokio::test]
async fn a_message_says_what_it_came_under() {
    let (_relay, home) = relay_and_home().await;
    home.run(["group", "new", "--as", "alice", "team", "bob"]).await.succeeded();
    home.run(["receive", "--as", "bob"]).await.succeeded();
    home.run(["send", "--as", "alice", "bob", "public", "--scheme", "none"]).await.succeeded();
    home.run(["send", "--as", "alice", "bob", "wrapped", "--scheme", "recipient-keys"]).await.succeeded();
    home.run(["send", "--as", "alice", "--group", "team", "shared"]).await.succeeded();
    home.run(["send", "--as", "alice", "bob", "by ratchet"]).await.succeeded();
    let text = home.run(["receive", "--as", "bob", "--peek"]).await.succeeded().out;
    assert!(text.contains("(public) alice at") && text.contains("[team (") && text.contains(")] alice at"), "{text}");
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded().documents();
    let schemes: Vec<_> = received.iter().map(|message| message["scheme"].as_str()).collect();
    assert_eq!(schemes, [Some("none"), Some("recipient-keys"), Some("shared-key"), None]);
    assert_eq!((received[0]["public"].as_bool(), received[2]["group_name"].as_str()), (Some(true), Some("team")));
    let named = home.run(["send", "--as", "alice", "--group", "team", "bob", "text"]).await.exited(2);
    assert!(named.err.contains("names no recipients"), "{}", named.err);
}

#[tokio::test]
async fn a_policy_is_set_shown_held_to_and_forgotten() {
    let (_relay, home) = relay_and_home().await;
    let set = ["policy", "set", "--as", "alice", "ratchet", "--type", "order", "--json"];
    let shown = home.run(set).await.succeeded().document();
    assert_eq!((shown["minimum"].as_str(), shown["types"]["order"].as_str()), (Some("none"), Some("ratchet")));
    let order = ["send", "--as", "alice", "bob", "x", "--type", "order", "--scheme", "recipient-keys", "--json"];
    let refused = home.run(order).await.exited(1);
    assert!(refused.err.contains("\"code\":\"policy\""), "{}", refused.err);
    home.run(["policy", "unset", "--as", "alice", "--type", "order"]).await.succeeded();
    home.run(order).await.succeeded();
    home.run(["policy", "unset", "--as", "alice", "--type", "order"]).await.exited(2);
}
