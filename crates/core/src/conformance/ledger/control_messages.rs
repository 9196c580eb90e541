//! Control messages: in the order of the rest, one of each sender, recorded nowhere else.

use std::{sync::Arc, time::Duration};

use sealpost_protocol::{PartHash, Signer};

use super::*;
use crate::{
    limits::{MAILBOX_BYTES, MAILBOX_CONTROL},
    ports::{AcceptError, AgentStanding, ControlAcceptance},
};

fn control(sender: &Agent, recipient: &Agent, number: u64) -> Letter {
    Letter::new(sender, &[recipient]).control().number(number)
}

async fn accept_control(ledger: &dyn Ledger, letter: &Letter) -> AcceptanceOutcome {
    ledger.accept_control(letter.control_acceptance()).await.unwrap()
}

/// The headers of what waits for `agent`, in order.
async fn headers_for(ledger: &dyn Ledger, agent: &Agent) -> Vec<Vec<u8>> {
    waiting(ledger, agent).await.into_iter().map(|entry| entry.header).collect()
}

fn headers_of(letters: &[&Letter]) -> Vec<Vec<u8>> {
    letters.iter().map(|letter| letter.header().as_bytes().to_vec()).collect()
}

/// Another agent for each number, and none of those with names.
fn sender(number: u64) -> Agent {
    Agent::new(u8::try_from(number).unwrap())
}

pub async fn a_control_message_waits_in_the_order_of_acceptance(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let before = Letter::new(&alice, &[&bob]).number(10);
    let between = control(&alice, &bob, 11);
    let after = Letter::new(&alice, &[&bob]).number(12);
    let last = control(&carol, &bob, 13);
    accept(&*ledger, &before).await;
    assert_eq!(accept_control(&*ledger, &between).await.queued, [bob.id()]);
    accept(&*ledger, &after).await;
    accept_control(&*ledger, &last).await;
    let waiting = waiting(&*ledger, &bob).await;
    assert_eq!(headers_for(&*ledger, &bob).await, headers_of(&[&before, &between, &after, &last]));
    assert!(waiting.is_sorted_by(|a, b| a.mailbox_seq < b.mailbox_seq));
    let entry = waiting.get(1).unwrap();
    assert_eq!(entry.header_hash, between.header().hash());
    assert_eq!(entry.part, PartHash::of(&between.envelope(bob.id())));
    assert_eq!((entry.attempt.number(), entry.handed_over, entry.queued_at), (1, true, NOW));
    assert_eq!(entry.content, between.part_handle(&bob));
    assert_eq!(headers_for(&*ledger, &carol).await, headers_of(&[]), "for nobody else");
}

pub async fn a_page_is_cut_in_the_one_order(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let mut all = Vec::new();
    for number in 1..=4 {
        let letter = Letter::new(&alice, &[&bob]).number(number).claimed_length(10);
        accept(&*ledger, &letter).await;
        all.push(letter);
        let letter = control(&sender(number), &bob, number).claimed_length(10);
        accept_control(&*ledger, &letter).await;
        all.push(letter);
    }
    let query = PageQuery { recipient: bob.id(), after: 0, entries: 100, bytes: u64::MAX, now: NOW };
    for (entries, bytes) in [(1, u64::MAX), (2, u64::MAX), (3, u64::MAX), (100, 30), (100, 1), (100, u64::MAX)] {
        let (mut after, mut seen) = (0, Vec::new());
        loop {
            let page = ledger.page(PageQuery { after, entries, bytes, ..query }).await.unwrap();
            assert!(page.len() <= entries && (page.len() <= 1 || page.len() as u64 * 10 <= bytes));
            let Some(last) = page.last() else { break };
            after = last.mailbox_seq;
            seen.extend(page.into_iter().map(|entry| entry.header));
        }
        assert_eq!(seen, headers_of(&all.iter().collect::<Vec<_>>()), "{entries} entries, {bytes} bytes");
    }
}

