//! Messages to many, written in several transactions.

use std::sync::Arc;

use sealpost_protocol::Verdict;

use super::*;
use crate::{
    limits,
    ports::{AcceptError, Acceptance, FanOutId},
};

/// A letter's recipients in the order of its parts.
fn in_order<const COUNT: usize>(mut recipients: [Agent; COUNT]) -> [Agent; COUNT] {
    recipients.sort_unstable_by_key(Agent::id);
    recipients
}

/// The parts of these recipients.
fn chunk(letter: &Letter, recipients: &[&Agent]) -> Acceptance {
    letter.clone().only(recipients).acceptance()
}

async fn finish(ledger: &dyn Ledger, id: FanOutId, letter: &Letter, recipients: &[&Agent]) -> AcceptanceOutcome {
    ledger.finish_fan_out(id, chunk(letter, recipients)).await.unwrap()
}

/// Abandons what there is in the smallest steps; returns whom it told and what it released.
async fn abandon(ledger: &dyn Ledger) -> (Vec<AgentId>, Vec<ContentHandle>) {
    let (mut agents, mut released) = (Vec::new(), Vec::new());
    while let Some(step) = ledger.abandon_fan_out(1).await.unwrap() {
        agents.extend(step.agents);
        released.extend(step.released);
    }
    (agents, released)
}

pub async fn nothing_of_a_fan_out_is_seen_before_its_last_part(ledger: Arc<dyn Ledger>) {
    let (alice, [first, second, third]) = (Agent::alice(), in_order([Agent::bob(), Agent::carol(), Agent::mallory()]));
    let letter = Letter::new(&alice, &[&first, &second, &third]).body(b"body");
    let before = everything(&*ledger, &[&letter]).await;
    let id = ledger.begin_fan_out(chunk(&letter, &[&first])).await.unwrap();
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
    ledger.continue_fan_out(id, chunk(&letter, &[&second])).await.unwrap();
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
    assert_eq!(say(&*ledger, &first, &letter, Verdict::Stored).await.refused.len(), 1, "it cannot be signed for");
    let outcome = finish(&*ledger, id, &letter, &[&third]).await;
    assert_eq!(
        (outcome.at, outcome.queued, outcome.unused),
        (NOW, letter.header().fields().recipients.as_slice().to_vec(), vec![])
    );
    for agent in [&first, &second, &third] {
        assert_eq!(
            waiting(&*ledger, agent).await.iter().map(|entry| entry.content.clone()).collect::<Vec<_>>(),
            [letter.part_handle(agent)]
        );
        assert_eq!(body(&*ledger, letter.message(), agent).await, letter.body_handle());
    }
    assert_eq!(changes(&*ledger, &alice).await.len(), 3);
    assert_eq!(ledger.abandon_fan_out(1).await.unwrap(), None, "it has ended");
}

pub async fn a_finished_fan_out_is_a_message_like_any_other(ledger: Arc<dyn Ledger>) {
    let (alice, [first, second]) = (Agent::alice(), in_order([Agent::bob(), Agent::carol()]));
    let letter = Letter::new(&alice, &[&first, &second]).body(b"body");
    let id = ledger.begin_fan_out(chunk(&letter, &[&first])).await.unwrap();
    accept(&*ledger, &Letter::new(&second, &[&alice]).number(7)).await;
    finish(&*ledger, id, &letter, &[&second]).await;
    let again = letter.clone().copy();
    let outcome = accept(&*ledger, &again).await;
    assert_eq!((outcome.at, outcome.queued, outcome.unused.len()), (NOW, Vec::new(), 3), "the same again");
    assert_eq!(
        sorted(say(&*ledger, &first, &letter, Verdict::Stored).await.released),
        sorted([letter.part_handle(&first)])
    );
    let last = say(&*ledger, &second, &letter, Verdict::Stored).await.released;
    assert_eq!(sorted(last), sorted([letter.part_handle(&second)].into_iter().chain(letter.body_handle())));
    let records = ledger.records(letter.message()).await.unwrap();
    assert!(records.iter().all(|record| record.status.delivered_at == Some(NOW)) && records.len() == 2);
    assert_eq!(ledger.forget(NOW.saturating_add(std::time::Duration::from_secs(1)), 10).await.unwrap(), 1);
    assert_eq!(ledger.records(letter.message()).await.unwrap(), []);
}

