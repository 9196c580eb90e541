//! What is kept of groups.

use sealpost_crypto::Roster;

use super::*;
use crate::groups::GroupStanding;

record! {
    /// A group that the agent belongs to, or has belonged to; by its id.
    GroupRecord in Group {
        founder: AgentId => value,
        /// The newest that is known.
        roster: Roster => value,
        /// The newest whose key is known.
        epoch: u64 => number,
        standing: GroupStanding => value,
    }
}

record! {
    /// A key of a group; by the group's id and the epoch.
    GroupKeyRecord in GroupKey {
        /// As [`GroupKey::encode`](sealpost_crypto::GroupKey::encode) gives it.
        key: SecretBytes => secret,
        /// When a newer one took its place.
        retired: Option<Timestamp> => option,
    }
}

/// Where the key of an epoch is kept.
pub(crate) fn group_key_key(group: GroupId, epoch: u32) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.value(&group).u32(epoch);
    writer.into_bytes()
}
