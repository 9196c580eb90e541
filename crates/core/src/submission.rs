//! A message as a sender hands it in, checked as far as the message itself can tell.

use sealpost_protocol::{
    AgentId, Attempt, BodyDescription, Envelope, Header, MessageClass, PartHash, Scheme,
    encoding::{Decode, DecodeError},
    limits,
};
use thiserror::Error;

/// What one recipient is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// For whom.
    pub recipient: AgentId,
    /// Which transmission it is.
    pub attempt: Attempt,
    /// The encoded envelope.
    pub content: Vec<u8>,
    /// Its hash.
    pub hash: PartHash,
}

impl Part {
    /// Checks that `content` is an envelope; what it seals nobody here can see.
    ///
    /// # Errors
    /// [`SubmissionError::Part`].
    pub fn new(recipient: AgentId, attempt: Attempt, content: Vec<u8>) -> Result<Self, SubmissionError> {
        if content.len() > limits::ENVELOPE {
            return Err(SubmissionError::PartTooLarge { found: content.len() });
        }
        Envelope::from_bytes(&content).map_err(SubmissionError::Part)?;
        let hash = PartHash::of(&content);
        Ok(Self { recipient, attempt, content, hash })
    }
}

/// A message whose header, body and parts agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    header: Header,
    body: Option<Vec<u8>>,
    parts: Vec<Part>,
}

/// Why a header, a body and parts make no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmissionError {
    /// A part is no envelope.
    #[error("a part is not an envelope: {0}")]
    Part(#[source] DecodeError),
    /// A part exceeds [`limits::ENVELOPE`].
    #[error("a part has {found} bytes, the limit is {}", limits::ENVELOPE)]
    PartTooLarge {
        /// Its bytes.
        found: usize,
    },
    /// No part, a part for someone who is no recipient, or two for one.
    #[error("there is one part for each recipient that is sent to, and none for others")]
    Recipients,
    /// The body exceeds [`limits::INLINE_BODY`].
    #[error("the body has {found} bytes, the limit is {}", limits::INLINE_BODY)]
    BodyTooLarge {
        /// Its bytes.
        found: usize,
    },
    /// The body is not the one that the header describes.
    #[error("the body is not the one that the header describes")]
    Body,
    /// The scheme is not served.
    #[error("messages of the scheme {0} are not carried by this relay")]
    Scheme(Scheme),
    /// A class of message that is not served.
    #[error("messages of this class are not carried by this relay")]
    Class,
}

impl Submission {
    /// Checks that the pieces agree.
    ///
    /// # Errors
    /// [`SubmissionError`].
    pub fn new(header: Header, body: Option<Vec<u8>>, mut parts: Vec<Part>) -> Result<Self, SubmissionError> {
        let fields = header.fields();
        if fields.scheme != Scheme::Ratchet {
            return Err(SubmissionError::Scheme(fields.scheme));
        }
        if fields.class != MessageClass::Ordinary {
            return Err(SubmissionError::Class);
        }
        parts.sort_unstable_by_key(|part| part.recipient);
        let distinct = parts.is_sorted_by(|a, b| a.recipient < b.recipient);
        let known = parts.iter().all(|part| fields.recipients.position(&part.recipient).is_some());
        if parts.is_empty() || !distinct || !known {
            return Err(SubmissionError::Recipients);
        }
        if let Some(found) = body.as_ref().map(Vec::len).filter(|found| *found > limits::INLINE_BODY) {
            return Err(SubmissionError::BodyTooLarge { found });
        }
        if body.as_deref().map(BodyDescription::of) != fields.body {
            return Err(SubmissionError::Body);
        }
        Ok(Self { header, body, parts })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The body that all recipients share, sealed.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    /// The parts, ascending by recipient.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether it is the first transmission to every recipient, as a message's first submission must be.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.parts.len() == self.header.fields().recipients.as_slice().len()
            && self.parts.iter().all(|part| part.attempt == Attempt::FIRST)
    }
}
