//! Letters: messages as tests write them, each piece made of what tells it from others.

use std::time::Duration;

use sealpost_protocol::{
    AgentId, Attempt, BodyDescription, CurveKey, Envelope, EnvelopeHeader, Header, HeaderFields, MessageClass,
    MessageId, MessageRef, PartHash, Priority, ReceiptLeaf, Recipients, Retention, Scheme, Timestamp, UploadId,
    Verdict, encoding::Encode, limits,
};

use super::{Agent, NOW};
use crate::{
    Part, Submission, SubmittedBody,
    ports::{
        Acceptance, AcceptedBody, BodyQuota, ContentHandle, ContentsMark, ControlAcceptance, StoredPart,
        UploadDescription,
    },
};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// One message, and which of its parts are handed in this time. Letters that differ in nothing are the same bytes.
#[derive(Debug, Clone)]
pub struct Letter {
    sender: AgentId,
    recipients: Vec<AgentId>,
    number: u64,
    created: Timestamp,
    expires: Timestamp,
    priority: Priority,
    scheme: Scheme,
    retention: Option<Retention>,
    class: MessageClass,
    body: Option<Vec<u8>>,
    upload: Option<UploadId>,
    quota: BodyQuota,
    enclosed: Vec<AgentId>,
    attempt: Attempt,
    sealing: u8,
    ciphertext: usize,
    length: Option<u64>,
    copy: u8,
}

impl Letter {
    /// Letter number 1 of `sender`, made [`NOW`], with a life of one day, without a body, complete.
    #[must_use]
    pub fn new(sender: &Agent, recipients: &[&Agent]) -> Self {
        let recipients: Vec<_> = recipients.iter().map(|agent| agent.id()).collect();
        Self {
            sender: sender.id(),
            enclosed: recipients.clone(),
            recipients,
            number: 1,
            created: NOW,
            expires: NOW.saturating_add(DAY),
            priority: Priority::Normal,
            scheme: Scheme::Ratchet,
            retention: None,
            class: MessageClass::Ordinary,
            body: None,
            upload: None,
            quota: BodyQuota { uploads: 4, bytes: 1 << 30 },
            attempt: Attempt::FIRST,
            sealing: 1,
            ciphertext: 64,
            length: None,
            copy: 1,
        }
    }

    /// Another letter: its id is made of its number and the time of its creation.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// Made at another time, to live for one day from then.
    #[must_use]
    pub fn created(self, created: Timestamp) -> Self {
        Self { created, expires: created.saturating_add(DAY), ..self }
    }

    /// With another end of its life.
    #[must_use]
    pub fn expires(self, expires: Timestamp) -> Self {
        Self { expires, ..self }
    }

