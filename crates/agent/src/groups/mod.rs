//! Groups that share a key: founding one, its members, its keys.
//!
//! A group has one founder, whose id its own id is the hash of. The founder alone says who belongs to it and makes its
//! keys: with every change the founder hands the newest key and the whole roster to each member, through their ratchet, in
//! one commit with the change itself. Whoever is removed gets no further key.

mod notices;
mod room;
mod standing;

use std::fmt;

use sealpost_crypto::{
    EndedMembership, GroupKey, GroupName, GroupNotice, HandOver, Member, Ordinary, Roster, encode_secret,
};
use sealpost_protocol::{
    AgentId, GroupId, MessageId, Priority,
    encoding::{DecodeError, Encode},
    limits as wire,
};

pub use self::standing::GroupStanding;
use crate::{
    Agent, GroupError,
    conflicts::retry_conflicts,
    limits,
    printable::steers,
    records::{ContentRecord, DraftRecord, GroupKeyRecord, GroupRecord, SentRecord, group_key_key},
    schemes::DraftScheme,
    store::{Changes, StoreAccessError, Versioned},
};

/// A group, as far as this agent knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id, which the relay sees on the group's messages.
    pub id: GroupId,
    /// What its founder calls it. Others may call theirs the same.
    pub name: String,
    /// Who says who belongs to it.
    pub founder: AgentId,
    /// Who belongs to it, ascending; the founder does.
    pub members: Vec<AgentId>,
    /// The epoch of the newest key.
    pub epoch: u32,
    /// Whether this agent belongs to it.
    pub standing: GroupStanding,
}

impl fmt::Debug for Group {
    /// Shows neither the name nor who belongs to it, which travel sealed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Group")
            .field("id", &self.id)
            .field("members", &self.members.len())
            .field("epoch", &self.epoch)
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

/// A change to a group, and how far the members have heard of it. What waits here goes out with a later round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChange {
    /// The group as it is now.
    pub group: Group,
    /// Messages to members that the relay has accepted.
    pub accepted: usize,
    /// Messages to members that wait here.
    pub kept: usize,
}

