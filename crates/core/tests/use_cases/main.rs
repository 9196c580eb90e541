//! The use cases over the memory adapters. The relay's clock is turned by hand and tokio's stands still.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are tests: the first surprise ends them")]

mod contents_on_loan;
mod control_messages;
mod ends_of_life;
mod failing_ledger;
mod failing_store;
mod fanning_out;
mod key_agreement;
mod queries;
mod readiness;
mod receipts;
mod receiving;
mod sending;
mod sweeping;
mod uploading;

use std::{sync::Arc, time::Duration};

use contents_on_loan::{ContentsOnLoan, Damage};
use failing_ledger::FailingLedger;
use sealpost_core::{
    Accepted, DeliveryError, ExpirySweep, Page, PageRequest, Ports, Principal, Services,
    conformance::{Agent, HandClock, Letter, NOW, ReceiptBook},
    memory::{MemoryPrekeys, MemoryRevocations},
};
use sealpost_protocol::{DeliveryState, DeliveryStatus, FailureReason, Verdict};

/// A relay, and what a test turns and looks at.
struct Relay {
    services: Arc<Services>,
    clock: Arc<HandClock>,
    contents: Arc<ContentsOnLoan>,
    ledger: Arc<FailingLedger>,
    node: Arc<Agent>,
    ports: Ports,
}

impl Relay {
    /// A relay at which these agents have published their prekeys.
    async fn of(agents: &[&Agent]) -> Self {
        let (clock, contents) = (Arc::<HandClock>::default(), Arc::<ContentsOnLoan>::default());
        let (node, ledger) = (Arc::new(Agent::new(0x0d)), Arc::<FailingLedger>::default());
        let ports = Ports {
            ledger: ledger.clone(),
            contents: contents.clone(),
            prekeys: Arc::<MemoryPrekeys>::default(),
            revocations: Arc::<MemoryRevocations>::default(),
            clock: clock.clone(),
            monotonic: clock.clone(),
            node: node.clone(),
        };
        let services = Services::new(ports.clone());
        for agent in agents {
            services.key_agreement.publish(&principal(agent), agent.upload(1, 1..=5)).await.unwrap();
        }
        Self { services: Arc::new(services), clock, contents, ledger, node, ports }
    }

    /// The same relay in its next run.
    fn restarted(self) -> Self {
        Self { services: Arc::new(Services::new(self.ports.clone())), ..self }
    }

    async fn send(&self, sender: &Agent, letter: &Letter) -> Result<Accepted, DeliveryError> {
        self.services.delivery_router.send(&principal(sender), letter.submission()).await
    }

    /// Sweeps by a clock that has gone on steadily.
    async fn sweep(&self) -> ExpirySweep {
        self.services.expiry.sweep().await.unwrap().expect("the clock is believed")
    }

    /// What waits for `agent` now.
    async fn receive(&self, agent: &Agent) -> Page {
        self.services.mailboxes.receive(&principal(agent), PageRequest::default(), &()).await.unwrap()
    }

    /// Records what `recipient`, who has signed nothing before, says of a letter.
    async fn say(&self, recipient: &Agent, letter: &Letter, verdict: Verdict) {
        let batch = ReceiptBook::new(recipient).sign(vec![letter.receipt(recipient, verdict)]);
        self.services.receipts.record(&principal(recipient), batch).await.unwrap();
    }

    /// What `caller` sees of a letter.
    async fn statuses(&self, caller: &Agent, letter: &Letter) -> Vec<DeliveryStatus> {
        self.services.message_query.status(&principal(caller), letter.message()).await.unwrap().deliveries
    }

    /// The one status of a letter with one recipient.
    async fn state(&self, sender: &Agent, letter: &Letter) -> DeliveryState {
        self.statuses(sender, letter).await.first().unwrap().state
    }
}

fn principal(agent: &Agent) -> Principal {
    Principal::authenticated(agent.id())
}

/// Runs everything that can run until nothing can.
async fn settle() {
    tokio::time::sleep(Duration::from_nanos(1)).await;
}
