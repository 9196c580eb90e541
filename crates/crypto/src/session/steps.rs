//! When a session's ratchet last stepped, and what its ends owe one another for that.
//!
//! A ratchet steps when a party seals after a step of its peer, so a party that only listens never lets it step. Whoever
//! has sent for long without a step therefore *asks* for one, by a flag inside the seal of an ordinary message; the peer
//! *owes* an answer then, which is whatever it seals next in the session, and a control message if it has nothing else
//! to say. A control message neither asks nor makes anyone owe, so control messages come to rest.
//!
//! Control messages may be lost, which must not look like the loss of a message: whatever is sealed says how many of them
//! stand directly before it.

use sealpost_protocol::{
    Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use crate::limits;

/// Steps, and requests for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps {
    /// Since either end's last step; to begin with, since the session was made.
    step: Since,
    /// Since we asked for one, if none has come yet.
    request: Option<Since>,
    owes_step: bool,
    /// Control messages sealed since the last message; at most [`limits::CONTROLS_COUNTED`].
    controls: u8,
}

/// What was sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealing {
    /// It makes a step of ours.
    pub(super) stepped: bool,
    /// It asks the peer for one.
    pub(super) asked: bool,
    /// It is no message.
    pub(super) is_control: bool,
}

/// A point of the session's life: when, and how many messages were sealed or opened from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Since {
    time: Timestamp,
    messages: u32,
}

impl Steps {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { step: Since { time: now, messages: 0 }, request: None, owes_step: false, controls: 0 }
    }

    /// Whether the next message that makes no step itself should ask for one: none has come for long, nor was asked for.
    pub(super) fn are_wanted(&self, now: Timestamp) -> bool {
        self.step.is_long_ago(now) && self.request.is_none_or(|request| request.is_long_ago(now))
    }

    /// Whether the peer has asked, and nothing was sealed since.
    pub(super) fn are_owed(&self) -> bool {
        self.owes_step
    }

    /// How many control messages were sealed directly before what is sealed next.
    pub(super) fn controls_before(&self) -> u8 {
        self.controls
    }

    /// Something was sealed.
    pub(super) fn sealed(&mut self, sealed: Sealing, now: Timestamp) {
        let Sealing { stepped, asked, is_control } = sealed;
        self.owes_step = false;
        self.controls = if is_control { self.controls.saturating_add(1).min(limits::CONTROLS_COUNTED) } else { 0 };
        if asked {
            self.request = Some(Since { time: now, messages: 0 });
        }
        self.count(stepped, now);
    }

    /// Something was opened: with a step of the peer, and perhaps with a request. A step tells that the peer has opened
    /// something of our chain of so many (`answered`), so of what stands before that chain none is on its way to be counted.
    pub(super) fn opened(&mut self, answered: Option<u32>, asks: bool, now: Timestamp) {
        self.owes_step |= asks;
        if let Some(chain) = answered {
            self.controls = self.controls.min(u8::try_from(chain).unwrap_or(u8::MAX));
        }
        self.count(answered.is_some(), now);
    }

    fn count(&mut self, stepped: bool, now: Timestamp) {
        if stepped {
            (self.step, self.request) = (Since { time: now, messages: 0 }, None);
        }
        for since in [Some(&mut self.step), self.request.as_mut()].into_iter().flatten() {
            since.messages = since.messages.saturating_add(1);
        }
    }
}

impl Since {
    fn is_long_ago(&self, now: Timestamp) -> bool {
        self.messages >= limits::MESSAGES_WITHOUT_STEP || now.since(self.time) >= limits::TIME_WITHOUT_STEP
    }
}

impl Encode for Steps {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.step).option(self.request.as_ref()).u8(u8::from(self.owes_step) | self.controls << 1);
    }
}

impl Decode for Steps {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (step, request) = (Since::decode(reader)?, reader.option("step request")?);
        let owed = reader.u8()?;
        Ok(Self { step, request, owes_step: owed & 1 != 0, controls: owed >> 1 })
    }
}

impl Encode for Since {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.time).u32(self.messages);
    }
}

impl Decode for Since {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { time: Timestamp::decode(reader)?, messages: reader.u32()? })
    }
}
