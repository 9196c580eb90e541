//! Messages to many on their way into the ledger: in several transactions, between which others' messages are recorded, and
//! seen by nobody before the last.

use async_trait::async_trait;
use sealpost_protocol::AgentId;

use super::{AcceptError, Acceptance, AcceptanceOutcome, BackendError, ContentHandle};

/// A fan-out that has begun. Means something to the ledger that gave it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FanOutId(pub u64);

/// What one step of abandoning did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AbandonStep {
    /// For whom there may be something to see that stood behind what is gone.
    pub agents: Vec<AgentId>,
    /// Contents that nobody needs any more.
    pub released: Vec<ContentHandle>,
}

/// Fan-outs; a part of the ledger, since they end as messages.
///
/// The parts of a message come in several calls, ascending by recipient over all of them. Each takes its room in its mailbox
/// and its place in the one order of changes at once; what has a later place is shown, to the same recipient and to the same
/// sender, when the fan-out has ended, so that no reader's cursor passes over a part. The last call makes all visible.
#[async_trait]
pub trait FanOuts: Send + Sync {
    /// Begins an unknown message with the parts of its first recipients.
    async fn begin_fan_out(&self, first: Acceptance) -> Result<FanOutId, AcceptError>;

    /// Adds the parts of the next recipients.
    async fn continue_fan_out(&self, id: FanOutId, next: Acceptance) -> Result<(), AcceptError>;

    /// Adds those of the last recipients, and the body: the message is accepted, as by [`Ledger::accept`](super::Ledger::accept).
    async fn finish_fan_out(&self, id: FanOutId, last: Acceptance) -> Result<AcceptanceOutcome, AcceptError>;

    /// Takes back up to `rows` parts of one fan-out that has begun and not ended, whichever it is: the caller knows that
    /// nobody goes on with any. `None` if there is none.
    async fn abandon_fan_out(&self, rows: usize) -> Result<Option<AbandonStep>, BackendError>;
}
