//! A session: one Double Ratchet between two agents, and what binds it to them.
//!
//! A message opens only in the session it was sealed in, under the message header it was sealed for, between the two
//! agents the session names. Sealing and opening commit after they have succeeded, or change nothing.

mod encoding;
mod errors;
mod steps;

use std::fmt;

use sealpost_protocol::{
    AgentId, CurveKey, Envelope, EnvelopeHeader, Header, MessageClass, Opening, Suite, Timestamp, encoding::Encode,
};
use sha2::{Digest, Sha256};

pub use self::errors::{OpenError, SealError};
use self::steps::{Sealing, Steps};
use crate::{
    curve::CurvePrivateKey,
    limits,
    payload::Plaintext,
    pending::Sealed,
    primitives::{Primitives, random},
    secret::RootKey,
    session_ad::{SessionAd, SessionId},
    state_machine::{Ratchet, Received, Sent},
};

/// One end of a session.
pub struct Session {
    ad: SessionAd,
    side: Side,
    ratchet: Ratchet,
    created: Timestamp,
    steps: Steps,
    retired: bool,
}

/// Which end of a session this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It opened the session, and sends first.
    Initiator,
    /// The session was opened to it.
    Responder,
}

enum Side {
    /// The opening goes with every envelope until the peer has answered.
    Initiator { opening: Option<Box<Opening>> },
    /// The opening that this end accepted; every repetition of it must be the same.
    Responder { opening_hash: [u8; 32] },
}

impl Session {
    /// Seals a payload for the peer, under the header of its message.
    ///
    /// The state has moved when this returns: store it before the envelope leaves, for a state that goes back uses a
    /// key twice.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(
        &mut self,
        primitives: &dyn Primitives,
        header: &Header,
        plaintext: &Plaintext,
        now: Timestamp,
    ) -> Result<Envelope, SealError> {
        if !is_between(header, &self.agent(), &self.peer()) {
            return Err(SealError::OtherParties);
        }
        if plaintext.is_ordinary() != (header.fields().class == MessageClass::Ordinary) {
            return Err(SealError::OtherClass);
        }
        if self.retired {
            return Err(SealError::Retired);
        }
        let (position, pending) = self.ratchet.next_to_seal(primitives)?;
        let stepped = matches!(pending.change, Sent::Step(..));
        let wanted = !stepped && self.steps.are_wanted(now);
        let asked = wanted && plaintext.is_ordinary();
        let flagged = plaintext.flagged(asked, self.steps.controls_before());
        let plaintext = flagged.as_ref().unwrap_or(plaintext);
        let nonce = *random(primitives)?;
        let opening = self.side.opening();
        let envelope = EnvelopeHeader {
            session: self.ad.id().0,
            ratchet_key: position.ratchet_key,
            counter: position.counter,
            previous_counter: position.previous_counter,
            opens_session: opening.is_some(),
        };
        let ad = self.ad.of_message(&envelope, &header.hash());
        let (Sealed { ciphertext, tag }, commit) = pending.seal(nonce, &ad, plaintext.as_bytes())?;
        let sealed = Envelope { header: envelope, opening: opening.cloned(), nonce, ciphertext, tag };
        self.ratchet.commit_sent(commit);
        self.steps.sealed(Sealing { stepped, asked, is_control: !plaintext.is_ordinary() }, now);
        self.age(now);
        Ok(sealed)
    }

    /// Opens an envelope from the peer, under the header of its message.
    ///
    /// The state has moved when this returns a plaintext: store both together, for neither can be had again.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&mut self, header: &Header, envelope: &Envelope, now: Timestamp) -> Result<Plaintext, OpenError> {
        if !is_between(header, &self.peer(), &self.agent()) {
            return Err(OpenError::OtherParties);
        }
        if envelope.header.session != self.ad.id().0 || !self.side.accepts(envelope) {
            return Err(OpenError::OtherSession);
        }
        let pending = self.ratchet.next_to_open(&envelope.header, now)?;
        let ad = self.ad.of_message(&envelope.header, &header.hash());
        let (plaintext, commit) = pending.open(envelope.nonce, &ad, &envelope.ciphertext, &envelope.tag)?;
        let plaintext = Plaintext::authenticated(plaintext, self.ratchet.overtaken_by(&envelope.header));
        let answered = matches!(commit.change(), Received::Step(_)).then(|| self.unanswered());
        self.ratchet.commit_received(commit);
        self.steps.opened(answered, asks_for_step(header, &plaintext), now);
        self.side.answered();
        self.age(now);
        Ok(plaintext)
    }

    /// The initiator's end of a session that nothing has been sealed in.
    pub(crate) fn initiated(agreed: Agreed<'_>, signed_prekey: CurveKey, now: Timestamp) -> Self {
        let Agreed { ad, root, opening } = agreed;
        Self {
            ad,
            side: Side::Initiator { opening: Some(Box::new(opening.clone())) },
            ratchet: Ratchet::initiator(root, signed_prekey),
            created: now,
            steps: Steps::new(now),
            retired: false,
        }
    }

    /// The responder's end: it exists from the first message that opens.
    pub(crate) fn responded(
        agreed: Agreed<'_>,
        signed_prekey: &CurvePrivateKey,
        header: &Header,
        envelope: &Envelope,
        now: Timestamp,
    ) -> Result<(Self, Plaintext), OpenError> {
        let Agreed { ad, root, opening } = agreed;
        let pending = Ratchet::first_to_open(&root, signed_prekey, &envelope.header, now)?;
        let associated_data = ad.of_message(&envelope.header, &header.hash());
        let (plaintext, commit) =
            pending.open(envelope.nonce, &associated_data, &envelope.ciphertext, &envelope.tag)?;
        let plaintext = Plaintext::authenticated(plaintext, envelope.header.counter);
        let mut session = Self {
            ad,
            side: Side::Responder { opening_hash: hash_of(opening) },
            ratchet: Ratchet::responder(commit),
            created: now,
            steps: Steps::new(now),
            retired: false,
        };
        session.steps.opened(Some(0), asks_for_step(header, &plaintext), now);
        Ok((session, plaintext))
    }

    /// Its name, the same at both ends.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.ad.id()
    }

    /// The handshake that opened it.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.ad.suite()
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.side {
            Side::Initiator { .. } => Role::Initiator,
            Side::Responder { .. } => Role::Responder,
        }
    }

    /// The agent at this end.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        match self.role() {
            Role::Initiator => self.ad.initiator(),
            Role::Responder => self.ad.responder(),
        }
    }

    /// The agent at the other end.
    #[must_use]
    pub fn peer(&self) -> AgentId {
        match self.role() {
            Role::Initiator => self.ad.responder(),
            Role::Responder => self.ad.initiator(),
        }
    }

    /// Whether this end has opened a message, so that it knows the peer to have the session.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.ratchet.has_received()
    }

    /// How many messages were sealed since the peer's last Diffie-Hellman step.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        self.ratchet.unanswered()
    }

    /// When the session was made here.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// How many keys wait for messages that were overtaken.
    #[must_use]
    pub fn skipped_keys(&self) -> usize {
        self.ratchet.skipped().len()
    }

    /// Whether a message can be sealed in it: it is not retired, and fewer than
    /// [`UNANSWERED_MESSAGES`](limits::UNANSWERED_MESSAGES) wait for an answer. If not, open a new one.
    #[must_use]
    pub fn may_seal(&self) -> bool {
        !self.retired && self.unanswered() < limits::UNANSWERED_MESSAGES
    }

    /// Whether the peer has asked for a ratchet step and nothing was sealed since: seal
    /// [`Control::Step`](crate::Control::Step) when nothing else is there to be sealed. Nothing is owed where nothing can
    /// be sealed.
    #[must_use]
    pub fn owes_step(&self) -> bool {
        self.steps.are_owed() && self.may_seal()
    }

    /// Whether a [`Mark`](crate::Mark) may be sealed in it: the peer is known to have it, and is not shown so much already that it has not
    /// answered ([`MARKS_IN_A_ROW`](limits::MARKS_IN_A_ROW), [`UNANSWERED_WITH_MARKS`](limits::UNANSWERED_WITH_MARKS)).
    #[must_use]
    pub fn may_mark(&self) -> bool {
        self.is_answered()
            && self.may_seal()
            && self.steps.controls_before() < limits::MARKS_IN_A_ROW
            && self.unanswered() < limits::UNANSWERED_WITH_MARKS
    }

    /// Erases the keys of messages that can come no more: whoever was overtaken
    /// [`SKIPPED_KEY_LIFE`](limits::SKIPPED_KEY_LIFE) ago has expired at the relay. Sealing and opening do so too; call it
    /// for sessions that rest. Says whether there were any, so that the session must be stored.
    pub fn age(&mut self, now: Timestamp) -> bool {
        self.ratchet.expire_skipped_before(now.saturating_sub(limits::SKIPPED_KEY_LIFE)) > 0
    }

    /// Lets nothing be sealed in it ever again; it still opens what the peer sealed.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether it was retired.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired
    }
}

