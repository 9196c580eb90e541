//! What runtimes say to each other, inside the seal: control messages, and a group's hand-overs and ends of memberships.

use sealpost_protocol::MessageId;
use serde_json::{Value, json};

use super::hex;
use crate::{
    Control, EndedMembership, GroupKey, GroupName, GroupNotice, HandOver, Mark, Member, Roster,
    testing::{NOW, SeededPrimitives, TestAgent},
};

const NONCE: [u8; 16] = [0x6e; 16];

pub(super) fn vectors() -> Value {
    let [founder, other, third] = [1, 2, 3].map(|seed| TestAgent::new(seed).identity.agent_id());
    let member = |agent, since| Member { agent, since };
    let founded = Roster::new(NONCE, name(), 1, vec![member(founder, 1), member(other, 1)]).unwrap();
    let group = founded.group(&founder);
    // The second is as `founded` with one added; the third is after another was removed and a new epoch has begun.
    let rosters = [
        (founded, 0),
        (Roster::new(NONCE, name(), 2, vec![member(third, 2), member(founder, 1), member(other, 1)]).unwrap(), 0),
        (Roster::new(NONCE, name(), 3, vec![member(founder, 1), member(third, 2)]).unwrap(), 1),
    ];
    let ended = EndedMembership { group, since: 1 };
    json!({
        "founder": hex(founder.as_bytes()),
        "nonce": hex(NONCE),
        "group": hex(group.0),
        "group_name": name().as_str(),
        "hand_overs": rosters.map(|(roster, epoch)| hand_over(roster, &founder, epoch)),
        "end": { "since": ended.since, "plaintext": hex(GroupNotice::End(ended).to_plaintext().as_bytes()) },
        "controls": controls(),
    })
}

fn name() -> GroupName {
    GroupName::new("Größe 7").unwrap()
}

fn hand_over(roster: Roster, founder: &sealpost_protocol::AgentId, epoch: u32) -> Value {
    let randomness = SeededPrimitives::new(50 + u64::from(epoch));
    let key = GroupKey::generate(&randomness, roster.group(founder), epoch).unwrap();
    let members: Vec<Value> = roster.members().iter().map(|member| hex(member.agent.as_bytes())).collect();
    let since: Vec<u64> = roster.members().iter().map(|member| member.since).collect();
    json!({
        "revision": roster.revision,
        "members": members,
        "since": since,
        "epoch": epoch,
        "secret": hex(key.encode().last_chunk::<32>().unwrap()),
        "plaintext": hex(GroupNotice::Key(HandOver { roster, key }).to_plaintext().as_bytes()),
    })
}

fn controls() -> Vec<Value> {
    let read = MessageId::new(NOW, [5; 10]);
    let marks = [(None, true), (Some(read), false), (Some(read), true)];
    let marks = marks.map(|(read, typing)| Control::Mark(Mark { read, typing }));
    let controls = [Control::Step].into_iter().chain(marks);
    controls.flat_map(|control| [0, 3, 127].map(|before| of_control(control, before))).collect()
}

/// With as many control messages directly before it.
fn of_control(control: Control, before: u8) -> Value {
    let bare = control.to_plaintext();
    let counted = bare.flagged(false, before);
    let plaintext = hex(counted.as_ref().unwrap_or(&bare).as_bytes());
    match control {
        Control::Step => json!({ "kind": 1, "before": before, "plaintext": plaintext }),
        Control::Mark(Mark { read, typing }) => json!({
            "kind": 3,
            "before": before,
            "read": read.map(|read| hex(read.as_bytes())),
            "typing": typing,
            "plaintext": plaintext,
        }),
    }
}
