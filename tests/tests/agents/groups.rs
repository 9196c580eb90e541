//! Groups that share a key: who gets which key, and whose word changes a group.

use std::time::Duration;

use sealpost_agent::{Event, Group, GroupChange, GroupError, GroupStanding};
use sealpost_api::v1;
use sealpost_crypto::{EndedMembership, GroupKey, GroupName, GroupNotice, HandOver, Member, Roster, SystemPrimitives};
use sealpost_protocol::{AgentId, GroupId};
use sealpost_tests::{
    ScriptedRelay, SdkAgent, TestRelay,
    plain::{Carrier, Grpc, PlainAgent, log_in},
    within,
};

/// The area of group keys in the store, as `crates/agent` numbers it.
const GROUP_KEYS: u8 = 33;

struct Trio {
    _relay: TestRelay,
    alice: SdkAgent,
    bob: SdkAgent,
    carol: SdkAgent,
}

impl Trio {
    async fn new() -> Self {
        let relay = TestRelay::start().await;
        let [alice, bob, carol] = [
            SdkAgent::new(&relay.origin()).await,
            SdkAgent::new(&relay.origin()).await,
            SdkAgent::new(&relay.origin()).await,
        ];
        Self { _relay: relay, alice, bob, carol }
    }

    /// A group of all three, of which all three know.
    async fn with_group() -> (Self, GroupId) {
        let trio = Self::new().await;
        let change = trio.alice.create_group("team", &[trio.bob.id(), trio.carol.id()]).await.unwrap();
        assert_eq!((change.accepted, change.kept), (2, 0));
        trio.sync().await;
        (trio, change.group.id)
    }

    async fn sync(&self) {
        for agent in [&self.alice, &self.bob, &self.carol] {
            assert_eq!(agent.sync_inbox().await.len(), 0, "what is for the runtime is not shown");
        }
    }
}

/// The epochs whose keys an agent has.
fn epochs(agent: &SdkAgent, group: GroupId) -> Vec<u32> {
    let epoch = |(key, _): (Vec<u8>, usize)| u32::from_be_bytes(key[16..].try_into().unwrap());
    agent.stored(GROUP_KEYS, &group.0).into_iter().map(epoch).collect()
}

fn sorted(mut agents: Vec<AgentId>) -> Vec<AgentId> {
    agents.sort_unstable();
    agents
}

async fn events(agent: &SdkAgent) -> Vec<Event> {
    let noted = agent.events(100).await.unwrap();
    agent.take_events(&noted).await.unwrap();
    noted.into_iter().map(|noted| noted.event).collect()
}

async fn settle(change: GroupChange, agents: &[&SdkAgent]) -> Group {
    assert_eq!(change.kept, 0);
    for agent in agents {
        agent.sync_inbox().await;
    }
    change.group
}

#[tokio::test]
async fn a_group_is_founded_grows_shrinks_and_its_keys_go_to_members_alone() {
    let trio = Trio::new().await;
    let (alice, bob, carol) = (&trio.alice, &trio.bob, &trio.carol);
    let team = settle(alice.create_group("team", &[bob.id()]).await.unwrap(), &[bob, carol]).await;
    assert_eq!((team.members.clone(), team.epoch), (sorted(vec![alice.id(), bob.id()]), 0));
    assert_eq!(bob.groups().await.unwrap(), std::slice::from_ref(&team));
    assert_eq!(carol.groups().await.unwrap(), []);
    assert_eq!(events(bob).await, [Event::JoinedGroup { group: team.id, founder: alice.id() }]);

    let team = settle(alice.add_to_group(team.id, &[carol.id()]).await.unwrap(), &[bob, carol]).await;
    assert_eq!((team.members.len(), team.epoch), (3, 0), "the key of now is handed over");
    assert_eq!((bob.group(team.id).await.unwrap(), carol.group(team.id).await.unwrap()), (team.clone(), team.clone()));

    let team = settle(alice.remove_from_group(team.id, &[carol.id()]).await.unwrap(), &[bob, carol]).await;
    assert_eq!((team.members.len(), team.epoch), (2, 1), "removing begins an epoch");
    assert_eq!(bob.group(team.id).await.unwrap(), team);
    assert_eq!((epochs(bob, team.id), epochs(carol, team.id)), (vec![0, 1], vec![0]));
    assert_eq!(carol.group(team.id).await.unwrap().standing, GroupStanding::Removed);
    assert!(events(carol).await.contains(&Event::RemovedFromGroup { group: team.id, founder: alice.id() }));

    let team = settle(alice.rotate_group(team.id).await.unwrap(), &[bob, carol]).await;
    assert_eq!((team.epoch, epochs(bob, team.id), epochs(carol, team.id)), (2, vec![0, 1, 2], vec![0]));
    let back = settle(alice.add_to_group(team.id, &[carol.id()]).await.unwrap(), &[bob, carol]).await;
    assert_eq!((carol.group(team.id).await.unwrap(), epochs(carol, team.id)), (back, vec![0, 2]));
}

