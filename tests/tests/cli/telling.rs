//! Events are told once: what nobody could have read is told again, and what one command tells no other does.

use sealpost_tests::{Finished, FullStreams, Home, TestRelay};
use serde_json::Value;

use super::{relay_and_home, texts};

const GROUPS: usize = 6;

/// Bob is to hear of as many groups, and of a message.
async fn with_news_for_bob() -> (TestRelay, Home) {
    let (relay, home) = relay_and_home().await;
    for number in 0..GROUPS {
        home.run(["group", "new", "--as", "alice", &format!("team {number}"), "bob"]).await.succeeded();
    }
    home.run(["send", "--as", "alice", "bob", "and a message"]).await.succeeded();
    (relay, home)
}

/// How often a command has told that bob has become a member of a group.
fn told(finished: &Finished) -> usize {
    let told = finished.err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    told.filter(|told| told["event"] == "group:joined").count()
}

#[tokio::test]
async fn what_standard_error_does_not_take_is_told_by_a_later_command() {
    let (_relay, home) = with_news_for_bob().await;
    let receive = ["receive", "--as", "bob", "--json"];
    home.run_on_a_full_device(receive, FullStreams::Errors).await.exited(9);
    home.run_with_errors_closed(receive).await.exited(9);
    home.run_with_errors_unread(receive).await.succeeded();
    let received = home.run(receive).await.succeeded();
    assert_eq!(told(&received), GROUPS, "{}", received.err);
    assert_eq!(received.out, "", "the message was shown the first time");
    assert_eq!(told(&home.run(receive).await.succeeded()), 0);
}

#[tokio::test]
async fn a_command_that_is_done_is_done_though_its_events_cannot_be_told() {
    let (_relay, home) = with_news_for_bob().await;
    home.run_on_a_full_device(["receive", "--as", "bob"], FullStreams::Errors).await.exited(9);
    home.run_on_a_full_device(["send", "--as", "bob", "alice", "an answer"], FullStreams::Errors).await.succeeded();
    let received = home.run(["receive", "--as", "alice", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["an answer"]);
    assert_eq!(told(&home.run(["receive", "--as", "bob", "--json"]).await.succeeded()), GROUPS);
}

#[tokio::test]
async fn commands_that_run_at_a_time_tell_each_event_once_between_them() {
    let (_relay, home) = with_news_for_bob().await;
    home.run_on_a_full_device(["receive", "--as", "bob"], FullStreams::Errors).await.exited(9);
    let receive = || home.run(["receive", "--as", "bob", "--json"]);
    let received = tokio::join!(receive(), receive(), receive(), receive());
    let received: [Finished; 4] = received.into();
    let counts: Vec<_> = received.iter().map(told).collect();
    assert_eq!(counts.iter().sum::<usize>(), GROUPS, "{counts:?}");
}
