//! What a ledger takes in: the rules, which stand here alone. An adapter reads what a rule asks for, in the transaction in
//! which it writes what was decided.

use sealpost_protocol::{AgentId, Header, HeaderHash, MessageId, PieceHash, Timestamp, limits as wire};

use crate::{
    DeliveryRecord, PartDecision, limits,
    ports::{
        AcceptError, Acceptance, AddPieceError, BeginUploadError, BodyQuota, ControlAcceptance, StoredPart,
        StoredPiece, UploadDescription,
    },
};

/// What the submission of a message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageDecision {
    /// It is unknown, and whole.
    New,
    /// It is known: each of its parts is decided upon by itself.
    Again,
}

/// How full a mailbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailboxFill {
    /// Messages that wait in it.
    pub messages: u64,
    /// Bytes of their headers and parts.
    pub bytes: u64,
}

impl Acceptance {
    /// What it means, where a message with the header `known` has its id.
    ///
    /// # Errors
    /// [`AcceptError::Incomplete`], [`AcceptError::Conflict`].
    pub fn decide(&self, known: Option<HeaderHash>) -> Result<MessageDecision, AcceptError> {
        match known {
            None if self.is_complete => Ok(MessageDecision::New),
            None => Err(AcceptError::Incomplete),
            Some(known) if known == self.header.hash() => Ok(MessageDecision::Again),
            Some(_) => Err(AcceptError::Conflict),
        }
    }

    /// Whether a fan-out may be written, where a message with the header `known` has its id: who writes one has found the
    /// id unused.
    ///
    /// # Errors
    /// [`AcceptError::Conflict`].
    pub fn unless_known(known: Option<HeaderHash>) -> Result<(), AcceptError> {
        if known.is_none() { Ok(()) } else { Err(AcceptError::Conflict) }
    }
}

impl StoredPart {
    /// Whether it is the next attempt, and not the same transmission again, where `known` is its recipient's record of a message
    /// that is known.
    ///
    /// # Errors
    /// [`AcceptError::Conflict`].
    pub fn is_next_attempt(&self, known: Option<&DeliveryRecord>) -> Result<bool, AcceptError> {
        match known.map(|known| known.decide(self.attempt, self.hash)) {
            Some(PartDecision::NextAttempt) => Ok(true),
            Some(PartDecision::Duplicate) => Ok(false),
            Some(PartDecision::Conflict) | None => Err(AcceptError::Conflict),
        }
    }
}

impl MailboxFill {
    /// How full the mailbox is with another part.
    ///
    /// # Errors
    /// [`AcceptError::MailboxFull`].
    pub fn with(self, part: &StoredPart) -> Result<Self, AcceptError> {
        let (messages, bytes) = (self.messages.saturating_add(1), self.bytes.saturating_add(part.length));
        if messages > wire::MAILBOX_MESSAGES || bytes > limits::MAILBOX_BYTES {
            return Err(AcceptError::MailboxFull { recipient: part.recipient });
        }
        Ok(Self { messages, bytes })
    }
}

impl ControlAcceptance {
    /// Whether it takes the place of the one of its sender that waits, if one does: only a newer one.
    #[must_use]
    pub fn supersedes(&self, known: Option<MessageId>) -> bool {
        known.is_none_or(|known| known < self.header.message().id)
    }

    /// Whether a mailbox in which control messages of `others` wait takes one of another sender.
    ///
    /// # Errors
    /// [`AcceptError::MailboxFull`].
    pub fn unless_full(recipient: AgentId, others: u64) -> Result<(), AcceptError> {
        if others < limits::MAILBOX_CONTROL { Ok(()) } else { Err(AcceptError::MailboxFull { recipient }) }
    }
}

impl UploadDescription {
    /// Whether an upload may be begun where `known` was begun under its id: the same goes on.
    ///
    /// # Errors
    /// [`BeginUploadError::Conflict`].
    pub fn unless_other(self, known: Self) -> Result<(), BeginUploadError> {
        if known == self { Ok(()) } else { Err(BeginUploadError::Conflict) }
    }