pub async fn a_newer_control_message_supersedes_its_senders_one_alone(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let others = [control(&carol, &bob, 1), control(&alice, &carol, 1)];
    for other in &others {
        accept_control(&*ledger, other).await;
    }
    let old = control(&alice, &bob, 2);
    accept_control(&*ledger, &old).await;
    let letter = Letter::new(&alice, &[&bob]).number(3);
    accept(&*ledger, &letter).await;
    let new = control(&alice, &bob, 4);
    let outcome = accept_control(&*ledger, &new).await;
    assert_eq!((outcome.queued, outcome.unused), (vec![bob.id()], vec![old.part_handle(&bob)]));
    assert_eq!(headers_for(&*ledger, &bob).await, headers_of(&[&others[0], &letter, &new]), "at the end");
    assert_eq!(headers_for(&*ledger, &carol).await, headers_of(&[&others[1]]));
}

pub async fn an_older_control_message_or_the_same_again_is_not_taken(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let newest = control(&alice, &bob, 7);
    accept_control(&*ledger, &newest).await;
    let before = everything(&*ledger, &[]).await;
    let later = NOW.saturating_add(Duration::from_secs(1));
    for (letter, at) in [(control(&alice, &bob, 6), later), (newest.copy(), NOW)] {
        let again = ControlAcceptance { at: later, ..letter.control_acceptance() };
        let outcome = ledger.accept_control(again).await.unwrap();
        let unused = vec![letter.part_handle(&bob)];
        assert_eq!((outcome.at, outcome.queued, outcome.unused), (at, Vec::new(), unused));
        assert_eq!(everything(&*ledger, &[]).await, before);
    }
}

pub async fn a_control_message_has_no_status_no_change_and_no_receipt(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = control(&alice, &bob, 1);
    accept_control(&*ledger, &letter).await;
    assert_eq!(hand_over_all(&*ledger, &bob, NOW).await, []);
    assert_eq!(ledger.records(letter.message()).await.unwrap(), []);
    for agent in [&alice, &bob] {
        assert_eq!(changes(&*ledger, agent).await, []);
    }
    let recorded = say(&*ledger, &bob, &letter, Verdict::Stored).await;
    assert_eq!((recorded.refused.len(), recorded.senders, recorded.released), (1, vec![], vec![]));
    assert_eq!(headers_for(&*ledger, &bob).await, headers_of(&[&letter]), "a receipt takes it nowhere");
}

pub async fn control_messages_and_users_mail_have_room_of_their_own(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    accept(&*ledger, &Letter::new(&alice, &[&bob]).claimed_length(MAILBOX_BYTES)).await;
    let mine: Vec<_> = (1..=MAILBOX_CONTROL).map(|number| control(&sender(number), &bob, 1)).collect();
    for letter in &mine {
        accept_control(&*ledger, letter).await;
    }
    let before = everything(&*ledger, &[]).await;
    let one_more = control(&sender(MAILBOX_CONTROL + 1), &bob, 1);
    let refused = ledger.accept_control(one_more.control_acceptance()).await;
    assert!(matches!(refused, Err(AcceptError::MailboxFull { recipient }) if recipient == bob.id()), "{refused:?}");
    assert_eq!(everything(&*ledger, &[]).await, before, "nobody's is pushed out");
    let newer = control(&sender(1), &bob, 2);
    assert_eq!(accept_control(&*ledger, &newer).await.unused, [mine[0].part_handle(&bob)], "one's own is");
    say(&*ledger, &bob, &Letter::new(&alice, &[&bob]), Verdict::Stored).await;
    accept(&*ledger, &Letter::new(&alice, &[&bob]).number(2).claimed_length(MAILBOX_BYTES)).await;
}

pub async fn control_messages_leave_when_they_are_taken(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob]).number(5);
    let (first, second) = (control(&alice, &bob, 1), control(&carol, &bob, 1));
    let other = control(&alice, &carol, 1);
    accept_control(&*ledger, &first).await;
    accept(&*ledger, &letter).await;
    accept_control(&*ledger, &second).await;
    accept_control(&*ledger, &other).await;
    let places: Vec<_> = waiting(&*ledger, &bob).await.iter().map(|entry| entry.mailbox_seq).collect();
    assert_eq!(ledger.take_control(bob.id(), places[0] - 1).await.unwrap(), []);
    assert_eq!(ledger.take_control(bob.id(), places[1]).await.unwrap(), [first.part_handle(&bob)]);
    assert_eq!(headers_for(&*ledger, &bob).await, headers_of(&[&letter, &second]), "users' mail stays");
    assert_eq!(ledger.take_control(bob.id(), u64::MAX).await.unwrap(), [second.part_handle(&bob)]);
    assert_eq!(headers_for(&*ledger, &carol).await, headers_of(&[&other]), "and what is for others");
    accept_control(&*ledger, &first.copy()).await;
    assert_eq!(waiting(&*ledger, &bob).await.len(), 2, "nothing remembers it");
}

