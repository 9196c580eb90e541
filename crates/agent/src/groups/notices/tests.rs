use sealpost_crypto::{GroupKey, GroupName, KeyFileProvider, Member, Roster, SystemPrimitives};
use tempfile::TempDir;

use super::*;
use crate::MasterKeySource;

const FOUNDER: AgentId = AgentId::from_array([9; 32]);

async fn agent() -> (TempDir, Agent) {
    let folder = tempfile::tempdir().unwrap();
    let key = MasterKeySource::Provider(Box::new(KeyFileProvider::from_contents(&[7; 32]).unwrap()));
    let agent = Agent::create(&folder.path().join("agent"), key).await.unwrap();
    (folder, agent)
}

/// The key of an epoch, with a roster of a revision.
fn hand_over(agent: &Agent, nonce: u8, revision: u64, epoch: u32) -> HandOver {
    let mut members = vec![Member { agent: FOUNDER, since: 1 }, Member { agent: agent.id(), since: 1 }];
    members.sort_by_key(|member| member.agent);
    let roster = Roster::new([nonce; 16], GroupName::new("team").unwrap(), revision, members).unwrap();
    let key = GroupKey::generate(&SystemPrimitives, roster.group(&FOUNDER), epoch).unwrap();
    HandOver { roster, key }
}

async fn take_in(agent: &Agent, notice: GroupNotice) -> bool {
    let mut changes = Changes::default();
    let taken = agent.take_in_notice(FOUNDER, notice, &mut changes).await.is_ok();
    if taken {
        agent.store.commit(changes).await.unwrap();
    }
    taken
}

async fn epochs(agent: &Agent, group: GroupId) -> Vec<u32> {
    let keys = agent.store.list::<GroupKeyRecord>(&group.0, &[], usize::MAX).await.unwrap();
    keys.iter().map(|row| u32::from_be_bytes(*row.key.last_chunk().unwrap())).collect()
}

#[tokio::test]
async fn a_stranger_s_keys_make_way_for_newer_ones_and_those_of_earlier_epochs_are_refused() {
    let (_folder, agent) = agent().await;
    let limit = u32::try_from(limits::STRANGER_GROUP_EPOCHS).unwrap();
    let group = hand_over(&agent, 1, 1, 0).key.group;
    for epoch in 10..10 + limit {
        assert!(take_in(&agent, GroupNotice::Key(hand_over(&agent, 1, u64::from(epoch), epoch))).await);
    }
    assert_eq!(epochs(&agent, group).await, (10..10 + limit).collect::<Vec<_>>());
    assert!(
        !take_in(&agent, GroupNotice::Key(hand_over(&agent, 1, 1, 9))).await,
        "there is no room for what was before"
    );
    assert!(take_in(&agent, GroupNotice::Key(hand_over(&agent, 1, 100, 100))).await);
    let expected: Vec<_> = (11..10 + limit).chain([100]).collect();
    assert_eq!(epochs(&agent, group).await, expected, "the earliest went");
    agent.set_contact("founder", FOUNDER).await.unwrap();
    assert!(take_in(&agent, GroupNotice::Key(hand_over(&agent, 1, 101, 101))).await);
    assert_eq!(epochs(&agent, group).await.len(), limits::STRANGER_GROUP_EPOCHS + 1, "of a contact more are kept");
}

#[tokio::test]
async fn a_group_that_is_forgotten_leaves_no_key_behind() {
    let (_folder, agent) = agent().await;
    let hand_over = hand_over(&agent, 1, 1, 0);
    let group = hand_over.key.group;
    assert!(take_in(&agent, GroupNotice::Key(hand_over)).await);
    assert!(take_in(&agent, GroupNotice::End(EndedMembership { group, since: 1 })).await);
    let ended = agent.group_row(group).await.unwrap();
    let mut rows = Vec::new();
    rows.resize_with(limits::KEPT_GROUPS, || Versioned {
        key: ended.key.clone(),
        version: ended.version,
        value: ended.value.clone(),
    });
    assert_eq!(epochs(&agent, group).await, [0], "late mail still opens");
    let mut changes = Changes::default();
    agent.forget_one_that_ended(&rows, &mut changes).await.unwrap();
    agent.store.commit(changes).await.unwrap();
    assert_eq!(epochs(&agent, group).await, Vec::<u32>::new());
}