/// How a founder changes a group.
enum Change<'a> {
    Add(&'a [AgentId]),
    Remove(&'a [AgentId]),
    /// Begins an epoch so many further on, and a revision as many.
    Rotate(u32),
}

impl Agent {
    /// Founds a group, and hands its first key to the members, if there are others.
    ///
    /// # Errors
    /// [`GroupError`]; nothing has changed.
    pub async fn create_group(&self, name: &str, members: &[AgentId]) -> Result<GroupChange, GroupError> {
        let name = clear_name(name)?;
        // Of two processes that found groups of one name, the second finds it taken.
        let turn = self.turns.take().await?;
        let known = self.group_rows().await?;
        self.check_new_group(&name, &known)?;
        let mut nonce = [0; 16];
        self.primitives.fill_random(&mut nonce)?;
        let mut agents = members.to_vec();
        agents.push(self.id());
        agents.sort_unstable();
        agents.dedup();
        let members = agents.into_iter().map(|agent| Member { agent, since: 1 }).collect();
        let roster = Roster::new(nonce, name, 1, members)?;
        let id = roster.group(&self.id());
        let key = GroupKey::generate(self.primitives.as_ref(), id, 0)?;
        let mut changes = Changes::default();
        self.forget_one_that_ended(&known, &mut changes).await?;
        let record = GroupRecord { founder: self.id(), roster, epoch: 0, standing: GroupStanding::Member };
        changes.insert(id.0, &record);
        changes.insert(group_key_key(id, 0), &GroupKeyRecord { key: key.encode(), retired: None });
        let messages = self.hand_over(&mut changes, &record, &key)?;
        self.store.commit(changes).await?;
        drop(turn);
        self.told(id, &messages).await
    }

    /// The groups that this agent belongs to, or has belonged to.
    ///
    /// # Errors
    /// [`GroupError::State`], [`GroupError::Damaged`].
    pub async fn groups(&self) -> Result<Vec<Group>, GroupError> {
        let rows = self.group_rows().await?;
        rows.iter().map(group_of).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// [`GroupError::Unknown`], [`GroupError::State`], [`GroupError::Damaged`].
    pub async fn group(&self, id: GroupId) -> Result<Group, GroupError> {
        group_of(&self.group_row(id).await?)
    }

    /// Makes agents members of a group that this agent has founded, and hands them the key of now; the others learn of them.
    /// Those who are members get it once more.
    ///
    /// # Errors
    /// [`GroupError`]; nothing has changed.
    pub async fn add_to_group(&self, id: GroupId, agents: &[AgentId]) -> Result<GroupChange, GroupError> {
        self.change_group(id, &Change::Add(agents)).await
    }

    /// Removes members from a group that this agent has founded: a new epoch begins, whose key goes to all that remain. What
    /// was sent before, those who are removed can read.
    ///
    /// # Errors
    /// [`GroupError`]; nothing has changed.
    pub async fn remove_from_group(&self, id: GroupId, agents: &[AgentId]) -> Result<GroupChange, GroupError> {
        self.change_group(id, &Change::Remove(agents)).await
    }

    /// Begins a new epoch of a group that this agent has founded: whoever has taken an earlier key reads nothing that is sent
    /// from now on.
    ///
    /// # Errors
    /// [`GroupError`]; nothing has changed.
    pub async fn rotate_group(&self, id: GroupId) -> Result<GroupChange, GroupError> {
        self.change_group(id, &Change::Rotate(1)).await
    }

    /// Leaves a group: its keys are erased here, and the founder is asked to go on without this agent. A founder that leaves
    /// dissolves the group, and its members are told.
    ///
    /// # Errors
    /// [`GroupError`]; nothing has changed.
    pub async fn leave_group(&self, id: GroupId) -> Result<GroupChange, GroupError> {
        let messages = retry_conflicts(|| self.try_leave_group(id)).await?;
        self.told(id, &messages).await
    }

    async fn change_group(&self, id: GroupId, change: &Change<'_>) -> Result<GroupChange, GroupError> {
        let messages = retry_conflicts(|| async {
            let row = self.group_row(id).await?;
            let mut changes = Changes::default();
            let messages = self.change_into(&mut changes, &row, change).await?;
            self.store.commit(changes).await?;
            Ok::<_, GroupError>(messages)
        })
        .await?;
        self.told(id, &messages).await
    }

    /// Notes a change among `changes`, and the messages that tell of it.
    async fn change_into(
        &self,
        changes: &mut Changes,
        row: &Versioned<GroupRecord>,
        change: &Change<'_>,
    ) -> Result<Vec<MessageId>, GroupError> {
        let known = &row.value;
        if known.founder != self.id() {
            return Err(GroupError::NotFounder);
        }
        if known.standing != GroupStanding::Member {
            return Err(GroupError::Ended);
        }
        let id = known.roster.group(&known.founder);
        let step = if let Change::Rotate(step) = change { *step } else { 1 };
        let revision = known.roster.revision.checked_add(step.into()).ok_or(GroupError::Exhausted)?;
        let mut members = known.roster.members().to_vec();
        let mut messages = Vec::new();
        match change {
            Change::Add(agents) => {
                for agent in *agents {
                    if known.roster.member(agent).is_none() && !members.iter().any(|known| known.agent == *agent) {
                        members.push(Member { agent: *agent, since: revision });
                    }
                }
            }
            Change::Remove(agents) => {
                for agent in *agents {
                    if *agent == self.id() {
                        return Err(GroupError::FounderStays);
                    }
                    let member = *known.roster.member(agent).ok_or(GroupError::NotMember(*agent))?;
                    members.retain(|known| known.agent != *agent);
                    let ended = GroupNotice::End(EndedMembership { group: id, since: member.since });
                    messages.push(self.draft_notice(changes, *agent, ended)?);
                }
            }
            Change::Rotate(_) => {}
        }
        let roster = Roster::new(known.roster.nonce, known.roster.name.clone(), revision, members)?;
        let (epoch, key) = match change {
            Change::Add(_) => (known.epoch, self.newest_key(row).await?),
            Change::Remove(_) | Change::Rotate(_) => {
                let epoch = epoch_of(row)?.checked_add(step).ok_or(GroupError::Exhausted)?;
                let key = GroupKey::generate(self.primitives.as_ref(), id, epoch)?;
                self.make_room_for_key(id, epoch, limits::GROUP_EPOCHS, changes).await?;
                changes.insert(group_key_key(id, epoch), &GroupKeyRecord { key: key.encode(), retired: None });
                self.retire_group_keys(changes, id, epoch).await?;
                (epoch.into(), key)
            }
        };
        let record = GroupRecord { roster, epoch, ..known.clone() };
        changes.replace(row, &record);
        messages.extend(self.hand_over(changes, &record, &key)?);
        Ok(messages)
    }

    /// Begins, in the same commit as `changes`, an epoch of every group of this agent's that no other copy of the agent can
    /// have begun: members refuse what contradicts a roster or key that they have.
    pub(crate) async fn outpace_copies(&self, changes: &mut Changes) -> Result<(), GroupError> {
        for row in self.group_rows().await? {
            if row.value.founder == self.id() && row.value.standing == GroupStanding::Member {
                match self.change_into(changes, &row, &Change::Rotate(limits::COPY_GAP)).await {
                    Err(GroupError::Exhausted) => {
                        tracing::warn!(key = ?row.key, "a group has had all its epochs, and is left as it is");
                    }
                    result => drop(result?),
                }
            }
        }
        Ok(())
    }

    async fn try_leave_group(&self, id: GroupId) -> Result<Vec<MessageId>, GroupError> {
        let row = self.group_row(id).await?;
        if row.value.standing != GroupStanding::Member {
            return Err(GroupError::Ended);
        }
        let mut changes = Changes::default();
        changes.replace(&row, &GroupRecord { standing: GroupStanding::Left, ..row.value.clone() });
        for key in self.store.list::<GroupKeyRecord>(&id.0, &[], limits::GROUP_EPOCHS).await? {
            changes.delete(&key);
        }
        let (founder, roster) = (row.value.founder, &row.value.roster);
        let mut messages = Vec::new();
        for member in roster.members() {
            // A member tells the founder of itself; the founder tells each member of it.
            let (to, since) = match founder == self.id() {
                true if member.agent != founder => (member.agent, member.since),
                false if member.agent == self.id() => (founder, member.since),
                _ => continue,
            };
            let ended = GroupNotice::End(EndedMembership { group: id, since });
            messages.push(self.draft_notice(&mut changes, to, ended)?);
        }
        self.store.commit(changes).await?;
        Ok(messages)
    }

    /// Drafts for all members but the founder, which are committed with what they tell of.
    fn hand_over(
        &self,
        changes: &mut Changes,
        group: &GroupRecord,
        key: &GroupKey,
    ) -> Result<Vec<MessageId>, GroupError> {
        let mut messages = Vec::new();
        for member in group.roster.members().iter().filter(|member| member.agent != group.founder) {
            let key = GroupKey::decode(&key.encode())?;
            let notice = GroupNotice::Key(HandOver { roster: group.roster.clone(), key });
            messages.push(self.draft_notice(changes, member.agent, notice)?);
        }
        Ok(messages)
    }

    fn draft_notice(&self, changes: &mut Changes, to: AgentId, notice: GroupNotice) -> Result<MessageId, GroupError> {
        let id = self.next_message_id()?;
        let created = id.timestamp();
        let room = notice.room();
        let draft = DraftRecord {
            recipients: vec![to],
            priority: Priority::Normal,
            created,
            expires: created.saturating_add(wire::MESSAGE_LIFE),
            scheme: DraftScheme::Ratchet,
            retention: None,
            content: ContentRecord::Payload(encode_secret(room, |writer| Ordinary::Group(notice).encode(writer))),
        };
        changes.insert(id.as_bytes().as_slice(), &draft);
        Ok(id)
    }

    /// Tries to send what tells of a change, which is durable here.
    async fn told(&self, id: GroupId, messages: &[MessageId]) -> Result<GroupChange, GroupError> {
        if !messages.is_empty() {
            self.introduce().await?;
            if let Err(error) = self.flush(None).await {
                tracing::warn!(group = %id, %error, "what the group's members are to hear waits here");
            }
        }
        let mut accepted = 0;
        for message in messages {
            accepted += usize::from(self.store.find::<SentRecord>(message.as_bytes()).await?.is_some());
        }
        Ok(GroupChange { group: self.group(id).await?, accepted, kept: messages.len() - accepted })
    }

    pub(crate) async fn newest_key(&self, row: &Versioned<GroupRecord>) -> Result<GroupKey, GroupError> {
        let id = row.value.roster.group(&row.value.founder);
        let key = self.group_key(id, epoch_of(row)?).await?;
        key.ok_or(GroupError::Damaged(DecodeError::Invalid { field: "a group", reason: "without its newest key" }))
    }

    /// The key of an epoch, if it is here.
    pub(crate) async fn group_key(&self, group: GroupId, epoch: u32) -> Result<Option<GroupKey>, GroupError> {
        let row = self.store.find::<GroupKeyRecord>(&group_key_key(group, epoch)).await?;
        Ok(row.map(|row| GroupKey::decode(&row.value.key)).transpose()?)
    }

    /// Notes among `changes` that the keys of epochs before `epoch` have a successor.
    async fn retire_group_keys(&self, changes: &mut Changes, id: GroupId, epoch: u32) -> Result<(), StoreAccessError> {
        let now = self.clock.now();
        for row in self.store.list::<GroupKeyRecord>(&id.0, &[], limits::GROUP_EPOCHS).await? {
            if row.value.retired.is_none() && row.key < group_key_key(id, epoch) {
                changes.replace(&row, &GroupKeyRecord { retired: Some(now), ..row.value.clone() });
            }
        }
        Ok(())
    }

    async fn group_rows(&self) -> Result<Vec<Versioned<GroupRecord>>, StoreAccessError> {
        self.store.list(&[], &[], limits::KEPT_GROUPS).await
    }

    /// Whoever founds a group chooses its name, and can choose another. What others call theirs takes none away.
    fn check_new_group(&self, name: &GroupName, known: &[Versioned<GroupRecord>]) -> Result<(), GroupError> {
        if room::memberships(known).count() >= limits::GROUPS {
            return Err(GroupError::TooMany);
        }
        match room::memberships(known).find(|group| group.founder == self.id() && group.roster.name == *name) {
            Some(group) => {
                let id = group.roster.group(&group.founder);
                Err(GroupError::NameTaken { name: name.to_string(), group: id })
            }
            None => Ok(()),
        }
    }

    pub(crate) async fn group_row(&self, id: GroupId) -> Result<Versioned<GroupRecord>, GroupError> {
        self.store.find(&id.0).await?.ok_or(GroupError::Unknown(id))
    }
}

/// A name that its founder can tell from others and type again. Others may call theirs as they like.
fn clear_name(text: &str) -> Result<GroupName, GroupError> {
    let name = GroupName::new(text)?;
    let is_clear = text.trim() == text && !text.contains(steers) && text.parse::<GroupId>().is_err();
    if is_clear { Ok(name) } else { Err(GroupError::UnclearName(text.to_owned())) }
}

fn epoch_of(row: &Versioned<GroupRecord>) -> Result<u32, DecodeError> {
    u32::try_from(row.value.epoch).map_err(|_| DecodeError::Invalid { field: "an epoch", reason: "beyond 32 bits" })
}

fn group_of(row: &Versioned<GroupRecord>) -> Result<Group, GroupError> {
    let GroupRecord { founder, roster, standing, .. } = &row.value;
    Ok(Group {
        id: roster.group(founder),
        name: roster.name.to_string(),
        founder: *founder,
        members: roster.members().iter().map(|member| member.agent).collect(),
        epoch: epoch_of(row)?,
        standing: *standing,
    })
}