/// What the handshake gives: the session's name, its first root key, and the opening that tells the responder.
pub(crate) struct Agreed<'a> {
    pub(crate) ad: SessionAd,
    pub(crate) root: RootKey,
    pub(crate) opening: &'a Opening,
}

impl Side {
    /// The opening that the next envelope must carry.
    fn opening(&self) -> Option<&Opening> {
        match self {
            Self::Initiator { opening } => opening.as_deref(),
            Self::Responder { .. } => None,
        }
    }

    /// Whether the opening that an envelope carries, or carries not, belongs to the session. Only an initiator sends
    /// one, and always the same.
    fn accepts(&self, envelope: &Envelope) -> bool {
        match (self, &envelope.opening) {
            _ if envelope.header.opens_session != envelope.opening.is_some() => false,
            (_, None) => true,
            (Self::Initiator { .. }, Some(_)) => false,
            (Self::Responder { opening_hash }, Some(opening)) => hash_of(opening) == *opening_hash,
        }
    }

    /// The peer has sent: it has the opening.
    fn answered(&mut self) {
        if let Self::Initiator { opening } = self {
            *opening = None;
        }
    }
}

/// Whether a message is from `sender`, and to `recipient` among others.
pub(crate) fn is_between(header: &Header, sender: &AgentId, recipient: &AgentId) -> bool {
    header.message().sender == *sender && header.fields().recipients.position(recipient).is_some()
}

/// Control messages ask for nothing, whatever they say.
fn asks_for_step(header: &Header, plaintext: &Plaintext) -> bool {
    header.fields().class == MessageClass::Ordinary && plaintext.asks_for_step()
}

fn hash_of(opening: &Opening) -> [u8; 32] {
    Sha256::digest(opening.to_bytes()).into()
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("id", &self.id())
            .field("role", &self.role())
            .field("peer", &self.peer())
            .field("suite", &self.suite())
            .field("unanswered", &self.unanswered())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
