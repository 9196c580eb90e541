//! What can go wrong between an agent and its relay.

use sealpost_api::CODE_METADATA;
use sealpost_protocol::{ErrorCode, NodeId};
use thiserror::Error;
use tonic::{Code, Status};

use crate::printable::printable;

/// A call to the relay that came to nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RelayError {
    /// There is no relay at that address, or it does not answer; nothing is known of what it did.
    #[error("the relay does not answer: {0}")]
    Unreachable(String),
    /// The relay said no; it did nothing.
    #[error("the relay refused: {detail} [{code}]")]
    Refused {
        /// The refusal's stable code.
        code: ErrorCode,
        /// The relay's words.
        detail: String,
    },
    /// The relay's answer is not what the interface says.
    #[error("the relay's answer makes no sense: {0}")]
    Answer(&'static str),
    /// Another node answers under the origin than the one that was met there first.
    #[error("another node answers at {origin}: expected {pinned}, found {found}")]
    OtherNode {
        /// The origin.
        origin: String,
        /// The node that was met first.
        pinned: NodeId,
        /// The node that answers now.
        found: NodeId,
    },
    /// The node's answer does not bear its signature: whoever answers is not the node that it claims to be.
    #[error("who answers at {origin} does not sign as the node it claims to be, {claimed}")]
    NotTheNode {
        /// The origin.
        origin: String,
        /// The node that it claims to be.
        claimed: NodeId,
    },
    /// The text is no origin, or more than one.
    #[error(
        "{0:?} is no relay's address: http or https, a host, and a port, as in http://127.0.0.1:7117, and nothing else"
    )]
    Address(String),
    /// No address was given.
    #[error("no relay is configured")]
    NotConfigured,
    /// The operating system gave no randomness.
    #[error("a fresh key could not be made")]
    Key,
}

impl RelayError {
    /// The stable code, where the relay gave one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later without being changed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { code, .. } => code.is_retryable(),
            _ => false,
        }
    }
}

impl From<Status> for RelayError {
    fn from(status: Status) -> Self {
        let code = status.metadata().get(CODE_METADATA).and_then(|code| code.to_str().ok());
        match code.and_then(|code| code.parse().ok()) {
            Some(code) => Self::Refused { code, detail: one_line(status.message()) },
            None if status.code() == Code::Unimplemented => Self::Answer("the relay does not know this call"),
            None => Self::Unreachable(innermost(&status)),
        }
    }
}

/// The cause at the bottom, which names the address or the system's error.
fn innermost(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    one_line(&text)
}

/// A relay's words go into errors, and errors onto terminals and into logs: they must neither steer the one nor look like
/// further lines of the other.
fn one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;

    #[test]
    fn a_relays_words_are_one_line_that_steers_nothing() {
        let hostile = "\u{1b}[2J\u{9b}31m\u{202e}no\nerror: \r a second line";
        let mut metadata = MetadataMap::new();
        metadata.insert(CODE_METADATA, "forbidden".parse().unwrap());
        let refused = Status::with_metadata(Code::PermissionDenied, hostile, metadata);
        for error in [RelayError::from(refused), RelayError::from(Status::unavailable(hostile))] {
            let text = error.to_string();
            assert!(text.contains("no error: ") && !text.contains('\n') && !text.contains(crate::steers), "{text:?}");
        }
    }
}
