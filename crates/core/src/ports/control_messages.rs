//! Control messages: what runtimes say to each other under the users' messages. A mailbox holds them beside its messages,
//! in the same order, and nothing else is recorded of them.

use async_trait::async_trait;
use sealpost_protocol::{AgentId, Header, Timestamp};

use super::{AcceptError, AcceptanceOutcome, BackendError, ContentHandle, ContentsMark, StoredPart};

/// A control message to be recorded; its part is stored already.
#[derive(Debug, Clone)]
pub struct ControlAcceptance {
    /// The header.
    pub header: Header,
    /// The one part.
    pub part: StoredPart,
    /// What the part came with.
    pub mark: ContentsMark,
    /// The relay's clock.
    pub at: Timestamp,
}

/// The control messages of mailboxes.
#[async_trait]
pub trait ControlMessages: Send + Sync {
    /// Puts a control message at the end of its recipient's mailbox, in the place of the one that its sender had there, if
    /// that has a lower id. One that comes too late for that, or again, is not taken, which is no refusal. Those of other
    /// senders stay: where they fill the [reserve](crate::limits::MAILBOX_CONTROL), it is [`AcceptError::MailboxFull`].
    ///
    /// What was superseded, has expired or was not taken is `unused` in the answer.
    async fn accept_control(&self, message: ControlAcceptance) -> Result<AcceptanceOutcome, AcceptError>;

    /// Takes those out of a mailbox that stand in it up to `until`. Returns what they leave behind.
    async fn take_control(&self, recipient: AgentId, until: u64) -> Result<Vec<ContentHandle>, BackendError>;

    /// Takes out up to `rows` whose life has ended by `now`. Returns what they leave behind; nothing when there are no more.
    async fn expire_control(&self, now: Timestamp, rows: usize) -> Result<Vec<ContentHandle>, BackendError>;
}
