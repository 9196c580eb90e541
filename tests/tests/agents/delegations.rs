//! Somebody acts for an agent by what it has granted, and stops when that is taken back.

use std::{sync::Arc, time::Duration};

use sealpost_agent::{
    Delegation, DelegationsError, InvalidDelegation, RelayAddress, RelayClient, RelayError, SystemClock,
};
use sealpost_api::v1;
use sealpost_protocol::{
    Clock, DelegationError, DelegationId, ErrorCode, Header, Right, Rights, encoding::Decode, limits as wire,
};
use sealpost_tests::{SdkAgent, ShiftedClock, TestRelay, within};

const DAY: Duration = Duration::from_secs(86_400);

fn rights(rights: &[Right]) -> Rights {
    Rights::new(rights.iter().copied()).unwrap()
}

/// One who has a delegation, and no more of the agent.
fn delegate(delegation: &Delegation) -> RelayClient {
    let address = RelayAddress { origin: delegation.relay().1.to_owned(), certificates: None };
    RelayClient::for_delegate(&address, delegation.clone(), Arc::new(SystemClock)).unwrap()
}

async fn waiting(relay: &RelayClient) -> Result<Vec<String>, RelayError> {
    let page = relay.receive(v1::ReceiveRequest::default()).await?;
    let id = |entry: &v1::MailboxEntry| Header::from_bytes(&entry.header).unwrap().fields().message.id.to_string();
    Ok(page.entries.iter().map(id).collect())
}

fn refusal<T>(answer: Result<T, RelayError>) -> Option<ErrorCode> {
    answer.err().and_then(|error| error.code())
}

#[tokio::test]
async fn a_delegate_sees_what_waits_and_takes_nothing() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let watcher = bob.delegate(rights(&[Right::Read]), DAY, "watcher").await.unwrap();
    assert_eq!((watcher.agent(), watcher.rights()), (bob.id(), rights(&[Right::Read])));
    // It goes from hand to hand as text, and is narrowed on the way.
    let text = watcher.to_text().unwrap();
    let received: Delegation = text.parse().unwrap();
    assert_eq!((received.id(), received.until()), (watcher.id(), watcher.until()));
    let watcher = delegate(&received.narrow(None, None).unwrap());
    let sent = alice.send_text(bob.id(), "wake up").await;
    assert_eq!(waiting(&watcher).await.unwrap(), [sent.id.to_string()]);
    assert_eq!(waiting(&watcher).await.unwrap(), [sent.id.to_string()], "it stays");
    let events = watcher.changes(v1::ListEventsRequest::default()).await.unwrap().events;
    assert_eq!(events.last().unwrap().message_id, sent.id.to_string());
    let taking = v1::ReceiveRequest { control_taken: 1, ..Default::default() };
    assert_eq!(refusal(watcher.receive(taking).await), Some(ErrorCode::Forbidden));
    assert_eq!(refusal(watcher.send(v1::SendRequest::default()).await), Some(ErrorCode::Forbidden));
    assert_eq!(bob.take_texts().await, ["wake up"], "its own keys open it");
}

#[tokio::test]
async fn what_was_revoked_is_over_and_what_was_not_goes_on() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let granted = bob.delegate(rights(&[Right::Send, Right::Read]), DAY, "first").await.unwrap();
    let other = bob.delegate(rights(&[Right::Read]), DAY, "second").await.unwrap();
    let narrowed = granted.narrow(Some(Right::Read), None).unwrap();
    let sibling = granted.narrow(Some(Right::Read), None).unwrap();
    let [first, second, third, fourth] = [&granted, &other, &narrowed, &sibling].map(delegate);
    for delegate in [&first, &second, &third, &fourth] {
        waiting(delegate).await.unwrap();
    }
    bob.revoke(&[narrowed.id()]).await.unwrap();
    assert_eq!(refusal(waiting(&third).await), Some(ErrorCode::Forbidden));
    for delegate in [&first, &second, &fourth] {
        waiting(delegate).await.unwrap();
    }
    bob.revoke(&[granted.id()]).await.unwrap();
    for delegate in [&first, &third, &fourth] {
        assert_eq!(refusal(waiting(delegate).await), Some(ErrorCode::Forbidden), "with what was narrowed from it");
    }
    waiting(&second).await.unwrap();
    let listed = bob.delegations().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|granted| (granted.label.as_str(), granted.revoked.is_some())).collect();
    assert_eq!(listed, [("first", true), ("second", false)]);

    bob.revoke_all().await.unwrap();
    assert_eq!(refusal(waiting(&second).await), Some(ErrorCode::Forbidden));
    assert!(bob.delegations().await.unwrap().iter().all(|granted| granted.revoked.is_some()));
    let new = bob.delegate(rights(&[Right::Read]), DAY, "third").await.unwrap();
    waiting(&delegate(&new)).await.unwrap();
    bob.sync(Duration::ZERO).await.expect("the agent itself goes on");
}

