//! Giving one message up: because its life is over, or its body lost.

use std::sync::Arc;

use sealpost_protocol::{DeliveryState, FailureReason, Scheme};

use super::*;
use crate::ports::{GiveUp, GivenUp};

const EXPIRED: DeliveryState = DeliveryState::Failed(FailureReason::Expired);
const LOST: DeliveryState = DeliveryState::Failed(FailureReason::Lost);

fn end() -> Timestamp {
    NOW.saturating_add(sealpost_protocol::limits::MESSAGE_LIFE)
}

fn body_lost(letter: &Letter) -> GiveUp {
    GiveUp::BodyLost { place: 0, content: letter.body_handle().unwrap() }
}

pub async fn a_message_is_given_up_when_its_life_is_over_and_not_before(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body").expires(end());
    accept(&*ledger, &letter).await;
    say(&*ledger, &carol, &letter, Verdict::Stored).await;
    let before = everything(&*ledger, &[&letter]).await;
    let early = GiveUp::LifeOver(Timestamp::from_millis(end().as_millis() - 1));
    assert_eq!(ledger.give_up(letter.message(), early).await.unwrap(), GivenUp::default());
    let unknown = letter.clone().number(7).message();
    assert_eq!(ledger.give_up(unknown, GiveUp::LifeOver(end())).await.unwrap(), GivenUp::default());
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
    let given_up = ledger.give_up(letter.message(), GiveUp::LifeOver(end())).await.unwrap();
    assert_eq!(named(given_up.agents), ids(&[&alice, &bob]), "it is no news to carol");
    assert_eq!(sorted(given_up.released), sorted([letter.part_handle(&bob), letter.body_handle().unwrap()]));
    assert_eq!(status(&*ledger, &letter, &bob).await.state, EXPIRED);
    assert_eq!(status(&*ledger, &letter, &carol).await.state, DeliveryState::Delivered);
    assert_eq!(waiting_at(&*ledger, &bob, Timestamp::default()).await, []);
    let again = ledger.give_up(letter.message(), GiveUp::LifeOver(end())).await.unwrap();
    assert_eq!(again, GivenUp::default());
    assert_eq!(sweep(&*ledger, end()).await, (Vec::new(), Vec::new()), "a sweep finds nothing left to do");
}

pub async fn a_lost_body_fails_all_who_wait_and_goes(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    for (number, scheme) in [(1, Scheme::Ratchet), (2, Scheme::None)] {
        let letter = Letter::new(&alice, &[&bob, &carol]).number(number).scheme(scheme).body(b"body");
        accept(&*ledger, &letter).await;
        let given_up = ledger.give_up(letter.message(), body_lost(&letter)).await.unwrap();
        assert_eq!(named(given_up.agents), ids(&[&alice, &bob, &carol]));
        assert!(given_up.released.contains(&letter.body_handle().unwrap()), "also if it were kept for reading");
        for recipient in [&bob, &carol] {
            assert_eq!(status(&*ledger, &letter, recipient).await.state, LOST);
            let waits = waiting(&*ledger, recipient).await;
            assert!(waits.iter().all(|entry| entry.header != letter.header().as_bytes()), "it has left the mailbox");
        }
        assert_eq!(body(&*ledger, letter.message(), &alice).await, None);
        let again = letter.clone().attempt(2).copy();
        accept(&*ledger, &again).await;
        assert_eq!(body(&*ledger, letter.message(), &bob).await, again.body_handle(), "the next attempt brings it");
    }
}

pub async fn a_body_that_was_replaced_is_not_lost(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    accept(&*ledger, &letter).await;
    ledger.give_up(letter.message(), body_lost(&letter)).await.unwrap();
    let again = letter.clone().attempt(2).copy();
    accept(&*ledger, &again).await;
    let before = everything(&*ledger, &[&letter]).await;
    assert_eq!(ledger.give_up(letter.message(), body_lost(&letter)).await.unwrap(), GivenUp::default());
    assert_eq!(everything(&*ledger, &[&letter]).await, before);
}
