//! `sealpost agent`: make, list and show agents.

use sealpost_agent::{Agent, OpenAgentError};
use serde::Serialize;

use super::{contacts, delegations, identity};
use crate::{
    arguments::AgentCommand,
    failure::{ExitCode, Failure},
    home::Context,
    interrupts::unless_interrupted,
    output, progress,
};

#[derive(Serialize)]
struct Shown {
    name: String,
    id: String,
    identity_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<bool>,
}

pub(crate) async fn run(context: &Context, command: AgentCommand) -> Result<(), Failure> {
    match command {
        AgentCommand::New { name, offline } => new(context, name, offline).await,
        AgentCommand::List => list(context).await,
        AgentCommand::Show { name } => {
            let shown = show(context, name).await?;
            output::print(context.json, &shown, || {
                format!(
                    "name          {}\nid            {}\nidentity key  {}",
                    shown.name, shown.id, shown.identity_key
                )
            })
        }
        AgentCommand::Rekey { name } => identity::rekey(context, name).await,
        AgentCommand::Passphrase { name, new } => identity::passphrase(context, name, new).await,
        AgentCommand::Export { name, file, sealing } => identity::export(context, name, &file, sealing).await,
        AgentCommand::Import { name, file, sealing } => identity::import(context, name, &file, sealing).await,
        AgentCommand::Verify { own, contact, digits } => contacts::verify(context, &own, contact, &digits).await,
        AgentCommand::Trust { own, contact, id } => contacts::trust(context, &own, contact, id).await,
        AgentCommand::Contacts { own } => contacts::list(context, &own).await,
        AgentCommand::Delegate(delegate) => delegations::delegate(context, delegate).await,
        AgentCommand::Delegations { name } => delegations::list(context, name).await,
        AgentCommand::Revoke(revoke) => delegations::revoke(context, revoke).await,
        AgentCommand::TrustRelay { name } => trust_relay(context, name).await,
    }
}

async fn new(context: &Context, name: String, offline: bool) -> Result<(), Failure> {
    let agent = made(context, &name, progress::during("making keys", context.create(&name))).await?;
    let published = match offline {
        true => Ok(false),
        false => publish(&agent).await.map(|()| true),
    };
    let shown = Shown { published: Some(matches!(published, Ok(true))), ..show(context, name).await? };
    let printed = output::print_done(context.json, &shown, || format!("{}  {}", shown.name, shown.id));
    output::end(context.json, printed, published.err())
}

/// What is to be said of an agent that is made, and has no prekeys at the relay yet.
const UNPUBLISHED: &str = "the agent is made; its prekeys are published by the next command that reaches the relay";

/// Makes an agent, unless that is interrupted. Then there is the whole agent, or none: what there may be beside it serves
/// whoever makes it again.
pub(super) async fn made<T>(
    context: &Context,
    name: &str,
    making: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let folder = context.folder(name)?;
    let was_there = folder.exists();
    let made = unless_interrupted("no agent was made", making).await;
    match &made {
        Err(failure) if failure.code() == ExitCode::Interrupted && !was_there => {
            match Agent::identity_in(&folder).await {
                Ok(_) => Err(Failure::interrupted(format!("interrupted: {UNPUBLISHED}"))),
                Err(_) if folder.exists() => Err(Failure::interrupted(format!(
                    "interrupted: no agent was made; `sealpost agent new {name}` goes on in {}",
                    folder.display()
                ))),
                Err(_) => made,
            }
        }
        _ => made,
    }
}

/// Publishes the prekeys of an agent that was just made.
pub(super) async fn publish(agent: &Agent) -> Result<(), Failure> {
    let publishing = async { agent.publish_prekeys().await.map_err(|error| Failure::from(error).with(UNPUBLISHED)) };
    unless_interrupted(UNPUBLISHED, progress::during("publishing prekeys", publishing)).await.map(drop)
}

/// A folder that is an agent's and shows none.
#[derive(Serialize)]
struct Problem {
    name: String,
    problem: String,
}

/// Lists the agents, and for a folder that is not whole what is wrong with it.
async fn list(context: &Context) -> Result<(), Failure> {
    for name in context.names()? {
        match show(context, name.clone()).await {
            Ok(shown) => output::print(context.json, &shown, || format!("{}  {}", shown.name, shown.id))?,
            Err(failure) => {
                let problem = Problem { name, problem: failure.message().to_owned() };
                output::print(context.json, &problem, || {
                    format!("{}  cannot be used: {}", problem.name, problem.problem)
                })?;
            }
        }
    }
    Ok(())
}

async fn show(context: &Context, name: String) -> Result<Shown, Failure> {
    let folder = context.folder(&name)?;
    let identity = match Agent::identity_in(&folder).await {
        Err(OpenAgentError::Missing(_)) if folder.exists() => {
            return Err(Failure::local_state(format!(
                "the agent {name} is unfinished: `sealpost agent new {name}`, or `agent import`, makes the rest"
            )));
        }
        Err(OpenAgentError::Missing(_)) => return Err(Failure::local_state(format!("there is no agent {name}"))),
        result => result?,
    };
    let identity_key = identity.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Shown { name, id: identity.agent_id().to_string(), identity_key, published: None })
}

async fn trust_relay(context: &Context, name: String) -> Result<(), Failure> {
    let agent = context.open(&name).await?;
    agent.forget_relay(&context.relay.origin).await.map_err(|error| Failure::local_state(error.to_string()))?;
    let agent = context.open(&name).await?;
    agent.publish_prekeys().await?;
    let shown = Shown { published: Some(true), ..show(context, name).await? };
    output::print_done(context.json, &shown, || {
        format!("{} now trusts the node at {}", shown.name, context.relay.origin)
    })
}
