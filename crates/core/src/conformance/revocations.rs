//! What every adapter of [`Revocations`] must do.

use std::{sync::Arc, time::Duration};

use sealpost_protocol::{AgentId, DelegationId, Timestamp};

use super::NOW;
use crate::{
    limits,
    ports::{RecordRevocationError, Revocation, Revocations, ShownDelegation},
};

/// Makes every check of the suite a test: `revocations_conformance!(make)`, where `make` is an async function that returns an
/// empty adapter and something to keep until the check is over.
#[macro_export]
macro_rules! revocations_conformance {
    ($make:path) => {
        $crate::conformance_tests! { $make, revocations:
            nothing_is_revoked_at_first
            a_revoked_delegation_ends_with_what_was_narrowed_from_it
            all_delegations_that_were_certified_until_then_end
            a_revocation_is_about_its_agent_alone
            so_many_are_revoked_one_by_one_and_no_more
            to_revoke_all_makes_room
            the_same_again_changes_its_time_alone
            the_agents_that_have_revoked_lately_are_named_with_the_last_time
            old_revocations_are_forgotten_in_small_steps
        }
    };
}

const ALICE: AgentId = AgentId::from_array([1; 32]);
const BOB: AgentId = AgentId::from_array([2; 32]);

fn id(number: u16) -> DelegationId {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    DelegationId(id)
}

