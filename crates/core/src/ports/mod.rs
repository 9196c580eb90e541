//! What the domain asks of the outside. One call is one transaction of the domain: it happens whole or not at all, and
//! it is durable before it answers. Every adapter passes the suite in `conformance`.

mod backend;
mod contents;
mod control_messages;
mod fan_outs;
mod ledger;
mod prekeys;
mod revocations;
mod uploads;

pub use backend::BackendError;
pub use contents::{ContentForm, ContentHandle, ContentPolicy, Contents, ContentsMark, StoredContents};
pub use control_messages::{ControlAcceptance, ControlMessages};
pub use fan_outs::{AbandonStep, FanOutId, FanOuts};
pub use ledger::{
    AcceptError, Acceptance, AcceptanceOutcome, AcceptedBody, AgentStanding, BodyHandles, BodyPiece, Change,
    EndedRetention, ExpireStep, GiveUp, GivenUp, Ledger, LostEntries, MessageHandles, MessageReader, PageQuery,
    ReceiptRefusal, RecordReceiptsError, RecordedReceipts, RefusedReceipt, StoredPart, WaitingEntry,
};
pub use prekeys::{Claim, ClaimKeysError, PrekeyCounts, PrekeyUpload, Prekeys, RecentClaims, StoreManifestError};
pub use revocations::{RecordRevocationError, Revocation, Revocations, ShownDelegation};
pub use uploads::{
    AddPieceError, BeginUploadError, BodyQuota, StoredPiece, UploadDescription, UploadName, UploadPlace, UploadRecord,
    Uploads,
};
