//! Asking: a caller sees what it sent or may receive, and cannot tell the rest from what does not exist.

use sealpost_core::{BodyPart, MessageContent, QueryError, ports::ContentPolicy};
use sealpost_protocol::{ErrorCode, limits as wire};

use super::*;

#[tokio::test]
async fn a_sender_sees_every_recipient_and_a_recipient_only_itself() {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let relay = Relay::of(&[&bob, &carol]).await;
    let letter = Letter::new(&alice, &[&bob, &carol]);
    relay.send(&alice, &letter).await.unwrap();
    relay.say(&bob, &letter, Verdict::Stored).await;
    let seen = |statuses: Vec<DeliveryStatus>| statuses.iter().map(|status| status.recipient).collect::<Vec<_>>();
    assert_eq!(seen(relay.statuses(&alice, &letter).await), letter.header().fields().recipients.as_slice());
    assert_eq!(seen(relay.statuses(&bob, &letter).await), [bob.id()], "also after it has it");
    assert_eq!(seen(relay.statuses(&carol, &letter).await), [carol.id()]);
}

#[tokio::test]
async fn to_a_stranger_a_message_does_not_exist() {
    let (alice, bob, mallory) = (Agent::alice(), Agent::bob(), Agent::mallory());
    let relay = Relay::of(&[&bob, &mallory]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    relay.send(&alice, &letter).await.unwrap();
    for message in [letter.message(), letter.clone().number(2).message()] {
        let status = relay.services.message_query.status(&principal(&mallory), message).await;
        assert!(
            matches!(&status, Err(error @ QueryError::NotFound) if error.code() == ErrorCode::NotFound),
            "{status:?}"
        );
        let body = relay.services.message_query.body(&principal(&mallory), message, 0).await;
        assert!(matches!(body, Err(QueryError::NotFound)), "{body:?}");
    }
}

#[tokio::test]
async fn a_body_is_there_while_someone_waits_for_it() {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let relay = Relay::of(&[&bob, &carol]).await;
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    relay.send(&alice, &letter).await.unwrap();
    let body =
        async |agent: &Agent| relay.services.message_query.body(&principal(agent), letter.message(), 0).await.ok();
    assert_eq!(body(&bob).await, Some(BodyPart { length: 4, offset: 0, bytes: b"body".to_vec() }));
    relay.say(&bob, &letter, Verdict::Stored).await;
    assert_eq!((body(&bob).await, body(&alice).await.is_some()), (None, true));
    relay.say(&carol, &letter, Verdict::Stored).await;
    assert_eq!((body(&carol).await, body(&alice).await), (None, None));
}

#[tokio::test]
async fn it_is_told_how_that_is_stored_which_the_caller_may_read() {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let relay = Relay::of(&[&bob, &carol]).await;
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    relay.send(&alice, &letter).await.unwrap();
    let content = async |agent: &Agent| {
        relay.services.message_query.status(&principal(agent), letter.message()).await.unwrap().content
    };
    let MessageContent { body: Some(body), part: None } = content(&alice).await else { panic!("of two parts, none") };
    let lengths: Vec<_> = body.first.iter().map(|form| (form.length, form.policy)).collect();
    assert_eq!((body.length, body.pieces, lengths), (4, 1, vec![(4, ContentPolicy::Pooled)]));
    let bobs = content(&bob).await;
    assert_eq!(bobs.part.map(|form| form.length), Some(letter.envelope(bob.id()).len() as u64));
    assert_eq!(bobs.body, Some(body));
    relay.say(&bob, &letter, Verdict::Stored).await;
    assert_eq!(content(&bob).await, MessageContent::default(), "it has it");
    assert!(content(&carol).await.part.is_some());
    relay.say(&carol, &letter, Verdict::Stored).await;
    assert_eq!(content(&alice).await, MessageContent::default(), "it is released");
}

#[tokio::test]
async fn of_a_life_that_is_over_nothing_is_stored() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    relay.send(&alice, &letter).await.unwrap();
    relay.clock.advance(sealpost_protocol::limits::MESSAGE_LIFE);
    let seen = relay.services.message_query.status(&principal(&alice), letter.message()).await.unwrap();
    assert_eq!(seen.deliveries.first().unwrap().state, DeliveryState::Failed(FailureReason::Expired));
    assert_eq!(seen.content, MessageContent::default());
}

#[tokio::test(start_paused = true)]
async fn a_feed_waits_for_news_of_its_own() {
    let (alice, bob, mallory) = (Agent::alice(), Agent::bob(), Agent::mallory());
    let relay = Relay::of(&[&bob, &mallory]).await;
    let mut feed = relay.services.message_query.feed(&principal(&bob), 0);
    let next = tokio::spawn(async move { (feed.next().await.unwrap(), feed) });
    settle().await;
    relay.send(&alice, &Letter::new(&alice, &[&mallory])).await.unwrap();
    settle().await;
    assert!(!next.is_finished(), "that was no news of bob");
    let letter = Letter::new(&alice, &[&bob]).number(2);
    relay.send(&alice, &letter).await.unwrap();
    let (changes, mut feed) = next.await.unwrap();
    assert_eq!(changes.iter().map(|change| change.message).collect::<Vec<_>>(), [letter.message()]);
    let again = tokio::time::timeout(Duration::from_secs(3_600), feed.next()).await;
    assert!(again.is_err(), "a change is told once");
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_looked_away_misses_nothing() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let mut feed = relay.services.message_query.feed(&principal(&alice), 0);
    let count = wire::FEED_CHANGES as u64 + 20;
    for number in 0..count {
        relay.send(&alice, &Letter::new(&alice, &[&bob]).number(number)).await.unwrap();
    }
    let (first, second) = (feed.next().await.unwrap(), feed.next().await.unwrap());
    assert_eq!((first.len(), second.len()), (wire::FEED_CHANGES, 20));
    let mut resumed = relay.services.message_query.feed(&principal(&alice), first.last().unwrap().change_seq);
    assert_eq!(resumed.next().await.unwrap(), second);
}

#[tokio::test(start_paused = true)]
async fn handing_over_and_expiry_are_told_to_the_feed() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    relay.send(&alice, &Letter::new(&alice, &[&bob])).await.unwrap();
    let mut feed = relay.services.message_query.feed(&principal(&alice), 0);
    let mut states = vec![feed.next().await.unwrap()];
    let following = tokio::spawn(async move {
        states.push(feed.next().await.unwrap());
        states.push(feed.next().await.unwrap());
        states
    });
    settle().await;
    relay.receive(&bob).await;
    settle().await;
    relay.clock.advance(sealpost_protocol::limits::MESSAGE_LIFE);
    relay.sweep().await;
    let states: Vec<_> = following.await.unwrap().concat().iter().map(|change| change.state.as_str()).collect();
    assert_eq!(states, ["pending", "in-transit", "failed"]);
}
