//! Everything that crosses the wire, and what both sides can check without a secret.
//!
//! Each type here is valid by construction: decoding is the check. Every signed or hashed structure has one
//! canonical encoding (see [`encoding`]), specified byte by byte in `docs/protocol.md`. Nothing in this crate
//! holds a private key, opens a message or does I/O.

pub mod encoding;
pub mod limits;
pub mod merkle;

mod access;
mod body;
mod clock;
mod delegation;
mod envelope;
mod error_code;
mod header;
mod identity;
mod keys;
mod manifest;
mod message_id;
mod prekeys;
mod receipt;
mod retention;
mod signed_part;
mod status;
mod time;

pub use access::{AccessClaim, ChallengeAnswer, LedgerId};
pub use body::{BodyHasher, PieceHash};
pub use clock::Clock;
pub use delegation::{
    DelegationCertificate, DelegationCertificateFields, DelegationError, DelegationId, DelegationStatement,
    DelegationTerms, InvalidDelegationId, Right, Rights, UnknownRights,
};
pub use envelope::{Envelope, EnvelopeHeader, KemOpening, Opening, PartHash};
pub use error_code::{ErrorCode, UnknownErrorCode};
pub use header::{
    BodyDescription, Header, HeaderError, HeaderFields, HeaderHash, MessageClass, MessageType, Priority, Recipients,
    Scheme,
};
pub use identity::{
    AgentId, IdParseError, IdentityKey, InvalidIdentityKey, NodeId, Signature, SignatureMismatch, Signer, SigningInput,
};
pub use keys::{CurveKey, InvalidKey, KemCiphertext, KemKey};
pub use manifest::{Manifest, ManifestError, ManifestFields, ManifestHash, SignedManifest, Suite, SuiteId};
pub use message_id::{ClaimId, GroupId, InvalidMessageId, MessageId, MessageRef, ThreadId, UploadId};
pub use prekeys::{Bundle, KemPrekey, KemPrekeyKind, KeyId, OneTimeKey, OneTimePrekey, Prekey, PrekeyKind};
pub use receipt::{
    CountersignedHead, ReceiptBatch, ReceiptError, ReceiptHead, ReceiptLeaf, ReceiptProof, RefusalReason,
    SignedReceiptHead, Verdict,
};
pub use retention::Retention;
pub use signed_part::{BodyAccess, SenderSeal, SharedAccess, SignedPart, SignedPartError, WrappedKey};
pub use status::{Attempt, DeliveryState, DeliveryStatus, FailureReason};
pub use time::Timestamp;
