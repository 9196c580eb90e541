//! The feed of changes: what concerns an agent, numbered, resumable, and nothing that does not concern it.

use std::sync::Arc;

use sealpost_protocol::{DeliveryState, FailureReason, limits as wire};

use super::*;

pub async fn the_sender_follows_its_message_to_the_end(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    let mut book = ReceiptBook::new(&bob);
    let mut seen = Vec::new();
    for step in 0..4 {
        match step {
            0 => _ = accept(&*ledger, &letter).await,
            1 => _ = hand_over_all(&*ledger, &bob, NOW).await,
            2 => _ = record(&*ledger, &mut book, vec![letter.receipt(&bob, Verdict::Stored)]).await,
            _ => _ = record(&*ledger, &mut book, vec![letter.receipt(&bob, Verdict::Acknowledged)]).await,
        }
        let changes = changes(&*ledger, &alice).await;
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].message, changes[0].recipient), (letter.message(), bob.id()));
        assert_eq!(changes[0].change_seq, status(&*ledger, &letter, &bob).await.change_seq);
        seen.push((changes[0].state, changes[0].acknowledged, changes[0].change_seq));
    }
    let states: Vec<_> = seen.iter().map(|(state, acknowledged, _)| (*state, *acknowledged)).collect();
    let expected = [
        (DeliveryState::Pending, false),
        (DeliveryState::InTransit, false),
        (DeliveryState::Delivered, false),
        (DeliveryState::Delivered, true),
    ];
    assert_eq!(states, expected);
    assert!(seen.is_sorted_by(|(.., a), (.., b)| a < b), "every step has a greater number");
}

pub async fn a_recipient_hears_of_what_waits_and_of_what_is_lost_and_of_nothing_else(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letters = [1, 2, 3].map(|number| Letter::new(&alice, &[&bob]).number(number));
    for letter in &letters {
        accept(&*ledger, letter).await;
    }
    assert_eq!(changes(&*ledger, &bob).await.len(), 3);
    let third = waiting(&*ledger, &bob).await[2].mailbox_seq;
    let before = changes(&*ledger, &bob).await[2].change_seq;
    ledger.lose(bob.id(), vec![third]).await.unwrap();
    let lost = ledger.changes(bob.id(), before, 10).await.unwrap();
    let of = |change: &Change| (change.message, change.state);
    let expected = (letters[2].message(), DeliveryState::Failed(FailureReason::Lost));
    assert_eq!(lost.iter().map(of).collect::<Vec<_>>(), [expected]);
    let first = waiting(&*ledger, &bob).await[0].mailbox_seq;
    ledger.hand_over(bob.id(), vec![first], NOW).await.unwrap();
    let states: Vec<_> = changes(&*ledger, &bob).await.into_iter().map(|change| change.state).collect();
    let expected_states = [DeliveryState::Pending, expected.1, DeliveryState::InTransit];
    assert_eq!(states, expected_states, "ascending by number, not by age");
    say(&*ledger, &bob, &letters[0], Verdict::Stored).await;
    let left = changes(&*ledger, &bob).await;
    assert_eq!(left.iter().map(|change| change.message).collect::<Vec<_>>(), [letters[1].message(), expected.0]);
    sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    assert_eq!(
        changes(&*ledger, &bob).await.iter().map(of).collect::<Vec<_>>(),
        [expected],
        "of what has expired nothing"
    );
}

pub async fn a_stranger_hears_nothing(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    accept(&*ledger, &Letter::new(&alice, &[&bob, &carol])).await;
    assert_eq!(changes(&*ledger, &Agent::mallory()).await, []);
    let heard: Vec<_> = changes(&*ledger, &bob).await.into_iter().map(|change| change.recipient).collect();
    assert_eq!(heard, [bob.id()], "one recipient hears nothing of another");
}

pub async fn every_change_has_a_number_of_its_own(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol, mallory) = (Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory());
    for number in 1..=3 {
        accept(&*ledger, &Letter::new(&alice, &[&bob, &carol, &mallory]).number(number)).await;
    }
    let are_distinct = |changes: &[Change]| changes.is_sorted_by(|a, b| a.change_seq < b.change_seq);
    assert!(are_distinct(&changes(&*ledger, &alice).await));
    hand_over_all(&*ledger, &bob, NOW).await;
    assert!(are_distinct(&changes(&*ledger, &alice).await));
    assert!(are_distinct(&changes(&*ledger, &bob).await));
    sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    let expired = changes(&*ledger, &alice).await;
    assert_eq!(expired.len(), 9);
    assert!(expired.iter().all(|change| change.state == DeliveryState::Failed(FailureReason::Expired)));
    assert!(are_distinct(&expired), "a page may end between any two");
}

pub async fn a_feed_resumes_where_it_stopped(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    for number in 1..=5 {
        accept(&*ledger, &Letter::new(&alice, &[&bob, &carol]).number(number)).await;
        accept(&*ledger, &Letter::new(&bob, &[&alice]).number(number)).await;
    }
    hand_over_all(&*ledger, &carol, NOW).await;
    hand_over_all(&*ledger, &alice, NOW).await;
    for agent in [&alice, &bob, &carol] {
        let all = changes(&*ledger, agent).await;
        for limit in 1..=4 {
            let (mut resumed, mut after) = (Vec::new(), 0);
            loop {
                let page = ledger.changes(agent.id(), after, limit).await.unwrap();
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                after = last.change_seq;
                resumed.extend(page);
            }
            assert_eq!(resumed, all, "{limit} at a time");
        }
        assert_eq!(ledger.changes(agent.id(), u64::MAX, 10).await.unwrap(), []);
    }
    assert_eq!(changes(&*ledger, &alice).await.len(), 15);
}

pub async fn a_feed_shows_the_latest_state_only(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letters = [1, 2].map(|number| Letter::new(&alice, &[&bob]).number(number));
    for letter in &letters {
        accept(&*ledger, letter).await;
    }
    let after = changes(&*ledger, &alice).await[1].change_seq;
    say(&*ledger, &bob, &letters[0], Verdict::Stored).await;
    let news = ledger.changes(alice.id(), after, 10).await.unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!((news[0].message, news[0].state), (letters[0].message(), DeliveryState::Delivered));
    let order: Vec<_> = changes(&*ledger, &alice).await.into_iter().map(|change| change.message).collect();
    assert_eq!(order, [letters[1].message(), letters[0].message()]);
}

pub async fn a_message_to_oneself_is_one_change(ledger: Arc<dyn Ledger>) {
    let alice = Agent::alice();
    accept(&*ledger, &Letter::new(&alice, &[&alice])).await;
    assert_eq!(changes(&*ledger, &alice).await.len(), 1);
    hand_over_all(&*ledger, &alice, NOW).await;
    assert_eq!(changes(&*ledger, &alice).await.len(), 1);
}
