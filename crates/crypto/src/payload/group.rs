//! What the runtimes of a group's members say to each other, inside the seal of ordinary messages, for it must arrive:
//! a key with the roster that it belongs to, and that a membership has ended.
//!
//! A group's id is a hash over its founder's id, so a roster is the founder's word or nobody's; and each roster has a
//! greater revision than the one before.

use std::fmt;

use sealpost_protocol::{
    AgentId, GroupId,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
    limits as wire,
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{FORMAT, Plaintext, padded_length};
use crate::{limits, secret::encode_secret, shared_key::GroupKey};

/// Begins what a group's id is the hash of.
const LABEL: &[u8] = b"sealpost/v1/group";

/// The payload carries a key and a roster.
pub(super) const KEY: u8 = 0x10;

/// The payload says that a membership has ended.
pub(super) const END: u8 = 0x11;

/// What one runtime tells another of a group.
#[derive(Debug)]
pub enum GroupNotice {
    /// A key, and who is to have it.
    Key(HandOver),
    /// A membership has ended: the founder says so to whom it removed, and a member to the founder.
    End(EndedMembership),
}

/// A key that is handed over by the founder of its group.
#[derive(Debug)]
pub struct HandOver {
    /// Who belongs to the group.
    pub roster: Roster,
    /// The key of its newest epoch.
    pub key: GroupKey,
}

/// The end of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedMembership {
    /// Of which group.
    pub group: GroupId,
    /// The revision that it began with: the same agent may be made a member again later.
    pub since: u64,
}

/// Who belongs to a group.
#[derive(Clone, PartialEq, Eq)]
pub struct Roster {
    /// Chosen at random by the founder; see [`Roster::group`].
    pub nonce: [u8; 16],
    /// What the founder calls the group.
    pub name: GroupName,
    /// Greater than that of every roster before it, from 1.
    pub revision: u64,
    members: Vec<Member>,
}

/// A member, and the revision with which it became one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Who.
    pub agent: AgentId,
    /// Since which revision.
    pub since: u64,
}

/// What a group is called: 1 to 64 bytes of text without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

impl fmt::Debug for GroupName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("GroupName(…)")
    }
}

/// Why there is no such group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RosterError {
    /// The name is not one.
    #[error("a group's name has 1 to {} bytes and no control characters", limits::GROUP_NAME)]
    Name,
    /// No member, too many, one twice, or one of a later revision than the roster's.
    #[error("a group has 1 to {} members, none twice", wire::RECIPIENTS)]
    Members,
    /// None: the first revision is 1.
    #[error("a roster's revisions begin with 1")]
    Revision,
}

impl Roster {
    /// Checks the revision and the members, which are put in order.
    ///
    /// # Errors
    /// [`RosterError::Revision`], [`RosterError::Members`].
    pub fn new(nonce: [u8; 16], name: GroupName, revision: u64, mut members: Vec<Member>) -> Result<Self, RosterError> {
        if revision == 0 {
            return Err(RosterError::Revision);
        }
        members.sort_unstable();
        let distinct = members.is_sorted_by(|a, b| a.agent < b.agent);
        let in_time = members.iter().all(|member| member.since <= revision);
        if members.is_empty() || members.len() > wire::RECIPIENTS || !distinct || !in_time {
            return Err(RosterError::Members);
        }
        Ok(Self { nonce, name, revision, members })
    }

    /// The members, ascending by their ids; the founder is one.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The membership of an agent, if it is a member.
    #[must_use]
    pub fn member(&self, agent: &AgentId) -> Option<&Member> {
        self.members.iter().find(|member| member.agent == *agent)
    }

    /// The group that `founder` has founded with this nonce.
    #[must_use]
    pub fn group(&self, founder: &AgentId) -> GroupId {
        let mut input = Writer::with_capacity(4 + LABEL.len() + 32 + 16);
        input.bytes(LABEL).value(founder).array(&self.nonce);
        let hash: [u8; 32] = Sha256::digest(input.into_bytes()).into();
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(hash) {
            *to = from;
        }
        GroupId(id)
    }
}