    /// With another header under the same id.
    #[must_use]
    pub fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// Under another scheme, as the ledger is given it: nobody could open it.
    #[must_use]
    pub fn scheme(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    /// Kept otherwise than its scheme has it.
    #[must_use]
    pub fn kept(self, retention: Retention) -> Self {
        Self { retention: Some(retention), ..self }
    }

    /// Not for the user, but for the recipient's runtime.
    #[must_use]
    pub fn control(self) -> Self {
        Self { class: MessageClass::Control, ..self }
    }

    /// With a body that all recipients share.
    #[must_use]
    pub fn body(self, sealed: &[u8]) -> Self {
        Self { body: Some(sealed.to_vec()), ..self }
    }

    /// Its body was uploaded under this id.
    #[must_use]
    pub fn uploaded(self, id: UploadId) -> Self {
        Self { upload: Some(id), ..self }
    }

    /// Its sender may have so many bytes in bodies.
    #[must_use]
    pub fn body_bytes(self, bytes: u64) -> Self {
        Self { quota: BodyQuota { bytes, ..self.quota }, ..self }
    }

    /// Handed in with the parts of these recipients only.
    #[must_use]
    pub fn only(self, recipients: &[&Agent]) -> Self {
        Self { enclosed: recipients.iter().map(|agent| agent.id()).collect(), ..self }
    }

    /// Its parts are this attempt.
    #[must_use]
    pub fn attempt(self, number: u16) -> Self {
        Self { attempt: Attempt::new(number).unwrap(), ..self }
    }

    /// Its parts are other bytes.
    #[must_use]
    pub fn sealed_anew(self) -> Self {
        Self { sealing: self.sealing + 1, ..self }
    }

    /// The ciphertext of each part has so many bytes.
    #[must_use]
    pub fn ciphertext(self, length: usize) -> Self {
        Self { ciphertext: length, ..self }
    }

    /// Says in an acceptance that each part has so many bytes, whatever it has.
    #[must_use]
    pub fn claimed_length(self, length: u64) -> Self {
        Self { length: Some(length), ..self }
    }

    /// The same letter handed in once more: its contents are stored under other handles.
    #[must_use]
    pub fn copy(self) -> Self {
        Self { copy: self.copy + 1, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn message(&self) -> MessageRef {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.number.to_be_bytes());
        MessageRef { sender: self.sender, id: MessageId::new(self.created, random) }
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> Header {
        let fields = HeaderFields {
            message: self.message(),
            recipients: Recipients::new(self.recipients.clone()).unwrap(),
            scheme: self.scheme,
            class: self.class,
            priority: self.priority,
            message_type: None,
            thread: None,
            reply_to: None,
            created: self.created,
            expires: self.expires,
            body: self.body.as_deref().map(BodyDescription::of),
        };
        Header::new(fields).unwrap()
    }

    /// The encoded envelope for one recipient.
    #[must_use]
    pub fn envelope(&self, recipient: AgentId) -> Vec<u8> {
        let [first, ..] = *recipient.as_bytes();
        let mut session = [self.sealing; 16];
        session[..8].copy_from_slice(&self.number.to_be_bytes());
        let header = EnvelopeHeader {
            session,
            ratchet_key: CurveKey::from_array([9; 32]).unwrap(),
            counter: 0,
            previous_counter: 0,
            opens_session: false,
        };
        let ciphertext = vec![first; self.ciphertext];
        Envelope { header, opening: None, nonce: [first; 12], ciphertext, tag: [self.sealing; 16] }.to_bytes()
    }

    /// The letter as a sender hands it in.
    #[must_use]
    pub fn submission(&self) -> Submission {
        let part = |recipient: &AgentId| Part::new(*recipient, self.attempt, self.envelope(*recipient)).unwrap();
        let body = match self.upload {
            Some(id) => Some(SubmittedBody::Uploaded(id)),
            None => self.body.clone().map(SubmittedBody::Inline),
        };
        let submission = Submission::new(self.header(), body, self.enclosed.iter().map(part).collect()).unwrap();
        submission.kept(self.retention()).unwrap()
    }

    fn retention(&self) -> Retention {
        self.retention.unwrap_or(Retention::of(self.scheme))
    }

    /// The letter as the ledger is given it, at [`NOW`].
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        self.accepted(NOW)
    }

    /// The letter as the ledger is given it.
    #[must_use]
    pub fn accepted(&self, at: Timestamp) -> Acceptance {
        let mut enclosed = self.enclosed.clone();
        enclosed.sort_unstable();
        let part = |recipient: &AgentId| {
            let envelope = self.envelope(*recipient);
            StoredPart {
                recipient: *recipient,
                attempt: self.attempt,
                hash: PartHash::of(&envelope),
                length: self.length.unwrap_or(envelope.len() as u64),
                content: self.part_handle_of(*recipient),
            }
        };
        Acceptance {
            header: self.header(),
            body: match self.upload {
                Some(id) => Some(AcceptedBody::Uploaded(id)),
                None => self.body_handle().map(AcceptedBody::Inline),
            },
            quota: self.quota,
            parts: enclosed.iter().map(part).collect(),
            retention: self.retention(),
            mark: ContentsMark::default(),
            is_complete: enclosed.len() == self.recipients.len() && self.attempt == Attempt::FIRST,
            at,
        }
    }

    /// The letter as the ledger is given it if it is a control message, at [`NOW`].
    #[must_use]
    pub fn control_acceptance(&self) -> ControlAcceptance {
        let Acceptance { header, mut parts, mark, at, .. } = self.acceptance();
        ControlAcceptance { header, part: parts.pop().unwrap(), mark, at }
    }

    /// Where the acceptance says that the part of `recipient` lies.
    #[must_use]
    pub fn part_handle(&self, recipient: &Agent) -> ContentHandle {
        self.part_handle_of(recipient.id())
    }

    fn part_handle_of(&self, recipient: AgentId) -> ContentHandle {
        let attempt = self.attempt.number();
        ContentHandle(format!("part {}/{}/{recipient}/{attempt}/{}", self.sender, self.number, self.copy).into_bytes())
    }

    /// Where the acceptance says that the body lies.
    #[must_use]
    pub fn body_handle(&self) -> Option<ContentHandle> {
        let handle = ContentHandle(format!("body {}/{}/{}", self.sender, self.number, self.copy).into_bytes());
        self.body.is_some().then_some(handle)
    }

    /// What its body is announced as.
    #[must_use]
    pub fn upload_description(&self) -> UploadDescription {
        let header = self.header();
        UploadDescription { scheme: header.fields().scheme, body: header.fields().body.unwrap() }
    }

    /// The pieces of its body.
    #[must_use]
    pub fn pieces(&self) -> Vec<Vec<u8>> {
        let length = usize::try_from(limits::BODY_PIECE).unwrap();
        self.body.as_deref().unwrap_or_default().chunks(length).map(<[u8]>::to_vec).collect()
    }

    /// What `recipient` says of it.
    #[must_use]
    pub fn receipt(&self, recipient: &Agent, verdict: Verdict) -> ReceiptLeaf {
        ReceiptLeaf {
            message: self.message(),
            attempt: self.attempt,
            header: self.header().hash(),
            part: PartHash::of(&self.envelope(recipient.id())),
            verdict,
            at: NOW,
            blind: [self.sealing; 16],
        }
    }
}