#[tokio::test]
async fn a_member_that_leaves_forgets_the_keys_and_the_founder_begins_an_epoch_without_it() {
    let (trio, team) = Trio::with_group().await;
    let (alice, bob, carol) = (&trio.alice, &trio.bob, &trio.carol);
    let left = settle(carol.leave_group(team).await.unwrap(), &[alice, alice, bob, carol]).await;
    assert_eq!((left.standing, epochs(carol, team)), (GroupStanding::Left, vec![]));
    assert!(events(alice).await.contains(&Event::LeftGroup { group: team, member: carol.id() }));
    let team_now = alice.group(team).await.unwrap();
    assert_eq!((team_now.members.clone(), team_now.epoch), (sorted(vec![alice.id(), bob.id()]), 1));
    assert_eq!((bob.group(team).await.unwrap(), epochs(bob, team)), (team_now, vec![0, 1]));
    assert!(matches!(carol.leave_group(team).await, Err(GroupError::Ended)));

    settle(alice.add_to_group(team, &[carol.id()]).await.unwrap(), &[bob, carol]).await;
    assert_eq!((carol.group(team).await.unwrap().standing, epochs(carol, team)), (GroupStanding::Member, vec![1]));
}

#[tokio::test]
async fn a_founder_that_leaves_dissolves_its_group() {
    let (trio, team) = Trio::with_group().await;
    settle(trio.alice.leave_group(team).await.unwrap(), &[&trio.bob, &trio.carol]).await;
    for (agent, standing) in
        [(&trio.alice, GroupStanding::Left), (&trio.bob, GroupStanding::Removed), (&trio.carol, GroupStanding::Removed)]
    {
        assert_eq!(agent.group(team).await.unwrap().standing, standing);
    }
    assert!(matches!(trio.alice.rotate_group(team).await, Err(GroupError::Ended)));
}

#[tokio::test]
async fn only_the_founder_changes_a_group_and_nothing_half() {
    let (trio, team) = Trio::with_group().await;
    let (alice, bob, stranger) = (&trio.alice, &trio.bob, AgentId::from_array([9; 32]));
    let before = alice.group(team).await.unwrap();
    assert!(matches!(bob.add_to_group(team, &[stranger]).await, Err(GroupError::NotFounder)));
    assert!(matches!(bob.rotate_group(team).await, Err(GroupError::NotFounder)));
    assert!(matches!(alice.remove_from_group(team, &[bob.id(), stranger]).await, Err(GroupError::NotMember(_))));
    assert!(matches!(alice.remove_from_group(team, &[alice.id()]).await, Err(GroupError::FounderStays)));
    assert!(matches!(alice.create_group("", &[]).await, Err(GroupError::Roster(_))));
    assert!(matches!(alice.group(GroupId([1; 16])).await, Err(GroupError::Unknown(_))));
    assert_eq!((alice.group(team).await.unwrap(), bob.group(team).await.unwrap()), (before.clone(), before));
    assert!(alice.waiting().await.unwrap().is_empty(), "nothing of it goes out");
}

