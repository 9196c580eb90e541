//! What other runtimes say of groups, taken in with the message that brings it.
//!
//! | who says it | what | becomes of it |
//! | --- | --- | --- |
//! | the founder | a roster of a greater revision, with this agent in it | it is taken, and so is its key |
//! | | one of an earlier revision | changes nothing; the key of an epoch that is not known is kept, to read what comes late |
//! | | another roster of the same revision, another key of the same epoch, an earlier epoch under a greater revision | refused |
//! | | that the membership has ended | the agent is removed; what it has stays readable for a month |
//! | a member, to the founder | that it leaves | it is removed, and a new epoch begins |
//! | anybody else | anything | refused |
//!
//! What tells of a membership that has ended since changes nothing.

use sealpost_crypto::{EndedMembership, GroupNotice, HandOver};
use sealpost_protocol::{AgentId, GroupId, RefusalReason, encoding::DecodeError};

use super::{Change, GroupStanding, epoch_of};
use crate::{
    Agent, Event, GroupError, SendError, SyncError, limits,
    records::{GroupKeyRecord, GroupRecord, group_key_key},
    sessions::NotOpened,
    store::{Changes, Versioned},
};

const REFUSED: NotOpened = NotOpened::Refused(RefusalReason::Policy);

impl Agent {
    /// Notes what `sender` says among `changes`.
    pub(crate) async fn take_in_notice(
        &self,
        sender: AgentId,
        notice: GroupNotice,
        changes: &mut Changes,
    ) -> Result<(), NotOpened> {
        match notice {
            GroupNotice::Key(hand_over) if hand_over.is_of(&sender) => {
                self.take_in_key(sender, &hand_over, changes).await
            }
            GroupNotice::Key(_) => Err(REFUSED),
            GroupNotice::End(ended) => self.take_in_end(sender, ended, changes).await,
        }
    }

    async fn take_in_key(
        &self,
        founder: AgentId,
        hand_over: &HandOver,
        changes: &mut Changes,
    ) -> Result<(), NotOpened> {
        let (roster, key) = (&hand_over.roster, &hand_over.key);
        let membership = *roster.member(&self.id()).ok_or(REFUSED)?;
        let group = key.group;
        let record =
            GroupRecord { founder, roster: roster.clone(), epoch: key.epoch.into(), standing: GroupStanding::Member };
        let known = self.store.find::<GroupRecord>(&group.0).await?;
        let Some(known) = known else {
            let rows = self.group_rows().await?;
            self.check_room(founder, &rows).await?;
            self.forget_one_that_ended(&rows, changes).await?;
            changes.insert(group.0, &record);
            self.keep_group_key(founder, hand_over, false, changes).await?;
            return Ok(self.note(changes, Event::JoinedGroup { group, founder })?);
        };
        if known.value.standing != GroupStanding::Member {
            let ended = known.value.roster.member(&self.id()).map_or(0, |member| member.since);
            if membership.since > ended {
                self.check_room(founder, &self.group_rows().await?).await?;
                changes.replace(&known, &record);
                self.keep_group_key(founder, hand_over, false, changes).await?;
                self.note(changes, Event::JoinedGroup { group, founder })?;
            }
            return Ok(());
        }
        let newest = epoch_of(&known)?;
        if roster.revision < known.value.roster.revision {
            return match key.epoch > newest {
                true => Err(REFUSED),
                false => self.keep_group_key(founder, hand_over, key.epoch < newest, changes).await,
            };
        }
        let contradicts =
            roster.revision == known.value.roster.revision && (*roster != known.value.roster || key.epoch != newest);
        if contradicts || key.epoch < newest {
            return Err(REFUSED);
        }
        self.keep_group_key(founder, hand_over, false, changes).await?;
        if roster.revision > known.value.roster.revision {
            changes.replace(&known, &record);
        }
        if key.epoch > newest {
            self.retire_group_keys(changes, group, key.epoch).await?;
        }
        Ok(())
    }