#[tokio::test]
async fn a_revocation_that_the_relay_did_not_hear_of_is_told_later_and_again_after_a_restore() {
    let mut relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let granted = bob.delegate(rights(&[Right::Read]), DAY, "").await.unwrap();
    relay.kill().await;
    let before = relay.copy_ledger();
    let unreachable = bob.revoke(&[granted.id()]).await;
    assert!(matches!(unreachable, Err(DelegationsError::Relay(RelayError::Unreachable(_)))), "{unreachable:?}");
    let told =
        async || bob.delegations().await.unwrap().iter().all(|granted| granted.revoked.is_some() && granted.is_told);
    assert!(!told().await, "what the relay has not heard is said to be so");
    relay.restart().await;
    reconnected(&bob).await;
    assert!(told().await);
    assert_eq!(refusal(waiting(&delegate(&granted)).await), Some(ErrorCode::Forbidden), "it is told later");

    relay.kill().await;
    relay.put_back(&before);
    relay.restart_with(&["--restored"]).await;
    waiting(&delegate(&granted)).await.expect("the relay's copy is from before");
    reconnected(&bob).await;
    assert_eq!(refusal(waiting(&delegate(&granted)).await), Some(ErrorCode::Forbidden), "it is told again");
}

#[tokio::test]
async fn as_many_as_are_remembered_are_revoked_one_by_one_and_all_at_any_time() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let granted = bob.delegate(rights(&[Right::Read]), DAY, "").await.unwrap();
    let ids = |from: u16, to: u16| -> Vec<DelegationId> {
        (from..to).map(|number| DelegationId(std::array::from_fn(|byte| number.to_be_bytes()[byte % 2]))).collect()
    };
    bob.revoke(&ids(0, 1_000)).await.unwrap();
    let one_more = bob.revoke(&[granted.id()]).await;
    assert!(matches!(one_more, Err(DelegationsError::TooManyRevoked)), "{one_more:?}");
    waiting(&delegate(&granted)).await.expect("nothing was revoked, and nobody was told so");
    bob.revoke_all().await.unwrap();
    assert_eq!(refusal(waiting(&delegate(&granted)).await), Some(ErrorCode::Forbidden));
    let granted = bob.delegate(rights(&[Right::Read]), DAY, "").await.unwrap();
    bob.revoke(&[ids(0, 900), vec![granted.id(), granted.id()]].concat()).await.unwrap();
    assert_eq!(refusal(waiting(&delegate(&granted)).await), Some(ErrorCode::Forbidden), "all made room");
}

#[tokio::test]
async fn what_is_granted_after_all_was_revoked_is_good_however_the_clocks_stand() {
    let mut relay = TestRelay::start().await;
    let clock = Arc::<ShiftedClock>::default();
    let bob = SdkAgent::by_clock(&relay.origin(), &clock).await;
    bob.delegate(rights(&[Right::Read]), DAY, "").await.unwrap();
    // While the relay is down it is the clock here that says until when, and it is ahead.
    relay.kill().await;
    clock.advance(Duration::from_secs(150));
    let bob = bob.reopen(&relay.origin()).await;
    assert!(bob.revoke_all().await.is_err());
    relay.restart().await;
    reconnected(&bob).await;
    let granted = bob.delegate(rights(&[Right::Read]), DAY, "").await.unwrap();
    waiting(&delegate(&granted)).await.unwrap();
    for _ in 0..8 {
        let (revoked, made) = tokio::join!(bob.revoke_all(), bob.delegate(rights(&[Right::Read]), DAY, ""));
        revoked.unwrap();
        made.unwrap();
    }
    let granted = bob.delegate(rights(&[Right::Read]), DAY, "").await.unwrap();
    waiting(&delegate(&granted)).await.unwrap();
}

