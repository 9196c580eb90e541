//! A relay takes no more uploads of an agent than it may have, and lets go of what does not go on: the sender hears of it, and
//! what it sends arrives all the same.

use sealpost_agent::SendOutcome;
use sealpost_protocol::MessageId;
use sealpost_relay::{Config, Relay};
use sealpost_tests::{
    Proxy,
    plain::{Carrier, Grpc, log_in},
};

use super::*;

/// What one agent may have at a time, by the specification.
const UPLOADS: usize = 16;

/// How long an upload waits for its next piece, by the specification.
const UPLOAD_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// Agents that have published, and do nothing else.
async fn strangers(relay: &TestRelay, count: usize) -> Vec<AgentId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let agent = PlainAgent::new();
        let mut carrier: Grpc = log_in(&relay.origin(), &agent.identity).await;
        carrier.upload_prekeys(agent.prekeys()).await.unwrap();
        ids.push(agent.id());
    }
    ids
}

async fn sync_until_sent(agent: &SdkAgent, id: MessageId) {
    let sent = async {
        while agent.status(id).await.unwrap().local == LocalState::Kept {
            agent.sync(Duration::ZERO).await.unwrap();
        }
    };
    within("syncs until the message is sent", sent).await;
}

#[tokio::test]
async fn a_body_beyond_the_uploads_that_a_relay_takes_waits_until_there_is_room_and_holds_up_no_other() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (alice, bob) = (SdkAgent::new(&proxy.origin()).await, SdkAgent::new(&relay.origin()).await);
    let (others, content) = (strangers(&relay, UPLOADS + 1).await, content(2 * PIECE));
    let (last, others) = others.split_last().unwrap();
    let mut begun = Vec::new();
    for other in others {
        proxy.cut_after(PIECE);
        let sent = send(&alice, *other, &content, Some(content.len())).await;
        assert_kept(&sent);
        begun.push(sent.id);
    }
    let refused = send(&alice, bob.id(), &content, Some(content.len())).await;
    assert!(matches!(&refused.outcome, SendOutcome::Kept(error) if error.code() == "quota-exceeded"), "{refused:?}");
    let told = within("a status", alice.status(refused.id)).await.unwrap();
    assert!(told.waits.is_some_and(|why| why.code() == "quota-exceeded") && told.local == LocalState::Kept);
    assert_accepted(&alice.send_text(*last, "without a body").await);

    within("an answer", alice.cancel(begun[0])).await.unwrap();
    assert_accepted(&send(&alice, *last, &content, Some(content.len())).await);
    sync_until_sent(&alice, refused.id).await;
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
    for id in &begun[1..] {
        let status = within("a status", alice.status(*id)).await.unwrap();
        assert!(matches!(status.local, LocalState::Accepted(_)), "{status:?}");
    }
}

#[tokio::test]
async fn a_body_whose_upload_has_expired_goes_up_anew() {
    let (proxy, clock, folder) = (Proxy::listen().await, HandClock::now(), tempfile::tempdir().unwrap());
    let config = Config {
        data_dir: folder.path().join("data"),
        listen: "127.0.0.1:0".parse().unwrap(),
        origins: vec![proxy.origin()],
        ..Config::default()
    };
    let relay = Relay::start_with_clock(config, clock.clone()).await.unwrap();
    proxy.lead_to(relay.address());
    let origin = format!("http://{}", relay.address());
    let (alice, bob) = (SdkAgent::by_clock(&proxy.origin(), &clock).await, SdkAgent::by_clock(&origin, &clock).await);
    let content = content(9 * PIECE);
    proxy.cut_after(6 * PIECE);
    let sent = send(&alice, bob.id(), &content, Some(content.len())).await;
    assert_kept(&sent);
    clock.advance(UPLOAD_LIFE);
    let before = proxy.passed().requests;
    let alice = alice.reopen(&proxy.origin()).await;
    sync_until_sent(&alice, sent.id).await;
    assert!(proxy.passed().requests - before > content.len() as u64, "all of it again");
    let bob = bob.reopen(&origin).await;
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
    relay.stop().await;
}
