//! How many groups there is room for, and how many keys of each: of strangers few, so that they leave room for others.

use std::collections::HashMap;

use sealpost_protocol::{AgentId, GroupId};

use super::GroupStanding;
use crate::{
    Agent, SyncError, limits,
    records::{GroupKeyRecord, GroupRecord, group_key_key},
    store::{Changes, StoreAccessError, Versioned},
};

impl Agent {
    /// Whether the agent may be made a member of one more group of `founder`'s, beside those that it knows.
    pub(super) async fn has_room_for_group_of(
        &self,
        founder: AgentId,
        known: &[Versioned<GroupRecord>],
    ) -> Result<bool, SyncError> {
        if memberships(known).count() >= limits::GROUPS {
            return Ok(false);
        }
        if self.is_known(founder).await? {
            return Ok(true);
        }
        let mut founders = HashMap::<AgentId, usize>::new();
        for group in memberships(known).filter(|group| group.founder != self.id()) {
            *founders.entry(group.founder).or_default() += 1;
        }
        if founders.get(&founder).is_some_and(|groups| *groups >= limits::STRANGER_GROUPS) {
            return Ok(false);
        }
        let mut of_strangers = 0;
        for (founder, groups) in founders {
            if !self.is_known(founder).await? {
                of_strangers += groups;
            }
        }
        Ok(of_strangers < limits::STRANGERS_GROUPS)
    }

    /// Lets go, among `changes`, of a group's keys of the earliest epochs, if one more of `epoch` would be more than `limit`.
    /// Whether there is room then: not for a key of an earlier epoch than those that would have to go.
    pub(super) async fn make_room_for_key(
        &self,
        group: GroupId,
        epoch: u32,
        limit: usize,
        changes: &mut Changes,
    ) -> Result<bool, StoreAccessError> {
        let keys = self.store.list::<GroupKeyRecord>(&group.0, &[], limits::GROUP_EPOCHS).await?;
        let surplus = (keys.len() + 1).saturating_sub(limit);
        let earliest = keys.get(..surplus).unwrap_or(&keys);
        if earliest.last().is_some_and(|last| last.key > group_key_key(group, epoch)) {
            return Ok(false);
        }
        for key in earliest {
            changes.delete(key);
        }
        Ok(true)
    }

    /// Forgets a group whose membership has ended, and its keys, among `changes`, if one more would be too many to keep. What is
    /// lost beside late mail is that a hand-over of that membership which is still on its way would begin it again.
    pub(super) async fn forget_one_that_ended(
        &self,
        known: &[Versioned<GroupRecord>],
        changes: &mut Changes,
    ) -> Result<(), StoreAccessError> {
        let Some(ended) = one_to_forget(known) else { return Ok(()) };
        for key in self.store.list::<GroupKeyRecord>(&ended.key, &[], limits::GROUP_EPOCHS).await? {
            changes.delete(&key);
        }
        changes.delete(ended);
        Ok(())
    }
}

/// The groups that the agent belongs to.
pub(super) fn memberships(known: &[Versioned<GroupRecord>]) -> impl Iterator<Item = &GroupRecord> {
    known.iter().map(|row| &row.value).filter(|group| group.standing == GroupStanding::Member)
}

fn one_to_forget(known: &[Versioned<GroupRecord>]) -> Option<&Versioned<GroupRecord>> {
    let is_full = known.len() >= limits::KEPT_GROUPS;
    known.iter().find(|row| is_full && row.value.standing != GroupStanding::Member)
}

#[cfg(test)]
mod tests {
    use sealpost_crypto::{GroupName, Member, Roster};

    use super::*;

    fn row(number: usize, standing: GroupStanding) -> Versioned<GroupRecord> {
        let founder = AgentId::from_array([1; 32]);
        let members = vec![Member { agent: founder, since: 1 }];
        let roster = Roster::new([7; 16], GroupName::new("team").unwrap(), 1, members).unwrap();
        let value = GroupRecord { founder, roster, epoch: 0, standing };
        Versioned { key: number.to_be_bytes().to_vec(), version: 1, value }
    }

    #[test]
    fn an_ended_membership_makes_way_once_too_many_are_kept_and_a_membership_never() {
        let mut rows: Vec<_> = (1..limits::KEPT_GROUPS).map(|number| row(number, GroupStanding::Member)).collect();
        rows.push(row(0, GroupStanding::Left));
        assert_eq!(one_to_forget(&rows[1..]).map(|row| &row.key), None, "there is room");
        assert_eq!(one_to_forget(&rows).map(|row| row.key.clone()), Some(0_usize.to_be_bytes().to_vec()));
        rows.pop();
        rows.push(row(0, GroupStanding::Member));
        assert_eq!(one_to_forget(&rows).map(|row| &row.key), None);
    }
}
