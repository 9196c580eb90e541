//! A message as a sender hands it in, checked as far as the message itself can tell.

use sealpost_protocol::{
    AgentId, Attempt, BodyDescription, Envelope, Header, MessageClass, PartHash, Retention, Scheme, SignedPart,
    SignedPartError, UploadId,
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
    /// The encoded envelope, or the encoded signed part.
    pub content: Vec<u8>,
    /// Its hash.
    pub hash: PartHash,
}

impl Part {
    /// Names some bytes; whether they are a part of a message, its header tells.
    ///
    /// # Errors
    /// [`SubmissionError::PartTooLarge`].
    pub fn new(recipient: AgentId, attempt: Attempt, content: Vec<u8>) -> Result<Self, SubmissionError> {
        if content.len() > limits::ENVELOPE {
            return Err(SubmissionError::PartTooLarge { found: content.len() });
        }
        let hash = PartHash::of(&content);
        Ok(Self { recipient, attempt, content, hash })
    }
}

/// A body as its sender hands it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmittedBody {
    /// With the message: at most [`limits::INLINE_BODY`] bytes.
    Inline(Vec<u8>),
    /// Before it.
    Uploaded(UploadId),
}

/// A message whose header, body and parts agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    header: Header,
    body: Option<SubmittedBody>,
    parts: Vec<Part>,
    retention: Retention,
}

/// Why a header, a body and parts make no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmissionError {
    /// A part is not what parts of this scheme are.
    #[error("a part is not what the scheme asks for: {0}")]
    Part(#[source] DecodeError),
    /// A part is not of this message.
    #[error(transparent)]
    SignedPart(#[from] SignedPartError),
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
    #[error("the body is not the one that the header describes, or only one of both is there")]
    Body,
    /// A message without a ratchet has come without a body.
    #[error("a message of the scheme {0} needs a body")]
    NoBody(Scheme),
    /// A control message that is not what such messages are.
    #[error(
        "a control message is sealed by a ratchet, to one recipient, once, without a body, and kept until it is taken"
    )]
    Control,
    /// The envelope of a control message exceeds [`limits::CONTROL_ENVELOPE`].
    #[error("the envelope of a control message has {found} bytes, the limit is {}", limits::CONTROL_ENVELOPE)]
    ControlTooLarge {
        /// Its bytes.
        found: usize,
    },
}

impl Submission {
    /// Checks that the pieces agree.
    ///
    /// # Errors
    /// [`SubmissionError`].
    pub fn new(header: Header, body: Option<SubmittedBody>, mut parts: Vec<Part>) -> Result<Self, SubmissionError> {
        let fields = header.fields();
        parts.sort_unstable_by_key(|part| part.recipient);
        let distinct = parts.is_sorted_by(|a, b| a.recipient < b.recipient);
        let known = parts.iter().all(|part| fields.recipients.position(&part.recipient).is_some());
        if parts.is_empty() || !distinct || !known {
            return Err(SubmissionError::Recipients);
        }
        if fields.class == MessageClass::Control {
            check_control(&header, &parts)?;
        }
        check_body(&header, body.as_ref())?;
        check_parts(&header, &parts)?;
        let retention = Retention::of(fields.scheme);
        Ok(Self { header, body, parts, retention })
    }

    /// The same, kept as its sender asks.
    ///
    /// # Errors
    /// [`SubmissionError::Control`]: a control message is not kept.
    pub fn kept(self, retention: Retention) -> Result<Self, SubmissionError> {
        let is_control = self.header.fields().class == MessageClass::Control;
        if is_control && retention != Retention::UntilDelivered {
            return Err(SubmissionError::Control);
        }
        Ok(Self { retention, ..self })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The body that all recipients share, sealed.
    #[must_use]
    pub fn body(&self) -> Option<&SubmittedBody> {
        self.body.as_ref()
    }

    /// The parts, ascending by recipient.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How long it is kept, if it is new.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// Whether it is the first transmission to every recipient, as a message's first submission must be.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.parts.len() == self.header.fields().recipients.as_slice().len()
            && self.parts.iter().all(|part| part.attempt == Attempt::FIRST)
    }
}

/// Nothing is recorded of a control message, so it is accepted or not, for all time and whoever it is for.
fn check_control(header: &Header, parts: &[Part]) -> Result<(), SubmissionError> {
    let fields = header.fields();
    let is_plain = fields.scheme == Scheme::Ratchet && fields.body.is_none();
    match (fields.recipients.as_slice(), parts) {
        ([_], [part]) if is_plain && part.attempt == Attempt::FIRST => {
            let found = part.content.len();
            let fits = found <= limits::CONTROL_ENVELOPE;
            if fits { Ok(()) } else { Err(SubmissionError::ControlTooLarge { found }) }
        }
        _ => Err(SubmissionError::Control),
    }
}

/// What an uploaded body is, the ledger knows.
fn check_body(header: &Header, body: Option<&SubmittedBody>) -> Result<(), SubmissionError> {
    let fields = header.fields();
    let agrees = match body {
        None if fields.scheme != Scheme::Ratchet => return Err(SubmissionError::NoBody(fields.scheme)),
        None => fields.body.is_none(),
        Some(SubmittedBody::Inline(body)) if body.len() > limits::INLINE_BODY => {
            return Err(SubmissionError::BodyTooLarge { found: body.len() });
        }
        Some(SubmittedBody::Inline(body)) => fields.body == Some(BodyDescription::of(body)),
        Some(SubmittedBody::Uploaded(_)) => fields.body.is_some(),
    };
    if agrees { Ok(()) } else { Err(SubmissionError::Body) }
}

/// Envelopes must be envelopes, and what they seal nobody here can see. Of signed parts the signature is checked: it is
/// the same in all of them, so once.
fn check_parts(header: &Header, parts: &[Part]) -> Result<(), SubmissionError> {
    if header.fields().scheme == Scheme::Ratchet {
        return parts
            .iter()
            .try_for_each(|part| Envelope::from_bytes(&part.content).map(drop).map_err(SubmissionError::Part));
    }
    let mut verified = None;
    for part in parts {
        let part = SignedPart::from_bytes(&part.content).map_err(SubmissionError::Part)?;
        let is_repeated = verified == Some(part.seal) && part.access.scheme() == header.fields().scheme;
        if !is_repeated {
            part.verify(header)?;
            verified = Some(part.seal);
        }
    }
    Ok(())
}