#[tokio::test]
async fn a_change_made_without_a_relay_arrives_later_and_survives_a_restart_of_both_ends() {
    let mut relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let team = settle(alice.create_group("team", &[bob.id()]).await.unwrap(), &[&bob]).await.id;
    relay.kill().await;
    let change = alice.rotate_group(team).await.unwrap();
    assert_eq!((change.accepted, change.kept, change.group.epoch), (0, 1, 1));
    relay.restart().await;
    let (alice, bob) = (alice.reopen(&relay.origin()).await, bob.reopen(&relay.origin()).await);
    assert_eq!(alice.group(team).await.unwrap(), change.group);
    within("what was kept goes out", alice.sync(Duration::ZERO)).await.unwrap();
    bob.sync_inbox().await;
    assert_eq!((bob.group(team).await.unwrap(), epochs(&bob, team)), (change.group, vec![0, 1]));
}

#[tokio::test]
async fn a_founders_old_copy_outpaces_what_its_members_have() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let team = settle(alice.create_group("team", &[bob.id()]).await.unwrap(), &[&bob]).await.id;
    alice.sync_inbox().await;
    let backup = alice.backup();
    settle(alice.rotate_group(team).await.unwrap(), &[&bob]).await;
    assert_eq!(epochs(&bob, team), [0, 1]);
    drop(alice);

    let alice = SdkAgent::restored(backup, &relay.origin()).await;
    let change = alice.rotate_group(team).await.unwrap();
    assert_eq!(change.kept, 0);
    bob.sync_inbox().await;
    let (hers, his) = (alice.group(team).await.unwrap(), bob.group(team).await.unwrap());
    assert_eq!(hers, his);
    assert!(his.epoch > 1_000, "no epoch of the copy was used by the original");
    let refused = alice.events(100).await.unwrap();
    let refused = refused.iter().filter(|noted| matches!(noted.event, Event::Failed { .. })).count();
    assert!(refused <= 1, "at most what was sealed before the copy was found out");
}

#[tokio::test]
async fn keys_that_were_followed_by_others_are_erased_after_a_month() {
    let (relay, clock) = ScriptedRelay::with_clock().await;
    let alice = SdkAgent::by_clock(relay.origin(), &clock).await;
    let team = alice.create_group("team", &[]).await.unwrap().group.id;
    alice.rotate_group(team).await.unwrap();
    alice.sync(Duration::ZERO).await.unwrap();
    assert_eq!(epochs(&alice, team), [0, 1]);
    clock.advance(Duration::from_secs(31 * 24 * 3600));
    alice.sync(Duration::ZERO).await.unwrap();
    assert_eq!(epochs(&alice, team), [0, 1], "a message of the last day still opens");
    clock.advance(Duration::from_secs(24 * 3600));
    alice.sync(Duration::ZERO).await.unwrap();
    assert_eq!(epochs(&alice, team), [1]);
}

/// A founder that says what it likes, to a Bob that listens.
struct Founder {
    agent: PlainAgent,
    carrier: Grpc,
    bob: SdkAgent,
    relay: TestRelay,
}

impl Founder {
    async fn new() -> Self {
        let relay = TestRelay::start().await;
        let bob = SdkAgent::new(&relay.origin()).await;
        Self::to(bob, relay).await
    }

    async fn to(bob: SdkAgent, relay: TestRelay) -> Self {
        let mut agent = PlainAgent::new();
        let mut carrier: Grpc = log_in(&relay.origin(), &agent.identity).await;
        carrier.upload_prekeys(agent.prekeys()).await.unwrap();
        agent.open_session(bob.id(), carrier.claim_bundle(bob.id(), [1; 16]).await.unwrap());
        Self { agent, carrier, bob, relay }
    }

    /// A roster with these members beside the founder, all since the first revision.
    fn roster(&self, revision: u64, others: &[AgentId]) -> Roster {
        let member = |agent: &AgentId| Member { agent: *agent, since: 1 };
        let members = others.iter().chain([&self.agent.id()]).map(member).collect();
        Roster::new([7; 16], GroupName::new("team").unwrap(), revision, members).unwrap()
    }

