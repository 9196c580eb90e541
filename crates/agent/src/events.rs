//! What happened to an agent's messages while nobody asked: kept until the agent has taken note.

use sealpost_protocol::{
    AgentId, Attempt, FailureReason, GroupId, MessageId, MessageRef, RefusalReason, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use crate::{
    Agent, StateError, limits,
    records::EventRecord,
    store::{Changes, StoreAccessError},
};

/// Something that the agent ought to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message that waited here was refused by the relay for good, with that code.
    Unsent {
        /// The message.
        message: MessageId,
        /// The refusal's stable code.
        code: String,
    },
    /// A recipient could not open a message, and signed for that; it is sealed anew in another session.
    SealedAnew {
        /// The message.
        message: MessageId,
        /// Whose part.
        recipient: AgentId,
        /// The attempt that comes now.
        attempt: Attempt,
        /// What the recipient said of the one before.
        reason: RefusalReason,
    },
    /// The store was an old copy that had been put back: all sessions were retired and all prekeys replaced.
    RestoredCopy {
        /// What gave it away.
        sign: String,
    },
    /// A message was received whose body the relay had no more when it was fetched: its life was over.
    BodyGone {
        /// The message.
        message: MessageId,
        /// Who sent it.
        sender: AgentId,
    },
    /// The relay has lost or damaged a message for this agent, or its body, for good: it will not come, unless its sender
    /// sends it again.
    BodyLost {
        /// The message.
        message: MessageId,
        /// Who sent it.
        sender: AgentId,
    },
    /// A message was received whose body did not come as its header describes it, however often it was fetched: it stays at the
    /// relay, and can be asked for again.
    BodyDamaged {
        /// The message.
        message: MessageId,
        /// Who sent it.
        sender: AgentId,
    },
    /// A recipient lacked the key of a group, and signed for that; the message goes again as it is.
    SentAgain {
        /// The message.
        message: MessageId,
        /// Whose part.
        recipient: AgentId,
        /// The attempt that comes next.
        attempt: Attempt,
        /// What the recipient said of the one before.
        reason: RefusalReason,
    },
    /// Another agent has made this one a member of its group.
    JoinedGroup {
        /// The group.
        group: GroupId,
        /// Whose it is.
        founder: AgentId,
    },
    /// This agent was removed from a group, or the group was dissolved.
    RemovedFromGroup {
        /// The group.
        group: GroupId,
        /// Whose it is.
        founder: AgentId,
    },
    /// A member has left a group of this agent; a new epoch has begun.
    LeftGroup {
        /// The group.
        group: GroupId,
        /// Who has left.
        member: AgentId,
    },
    /// Messages that a peer sealed before what came are missing: lost on the way, expired, taken back by their sender, or late;
    /// what was refused and comes sealed anew was among them too. Told once for each.
    Missing {
        /// Whose they are.
        sender: AgentId,
        /// The message that came after them; none if what came was not for the application.
        before: Option<MessageId>,
        /// How many are missing before it; if more than one, at most so many.
        count: u32,
    },
    /// The relay's ledger contradicts a head of receipts that it has countersigned: it was forked or cut, or put back from a
    /// copy without a word. It is given no receipts.
    ForkedLedger {
        /// The number of the last batch that it has countersigned for the agent.
        store: u64,
        /// The number of the last batch that it has; 0 for none.
        relay: u64,
    },
    /// The relay has refused new prekeys. The old ones stay in use, and it is tried again with every round. Told once a day
    /// for a code, while it lasts.
    PrekeysRefused {
        /// The refusal's stable code.
        code: String,
    },
    /// The relay had fewer than ten one-time prekeys of a kind left, or has: once they are out, whoever writes for the first
    /// time does so without. Told once a day, while it lasts.
    PrekeysLow {
        /// One-time curve keys that were left.
        one_time_curve: u64,
        /// One-time KEM keys that were left.
        one_time_kem: u64,
    },
    /// A first message named a one-time key that was never made here: the store is an old copy of itself, or the sender made the
    /// name up. The relay is told to forget the one-time keys that it has left, and gets others. Told once a week at most.
    PrekeysRecalled {
        /// The message; it was refused, and its sender seals it anew.
        message: MessageId,
        /// Who sent it.
        sender: AgentId,
    },
    /// A peer shows that it has read all of this agent's messages up to one, which was sent to it. Of a peer the newest is
    /// kept.
    Read {
        /// Who.
        reader: AgentId,
        /// The last of them, by its id.
        up_to: MessageId,
    },
    /// A peer shows that it is writing; good for 30 seconds, and taken back when it shows otherwise.
    Typing {
        /// Who.
        peer: AgentId,
    },
    /// A message has not reached a recipient, and will not: the relay has said so since, or the recipient has refused it and
    /// it is not sealed again.
    Failed {
        /// The message.
        message: MessageId,
        /// Whom it was for.
        recipient: AgentId,
        /// Why.
        reason: FailureReason,
    },
}

