//! `sealpost group`: founding groups, their members, their keys.

use sealpost_agent::{Agent, Group, GroupChange, GroupStanding};
use sealpost_protocol::AgentId;
use serde::Serialize;

use crate::{
    arguments::{GroupCommand, GroupOfAgent},
    events,
    failure::Failure,
    home::Context,
    output, progress,
};

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    founder: String,
    members: Vec<String>,
    epoch: u32,
    /// "member", "left" or "removed".
    standing: &'static str,
    /// Messages to members that the relay has accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<usize>,
    /// Messages to members that wait here.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<usize>,
}

pub(crate) async fn run(context: &Context, command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::New { agent, called, members } => {
            let agent = context.open(&agent.name).await?;
            let members = match &members {
                Some(members) => named(context, &agent, members).await?,
                None => Vec::new(),
            };
            let change = progress::during("founding the group", agent.create_group(&called, &members)).await?;
            changed(context, &agent, change).await
        }
        GroupCommand::List(owner) => {
            let agent = context.open(&owner.name).await?;
            for group in agent.groups().await? {
                show(context, &agent, group).await?;
            }
            Ok(())
        }
        GroupCommand::Show(of) => {
            let (agent, group) = open(context, &of).await?;
            show(context, &agent, group).await?;
            events::tell(context, &agent).await.map(drop)
        }
        GroupCommand::Add(changed_members) => {
            let (agent, group) = open(context, &changed_members.of).await?;
            let agents = named(context, &agent, &changed_members.agents).await?;
            let change = progress::during("handing the key over", agent.add_to_group(group.id, &agents)).await?;
            changed(context, &agent, change).await
        }
        GroupCommand::Remove(changed_members) => {
            let (agent, group) = open(context, &changed_members.of).await?;
            let agents = named(context, &agent, &changed_members.agents).await?;
            let change = progress::during("handing a new key over", agent.remove_from_group(group.id, &agents)).await?;
            changed(context, &agent, change).await
        }
        GroupCommand::Rotate(of) => {
            let (agent, group) = open(context, &of).await?;
            let change = progress::during("handing a new key over", agent.rotate_group(group.id)).await?;
            changed(context, &agent, change).await
        }
        GroupCommand::Leave(of) => {
            let (agent, group) = open(context, &of).await?;
            let change = progress::during("leaving the group", agent.leave_group(group.id)).await?;
            changed(context, &agent, change).await
        }
    }
}

/// The agents that a list names: at least one, or the list was not meant so.
async fn named(context: &Context, agent: &Agent, list: &str) -> Result<Vec<AgentId>, Failure> {
    match context.resolve_all(agent, list).await? {
        agents if agents.is_empty() => Err(Failure::usage("name at least one agent: an id or a name")),
        agents => Ok(agents),
    }
}

async fn open(context: &Context, of: &GroupOfAgent) -> Result<(Agent, Group), Failure> {
    let agent = context.open(&of.agent.name).await?;
    let group = find(&agent, &of.group).await?;
    Ok((agent, group))
}

/// The group that a text names to `agent`: by its id, or by a name that one group alone has. One that the agent belongs to
/// comes before one that it has belonged to.
pub(crate) async fn find(agent: &Agent, text: &str) -> Result<Group, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(agent.group(id).await?);
    }
    let mut named: Vec<_> = agent.groups().await?.into_iter().filter(|group| group.name == text).collect();
    if named.iter().any(|group| group.standing == GroupStanding::Member) {
        named.retain(|group| group.standing == GroupStanding::Member);
    }
    match named.pop() {
        None => Err(Failure::usage(format!("{text:?} is neither a group's id nor the name of a group of this agent"))),
        Some(group) if named.is_empty() => Ok(group),
        Some(group) => {
            named.push(group);
            let ids: Vec<_> = named.iter().map(|group| group.id.to_string()).collect();
            Err(Failure::usage(format!("several groups are called {text:?}: give an id ({})", ids.join(", "))))
        }
    }
}

async fn changed(context: &Context, agent: &Agent, change: GroupChange) -> Result<(), Failure> {
    let (accepted, kept) = (Some(change.accepted), Some(change.kept));
    let (shown, text) = described(context, agent, change.group).await;
    let shown = Shown { accepted, kept, ..shown };
    let printed = output::print_done(context.json, &shown, || match change.kept {
        0 => text,
        kept => format!("{text}\n  {kept} of its members hear of it with a later command"),
    });
    events::tell_beside(context, agent).await;
    printed
}

async fn show(context: &Context, agent: &Agent, group: Group) -> Result<(), Failure> {
    let (shown, text) = described(context, agent, group).await;
    output::print(context.json, &shown, || text)
}

async fn described(context: &Context, agent: &Agent, group: Group) -> (Shown, String) {
    let shown = Shown {
        id: group.id.to_string(),
        name: group.name,
        founder: group.founder.to_string(),
        members: group.members.iter().map(AgentId::to_string).collect(),
        epoch: group.epoch,
        standing: group.standing.as_str(),
        accepted: None,
        kept: None,
    };
    let text = format!(
        "{}  {}  epoch {}, {}, founded by {}\n  members: {}",
        output::one_line(&shown.name),
        shown.id,
        shown.epoch,
        shown.standing,
        context.shown(agent, group.founder).await,
        context.all_shown(agent, &group.members).await
    );
    (shown, text)
}