impl HandOver {
    /// Whether `founder` may say this: the group is its own, and it belongs to it.
    #[must_use]
    pub fn is_of(&self, founder: &AgentId) -> bool {
        self.roster.group(founder) == self.key.group && self.roster.member(founder).is_some()
    }
}

impl GroupName {
    /// Checks length and characters.
    ///
    /// # Errors
    /// [`RosterError::Name`].
    pub fn new(name: &str) -> Result<Self, RosterError> {
        let is_name = (1..=limits::GROUP_NAME).contains(&name.len()) && !name.contains(char::is_control);
        is_name.then(|| Self(name.to_owned())).ok_or(RosterError::Name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Roster(revision {}, {} members)", self.revision, self.members.len())
    }
}

impl GroupNotice {
    /// The padded encoding, to be sealed.
    #[must_use]
    pub fn to_plaintext(&self) -> Plaintext {
        let mut bytes = encode_secret(padded_length(self.room()), |writer| {
            writer.value(self);
        });
        let padded = padded_length(bytes.len());
        bytes.pad_to(padded);
        Plaintext::new(bytes)
    }

    /// Bytes of the encoding at most.
    #[must_use]
    pub fn room(&self) -> usize {
        match self {
            Self::Key(hand_over) => FIXED + hand_over.roster.members.len() * MEMBER,
            Self::End(_) => FIXED,
        }
    }
}

/// Bytes of one member.
const MEMBER: usize = 32 + 8;

/// Bytes of a hand-over beside its members: head, nonce, name, revision, count, and the key with its length.
const FIXED: usize = 3 + 16 + 4 + limits::GROUP_NAME + 8 + 2 + 4 + 53;

impl Encode for GroupNotice {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Key(HandOver { roster, key }) => {
                writer.u8(FORMAT).u8(KEY).u8(0).value(roster).bytes(&key.encode());
            }
            Self::End(EndedMembership { group, since }) => {
                writer.u8(FORMAT).u8(END).u8(0).value(group).u64(*since);
            }
        }
    }
}

impl GroupNotice {
    /// What follows a payload's head of this kind.
    pub(super) fn decode_fields(kind: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match kind {
            KEY => {
                let roster = Roster::decode(reader)?;
                let key = GroupKey::decode(reader.bytes("group key", limits::GROUP_KEY)?)?;
                Ok(Self::Key(HandOver { roster, key }))
            }
            END => Ok(Self::End(EndedMembership { group: GroupId::decode(reader)?, since: reader.u64()? })),
            found => Err(DecodeError::UnknownValue { field: "payload kind", found }),
        }
    }
}

impl Encode for Roster {
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.nonce).bytes(self.name.0.as_bytes()).u64(self.revision).list(&self.members);
    }
}

impl Decode for Roster {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let nonce = reader.array()?;
        let name = GroupName::new(reader.text("group name", limits::GROUP_NAME)?);
        let name = name.map_err(|_| DecodeError::Invalid { field: "group name", reason: "empty or not printable" })?;
        let revision = reader.u64()?;
        let members: Vec<Member> = reader.list("group members", wire::RECIPIENTS)?;
        let invalid = DecodeError::Invalid { field: "group members", reason: "none, not ascending, or of the future" };
        if !members.is_sorted_by(|a, b| a.agent < b.agent) {
            return Err(invalid);
        }
        Self::new(nonce, name, revision, members).map_err(|error| match error {
            RosterError::Revision => DecodeError::Invalid { field: "a roster's revision", reason: "before the first" },
            RosterError::Name | RosterError::Members => invalid,
        })
    }
}

impl Encode for Member {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.agent).u64(self.since);
    }
}

impl Decode for Member {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { agent: AgentId::decode(reader)?, since: reader.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SystemPrimitives, payload::Ordinary};

    fn founder() -> AgentId {
        AgentId::from_array([1; 32])
    }

    fn roster(revision: u64, members: &[(u8, u64)]) -> Result<Roster, RosterError> {
        let member = |(byte, since): &(u8, u64)| Member { agent: AgentId::from_array([*byte; 32]), since: *since };
        let name = GroupName::new("the team").unwrap();
        Roster::new([7; 16], name, revision, members.iter().map(member).collect())
    }

