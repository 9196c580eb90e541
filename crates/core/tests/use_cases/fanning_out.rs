//! Messages to so many that they are written in chunks.

use sealpost_core::{
    limits,
    ports::{Acceptance, ContentPolicy},
};
use sealpost_protocol::{ErrorCode, Header, MessageRef, Priority, encoding::Decode};

use super::*;

/// Recipients of three chunks.
fn many() -> Vec<Agent> {
    let count = u32::try_from(2 * limits::FAN_OUT_PARTS + 1).unwrap();
    (0..count).map(Agent::numbered).collect()
}

fn letter(recipients: &[Agent]) -> Letter {
    Letter::new(&Agent::alice(), &recipients.iter().collect::<Vec<_>>())
}

async fn relay(recipients: &[Agent]) -> Relay {
    Relay::of(&recipients.iter().collect::<Vec<_>>()).await
}

/// What the ledger is given of a letter whose parts lie in the store.
async fn stored(relay: &Relay, letter: &Letter) -> Acceptance {
    let mut acceptance = letter.acceptance();
    let contents = acceptance.parts.iter().map(|part| letter.envelope(part.recipient)).collect();
    let stored = relay.ports.contents.append(ContentPolicy::Pooled, contents).await.unwrap();
    for (part, handle) in acceptance.parts.iter_mut().zip(stored.handles) {
        part.content = handle;
    }
    acceptance
}

/// How many of these have the message in their mailboxes.
async fn have(relay: &Relay, recipients: &[Agent], message: MessageRef) -> usize {
    let mut have = 0;
    for agent in recipients {
        let page = relay.receive(agent).await;
        let is_it = |header: &[u8]| Header::from_bytes(header).is_ok_and(|header| header.message() == message);
        have += page.entries.iter().filter(|entry| is_it(&entry.header)).count();
    }
    have
}

#[tokio::test]
async fn a_message_to_many_reaches_each_of_them_once_however_often_it_is_sent() {
    let (alice, many) = (Agent::alice(), many());
    let (relay, letter) = (relay(&many).await, letter(&many).body(b"body"));
    let accepted = relay.send(&alice, &letter).await.unwrap();
    assert_eq!((accepted.message, accepted.at), (letter.message(), NOW));
    assert_eq!(relay.contents.count(), many.len() + 1);
    relay.clock.advance(Duration::from_secs(1));
    assert_eq!(relay.send(&alice, &letter).await.unwrap(), accepted, "as the first time");
    assert_eq!(relay.contents.count(), many.len() + 1, "nothing more is stored");
    assert_eq!(have(&relay, &many, letter.message()).await, many.len());
    for other in [letter.clone().priority(Priority::High), letter.sealed_anew()] {
        assert_eq!(relay.send(&alice, &other).await.unwrap_err().code(), ErrorCode::Conflict);
    }
    assert_eq!(relay.contents.count(), many.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_message_sent_again_while_it_is_under_way_is_accepted_once() {
    let many = many();
    let (relay, letter) = (relay(&many).await, letter(&many));
    let send = |_| {
        let (services, submission) = (Arc::clone(&relay.services), letter.submission());
        tokio::spawn(async move { services.delivery_router.send(&principal(&Agent::alice()), submission).await })
    };
    let sending: Vec<_> = (0..4).map(send).collect();
    for sent in sending {
        assert_eq!(sent.await.unwrap().unwrap().at, NOW);
    }
    assert_eq!(have(&relay, &many, letter.message()).await, many.len());
    assert_eq!(relay.contents.count(), many.len());
}

#[tokio::test]
async fn whoever_gives_up_waiting_has_sent_it_all_the_same() {
    let many = many();
    let (relay, letter) = (relay(&many).await, letter(&many));
    let alice = principal(&Agent::alice());
    tokio::select! {
        biased;
        sent = relay.services.delivery_router.send(&alice, letter.submission()) => panic!("at the first look: {sent:?}"),
        () = std::future::ready(()) => {}
    }
    settle().await;
    assert_eq!(have(&relay, &many, letter.message()).await, many.len());
}

#[tokio::test]
async fn one_full_mailbox_refuses_a_message_to_many_for_all_and_leaves_nothing() {
    let (alice, many) = (Agent::alice(), many());
    let relay = relay(&many).await;
    let full = many.iter().max_by_key(|agent| agent.id()).unwrap();
    let filling = Letter::new(&Agent::bob(), &[full]).claimed_length(limits::MAILBOX_BYTES);
    relay.ports.ledger.accept(stored(&relay, &filling).await).await.unwrap();
    let letter = letter(&many);
    let refused = relay.send(&alice, &letter).await.expect_err("the last one's mailbox is full");
    assert_eq!(refused.code(), ErrorCode::MailboxFull, "{refused}");
    assert_eq!(relay.contents.count(), 1, "what fills the mailbox");
    assert_eq!(have(&relay, &many, letter.message()).await, 0);
    assert!(relay.ports.ledger.records(letter.message()).await.unwrap().is_empty());
    let without = many.iter().filter(|agent| agent.id() != full.id()).collect::<Vec<_>>();
    assert!(relay.send(&alice, &Letter::new(&alice, &without).number(2)).await.is_ok());
}

#[tokio::test]
async fn what_a_failing_store_leaves_of_a_message_to_many_goes_with_the_next_sweep() {
    let (alice, many) = (Agent::alice(), many());
    let (relay, letter) = (relay(&many).await, letter(&many).body(b"body"));
    relay.ledger.fail_to_answer(true);
    let refused = relay.send(&alice, &letter).await.expect_err("the ledger fails");
    assert_eq!(refused.code(), ErrorCode::Unavailable, "{refused}");
    relay.ledger.fail_to_answer(false);
    relay.sweep().await;
    assert_eq!(relay.contents.count(), 0);
    assert_eq!(have(&relay, &many, letter.message()).await, 0);
    assert!(relay.send(&alice, &letter).await.is_ok());
    assert_eq!(have(&relay, &many, letter.message()).await, many.len());
}

#[tokio::test]
async fn what_a_crash_left_of_a_message_to_many_holds_nothing_back_after_the_first_sweep() {
    let (alice, many) = (Agent::alice(), many());
    let (relay, letter) = (relay(&many).await, letter(&many));
    let first = many.iter().min_by_key(|agent| agent.id()).unwrap();
    let begun = stored(&relay, &letter.clone().only(&[first])).await;
    relay.ports.ledger.begin_fan_out(begun).await.unwrap();
    let relay = relay.restarted();
    let later = Letter::new(&Agent::bob(), &[first]);
    relay.send(&Agent::bob(), &later).await.unwrap();
    assert_eq!(have(&relay, &many, later.message()).await, 0, "it stands behind what was left");
    relay.sweep().await;
    assert_eq!(have(&relay, &many, later.message()).await, 1);
    relay.send(&alice, &letter).await.unwrap();
    assert_eq!(have(&relay, &many, letter.message()).await, many.len());
}