pub async fn a_control_message_ends_with_its_life(ledger: Arc<dyn Ledger>) {
    let (bob, at) = (Agent::bob(), |seconds| NOW.saturating_add(Duration::from_secs(seconds)));
    let letters: Vec<_> = (1..=3).map(|number| control(&sender(number), &bob, 1).expires(at(number))).collect();
    for letter in &letters {
        accept_control(&*ledger, letter).await;
    }
    let query = PageQuery { recipient: bob.id(), after: 0, entries: 9, bytes: u64::MAX, now: at(2) };
    assert_eq!(ledger.page(query).await.unwrap().len(), 1, "what is over is not shown");
    let handle = |place: usize| letters[place].part_handle(&bob);
    assert_eq!(ledger.expire_control(at(0), 9).await.unwrap(), []);
    assert_eq!(ledger.expire_control(at(2), 1).await.unwrap().len(), 1, "in small steps");
    assert_eq!(ledger.expire_control(at(2), 9).await.unwrap().len(), 1);
    assert_eq!(ledger.expire_control(at(2), 9).await.unwrap(), [], "each once");
    assert_eq!(waiting(&*ledger, &bob).await.len(), 1);
    let late = ControlAcceptance { at: at(3), ..control(&sender(4), &bob, 1).control_acceptance() };
    assert_eq!(ledger.accept_control(late).await.unwrap().unused, [handle(2)], "or with the next that comes");
}

pub async fn a_lost_control_message_goes_without_a_word(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = control(&alice, &bob, 1);
    accept_control(&*ledger, &letter).await;
    let place = waiting(&*ledger, &bob).await.first().unwrap().mailbox_seq;
    let lost = ledger.lose(Agent::carol().id(), vec![place]).await.unwrap();
    assert_eq!((lost.senders, lost.released), (vec![], vec![]), "only its recipient can say so");
    let lost = ledger.lose(bob.id(), vec![place]).await.unwrap();
    assert_eq!((lost.senders, lost.released), (vec![], vec![letter.part_handle(&bob)]));
    assert_eq!(headers_for(&*ledger, &bob).await, headers_of(&[]));
}

pub async fn the_standing_of_an_agent_is_its_last_head_and_its_highest_control_message(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    assert_eq!(ledger.standing(alice.id()).await.unwrap(), AgentStanding::default());
    let (mut book, mut signed) = (ReceiptBook::new(&bob), None);
    for number in 1..=2 {
        let letter = Letter::new(&alice, &[&bob]).number(number);
        accept(&*ledger, &letter).await;
        let batch = book.sign(vec![letter.receipt(&bob, Verdict::Stored)]);
        ledger.record_receipts(batch.clone(), COUNTERSIGNATURE, NOW).await.unwrap();
        book.enter(&batch);
        signed = Some(*batch.signed_head());
    }
    let head = ledger.standing(bob.id()).await.unwrap().receipt_head.unwrap();
    assert_eq!((head.signed.head.recipient, head.signed.head.number), (bob.id(), 2));
    assert_eq!(Some(head.signed), signed);
    assert_eq!(head.countersignature, COUNTERSIGNATURE);
    assert!(head.signed.verify(&bob.identity_key()).is_ok(), "it is the signed word itself");

    for (recipient, number) in [(&bob, 7), (&carol, 9), (&bob, 8)] {
        accept_control(&*ledger, &control(&alice, recipient, number)).await;
    }
    ledger.take_control(bob.id(), u64::MAX).await.unwrap();
    ledger.take_control(carol.id(), u64::MAX).await.unwrap();
    let standing = ledger.standing(alice.id()).await.unwrap();
    assert_eq!((standing.receipt_head, standing.last_control), (None, Some(control(&alice, &carol, 9).message().id)));
}