/// An event, and when it was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The agent's clock.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    key: Vec<u8>,
}

impl Agent {
    /// Up to `limit` events that were not taken yet, oldest first. Those that nobody takes within 35 days are dropped.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn events(&self, limit: usize) -> Result<Vec<Noted>, StateError> {
        let rows = self.store.list::<EventRecord>(&[], &[], limit.min(limits::ROWS)).await?;
        let noted = |row: crate::store::Versioned<EventRecord>| Noted {
            at: row.value.at,
            event: row.value.event,
            key: row.key,
        };
        Ok(rows.into_iter().map(noted).collect())
    }

    /// Takes events: they are not shown again. Those taken before are passed over.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn take_events(&self, events: &[Noted]) -> Result<(), StateError> {
        for event in events {
            if let Some(row) = self.store.find::<EventRecord>(&event.key).await? {
                let mut changes = Changes::default();
                changes.delete(&row);
                crate::agent::ignore_conflict(self.store.commit(changes).await)?;
            }
        }
        Ok(())
    }

    /// Notes an event along with the `changes` that make it so.
    pub(crate) fn note(&self, changes: &mut Changes, event: Event) -> Result<(), StoreAccessError> {
        self.note_at(changes, event).map(drop)
    }

    /// The same, and says where.
    pub(crate) fn note_at(&self, changes: &mut Changes, event: Event) -> Result<Vec<u8>, StoreAccessError> {
        let at = self.clock.now();
        let mut apart = [0; 8];
        self.primitives.fill_random(&mut apart)?;
        let key = [at.to_bytes().as_slice(), &apart].concat();
        changes.insert(key.clone(), &EventRecord { at, event });
        Ok(key)
    }
}

impl Event {
    fn failed(reader: &mut Reader<'_>, reason: FailureReason) -> Result<Self, DecodeError> {
        Ok(Self::Failed { message: MessageId::decode(reader)?, recipient: AgentId::decode(reader)?, reason })
    }
}

/// Its first byte says what it is, in this order: a number is never given to anything else, since rows may bear it.
impl Encode for Event {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Unsent { message, code } => writer.u8(1).value(message).bytes(code.as_bytes()),
            Self::SealedAnew { message, recipient, attempt, reason } => {
                writer.u8(2).value(message).value(recipient).value(attempt).value(reason)
            }
            Self::Failed { message, recipient, reason: FailureReason::Refused(reason) } => {
                writer.u8(3).value(message).value(recipient).value(reason)
            }
            Self::RestoredCopy { sign } => writer.u8(4).bytes(sign.as_bytes()),
            Self::BodyGone { message, sender } => writer.u8(16).value(message).value(sender),
            Self::JoinedGroup { group, founder } => writer.u8(32).value(group).value(founder),
            Self::RemovedFromGroup { group, founder } => writer.u8(33).value(group).value(founder),
            Self::LeftGroup { group, member } => writer.u8(34).value(group).value(member),
            Self::SentAgain { message, recipient, attempt, reason } => {
                writer.u8(35).value(message).value(recipient).value(attempt).value(reason)
            }
            Self::Missing { sender, before: Some(id), count } => {
                writer.u8(50).value(&MessageRef { sender: *sender, id: *id }).u32(*count)
            }
            Self::ForkedLedger { store, relay } => writer.u8(51).u64(*store).u64(*relay),
            Self::Read { reader, up_to } => writer.u8(52).value(reader).value(up_to),
            Self::Typing { peer } => writer.u8(53).value(peer),
            Self::BodyLost { message, sender } => writer.u8(60).value(message).value(sender),
            Self::Missing { sender, before: None, count } => writer.u8(61).value(sender).u32(*count),
            Self::Failed { message, recipient, reason: FailureReason::Expired } => {
                writer.u8(62).value(message).value(recipient)
            }
            Self::Failed { message, recipient, reason: FailureReason::Evicted } => {
                writer.u8(63).value(message).value(recipient)
            }
            Self::BodyDamaged { message, sender } => writer.u8(64).value(message).value(sender),
            Self::Failed { message, recipient, reason: FailureReason::Lost } => {
                writer.u8(65).value(message).value(recipient)
            }
            Self::PrekeysRefused { code } => writer.u8(70).bytes(code.as_bytes()),
            Self::PrekeysLow { one_time_curve, one_time_kem } => writer.u8(71).u64(*one_time_curve).u64(*one_time_kem),
            Self::PrekeysRecalled { message, sender } => writer.u8(72).value(message).value(sender),
        };
    }
}