    fn hand_over(roster: Roster) -> HandOver {
        let key = GroupKey::generate(&SystemPrimitives, roster.group(&founder()), 3).unwrap();
        HandOver { roster, key }
    }

    #[test]
    fn there_is_no_roster_before_the_first_revision() {
        assert_eq!(roster(0, &[(1, 0)]), Err(RosterError::Revision));
        let mut bytes = roster(1, &[(1, 0)]).unwrap().to_bytes();
        assert!(Roster::from_bytes(&bytes).is_ok());
        let revision = 16 + 4 + "the team".len();
        bytes[revision..revision + 8].fill(0);
        let refused = Roster::from_bytes(&bytes);
        assert!(matches!(refused, Err(DecodeError::Invalid { field: "a roster's revision", .. })), "{refused:?}");
    }

    #[test]
    fn notices_read_back_from_a_padded_plaintext() {
        let sent = hand_over(roster(5, &[(9, 5), (1, 1)]).unwrap());
        let plaintext = GroupNotice::Key(HandOver {
            roster: sent.roster.clone(),
            key: GroupKey::decode(&sent.key.encode()).unwrap(),
        })
        .to_plaintext();
        assert_eq!(plaintext.padded_length(), padded_length(plaintext.padded_length()));
        let Ok(Ordinary::Group(GroupNotice::Key(read))) = plaintext.to_ordinary() else { panic!("no hand-over") };
        assert_eq!((read.roster, &*read.key.encode()), (sent.roster, &*sent.key.encode()));
        let ended = EndedMembership { group: sent.key.group, since: 4 };
        let plaintext = GroupNotice::End(ended).to_plaintext();
        let Ok(Ordinary::Group(GroupNotice::End(read))) = plaintext.to_ordinary() else { panic!("no end") };
        assert_eq!(read, ended);
    }

    #[test]
    fn a_hand_over_is_its_founders_word_and_no_one_elses() {
        let sent = hand_over(roster(1, &[(1, 1), (2, 1)]).unwrap());
        assert!(sent.is_of(&founder()));
        assert!(!sent.is_of(&AgentId::from_array([2; 32])), "a member did not found it");
        let without_founder = hand_over(roster(1, &[(2, 1)]).unwrap());
        assert!(!without_founder.is_of(&founder()));
    }

    #[test]
    fn rosters_that_contradict_themselves_are_none() {
        assert_eq!(roster(1, &[]), Err(RosterError::Members));
        assert_eq!(roster(1, &[(1, 1), (1, 0)]), Err(RosterError::Members));
        assert_eq!(roster(1, &[(1, 2)]), Err(RosterError::Members));
        let many: Vec<Member> = (0_u32..1_001)
            .map(|number| {
                let mut id = [0; 32];
                id[..4].copy_from_slice(&number.to_be_bytes());
                Member { agent: AgentId::from_array(id), since: 0 }
            })
            .collect();
        let full = |count: usize| Roster::new([0; 16], GroupName::new("n").unwrap(), 1, many[..count].to_vec());
        assert_eq!(full(1_001), Err(RosterError::Members));
        let full = GroupNotice::Key(hand_over(full(1_000).unwrap()));
        assert!(full.to_bytes().len() <= full.room());
        for name in ["", "a\nb", "\u{1b}[2J", &"n".repeat(65)] {
            assert_eq!(GroupName::new(name), Err(RosterError::Name), "{name:?}");
        }
    }

    #[test]
    fn members_out_of_order_and_unknown_kinds_are_refused() {
        let mut bytes = GroupNotice::Key(hand_over(roster(1, &[(1, 1), (2, 1)]).unwrap())).to_bytes();
        let place = bytes.windows(32).position(|window| window == [1; 32]).unwrap();
        bytes[place..place + 32].fill(3);
        assert!(Ordinary::from_bytes(&bytes).is_err());
        let mut bytes = GroupNotice::End(EndedMembership { group: GroupId([1; 16]), since: 1 }).to_bytes();
        assert!(Ordinary::from_bytes(&bytes).is_ok());
        bytes[1] = 0x12;
        assert!(Ordinary::from_bytes(&bytes).is_err());
    }
}
