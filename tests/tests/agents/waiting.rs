//! Bodies that stay at the relay: what strangers may cost, and what a full disk may.

use std::{io::Read, time::Duration};

use sealpost_agent::{FetchAnswer, InboxMessage, Outgoing, ReceivingLimits, Sent, Streamed, WaitingReason};
use sealpost_protocol::{AgentId, DeliveryState, MessageRef, limits as wire};
use sealpost_tests::{SdkAgent, TestRelay, within, words};

use super::{assert_accepted, proven_status};

const PIECE: usize = wire::BODY_PIECE as usize;

/// Two pieces of one stranger, and four of all.
const SMALL: ReceivingLimits =
    ReceivingLimits { stranger_body: 3 << 20, stranger_bodies: 5 << 20, disk_reserve: 1 << 20, fetch_margin: 1 << 20 };

/// More than any disk has.
const TOO_MUCH: u64 = u64::MAX / 2;

/// No disk keeps so much free.
const NO_ROOM: ReceivingLimits = ReceivingLimits { disk_reserve: TOO_MUCH, fetch_margin: TOO_MUCH, ..SMALL };

fn content(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

async fn send(alice: &SdkAgent, to: AgentId, content: &[u8]) -> Sent {
    let streamed = Streamed::new(content, Some(content.len() as u64));
    let sent = within("a body sent", alice.send_streamed(Outgoing::to([to], streamed))).await.unwrap();
    assert_accepted(&sent);
    sent
}

async fn read(agent: &SdkAgent, message: &InboxMessage) -> Vec<u8> {
    let mut content = Vec::new();
    agent.open_body(&message.message).await.unwrap().unwrap().read_to_end(&mut content).unwrap();
    content
}

async fn waiting(agent: &SdkAgent) -> Vec<(MessageRef, WaitingReason)> {
    agent.waiting_bodies(100).await.unwrap().into_iter().map(|body| (body.message, body.reason)).collect()
}

#[tokio::test]
async fn a_stranger_s_large_body_stays_at_the_relay_until_it_is_asked_for_and_holds_nothing_up() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::receiving(&relay.origin(), SMALL).await);
    let content = content(5 * PIECE);
    let sent = send(&alice, bob.id(), &content).await;
    alice.send_text(bob.id(), "after it").await;
    let inbox = bob.sync_inbox().await;
    assert_eq!(inbox.iter().map(words).collect::<Vec<_>>(), ["after it"]);
    let message = MessageRef { sender: alice.id(), id: sent.id };
    assert_eq!(waiting(&bob).await, [(message, WaitingReason::Stranger)]);
    assert!(bob.waiting_bodies(100).await.unwrap()[0].length >= content.len() as u64 && bob.spooled().is_empty());
    assert_eq!(proven_status(&alice, sent.id).await.state, DeliveryState::InTransit, "nobody says that it is here");

    let bob = bob.reopen(&relay.origin()).await;
    assert_eq!(bob.sync_inbox().await.len(), 1, "it is not fetched by itself later either");
    assert_eq!(bob.fetch_waiting(MessageRef { id: sent.id, sender: bob.id() }).await.unwrap(), FetchAnswer::Unknown);
    assert_eq!(bob.fetch_waiting(message).await.unwrap(), FetchAnswer::Fetches);
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 2 && read(&bob, &inbox[1]).await == content);
    assert_eq!(waiting(&bob).await, []);
    assert_eq!(proven_status(&alice, sent.id).await.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn whoever_is_written_to_is_no_stranger() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::receiving(&relay.origin(), SMALL).await);
    let content = content(5 * PIECE);
    send(&alice, bob.id(), &content).await;
    assert!(bob.sync_inbox().await.is_empty());
    bob.send_text(alice.id(), "what is it that you send me?").await;
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
    assert_eq!(waiting(&bob).await, []);
}