impl Decode for Event {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            1 => Self::Unsent {
                message: MessageId::decode(reader)?,
                code: reader.text("a code", limits::CODE)?.to_owned(),
            },
            2 => Self::SealedAnew {
                message: MessageId::decode(reader)?,
                recipient: AgentId::decode(reader)?,
                attempt: Attempt::decode(reader)?,
                reason: RefusalReason::decode(reader)?,
            },
            3 => Self::Failed {
                message: MessageId::decode(reader)?,
                recipient: AgentId::decode(reader)?,
                reason: FailureReason::Refused(RefusalReason::decode(reader)?),
            },
            4 => Self::RestoredCopy { sign: reader.text("a sign", limits::SIGN)?.to_owned() },
            16 => Self::BodyGone { message: MessageId::decode(reader)?, sender: AgentId::decode(reader)? },
            32 => Self::JoinedGroup { group: GroupId::decode(reader)?, founder: AgentId::decode(reader)? },
            33 => Self::RemovedFromGroup { group: GroupId::decode(reader)?, founder: AgentId::decode(reader)? },
            34 => Self::LeftGroup { group: GroupId::decode(reader)?, member: AgentId::decode(reader)? },
            35 => Self::SentAgain {
                message: MessageId::decode(reader)?,
                recipient: AgentId::decode(reader)?,
                attempt: Attempt::decode(reader)?,
                reason: RefusalReason::decode(reader)?,
            },
            50 => {
                let MessageRef { sender, id } = MessageRef::decode(reader)?;
                Self::Missing { sender, before: Some(id), count: reader.u32()? }
            }
            51 => Self::ForkedLedger { store: reader.u64()?, relay: reader.u64()? },
            52 => Self::Read { reader: AgentId::decode(reader)?, up_to: MessageId::decode(reader)? },
            53 => Self::Typing { peer: AgentId::decode(reader)? },
            60 => Self::BodyLost { message: MessageId::decode(reader)?, sender: AgentId::decode(reader)? },
            61 => Self::Missing { sender: AgentId::decode(reader)?, before: None, count: reader.u32()? },
            62 => Self::failed(reader, FailureReason::Expired)?,
            63 => Self::failed(reader, FailureReason::Evicted)?,
            64 => Self::BodyDamaged { message: MessageId::decode(reader)?, sender: AgentId::decode(reader)? },
            65 => Self::failed(reader, FailureReason::Lost)?,
            70 => Self::PrekeysRefused { code: reader.text("a code", limits::CODE)?.to_owned() },
            71 => Self::PrekeysLow { one_time_curve: reader.u64()?, one_time_kem: reader.u64()? },
            72 => Self::PrekeysRecalled { message: MessageId::decode(reader)?, sender: AgentId::decode(reader)? },
            found => return Err(DecodeError::UnknownValue { field: "an event", found }),
        })
    }
}
