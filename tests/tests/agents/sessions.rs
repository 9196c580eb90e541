//! Conversations: both sides at once, a long sleep, and many peers.

use sealpost_agent::Outgoing;
use sealpost_crypto::limits;
use sealpost_protocol::MessageRef;
use sealpost_tests::{SdkAgent, TestRelay, text, within};

use super::{assert_accepted, assert_acknowledged};

#[tokio::test]
async fn when_both_sides_open_sessions_at_once_both_messages_arrive_and_the_conversation_goes_on() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let mut from_alice = vec![alice.send_text(bob.id(), "alice opens").await.id];
    let mut from_bob = vec![bob.send_text(alice.id(), "bob opens").await.id];
    from_alice.push(alice.send_text(bob.id(), "and goes on").await.id);
    from_bob.push(bob.send_text(alice.id(), "and goes on").await.id);
    assert_eq!(alice.take_texts().await, ["bob opens", "and goes on"]);
    assert_eq!(bob.take_texts().await, ["alice opens", "and goes on"]);

    for round in 0..5 {
        // Alternately one after the other, and crossing on the way.
        let words = format!("round {round}");
        from_alice.push(alice.send_text(bob.id(), &words).await.id);
        if round % 2 == 0 {
            assert_eq!(bob.take_texts().await, [words.as_str()]);
        }
        from_bob.push(bob.send_text(alice.id(), &words).await.id);
        assert_eq!(alice.take_texts().await, [words.as_str()]);
        if round % 2 == 1 {
            assert_eq!(bob.take_texts().await, [words.as_str()]);
        }
    }
    assert_acknowledged(&alice, &from_alice).await;
    assert_acknowledged(&bob, &from_bob).await;
}

#[tokio::test]
async fn a_sleeper_wakes_up_to_150_messages_in_order() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let mut sent = Vec::new();
    for number in 0..150 {
        let message = alice.send_text(bob.id(), &number.to_string()).await;
        assert_accepted(&message);
        sent.push(message.id);
    }
    let expected: Vec<_> = (0..150).map(|number| number.to_string()).collect();
    assert_eq!(bob.take_texts().await, expected);
    assert_acknowledged(&alice, &sent).await;
}

#[tokio::test]
async fn contents_of_the_greatest_length_arrive_though_few_fit_in_a_page() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let greatest = "x".repeat(limits::CONTENT);
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(alice.send_text(bob.id(), &greatest).await.id);
    }
    let texts = bob.take_texts().await;
    assert!(texts.len() == 5 && texts.iter().all(|text| *text == greatest));
    assert_acknowledged(&alice, &sent).await;
}

/// A sender may seal 2,000 messages in a session that its peer has not answered; then it opens another.
#[tokio::test]
async fn a_sleeper_wakes_up_to_more_messages_than_one_session_may_carry() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let count = usize::try_from(limits::UNANSWERED_MESSAGES).unwrap() + 5;
    for number in 0..count {
        assert_accepted(&alice.send_text(bob.id(), &number.to_string()).await);
    }
    let expected: Vec<_> = (0..count).map(|number| number.to_string()).collect();
    assert_eq!(bob.take_texts().await, expected);
}

#[tokio::test]
async fn a_message_to_several_reaches_each_in_a_session_of_its_own() {
    let relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    let others = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    let to: Vec<_> = others.iter().map(|other| other.id()).collect();
    for words in ["first", "second"] {
        let sent = within("a message", alice.send(Outgoing::to(to.clone(), text(words)))).await.unwrap();
        assert_accepted(&sent);
        for other in &others {
            assert_eq!(other.take_texts().await, [words]);
        }
        let status = alice.status(sent.id).await.unwrap();
        let proven = status.deliveries.iter().filter(|delivery| delivery.receipt.as_str() == "verified");
        assert_eq!(proven.count(), 2, "each has signed for it");
    }
}

#[tokio::test]
async fn two_instances_of_one_agent_give_receipts_at_once() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let other_bob = bob.reopen(&relay.origin()).await;
    let mut sent = Vec::new();
    for number in 0..60 {
        sent.push(alice.send_text(bob.id(), &number.to_string()).await.id);
    }
    let inbox: Vec<_> = bob.sync_inbox().await.iter().map(|message| message.message).collect();
    assert_eq!(inbox.len(), 60);
    // One at a time, so that there are many batches, and each instance meets the other's.
    let take = async |bob: &SdkAgent, mine: &[MessageRef]| {
        for message in mine {
            bob.take(&[*message]).await.unwrap();
            within("a receipt", bob.give_receipts()).await.unwrap();
        }
    };
    let (mine, others) = inbox.split_at(30);
    tokio::join!(take(&bob, mine), take(&other_bob, others));
    assert_acknowledged(&alice, &sent).await;
}

#[tokio::test]
async fn two_instances_of_one_agent_take_part_in_one_conversation() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let other_bob = bob.reopen(&relay.origin()).await;
    let mut sent = Vec::new();
    for round in 0..20 {
        sent.push(alice.send_text(bob.id(), &format!("question {round}")).await.id);
        let (one, other) = tokio::join!(bob.sync_inbox(), other_bob.sync_inbox());
        let inbox = if one.is_empty() { other } else { one };
        assert_eq!(inbox.len(), 1, "the message is in the one inbox, once");
        let (one, other) = tokio::join!(
            bob.send_text(alice.id(), "an answer of one"),
            other_bob.send_text(alice.id(), "an answer of the other"),
        );
        assert_accepted(&one);
        assert_accepted(&other);
        let names = [inbox[0].message];
        let (one, other) = tokio::join!(bob.take(&names), other_bob.take(&names));
        one.unwrap();
        other.unwrap();
        assert_eq!(alice.take_texts().await.len(), 2);
    }
    let (one, other) = tokio::join!(bob.give_receipts(), other_bob.give_receipts());
    one.unwrap();
    other.unwrap();
    assert_acknowledged(&alice, &sent).await;
}