#[tokio::test]
async fn many_strangers_together_get_no_more_than_their_bound_and_a_contact_passes_them() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::receiving(&relay.origin(), SMALL).await;
    for _ in 0..4 {
        let stranger = SdkAgent::new(&relay.origin()).await;
        send(&stranger, bob.id(), &content(2 * PIECE)).await;
        within("a sync", bob.sync(Duration::ZERO)).await.unwrap();
    }
    assert_eq!((bob.inbox().await.len(), waiting(&bob).await.len()), (2, 2));
    let friend = SdkAgent::new(&relay.origin()).await;
    bob.set_contact("friend", friend.id()).await.unwrap();
    send(&friend, bob.id(), &content(6 * PIECE)).await;
    assert_eq!(bob.sync_inbox().await.len(), 3);
    let taken: Vec<_> = bob.inbox().await.iter().map(|message| message.message).collect();
    bob.take(&taken).await.unwrap();
    assert_eq!(bob.sync_inbox().await.len(), 2, "what is taken makes room for the others");
}

#[tokio::test]
async fn a_disk_without_room_leaves_bodies_at_the_relay_and_takes_everything_else() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::receiving(&relay.origin(), NO_ROOM).await);
    bob.set_contact("alice", alice.id()).await.unwrap();
    let content = content(2 * PIECE);
    let sent = send(&alice, bob.id(), &content).await;
    alice.send_text(bob.id(), "a small one").await;
    let inbox = bob.sync_inbox().await;
    assert_eq!(inbox.iter().map(words).collect::<Vec<_>>(), ["a small one"]);
    let message = MessageRef { sender: alice.id(), id: sent.id };
    assert_eq!(waiting(&bob).await, [(message, WaitingReason::NoRoom)]);
    let answer = bob.fetch_waiting(message).await.unwrap();
    assert!(matches!(answer, FetchAnswer::NoRoom { needed, free } if needed > TOO_MUCH && free < needed), "{answer:?}");
    let waiting = &bob.waiting_bodies(1).await.unwrap()[0];
    assert_eq!(waiting.needed, waiting.length + TOO_MUCH);
    assert!(bob.spooled().is_empty());
    let bob = bob.reopen_receiving(&relay.origin(), SMALL).await;
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 2 && read(&bob, &inbox[1]).await == content, "with room it comes by itself");
}

#[tokio::test]
async fn a_body_that_is_asked_for_is_fetched_into_what_the_disk_keeps_free() {
    let relay = TestRelay::start().await;
    let reserved = ReceivingLimits { disk_reserve: TOO_MUCH, ..SMALL };
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::receiving(&relay.origin(), reserved).await);
    bob.set_contact("alice", alice.id()).await.unwrap();
    let content = content(2 * PIECE);
    let sent = send(&alice, bob.id(), &content).await;
    assert!(bob.sync_inbox().await.is_empty());
    let message = MessageRef { sender: alice.id(), id: sent.id };
    assert_eq!(waiting(&bob).await, [(message, WaitingReason::NoRoom)]);
    assert_eq!(bob.fetch_waiting(message).await.unwrap(), FetchAnswer::Fetches);
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
}

#[tokio::test]
async fn what_is_here_of_a_body_goes_when_there_is_no_room_for_the_rest() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::receiving(&relay.origin(), SMALL).await);
    bob.set_contact("alice", alice.id()).await.unwrap();
    send(&alice, bob.id(), &content(24 * PIECE)).await;
    let mut transfers = bob.transfers();
    tokio::select! {
        synced = within("a sync", bob.sync(Duration::ZERO)) => panic!("over before it was cut: {synced:?}"),
        _ = transfers.wait_for(|now| now.is_some_and(|now| now.done >= 4 * PIECE as u64)) => {}
    }
    assert_eq!(bob.spooled().len(), 1);
    let bob = bob.reopen_receiving(&relay.origin(), NO_ROOM).await;
    assert!(bob.sync_inbox().await.is_empty());
    assert_eq!((bob.spooled().len(), waiting(&bob).await.len()), (0, 1));
}