pub async fn others_are_accepted_between_the_parts_of_a_fan_out(ledger: Arc<dyn Ledger>) {
    let (alice, mallory, [first, second]) =
        (Agent::alice(), Agent::mallory(), in_order([Agent::bob(), Agent::carol()]));
    let letter = Letter::new(&alice, &[&first, &second]);
    let id = ledger.begin_fan_out(chunk(&letter, &[&first])).await.unwrap();
    let (to_first, to_second) = (Letter::new(&mallory, &[&first]), Letter::new(&mallory, &[&second]).number(2));
    assert_eq!(accept(&*ledger, &to_first).await.queued, [first.id()]);
    assert_eq!(accept(&*ledger, &to_second).await.queued, [second.id()]);
    let control = Letter::new(&mallory, &[&first]).number(3).control();
    ledger.accept_control(control.control_acceptance()).await.unwrap();
    assert_eq!(waiting(&*ledger, &first).await, [], "what stands behind a hidden part is shown after it");
    assert_eq!(waiting(&*ledger, &second).await.len(), 1, "nothing is hidden here yet");
    finish(&*ledger, id, &letter, &[&second]).await;
    let parts = async |agent: &Agent| -> Vec<ContentHandle> {
        waiting(&*ledger, agent).await.into_iter().map(|entry| entry.content).collect()
    };
    let behind = [letter.part_handle(&first), to_first.part_handle(&first), control.part_handle(&first)];
    assert_eq!(parts(&first).await, behind);
    assert_eq!(parts(&second).await, [to_second.part_handle(&second), letter.part_handle(&second)]);
}

pub async fn a_feed_passes_over_no_part_of_a_fan_out(ledger: Arc<dyn Ledger>) {
    let (alice, mallory, [first, second]) =
        (Agent::alice(), Agent::mallory(), in_order([Agent::bob(), Agent::carol()]));
    let earlier = Letter::new(&alice, &[&mallory]).number(8);
    accept(&*ledger, &earlier).await;
    let letter = Letter::new(&alice, &[&first, &second]);
    let id = ledger.begin_fan_out(chunk(&letter, &[&first])).await.unwrap();
    let later = Letter::new(&alice, &[&mallory]).number(9);
    accept(&*ledger, &later).await;
    accept(&*ledger, &Letter::new(&mallory, &[&first])).await;
    let seen = changes(&*ledger, &alice).await;
    assert_eq!(seen.iter().map(|change| change.message).collect::<Vec<_>>(), [earlier.message()]);
    assert_eq!(changes(&*ledger, &first).await, []);
    assert_eq!(changes(&*ledger, &mallory).await.len(), 3, "others have no part in it");
    finish(&*ledger, id, &letter, &[&second]).await;
    let after = seen[0].change_seq;
    let rest = ledger.changes(alice.id(), after, 10).await.unwrap();
    assert_eq!(
        rest.iter().map(|change| change.message).collect::<Vec<_>>(),
        [letter.message(), later.message(), letter.message()]
    );
    assert_eq!(changes(&*ledger, &first).await.len(), 2);
}

pub async fn a_hidden_part_takes_its_room_until_it_is_abandoned(ledger: Arc<dyn Ledger>) {
    let (alice, [first, second]) = (Agent::alice(), in_order([Agent::bob(), Agent::carol()]));
    let letter = Letter::new(&alice, &[&first, &second]).claimed_length(limits::MAILBOX_BYTES);
    ledger.begin_fan_out(chunk(&letter, &[&first])).await.unwrap();
    let other = Letter::new(&alice, &[&first]).number(2);
    let refused = ledger.accept(other.acceptance()).await;
    assert!(matches!(refused, Err(AcceptError::MailboxFull { recipient }) if recipient == first.id()), "{refused:?}");
    let (agents, released) = abandon(&*ledger).await;
    assert_eq!((named(agents), released), (ids(&[&alice, &first]), vec![letter.part_handle(&first)]));
    assert_eq!(accept(&*ledger, &other).await.queued, [first.id()]);
}

