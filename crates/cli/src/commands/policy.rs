//! `sealpost policy`: the weakest scheme that an agent sends and takes.

use std::{collections::BTreeMap, fmt::Write};

use sealpost_agent::Agent;
use sealpost_protocol::MessageType;
use serde::Serialize;

use crate::{arguments::PolicyCommand, failure::Failure, home::Context, output};

#[derive(Serialize)]
struct Shown {
    /// The weakest scheme of what has no type, or one without a rule.
    minimum: &'static str,
    /// The weakest scheme by type.
    types: BTreeMap<String, &'static str>,
}

pub(crate) async fn run(context: &Context, command: PolicyCommand) -> Result<(), Failure> {
    let state = |error: sealpost_agent::StateError| Failure::local_state(error.to_string());
    let agent = match command {
        PolicyCommand::Show(owner) => context.open(&owner.name).await?,
        PolicyCommand::Set { agent: owner, minimum, message_type } => {
            let agent = context.open(&owner.name).await?;
            let message_type = message_type.as_deref().map(parse).transpose()?;
            agent.set_minimum(message_type.as_ref(), minimum.into()).await.map_err(state)?;
            agent
        }
        PolicyCommand::Unset(unset) => {
            let agent = context.open(&unset.agent.name).await?;
            if !agent.unset_minimum(&parse(&unset.message_type)?).await.map_err(state)? {
                return Err(Failure::usage(format!("there is no rule for the type {}", unset.message_type)));
            }
            agent
        }
    };
    show(context, &agent).await
}

fn parse(message_type: &str) -> Result<MessageType, Failure> {
    MessageType::new(message_type).map_err(|error| Failure::usage(error.to_string()))
}

async fn show(context: &Context, agent: &Agent) -> Result<(), Failure> {
    let policy = agent.policy().await.map_err(|error| Failure::local_state(error.to_string()))?;
    let types = policy.types.into_iter().map(|(name, minimum)| (name, minimum.as_str())).collect();
    let shown = Shown { minimum: policy.minimum.as_str(), types };
    output::print(context.json, &shown, || {
        let mut text = format!("at least {}", shown.minimum);
        for (name, minimum) in &shown.types {
            let _ = write!(text, "\n  {name}: at least {minimum}");
        }
        text
    })
}
