//! Why a message was not sealed, or an envelope not opened.

use sealpost_protocol::RefusalReason;
use thiserror::Error;

use crate::{aead::OpenFailure, kdf_chain::ChainError, primitives::PrimitivesError};

/// Why a message was not sealed. The session is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The header names another sender, or not this session's peer among its recipients.
    #[error("the message is not from this session's agent to its peer")]
    OtherParties,
    /// A control message goes under a header of the class `control`, and nothing else does.
    #[error("the header's class is not that of what is sealed")]
    OtherClass,
    /// The peer has answered none of the last [`UNANSWERED_MESSAGES`](crate::limits::UNANSWERED_MESSAGES): open a new
    /// session.
    #[error("too many messages are unanswered: open a new session")]
    SessionExhausted,
    /// The session was retired: open a new one.
    #[error("the session is retired: open a new one")]
    Retired,
    /// Something below failed.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
}

/// Why an envelope was not opened. The session is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The message's header names another sender than the session's peer, or not this agent among its recipients.
    #[error("the message is not from this session's peer to its agent")]
    OtherParties,
    /// The envelope names another session, or its opening makes another one.
    #[error("the envelope belongs to another session")]
    OtherSession,
    /// A message with this number was opened before.
    #[error("the message's key is used up")]
    Replay,
    /// The message was overtaken, and its key was evicted or has expired since: a gap. Nothing sealed like this can be
    /// opened any more; sealed anew it can.
    #[error("the message's key is gone: it came too late")]
    Lost,
    /// It would skip more than [`JUMP`](crate::limits::JUMP) keys.
    #[error("too many messages are missing before this one")]
    TooFarAhead,
    /// It was altered, forged, or sealed for something else; which, no one is told.
    #[error("decryption failed")]
    DecryptionFailed,
    /// Something below failed, which says nothing about the message: try again.
    #[error(transparent)]
    Primitives(PrimitivesError),
}

impl OpenError {
    /// What a receipt may tell the sender; nothing while it is not the message's fault.
    #[must_use]
    pub fn refusal(&self) -> Option<RefusalReason> {
        match self {
            Self::OtherParties | Self::Lost | Self::TooFarAhead | Self::DecryptionFailed => {
                Some(RefusalReason::Undecryptable)
            }
            Self::OtherSession => Some(RefusalReason::UnknownSession),
            Self::Replay => Some(RefusalReason::Replay),
            Self::Primitives(_) => None,
        }
    }
}

/// A failed agreement is the fault of the envelope's ratchet key, and waiting would not mend it.
impl From<PrimitivesError> for OpenError {
    fn from(error: PrimitivesError) -> Self {
        match error {
            PrimitivesError::Agreement => Self::DecryptionFailed,
            PrimitivesError::Randomness | PrimitivesError::Library => Self::Primitives(error),
        }
    }
}

impl From<OpenFailure> for OpenError {
    fn from(failure: OpenFailure) -> Self {
        match failure {
            OpenFailure::Tag => Self::DecryptionFailed,
            OpenFailure::Primitives(error) => error.into(),
        }
    }
}

impl From<ChainError> for OpenError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Ended => Self::TooFarAhead,
            ChainError::Primitives(error) => error.into(),
        }
    }
}

impl From<ChainError> for SealError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Ended => Self::SessionExhausted,
            ChainError::Primitives(error) => Self::Primitives(error),
        }
    }
}
