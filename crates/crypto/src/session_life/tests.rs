//! Which session sends, which go, and what a refusal does.

use std::time::Duration;

use sealpost_protocol::Suite;

use super::*;
use crate::{
    SystemPrimitives, initiate,
    testing::{NOW, OneTimeKeys, TestAgent, plaintext},
};

mod peers;
mod simulation;
mod store;
mod witness;

fn after(time: Duration) -> Timestamp {
    NOW.saturating_add(time)
}

/// A session that `from` has just opened to `to` and sealed one message in, at both ends.
fn opened(from: &TestAgent, to: &TestAgent) -> (Session, Session) {
    let expected = [Suite::X3dh25519];
    let bundle = crate::VerifiedBundle::check(to.bundle(OneTimeKeys::There), &to.expected(&expected), NOW).unwrap();
    let mut own = initiate(&SystemPrimitives, &from.identity, bundle, NOW).unwrap();
    let header = from.header_to(to, 0);
    let envelope = own.seal(&SystemPrimitives, &header, &plaintext("x"), NOW).unwrap();
    let (theirs, _) = to.respond(&header, &envelope).unwrap();
    (own, theirs)
}

fn id(byte: u8) -> SessionId {
    SessionId([byte; 16])
}

#[test]
fn when_both_open_at_once_both_send_in_the_lower_one() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    for _ in 0..8 {
        let (alices, alices_at_bob) = opened(&alice, &bob);
        let (bobs, bobs_at_alice) = opened(&bob, &alice);
        let alice_moves = takes_over(&bobs_at_alice, Some((&alices, NOW)), NOW);
        let bob_moves = takes_over(&alices_at_bob, Some((&bobs, NOW)), NOW);
        assert_eq!(alice_moves, !bob_moves, "one moves to the other's");
        assert_eq!(alice_moves, bobs.id() < alices.id());
    }
}

#[test]
fn the_peer_s_session_takes_over_where_it_cannot_have_crossed_ours() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let (alices, bobs_at_alice) = loop {
        let ((alices, _), (_, bobs_at_alice)) = (opened(&alice, &bob), opened(&bob, &alice));
        if alices.id() < bobs_at_alice.id() {
            break (alices, bobs_at_alice);
        }
    };
    assert!(takes_over(&bobs_at_alice, None, NOW), "none sends");
    assert!(!takes_over(&bobs_at_alice, Some((&alices, NOW)), NOW), "they crossed");
    let later = after(limits::RECEIVING_SESSION_LIFE);
    assert!(takes_over(&bobs_at_alice, Some((&alices, NOW)), later), "all that was sealed in ours has expired");
    assert!(!takes_over(&bobs_at_alice, Some((&alices, after(Duration::from_secs(1)))), later));
    let mut retired = alices;
    retired.retire();
    assert!(takes_over(&bobs_at_alice, Some((&retired, NOW)), NOW), "ours seals no more");
    let (_, responded) = opened(&bob, &alice);
    assert!(takes_over(&bobs_at_alice, Some((&responded, NOW)), NOW), "the peer knew the one it had opened before");
}

#[test]
fn receiving_sessions_go_by_age_and_by_number_and_a_sending_one_never() {
    let life = limits::RECEIVING_SESSION_LIFE;
    let hours = |count: u64| after(Duration::from_secs(3600 * count));
    let standing = |byte, sends, used| SessionStanding { id: id(byte), sends, used };
    let mut standings: Vec<SessionStanding> = (1..=4).map(|byte| standing(byte, false, hours(byte.into()))).collect();
    standings.insert(1, standing(9, true, NOW));
    assert_eq!(sessions_to_erase(&standings, hours(5)), []);
    standings.push(standing(5, false, hours(5)));
    assert_eq!(sessions_to_erase(&standings, hours(5)), [id(1)], "five are one too many");
    let late = hours(3).saturating_add(life);
    assert_eq!(sessions_to_erase(&standings, late), [id(3), id(2), id(1)]);
    assert_eq!(sessions_to_erase(&standings, late.saturating_add(life)).len(), 5, "but the one that sends");
}

#[test]
fn a_refusal_renews_the_session_it_speaks_of_at_most_twice_and_not_at_once() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let (session, _) = opened(&alice, &bob);
    let attempt = |number| Attempt::new(number).unwrap();
    let refusal = |reason, number| Refusal { reason, attempt: attempt(number), session: session.id() };
    let old = after(limits::SESSION_RENEWAL_INTERVAL);
    for reason in [RefusalReason::Undecryptable, RefusalReason::UnknownPrekey, RefusalReason::UnknownSession] {
        assert_eq!(after_refusal(&refusal(reason, 1), Some(&session), old), AfterRefusal::Renew);
        assert_eq!(after_refusal(&refusal(reason, 2), Some(&session), old), AfterRefusal::Renew);
        assert_eq!(after_refusal(&refusal(reason, 3), Some(&session), old), AfterRefusal::Failed);
        assert_eq!(after_refusal(&refusal(reason, 1), None, old), AfterRefusal::Renew);
        assert_eq!(after_refusal(&refusal(reason, 1), Some(&session), NOW), AfterRefusal::Wait(old));
        let other = Refusal { session: id(7), ..refusal(reason, 1) };
        assert_eq!(after_refusal(&other, Some(&session), NOW), AfterRefusal::SealAnew, "it sends no more");
    }
    for reason in [RefusalReason::Replay, RefusalReason::Policy, RefusalReason::NotMember] {
        assert_eq!(after_refusal(&refusal(reason, 1), Some(&session), old), AfterRefusal::Failed);
    }
    let mut retired = session;
    retired.retire();
    let other = Refusal { reason: RefusalReason::Undecryptable, attempt: attempt(1), session: id(7) };
    assert_eq!(after_refusal(&other, Some(&retired), NOW), AfterRefusal::Renew);
}
