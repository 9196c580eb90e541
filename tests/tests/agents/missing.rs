//! What never came is told once, with what came after it.

use std::time::Duration;

use sealpost_agent::Event;
use sealpost_protocol::{Header, MessageRef, encoding::Decode};
use sealpost_tests::{ScriptedRelay, SdkAgent, plain::PlainAgent, within};

use super::damage::{bundle, entry};

fn missing(count: u32, before: &sealpost_api::v1::MailboxEntry) -> Event {
    let MessageRef { sender, id } = Header::from_bytes(&before.header).unwrap().message();
    Event::Missing { sender, before: Some(id), count }
}

#[tokio::test]
async fn a_gap_in_a_session_is_told_once_and_what_comes_late_is_shown() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let mut carol = PlainAgent::new();
    carol.open_session(alice.id(), bundle(&relay));
    let entries: Vec<_> = (1..=6).map(|number| entry(number, &mut carol, &alice, &number.to_string())).collect();
    let events = async |alice: &SdkAgent| {
        let events: Vec<_> = alice.events(10).await.unwrap();
        alice.take_events(&events).await.unwrap();
        events.into_iter().map(|noted| noted.event).collect::<Vec<_>>()
    };
    relay.script().mailbox = vec![entries[0].clone(), entries[1].clone()];
    assert_eq!(alice.take_texts().await, ["1", "2"]);
    assert_eq!(events(&alice).await, []);
    relay.script().mailbox = vec![entries[4].clone()];
    assert_eq!(alice.take_texts().await, ["5"]);
    assert_eq!(events(&alice).await, [missing(2, &entries[4])]);
    relay.script().mailbox = vec![entries[4].clone(), entries[2].clone(), entries[5].clone()];
    let alice = alice.reopen(relay.origin()).await;
    assert_eq!(alice.take_texts().await, ["3", "6"]);
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(events(&alice).await, [], "once, and what is late is no news");
}

#[tokio::test]
async fn a_first_message_that_others_should_have_come_before_tells_so() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let mut carol = PlainAgent::new();
    carol.open_session(alice.id(), bundle(&relay));
    let entries: Vec<_> = (1..=4).map(|number| entry(number, &mut carol, &alice, "x")).collect();
    relay.script().mailbox = vec![entries[3].clone()];
    assert_eq!(alice.take_texts().await, ["x"]);
    let events: Vec<_> = alice.events(10).await.unwrap().into_iter().map(|noted| noted.event).collect();
    assert_eq!(events, [missing(3, &entries[3])]);
}