    /// Whether this upload, of which so many `pieces` have come, is the body of a message that is accepted `at`.
    ///
    /// # Errors
    /// [`AcceptError::UnknownUpload`].
    pub fn unless_not_body_of(
        self,
        header: &Header,
        pieces: u64,
        expires: Timestamp,
        at: Timestamp,
    ) -> Result<(), AcceptError> {
        let fields = header.fields();
        let is_it = (self.scheme, Some(self.body)) == (fields.scheme, fields.body);
        let is_there = pieces == self.body.pieces() && expires > at;
        if is_it && is_there { Ok(()) } else { Err(AcceptError::UnknownUpload) }
    }
}

impl StoredPiece {
    /// Whether it is there already, where a piece with the hash `known` has its place.
    ///
    /// # Errors
    /// [`AddPieceError::Conflict`].
    pub fn is_there(&self, known: Option<PieceHash>) -> Result<bool, AddPieceError> {
        match known {
            None => Ok(false),
            Some(known) if known == self.hash => Ok(true),
            Some(_) => Err(AddPieceError::Conflict),
        }
    }
}

impl BodyQuota {
    /// Whether an owner of `uploads` may begin another, with which it has so many `bytes`.
    ///
    /// # Errors
    /// [`BeginUploadError::Quota`].
    pub fn unless_too_many(self, uploads: u64, bytes: u64) -> Result<(), BeginUploadError> {
        if uploads < self.uploads && bytes <= self.bytes { Ok(()) } else { Err(BeginUploadError::Quota) }
    }

    /// Whether a sender may have so many bytes in bodies.
    ///
    /// # Errors
    /// [`AcceptError::Quota`].
    pub fn unless_too_large(self, bytes: u64) -> Result<(), AcceptError> {
        if bytes <= self.bytes { Ok(()) } else { Err(AcceptError::Quota) }
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests {
    use super::*;
    use crate::conformance::{Agent, Letter};

    #[test]
    fn an_id_is_new_known_or_in_use_for_something_else() {
        let (alice, bob) = (Agent::alice(), Agent::bob());
        let whole = Letter::new(&alice, &[&bob]).acceptance();
        let partial = Acceptance { is_complete: false, ..whole.clone() };
        let other = Letter::new(&alice, &[&bob]).number(2).header().hash();
        assert_eq!(whole.decide(None).unwrap(), MessageDecision::New);
        assert_eq!(whole.decide(Some(whole.header.hash())).unwrap(), MessageDecision::Again);
        assert!(matches!(whole.decide(Some(other)), Err(AcceptError::Conflict)));
        assert!(matches!(partial.decide(None), Err(AcceptError::Incomplete)));
        assert_eq!(partial.decide(Some(whole.header.hash())).unwrap(), MessageDecision::Again);
    }

    #[test]
    fn a_part_for_whom_the_message_is_not_is_a_conflict() {
        let part = Letter::new(&Agent::alice(), &[&Agent::bob()]).acceptance().parts.remove(0);
        assert!(matches!(part.is_next_attempt(None), Err(AcceptError::Conflict)));
    }

    #[test]
    fn a_mailbox_has_room_to_the_last_message_and_byte() {
        let mut part = Letter::new(&Agent::alice(), &[&Agent::bob()]).acceptance().parts.remove(0);
        part.length = 1;
        let last =
            MailboxFill { messages: wire::MAILBOX_MESSAGES - 1, bytes: limits::MAILBOX_BYTES - 1 }.with(&part).unwrap();
        let full = MailboxFill { messages: wire::MAILBOX_MESSAGES, bytes: limits::MAILBOX_BYTES };
        assert_eq!(last, full);
        for full in [MailboxFill { messages: full.messages, bytes: 0 }, MailboxFill { messages: 0, bytes: full.bytes }]
        {
            assert!(
                matches!(full.with(&part), Err(AcceptError::MailboxFull { recipient }) if recipient == part.recipient)
            );
        }
        part.length = u64::MAX;
        assert!(MailboxFill { messages: 0, bytes: 1 }.with(&part).is_err(), "no length overflows");
    }
}
