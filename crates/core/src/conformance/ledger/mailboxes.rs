//! Room: a mailbox has a limit, exact to the byte. The limit on messages is reached through bytes here, as ten thousand
//! messages would make every run of the suite wait.

use std::sync::Arc;

use sealpost_protocol::{RefusalReason, limits as wire};

use super::*;
use crate::{limits::MAILBOX_BYTES, ports::AcceptError};

/// Whose mailbox had no room.
async fn refused_by(ledger: &dyn Ledger, letter: &Letter) -> Option<AgentId> {
    match ledger.accept(letter.acceptance()).await {
        Err(AcceptError::MailboxFull { recipient }) => Some(recipient),
        Err(other) => panic!("{other:?}"),
        Ok(_) => None,
    }
}

/// A letter that leaves room for exactly one byte.
fn large(number: u64, recipient: &Agent) -> Letter {
    Letter::new(&Agent::alice(), &[recipient]).number(number).claimed_length(MAILBOX_BYTES - 1)
}

pub async fn a_mailbox_takes_bytes_up_to_its_limit_and_no_more(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    assert_eq!(refused_by(&*ledger, &large(100, &bob)).await, None);
    let before = everything(&*ledger, &[]).await;
    let letter = |number, length| Letter::new(&alice, &[&bob]).number(number).claimed_length(length);
    assert_eq!(refused_by(&*ledger, &letter(1, 2)).await, Some(bob.id()));
    assert_eq!(refused_by(&*ledger, &letter(1, u64::MAX)).await, Some(bob.id()));
    assert_eq!(everything(&*ledger, &[]).await, before);
    assert_eq!(refused_by(&*ledger, &letter(1, 1)).await, None);
    assert_eq!(refused_by(&*ledger, &letter(2, 1)).await, Some(bob.id()));
}

pub async fn one_full_mailbox_refuses_the_message_for_all(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    for (number, full) in [(1, &bob), (2, &carol)] {
        accept(&*ledger, &large(number + 100, full)).await;
        let letter = Letter::new(&alice, &[&bob, &carol]).number(number);
        let before = everything(&*ledger, &[&letter]).await;
        assert_eq!(refused_by(&*ledger, &letter).await, Some(full.id()));
        assert_eq!(everything(&*ledger, &[&letter]).await, before);
        say(&*ledger, full, &large(number + 100, full), Verdict::Stored).await;
    }
    let letter = Letter::new(&alice, &[&bob, &carol]).claimed_length(MAILBOX_BYTES);
    assert_eq!(refused_by(&*ledger, &letter).await, None, "what was refused takes no room");
}

pub async fn a_full_mailbox_still_knows_what_it_has(ledger: Arc<dyn Ledger>) {
    let bob = Agent::bob();
    accept(&*ledger, &large(100, &bob)).await;
    assert_eq!(refused_by(&*ledger, &large(100, &bob).copy()).await, None, "the same message again needs no room");
}

pub async fn a_receipt_makes_room(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let mut book = ReceiptBook::new(&bob);
    let full = |number| Letter::new(&alice, &[&bob]).number(number).claimed_length(MAILBOX_BYTES);
    let verdicts = [Verdict::Stored, Verdict::Acknowledged, Verdict::Refused(RefusalReason::Policy)];
    for (number, verdict) in (1..).zip(verdicts) {
        assert_eq!(refused_by(&*ledger, &full(number)).await, None);
        assert_eq!(refused_by(&*ledger, &full(number + 1)).await, Some(bob.id()));
        hand_over_all(&*ledger, &bob, NOW).await;
        assert_eq!(refused_by(&*ledger, &full(number + 1)).await, Some(bob.id()), "in transit it still waits");
        record(&*ledger, &mut book, vec![full(number).receipt(&bob, verdict)]).await;
    }
    record(&*ledger, &mut book, vec![full(1).receipt(&bob, Verdict::Acknowledged)]).await;
    assert_eq!(refused_by(&*ledger, &full(4)).await, None);
    assert_eq!(refused_by(&*ledger, &full(5)).await, Some(bob.id()), "a second receipt makes no second room");
}

pub async fn expiry_makes_room(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let full = |number| Letter::new(&alice, &[&bob]).number(number).claimed_length(MAILBOX_BYTES);
    accept(&*ledger, &full(1)).await;
    sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    say(&*ledger, &bob, &full(1), Verdict::Stored).await;
    assert_eq!(refused_by(&*ledger, &full(2)).await, None);
    assert_eq!(refused_by(&*ledger, &full(3)).await, Some(bob.id()), "a late receipt makes no second room");
}

pub async fn the_next_attempt_needs_room(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]);
    accept(&*ledger, &letter).await;
    say(&*ledger, &bob, &letter, Verdict::Refused(RefusalReason::Undecryptable)).await;
    accept(&*ledger, &large(100, &bob)).await;
    let before = everything(&*ledger, &[&letter]).await;
    let second = letter.clone().attempt(2);
    assert_eq!(refused_by(&*ledger, &second.clone().claimed_length(2)).await, Some(bob.id()));
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
    assert_eq!(refused_by(&*ledger, &second.claimed_length(1)).await, None);
    let next = Letter::new(&alice, &[&bob]).number(2).claimed_length(1);
    assert_eq!(refused_by(&*ledger, &next).await, Some(bob.id()), "the attempt is counted with its own length");
}
