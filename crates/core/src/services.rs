//! All use cases over one set of ports, built once.

use std::sync::Arc;

use sealpost_protocol::{Clock, Signer};
use tokio::sync::Mutex;

use crate::{
    DeliveryRouter, Expiry, KeyAgreement, Mailboxes, MessageQuery, Monotonic, Readiness, Receipts, Revoking, Uploading,
    WakeUps,
    fan_out::FanOutWriter,
    life_clock::LifeClock,
    ports::{Contents, Ledger, Prekeys, Revocations},
    receipts::Advice,
};

/// What the use cases stand on.
#[derive(Clone)]
pub struct Ports {
    /// Messages, mailboxes, statuses, receipts.
    pub ledger: Arc<dyn Ledger>,
    /// Sealed bytes.
    pub contents: Arc<dyn Contents>,
    /// Published prekeys.
    pub prekeys: Arc<dyn Prekeys>,
    /// What agents have revoked.
    pub revocations: Arc<dyn Revocations>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// A clock that does not jump, by which the wall clock is doubted.
    pub monotonic: Arc<dyn Monotonic>,
    /// The node's own key, for countersignatures.
    pub node: Arc<dyn Signer + Send + Sync>,
}

/// The use cases.
pub struct Services {
    /// Publishing and claiming prekeys.
    pub key_agreement: KeyAgreement,
    /// Taking back what lets others act for an agent.
    pub revoking: Revoking,
    /// Taking bodies in before their messages.
    pub uploading: Uploading,
    /// Sending.
    pub delivery_router: DeliveryRouter,
    /// Receiving.
    pub mailboxes: Mailboxes,
    /// Recording receipts.
    pub receipts: Receipts,
    /// Statuses, bodies and events.
    pub message_query: MessageQuery,
    /// Whether all of it can be done now.
    pub readiness: Readiness,
    /// Background sweeps.
    pub expiry: Expiry,
}

impl Services {
    /// Builds them over `ports`.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        let Ports { ledger, contents, prekeys, revocations, clock, monotonic, node } = ports;
        let wake_ups = Arc::new(WakeUps::default());
        let life_clock = Arc::new(LifeClock {
            ledger: Arc::clone(&ledger),
            clock: Arc::clone(&clock),
            monotonic,
            watch: Mutex::default(),
        });
        let fan_outs = FanOutWriter::new(Arc::clone(&ledger), Arc::clone(&contents), Arc::clone(&wake_ups));
        let fan_outs = Arc::new(fan_outs);
        Self {
            key_agreement: KeyAgreement { prekeys: Arc::clone(&prekeys), clock: Arc::clone(&clock) },
            revoking: Revoking { revocations: Arc::clone(&revocations), clock: Arc::clone(&clock) },
            uploading: Uploading {
                ledger: Arc::clone(&ledger),
                contents: Arc::clone(&contents),
                clock: Arc::clone(&clock),
            },
            delivery_router: DeliveryRouter {
                ledger: Arc::clone(&ledger),
                contents: Arc::clone(&contents),
                prekeys: Arc::clone(&prekeys),
                clock: Arc::clone(&clock),
                wake_ups: Arc::clone(&wake_ups),
                fan_outs: Arc::clone(&fan_outs),
            },
            mailboxes: Mailboxes {
                ledger: Arc::clone(&ledger),
                contents: Arc::clone(&contents),
                prekeys: Arc::clone(&prekeys),
                clock: Arc::clone(&clock),
                life_clock: Arc::clone(&life_clock),
                wake_ups: Arc::clone(&wake_ups),
            },
            receipts: Receipts {
                ledger: Arc::clone(&ledger),
                contents: Arc::clone(&contents),
                prekeys: Arc::clone(&prekeys),
                clock,
                wake_ups: Arc::clone(&wake_ups),
                node,
                advice: Advice::default(),
            },
            message_query: MessageQuery {
                ledger: Arc::clone(&ledger),
                contents: Arc::clone(&contents),
                life_clock: Arc::clone(&life_clock),
                wake_ups: Arc::clone(&wake_ups),
            },
            readiness: Readiness { ledger: Arc::clone(&ledger), contents: Arc::clone(&contents) },
            expiry: Expiry { ledger, contents, prekeys, revocations, clock: life_clock, wake_ups, fan_outs },
        }
    }
}
