//! The SDK over a real relay, through a proxy that can lose answers: sessions, prekeys, and what survives a network and a
//! relay that misbehave.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests: the first surprise ends them"
)]

mod bodies;
mod clocks;
mod contacts;
mod control;
mod damage;
mod delegations;
mod groups;
mod lost_answers;
mod marks;
mod missing;
mod other_ledger;
mod other_node;
mod prekeys;
mod recall;
mod receipt_heads;
mod renewal;
mod replay;
mod restored;
mod schemes;
mod scripted;
mod sending;
mod sessions;
mod sweeping;
mod time;
mod waiting;

use sealpost_agent::{ReceiptCheck, SendError, SendOutcome, Sent};
use sealpost_protocol::{DeliveryState, DeliveryStatus, MessageId};
use sealpost_tests::{Proxy, SdkAgent, TestRelay, within};

/// A relay, and a proxy before it under an origin that the relay knows.
async fn relay_behind_proxy() -> (TestRelay, Proxy) {
    let proxy = Proxy::listen().await;
    let relay = TestRelay::start_behind(&[&proxy.origin()]).await;
    proxy.lead_to(relay.address());
    (relay, proxy)
}

/// How a message stands with its one recipient; what the relay says of it must be borne out by the recipient's receipt.
async fn proven_status(sender: &SdkAgent, id: MessageId) -> DeliveryStatus {
    let mut status = within("a status", sender.status(id)).await.unwrap();
    assert_eq!(status.deliveries.len(), 1, "{status:?}");
    let delivery = status.deliveries.remove(0);
    assert_ne!(delivery.receipt, ReceiptCheck::Unproven, "{delivery:?}");
    delivery.status
}

/// Checks that the recipient has signed for each message, and taken it.
async fn assert_acknowledged(sender: &SdkAgent, sent: &[MessageId]) {
    for id in sent {
        let status = proven_status(sender, *id).await;
        assert_eq!(status.state, DeliveryState::Delivered, "{status:?}");
        assert!(status.acknowledged_at.is_some(), "{status:?}");
    }
}

fn assert_accepted(sent: &Sent) {
    assert!(matches!(sent.outcome, SendOutcome::Accepted(_)), "{sent:?}");
}

/// Checks that a message waits at its sender because the relay does not answer.
fn assert_kept(sent: &Sent) {
    let is_kept = matches!(&sent.outcome, SendOutcome::Kept(SendError::Relay(error)) if error.is_passing());
    assert!(is_kept, "{sent:?}");
}