    fn key(&self, epoch: u32) -> GroupKey {
        GroupKey::generate(&SystemPrimitives, self.roster(1, &[]).group(&self.agent.id()), epoch).unwrap()
    }

    /// Says it, and returns what Bob signed for.
    async fn says(&mut self, notice: GroupNotice) -> (String, String) {
        let (id, request) = self.agent.seal_plaintext(self.bob.id(), &notice.to_plaintext());
        self.carrier.send(request).await.unwrap();
        assert_eq!(self.bob.sync_inbox().await.len(), 0);
        let request = v1::GetStatusRequest { sender: String::new(), message_id: id.to_string() };
        let status = self.carrier.status(request).await.unwrap().remove(0);
        (status.state, status.reason)
    }

    async fn hands_over(&mut self, roster: Roster, key: &GroupKey) -> (String, String) {
        let key = GroupKey::decode(&key.encode()).unwrap();
        self.says(GroupNotice::Key(HandOver { roster, key })).await
    }

    /// Founds a group of its own with Bob, one for each number.
    async fn founds(&mut self, number: u8) -> (GroupId, (String, String)) {
        let member = |agent| Member { agent, since: 1 };
        let members = vec![member(self.bob.id()), member(self.agent.id())];
        let roster = Roster::new([number; 16], GroupName::new("team").unwrap(), 1, members).unwrap();
        let group = roster.group(&self.agent.id());
        let key = GroupKey::generate(&SystemPrimitives, group, 0).unwrap();
        (group, self.hands_over(roster, &key).await)
    }
}

fn taken() -> (String, String) {
    ("delivered".to_owned(), String::new())
}

fn refused() -> (String, String) {
    ("failed".to_owned(), "refused-policy".to_owned())
}