fn later(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

fn some(agent: AgentId, delegations: &[u16], at: Timestamp) -> Revocation {
    let delegations = delegations.iter().copied().map(id).collect();
    Revocation { agent, delegations, certified_until: None, at }
}

/// Of all that were certified until it is made.
fn all(agent: AgentId, at: Timestamp) -> Revocation {
    Revocation { certified_until: Some(at), ..some(agent, &[], at) }
}

async fn is_revoked(port: &Arc<dyn Revocations>, agent: AgentId, certified: Timestamp, blocks: &[u16]) -> bool {
    let blocks = blocks.iter().copied().map(id).collect();
    port.is_revoked(ShownDelegation { agent, certified, blocks }).await.unwrap()
}

pub async fn nothing_is_revoked_at_first(port: Arc<dyn Revocations>) {
    assert!(!is_revoked(&port, ALICE, NOW, &[1, 2]).await);
    assert_eq!(port.revoked_since(Timestamp::default()).await.unwrap(), []);
    assert_eq!(port.forget(later(1), 10).await.unwrap(), 0);
}

pub async fn a_revoked_delegation_ends_with_what_was_narrowed_from_it(port: Arc<dyn Revocations>) {
    port.revoke(some(ALICE, &[2, 7], NOW)).await.unwrap();
    assert!(is_revoked(&port, ALICE, later(1), &[2]).await);
    assert!(is_revoked(&port, ALICE, later(1), &[1, 2, 3]).await);
    assert!(is_revoked(&port, ALICE, later(1), &[7]).await);
    assert!(!is_revoked(&port, ALICE, later(1), &[1]).await, "what it was narrowed from goes on");
    assert!(!is_revoked(&port, ALICE, later(1), &[1, 4]).await);
}

pub async fn all_delegations_that_were_certified_until_then_end(port: Arc<dyn Revocations>) {
    port.revoke(all(ALICE, later(5))).await.unwrap();
    assert!(is_revoked(&port, ALICE, NOW, &[1]).await);
    assert!(is_revoked(&port, ALICE, later(5), &[1]).await);
    assert!(!is_revoked(&port, ALICE, later(6), &[1]).await);
    let earlier = Revocation { certified_until: Some(NOW), ..all(ALICE, later(7)) };
    port.revoke(earlier).await.unwrap();
    assert!(is_revoked(&port, ALICE, later(5), &[1]).await, "it is not moved back");
}

pub async fn a_revocation_is_about_its_agent_alone(port: Arc<dyn Revocations>) {
    port.revoke(all(ALICE, NOW)).await.unwrap();
    port.revoke(some(ALICE, &[1], NOW)).await.unwrap();
    assert!(!is_revoked(&port, BOB, NOW, &[1]).await);
}

pub async fn so_many_are_revoked_one_by_one_and_no_more(port: Arc<dyn Revocations>) {
    let numbers: Vec<_> = (0..u16::try_from(limits::REVOKED_DELEGATIONS).unwrap()).collect();
    for some_numbers in numbers.chunks(100) {
        port.revoke(some(ALICE, some_numbers, NOW)).await.unwrap();
    }
    let one_more = u16::try_from(numbers.len()).unwrap();
    let refused = port.revoke(some(ALICE, &[0, one_more], later(9))).await;
    assert!(matches!(refused, Err(RecordRevocationError::TooMany)), "{refused:?}");
    assert!(!is_revoked(&port, ALICE, NOW, &[one_more]).await);
    assert_eq!(port.revoked_since(NOW).await.unwrap(), [], "nothing has changed");
    port.revoke(some(ALICE, &[0], NOW)).await.unwrap();
    port.revoke(some(BOB, &[one_more], NOW)).await.unwrap();
}

pub async fn to_revoke_all_makes_room(port: Arc<dyn Revocations>) {
    let numbers: Vec<_> = (0..u16::try_from(limits::REVOKED_DELEGATIONS).unwrap()).collect();
    port.revoke(some(ALICE, &numbers, NOW)).await.unwrap();
    let earlier = Revocation { certified_until: Some(NOW.saturating_sub(Duration::from_secs(1))), ..all(ALICE, NOW) };
    port.revoke(earlier).await.unwrap();
    assert!(is_revoked(&port, ALICE, NOW, &[5]).await, "its key may have been certified since");
    port.revoke(all(ALICE, later(1))).await.unwrap();
    assert!(is_revoked(&port, ALICE, NOW, &[5]).await, "its key was certified before");
    assert!(!is_revoked(&port, ALICE, later(2), &[5]).await);
    port.revoke(some(ALICE, &numbers, later(2))).await.unwrap();
    assert!(is_revoked(&port, ALICE, later(2), &[5]).await);
}

pub async fn the_same_again_changes_its_time_alone(port: Arc<dyn Revocations>) {
    for at in [NOW, later(9)] {
        port.revoke(some(ALICE, &[1], at)).await.unwrap();
        port.revoke(all(BOB, at)).await.unwrap();
    }
    assert_eq!(port.forget(later(9), 10).await.unwrap(), 0);
    assert!(is_revoked(&port, ALICE, NOW, &[1]).await && is_revoked(&port, BOB, later(9), &[]).await);
}

pub async fn the_agents_that_have_revoked_lately_are_named_with_the_last_time(port: Arc<dyn Revocations>) {
    port.revoke(some(ALICE, &[1], NOW)).await.unwrap();
    port.revoke(some(ALICE, &[], later(3))).await.unwrap();
    port.revoke(all(BOB, later(2))).await.unwrap();
    let mut named = port.revoked_since(Timestamp::default()).await.unwrap();
    named.sort_unstable();
    assert_eq!(named, [(ALICE, later(3)), (BOB, later(2))]);
    assert_eq!(port.revoked_since(later(2)).await.unwrap(), [(ALICE, later(3))]);
}

pub async fn old_revocations_are_forgotten_in_small_steps(port: Arc<dyn Revocations>) {
    port.revoke(some(ALICE, &[1, 2, 3], NOW)).await.unwrap();
    port.revoke(some(ALICE, &[4], later(5))).await.unwrap();
    let mut steps = Vec::new();
    loop {
        match port.forget(later(5), 2).await.unwrap() {
            0 => break,
            rows => steps.push(rows),
        }
    }
    assert_eq!(steps, [2, 1]);
    assert!(!is_revoked(&port, ALICE, NOW, &[1, 2, 3]).await);
    assert!(is_revoked(&port, ALICE, NOW, &[4]).await);
    assert_eq!(port.revoked_since(NOW).await.unwrap(), [(ALICE, later(5))]);
}
