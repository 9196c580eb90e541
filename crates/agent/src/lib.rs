//! The agent's runtime: everything between an application and a relay.
//!
//! An [`Agent`] is a folder with a sealed store in it. Sending commits the moved ratchet and the envelope before the
//! envelope leaves; receiving commits the moved ratchet and the message before the receipt leaves; a crash in between
//! loses nothing and shows nothing twice. Several processes may use one agent at a time.
//!
//! ```no_run
//! use sealpost_agent::{Agent, Content, KeyFileProvider, MasterKeySource, Outgoing, Payload, RelayAddress};
//!
//! # async fn example(bob: sealpost_protocol::AgentId) -> Result<(), Box<dyn std::error::Error>> {
//! let key = MasterKeySource::Provider(Box::new(KeyFileProvider::from_contents(&[7; 32])?));
//! let relay = RelayAddress { origin: "http://127.0.0.1:7117".to_owned(), certificates: None };
//! let alice = Agent::create("agents/alice".as_ref(), key).await?.connect(&relay).await?;
//! alice.publish_prekeys().await?;
//! let sent = alice.send(Outgoing::to([bob], Payload::new(Content::text("hello".to_owned())?))).await?;
//! println!("{}", sent.id);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod limits;

mod agent;
mod backoff;
mod bodies;
mod clocks;
mod conflicts;
mod contacts;
mod control;
mod delegations;
mod error;
mod events;
mod follow;
mod groups;
mod identity_file;
mod inbox;
mod mailbox_place;
mod marks;
mod message_ids;
mod outbox;
mod policy;
mod prekeys;
mod printable;
mod receipt_check;
mod receipts;
mod records;
mod relay_access;
mod relay_client;
mod renewal;
mod replies;
mod restored;
mod schemes;
mod sessions;
mod standing;
mod status;
mod store;
mod store_key;
mod stored_message;
mod surroundings;
mod sweep;
mod sync;
mod system_clock;
mod turns;

#[cfg(test)]
mod secrets;
#[cfg(test)]
mod vectors;

pub use agent::{Agent, Lock, MasterKeySource};
pub use backoff::Backoff;
pub use bodies::{
    BodyReader, FetchAnswer, ReceivingLimits, Streamed, Transfer, TransferKind, WaitingBody, WaitingReason,
};
pub use contacts::{Contact, Fingerprint};
pub use delegations::{Delegation, GrantedDelegation, InvalidDelegation};
pub use error::{
    CancelError, DelegationsError, GroupError, OpenAgentError, PrekeysError, SendError, StateError, StatusError,
    SyncError,
};
pub use events::{Event, Noted};
pub use follow::{Follower, Round};
pub use groups::{Group, GroupChange, GroupStanding};
pub use identity_file::IdentityFile;
pub use inbox::{Arrival, InboxMessage, Received};
pub use marks::{Marked, NotTold};
pub use outbox::{Composed, Obstacle, Outgoing, SendOutcome, Sent, Waiting, WaitingState};
pub use policy::SchemePolicy;
pub use prekeys::PrekeyStatus;
pub use printable::{printable, steers};
pub use receipt_check::ReceiptCheck;
pub use relay_client::{RelayAddress, RelayClient, RelayError};
pub use schemes::{OutgoingScheme, ReceivedScheme};
pub use sessions::SessionSummary;
pub use status::{LocalState, MessageStatus, ProvenStatus};
pub use stored_message::{StoredBody, StoredContent, StoredMessage};
pub use surroundings::Surroundings;
pub use sync::Synced;
pub use system_clock::SystemClock;
pub use turns::Turn;

// Files that are their owner's alone, as the store's are: for a key beside it, or an identity that is carried elsewhere.
pub use sealpost_sqlite::{create_private_folder, private_options};

// What the runtime's calls take and give, so that an application needs this crate alone.
pub use sealpost_crypto::{
    Content, ContentKind, FileName, KeyFileProvider, Mark, MasterKeyProvider, Payload, PayloadError, Prelude,
    Primitives, SessionId, SystemPrimitives,
};
