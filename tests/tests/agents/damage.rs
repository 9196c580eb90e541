//! Rows that do not open: whose they are waits, everybody else's mail does not, and it is told.

use std::time::Duration;

use sealpost_agent::{LocalState, SyncError};
use sealpost_api::v1;
use sealpost_protocol::ErrorCode;
use sealpost_tests::{ScriptedRelay, SdkAgent, plain::PlainAgent, within, words};

/// Areas of the store, as `crates/agent` numbers them.
const SESSIONS: u8 = 5;
const OUTBOX: u8 = 7;
const RECEIPTS: u8 = 12;

pub(super) fn bundle(relay: &ScriptedRelay) -> v1::PrekeyBundle {
    let manifest = relay.script().uploaded.clone().expect("the agent has published").manifest;
    v1::PrekeyBundle { manifest, ..v1::PrekeyBundle::default() }
}

pub(super) fn entry(number: u64, writer: &mut PlainAgent, agent: &SdkAgent, words: &str) -> v1::MailboxEntry {
    let mut request = writer.seal(agent.id(), words).1;
    let envelope = request.parts.remove(0).envelope;
    v1::MailboxEntry { mailbox_seq: number, attempt: 1, queued_at_ms: 0, header: request.header, envelope }
}

#[tokio::test]
async fn a_damaged_session_keeps_nobody_elses_mail_and_is_told() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let (mut carol, mut dave) = (PlainAgent::new(), PlainAgent::new());
    carol.open_session(alice.id(), bundle(&relay));
    dave.open_session(alice.id(), bundle(&relay));
    let mailbox = vec![entry(1, &mut carol, &alice, "c1"), entry(2, &mut dave, &alice, "d1")];
    relay.script().mailbox = mailbox;
    assert_eq!(alice.take_texts().await, ["c1", "d1"]);

    alice.damage(SESSIONS, carol.id().as_bytes());
    let mailbox =
        vec![entry(3, &mut carol, &alice, "c2"), entry(4, &mut carol, &alice, "c3"), entry(5, &mut dave, &alice, "d2")];
    relay.script().mailbox = mailbox;
    let synced = within("a round", alice.sync(Duration::ZERO)).await;
    assert!(matches!(synced, Err(SyncError::State(_))), "{synced:?}");
    assert_eq!(alice.inbox().await.iter().map(words).collect::<Vec<_>>(), ["d2"]);
    let left: Vec<_> = relay.script().mailbox.iter().map(|entry| entry.mailbox_seq).collect();
    assert_eq!(left, [3, 4], "no receipt for what could not be taken in");
}

#[tokio::test]
async fn a_damaged_message_in_the_outbox_keeps_no_other_from_going_out_and_is_told() {
    let relay = ScriptedRelay::start().await;
    let (alice, bob, carol) = (SdkAgent::new(relay.origin()).await, PlainAgent::new(), PlainAgent::new());
    relay.script().refuses_messages = Some(ErrorCode::Internal);
    let mut kept = Vec::new();
    for peer in [&bob, &carol] {
        relay.script().bundle = Some(v1::PrekeyBundle { manifest: peer.prekeys().manifest, ..Default::default() });
        kept.push(alice.send_text(peer.id(), "hello").await.id);
    }
    alice.damage(OUTBOX, kept[0].as_bytes());
    relay.script().refuses_messages = None;
    let alice = alice.reopen(relay.origin()).await;
    let synced = within("a round", alice.sync(Duration::ZERO)).await;
    assert!(matches!(synced, Err(SyncError::State(_))), "{synced:?}");
    let status = within("a status", alice.status(kept[1])).await.unwrap();
    assert!(matches!(status.local, LocalState::Accepted(_)), "{status:?}");
}

#[tokio::test]
async fn a_damaged_receipt_keeps_no_other_back() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let mut carol = PlainAgent::new();
    carol.open_session(alice.id(), bundle(&relay));
    let first = entry(1, &mut carol, &alice, "1");
    relay.script().mailbox = vec![first];
    alice.sync_inbox().await;
    let inbox = alice.inbox().await;
    alice.take(&[inbox[0].message]).await.unwrap();
    alice.damage(RECEIPTS, &[]);
    let second = entry(2, &mut carol, &alice, "2");
    relay.script().mailbox = vec![second];
    assert_eq!(alice.take_texts().await, ["2"]);
    assert!(relay.script().mailbox.is_empty());
}
