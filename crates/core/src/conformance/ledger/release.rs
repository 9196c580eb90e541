//! Which contents are given back, and when: exactly those that nobody needs any more, once.

use std::sync::Arc;

use sealpost_protocol::{RefusalReason, limits as wire};

use super::*;

pub async fn a_part_is_released_by_its_own_receipt(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]);
    accept(&*ledger, &letter).await;
    let verdicts = [(&carol, Verdict::Refused(RefusalReason::Policy)), (&bob, Verdict::Acknowledged)];
    for (recipient, verdict) in verdicts {
        let recorded = say(&*ledger, recipient, &letter, verdict).await;
        assert_eq!(recorded.released, [letter.part_handle(recipient)]);
    }
}

pub async fn the_body_goes_with_the_last_who_waits(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol, mallory) = (Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory());
    let letter = Letter::new(&alice, &[&bob, &carol, &mallory]).body(b"body");
    accept(&*ledger, &letter).await;
    let refused = Verdict::Refused(RefusalReason::Undecryptable);
    assert_eq!(say(&*ledger, &carol, &letter, refused).await.released, [letter.part_handle(&carol)]);
    assert_eq!(say(&*ledger, &bob, &letter, Verdict::Stored).await.released, [letter.part_handle(&bob)]);
    assert_eq!(body(&*ledger, letter.message(), &alice).await, letter.body_handle());
    let (_, released) = sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    assert_eq!(sorted(released), sorted([letter.part_handle(&mallory)].into_iter().chain(letter.body_handle())));
    assert_eq!(body(&*ledger, letter.message(), &alice).await, None);
}

pub async fn every_part_and_the_body_are_released_once(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    accept(&*ledger, &letter).await;
    let life = NOW.saturating_add(wire::MESSAGE_LIFE);
    let (_, released) = sweep(&*ledger, life).await;
    let all = [letter.part_handle(&bob), letter.part_handle(&carol)].into_iter().chain(letter.body_handle());
    assert_eq!(sorted(released), sorted(all));
    assert_eq!(sweep(&*ledger, life).await.1, []);
    assert_eq!(say(&*ledger, &bob, &letter, Verdict::Stored).await.released, []);
    assert_eq!(say(&*ledger, &carol, &letter, Verdict::Acknowledged).await.released, []);
}

pub async fn handing_over_releases_nothing(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    accept(&*ledger, &letter).await;
    hand_over_all(&*ledger, &bob, NOW).await;
    assert_eq!(waiting(&*ledger, &bob).await[0].content, letter.part_handle(&bob));
    assert_eq!(body(&*ledger, letter.message(), &bob).await, letter.body_handle());
}