#[tokio::test]
async fn what_contradicts_an_earlier_hand_over_is_refused_and_what_comes_late_is_kept_to_read_with() {
    let mut founder = Founder::new().await;
    let (bob, carol) = (founder.bob.id(), AgentId::from_array([3; 32]));
    let keys = [founder.key(0), founder.key(1), founder.key(2)];
    let (first, third) = (founder.roster(1, &[bob]), founder.roster(3, &[bob, carol]));
    let team = keys[0].group;

    assert_eq!(founder.hands_over(first.clone(), &keys[0]).await, taken());
    assert_eq!(founder.hands_over(first.clone(), &keys[0]).await, taken(), "the same once more");
    let (same_epoch, other_roster) = (founder.key(0), founder.roster(1, &[bob, carol]));
    assert_eq!(founder.hands_over(first.clone(), &same_epoch).await, refused(), "another key of the epoch");
    assert_eq!(founder.hands_over(other_roster, &keys[0]).await, refused(), "another roster of the revision");
    assert_eq!(founder.hands_over(third.clone(), &keys[2]).await, taken());
    assert_eq!(founder.hands_over(founder.roster(2, &[bob]), &keys[1]).await, taken(), "late");
    assert_eq!(epochs(&founder.bob, team), [0, 1, 2]);
    let (late, back) = (founder.roster(2, &[bob]), founder.roster(4, &[bob]));
    assert_eq!(founder.hands_over(late, &founder.key(3)).await, refused(), "a later epoch of an earlier revision");
    assert_eq!(founder.hands_over(back, &keys[1]).await, refused(), "an epoch goes back");
    assert_eq!(founder.hands_over(founder.roster(4, &[carol]), &keys[2]).await, refused(), "Bob is no member");

    let group = founder.bob.group(team).await.unwrap();
    assert_eq!((group.members, group.epoch), (sorted(vec![bob, carol, founder.agent.id()]), 2), "the third stands");
    assert_eq!(epochs(&founder.bob, team), [0, 1, 2]);
    let bob_again = founder.bob.reopen(&founder.relay.origin()).await;
    assert_eq!(bob_again.group(team).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn a_hand_over_by_another_than_the_founder_is_refused() {
    let mut founder = Founder::new().await;
    let (relay, bob) = (founder.relay.origin(), founder.bob.id());
    let alice = SdkAgent::new(&relay).await;
    let team = alice.create_group("team", &[bob, founder.agent.id()]).await.unwrap().group;
    founder.bob.sync_inbox().await;
    // A member, and whoever else knows the group's id, speaks for it with a roster of its own.
    let key = GroupKey::generate(&SystemPrimitives, team.id, 1).unwrap();
    assert_eq!(founder.hands_over(founder.roster(2, &[bob]), &key).await, refused());
    let ended = GroupNotice::End(EndedMembership { group: team.id, since: 1 });
    assert_eq!(founder.says(ended).await, refused());
    assert_eq!(founder.bob.group(team.id).await.unwrap(), team);
    assert_eq!(epochs(&founder.bob, team.id), [0]);
}

#[tokio::test]
async fn a_stranger_has_few_groups_and_one_that_has_ended_or_a_word_to_the_stranger_makes_room() {
    let mut founder = Founder::new().await;
    let mut groups = Vec::new();
    for number in 0..8 {
        let (group, answer) = founder.founds(number).await;
        assert_eq!(answer, taken());
        groups.push(group);
    }
    assert_eq!(founder.founds(8).await.1, refused(), "the ninth of a stranger");
    assert_eq!(founder.bob.groups().await.unwrap().len(), 8);

    founder.bob.leave_group(groups[0]).await.unwrap();
    assert_eq!(founder.founds(9).await.1, taken(), "one was left");
    assert_eq!(founder.founds(10).await.1, refused(), "leaving a group is no word to its founder");
    let ended = GroupNotice::End(EndedMembership { group: groups[1], since: 1 });
    assert_eq!(founder.says(ended).await, taken());
    assert_eq!(founder.founds(11).await.1, taken(), "one was ended");
    assert_eq!(founder.founds(12).await.1, refused());

    founder.bob.send_text(founder.agent.id(), "hello").await;
    assert_eq!(founder.founds(13).await.1, taken(), "it is no stranger any more");
    assert_eq!(founder.founds(14).await.1, taken());
}

#[tokio::test]
async fn all_strangers_together_leave_room_for_the_groups_of_others() {
    let mut founder = Founder::new().await;
    let friend = SdkAgent::new(&founder.relay.origin()).await;
    let mut joined = 0;
    for number in 0..100 {
        if number > 0 && number % 8 == 0 {
            founder = Founder::to(founder.bob, founder.relay).await;
        }
        let (_, answer) = founder.founds(number).await;
        assert_eq!(answer, taken());
        joined += 1;
    }
    assert_eq!(founder.founds(100).await.1, refused(), "the fourth of this one, and too many of all");
    founder = Founder::to(founder.bob, founder.relay).await;
    assert_eq!(founder.founds(101).await.1, refused(), "whoever it is");
    founder.bob.send_text(friend.id(), "hello").await;
    let team = friend.create_group("friends", &[founder.bob.id()]).await.unwrap().group;
    founder.bob.sync_inbox().await;
    assert_eq!(founder.bob.group(team.id).await.unwrap().standing, GroupStanding::Member);
    assert_eq!(founder.bob.groups().await.unwrap().len(), joined + 1);
}

#[tokio::test]
async fn the_end_of_an_earlier_membership_ends_no_later_one() {
    let mut founder = Founder::new().await;
    let (bob, key) = (founder.bob.id(), founder.key(0));
    assert_eq!(founder.hands_over(founder.roster(1, &[bob]), &key).await, taken());
    let ends = |since| GroupNotice::End(EndedMembership { group: key.group, since });
    assert_eq!(founder.says(ends(0)).await, taken());
    assert_eq!(founder.bob.group(key.group).await.unwrap().standing, GroupStanding::Member);
    assert_eq!(founder.says(ends(1)).await, taken());
    assert_eq!(founder.bob.group(key.group).await.unwrap().standing, GroupStanding::Removed);
    assert_eq!(founder.hands_over(founder.roster(2, &[bob]), &key).await, taken(), "told, and of no effect");
    assert_eq!(founder.bob.group(key.group).await.unwrap().standing, GroupStanding::Removed);
}