    /// Keeps a key, unless it is here; another one of its epoch is refused, and so is one of an earlier epoch than all those
    /// that there is room for.
    async fn keep_group_key(
        &self,
        founder: AgentId,
        hand_over: &HandOver,
        is_retired: bool,
        changes: &mut Changes,
    ) -> Result<(), NotOpened> {
        let key = &hand_over.key;
        let row_key = group_key_key(key.group, key.epoch);
        match self.store.find::<GroupKeyRecord>(&row_key).await? {
            Some(known) if !key.is_stored_as(&known.value.key) => Err(REFUSED),
            Some(_) => Ok(()),
            None => {
                let limit = match self.is_known(founder).await {
                    Ok(true) => limits::GROUP_EPOCHS,
                    Ok(false) => limits::STRANGER_GROUP_EPOCHS,
                    Err(error) => return Err(NotOpened::Failed(error)),
                };
                if !self.make_room_for_key(key.group, key.epoch, limit, changes).await? {
                    return Err(REFUSED);
                }
                let retired = is_retired.then(|| self.clock.now());
                changes.insert(row_key, &GroupKeyRecord { key: key.encode(), retired });
                Ok(())
            }
        }
    }

    /// Refuses one more group of a founder's for which there is no room.
    async fn check_room(&self, founder: AgentId, rows: &[Versioned<GroupRecord>]) -> Result<(), NotOpened> {
        match self.has_room_for_group_of(founder, rows).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(REFUSED),
            Err(error) => Err(NotOpened::Failed(error)),
        }
    }

    async fn take_in_end(
        &self,
        sender: AgentId,
        ended: EndedMembership,
        changes: &mut Changes,
    ) -> Result<(), NotOpened> {
        let Some(known) = self.store.find::<GroupRecord>(&ended.group.0).await? else { return Err(REFUSED) };
        let founder = known.value.founder;
        let who = if sender == founder { self.id() } else { sender };
        if founder != self.id() && founder != sender {
            return Err(REFUSED);
        }
        let membership = known.value.roster.member(&who).filter(|member| member.since == ended.since);
        if known.value.standing != GroupStanding::Member || membership.is_none() {
            return Ok(());
        }
        if sender == founder {
            self.take_in_removal(&known, ended.group, changes).await
        } else {
            self.take_in_leave(&known, sender, changes).await
        }
    }

    async fn take_in_removal(
        &self,
        known: &Versioned<GroupRecord>,
        group: GroupId,
        changes: &mut Changes,
    ) -> Result<(), NotOpened> {
        changes.replace(known, &GroupRecord { standing: GroupStanding::Removed, ..known.value.clone() });
        self.retire_group_keys(changes, group, u32::MAX).await?;
        Ok(self.note(changes, Event::RemovedFromGroup { group, founder: known.value.founder })?)
    }

    async fn take_in_leave(
        &self,
        known: &Versioned<GroupRecord>,
        member: AgentId,
        changes: &mut Changes,
    ) -> Result<(), NotOpened> {
        let group = known.value.roster.group(&known.value.founder);
        match self.change_into(changes, known, &Change::Remove(&[member])).await {
            Ok(_) => Ok(self.note(changes, Event::LeftGroup { group, member })?),
            Err(error) => Err(NotOpened::Failed(error.into())),
        }
    }
}

impl From<GroupError> for SendError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::State(error) => error.into(),
            GroupError::Damaged(error) => error.into(),
            GroupError::Primitives(error) => Self::Seal(error.into()),
            _ => DecodeError::Invalid { field: "a group", reason: "cannot be changed" }.into(),
        }
    }
}

impl From<GroupError> for SyncError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::State(error) => error.into(),
            GroupError::Damaged(error) => error.into(),
            GroupError::Primitives(error) => error.into(),
            _ => DecodeError::Invalid { field: "a group", reason: "cannot be changed" }.into(),
        }
    }
}

#[cfg(test)]
mod tests;