pub async fn a_fan_out_that_finds_no_room_may_be_abandoned_and_leaves_nothing(ledger: Arc<dyn Ledger>) {
    let (alice, mallory, [first, second]) =
        (Agent::alice(), Agent::mallory(), in_order([Agent::bob(), Agent::carol()]));
    accept(&*ledger, &Letter::new(&mallory, &[&second]).claimed_length(limits::MAILBOX_BYTES)).await;
    let letter = Letter::new(&alice, &[&first, &second]);
    let before = everything(&*ledger, &[&letter]).await;
    let id = ledger.begin_fan_out(chunk(&letter, &[&first])).await.unwrap();
    for _ in 0..2 {
        let refused = ledger.continue_fan_out(id, chunk(&letter, &[&second])).await;
        assert!(
            matches!(refused, Err(AcceptError::MailboxFull { recipient }) if recipient == second.id()),
            "{refused:?}"
        );
    }
    let (_, released) = abandon(&*ledger).await;
    assert_eq!(released, [letter.part_handle(&first)]);
    assert_eq!(ledger.released(10).await.unwrap(), released, "noted until it is discarded");
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
    let gone = ledger.continue_fan_out(id, chunk(&letter, &[&second])).await;
    assert!(matches!(gone, Err(AcceptError::Backend(_))), "{gone:?}");
}

pub async fn an_abandoned_fan_out_may_begin_anew(ledger: Arc<dyn Ledger>) {
    let (alice, [first, second, third]) = (Agent::alice(), in_order([Agent::bob(), Agent::carol(), Agent::mallory()]));
    let letter = Letter::new(&alice, &[&first, &second, &third]).body(b"body");
    ledger.begin_fan_out(chunk(&letter, &[&first, &second])).await.unwrap();
    assert_eq!(sorted(abandon(&*ledger).await.1), sorted([letter.part_handle(&first), letter.part_handle(&second)]));
    let again = letter.copy();
    let id = ledger.begin_fan_out(chunk(&again, &[&first, &second])).await.unwrap();
    finish(&*ledger, id, &again, &[&third]).await;
    for agent in [&first, &second, &third] {
        assert_eq!(waiting(&*ledger, agent).await.len(), 1);
    }
}

pub async fn a_fan_out_under_a_used_id_is_a_conflict(ledger: Arc<dyn Ledger>) {
    let (alice, [first, second]) = (Agent::alice(), in_order([Agent::bob(), Agent::carol()]));
    let letter = Letter::new(&alice, &[&first, &second]);
    let id = ledger.begin_fan_out(chunk(&letter, &[&first])).await.unwrap();
    let other = Letter::new(&alice, &[&first]);
    accept(&*ledger, &other).await;
    for refused in [
        ledger.finish_fan_out(id, chunk(&letter, &[&second])).await.map(drop),
        ledger.begin_fan_out(chunk(&letter, &[&first])).await.map(drop),
    ] {
        assert!(matches!(refused, Err(AcceptError::Conflict)), "{refused:?}");
    }
    assert_eq!(abandon(&*ledger).await.1, [letter.part_handle(&first)]);
    let entries = waiting(&*ledger, &first).await;
    assert_eq!(entries.iter().map(|entry| entry.header_hash).collect::<Vec<_>>(), [other.header().hash()]);
}

pub async fn a_fan_out_ends_whole_or_not_at_all(ledger: Arc<dyn Ledger>) {
    let (alice, [first, second, third]) = (Agent::alice(), in_order([Agent::bob(), Agent::carol(), Agent::mallory()]));
    let letter = Letter::new(&alice, &[&first, &second, &third]).body(b"body");
    let before = everything(&*ledger, &[&letter]).await;
    let id = ledger.begin_fan_out(chunk(&letter, &[&first])).await.unwrap();
    let refused = ledger.finish_fan_out(id, chunk(&letter, &[&second])).await;
    assert!(matches!(refused, Err(AcceptError::Incomplete)), "{refused:?}");
    let poor = letter.clone().body_bytes(1);
    let refused = ledger.finish_fan_out(id, chunk(&poor, &[&second, &third])).await;
    assert!(matches!(refused, Err(AcceptError::Quota)), "{refused:?}");
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
    finish(&*ledger, id, &letter, &[&second, &third]).await;
    assert_eq!(ledger.records(letter.message()).await.unwrap().len(), 3);
}