#[tokio::test]
async fn a_delegation_is_revoked_at_its_own_relay() {
    let (relay, other) = (TestRelay::start().await, TestRelay::start().await);
    let bob = SdkAgent::new(&relay.origin()).await;
    let granted = bob.delegate(rights(&[Right::Read]), DAY, "").await.unwrap();
    let elsewhere = bob.reopen(&other.origin()).await;
    let refused = elsewhere.revoke(&[granted.id()]).await;
    assert!(matches!(refused, Err(DelegationsError::OtherRelay(id)) if id == granted.id()), "{refused:?}");
    elsewhere.revoke_all().await.unwrap();
    assert!(bob.delegations().await.unwrap().iter().all(|granted| granted.revoked.is_none()), "all of that relay's");
    waiting(&delegate(&granted)).await.unwrap();
}

#[tokio::test]
async fn a_wait_ends_with_the_delegation() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let short = bob.delegate(rights(&[Right::Read]), Duration::from_secs(3), "").await.unwrap();
    let begun = std::time::Instant::now();
    let waited = delegate(&short).receive(v1::ReceiveRequest { wait_ms: 40_000, ..Default::default() }).await;
    assert_eq!(refusal(waited), Some(ErrorCode::Expired));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_cannot_be_granted_or_narrowed_is_refused() {
    let relay = TestRelay::start().await;
    let bob = SdkAgent::new(&relay.origin()).await;
    let read = rights(&[Right::Read]);
    for life in [Duration::ZERO, wire::DELEGATION_KEY_LIFE + Duration::from_secs(1)] {
        assert!(matches!(bob.delegate(read, life, "").await, Err(DelegationsError::Life)));
    }
    assert!(matches!(bob.delegate(read, DAY, &"x".repeat(101)).await, Err(DelegationsError::Label)));
    assert_eq!(bob.delegations().await.unwrap(), []);
    let longest = bob.delegate(read, wire::DELEGATION_KEY_LIFE, "").await.unwrap();
    waiting(&delegate(&longest)).await.unwrap();
    let refused = longest.narrow(Some(Right::Send), None);
    assert!(matches!(refused, Err(InvalidDelegation::Terms(DelegationError::NoRight))));
    let mut often = longest.clone();
    for _ in 1..wire::DELEGATION_BLOCKS - 1 {
        often = often.narrow(None, None).unwrap();
    }
    waiting(&delegate(&often)).await.unwrap();
    let refused = often.narrow(None, None);
    assert!(matches!(refused, Err(InvalidDelegation::Terms(DelegationError::TooManyBlocks))), "one more binds it");
    let ended = longest.narrow(None, Some(SystemClock.now().saturating_sub(Duration::from_secs(60)))).unwrap();
    assert_eq!(refusal(waiting(&delegate(&ended)).await), Some(ErrorCode::Expired));
    for text in ["", "AQ", "!!", "delegation"] {
        assert!(text.parse::<Delegation>().is_err(), "{text}");
    }
    let text = longest.to_text().unwrap();
    for place in (0..text.len()).step_by(7) {
        let mut changed = text.as_bytes().to_vec();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        if let Ok(changed) = changed.parse::<Delegation>() {
            let (agent, id) = (changed.agent(), changed.id());
            assert_eq!((agent, id, changed.rights()), (bob.id(), longest.id(), longest.rights()), "but for the relay");
        }
    }
}

/// Syncs until the connection of before has been replaced.
async fn reconnected(agent: &SdkAgent) {
    within("a sync with the relay of now", async {
        while let Err(error) = agent.sync(Duration::ZERO).await {
            assert!(error.to_string().contains("does not answer"), "{error}");
        }
    })
    .await;
}
