//! The relay's domain: its use cases, the status machine, the limits, and the ports that adapters fill.
//!
//! A transport authenticates a caller into a [`Principal`], parses a request, calls one use case and maps the answer. A
//! use case decides; a port stores what was decided in one transaction. Nothing here knows a transport, a database or a
//! key that opens a message.

pub mod limits;
pub mod memory;
pub mod ports;

#[cfg(feature = "conformance")]
pub mod conformance;

mod acceptance;
mod admission;
mod clock_watch;
mod delivery_router;
mod delivery_status;
mod expiry;
mod fan_out;
mod key_agreement;
mod life_clock;
mod mailbox;
mod message_query;
mod principal;
mod readiness;
mod receipts;
mod release;
mod revoking;
mod services;
mod submission;
mod uploads;
mod wake_ups;

pub use admission::{MailboxFill, MessageDecision};
pub use delivery_router::{Accepted, DeliveryError, DeliveryRouter};
pub use delivery_status::{DeliveryRecord, PartDecision, ReceiptConflict};
pub use expiry::{Expiry, ExpirySweep};
pub use key_agreement::{ClaimError, KeyAgreement, ManifestLookupError, PublishError, UploadedPart};
pub use life_clock::{Monotonic, Uptime};
pub use mailbox::{MailboxEntry, Mailboxes, NoRoom, Page, PageRequest, ReceiveError, Room};
pub use message_query::{BodyContent, BodyPart, Feed, MessageContent, MessageQuery, MessageView, QueryError};
pub use principal::Principal;
pub use readiness::{NotReady, Readiness};
pub use receipts::{Countersigned, Receipts, ReceiptsError};
pub use revoking::{RevokeError, Revoking};
pub use services::{Ports, Services};
pub use submission::{Part, Submission, SubmissionError, SubmittedBody};
pub use uploads::{UploadError, UploadStatus, Uploading};
pub use wake_ups::{Bell, WakeUps};
