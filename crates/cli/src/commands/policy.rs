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
    match command {
        PolicyCommand::Show(owner) => {
            let shown = Shown::of(&context.open(&owner.name).await?).await?;
            output::print(context.json, &shown, || shown.to_text())
        }
        PolicyCommand::Set { agent: owner, minimum, message_type } => {
            let agent = context.open(&owner.name).await?;
            let message_type = message_type.as_deref().map(parse).transpose()?;
            agent.set_minimum(message_type.as_ref(), minimum.into()).await.map_err(state)?;
            changed(context, &agent).await
        }
        PolicyCommand::Unset(unset) => {
            let agent = context.open(&unset.agent.name).await?;
            if !agent.unset_minimum(&parse(&unset.message_type)?).await.map_err(state)? {
                return Err(Failure::usage(format!("there is no rule for the type {}", unset.message_type)));
            }
            changed(context, &agent).await
        }
    }
}

async fn changed(context: &Context, agent: &Agent) -> Result<(), Failure> {
    let shown = Shown::of(agent).await?;
    output::print_done(context.json, &shown, || shown.to_text())
}

fn parse(message_type: &str) -> Result<MessageType, Failure> {
    MessageType::new(message_type).map_err(|error| Failure::usage(error.to_string()))
}

impl Shown {
    async fn of(agent: &Agent) -> Result<Self, Failure> {
        let policy = agent.policy().await.map_err(|error| Failure::local_state(error.to_string()))?;
        let types = policy.types.into_iter().map(|(name, minimum)| (name, minimum.as_str())).collect();
        Ok(Self { minimum: policy.minimum.as_str(), types })
    }

    fn to_text(&self) -> String {
        let mut text = format!("at least {}", self.minimum);
        for (name, minimum) in &self.types {
            let _ = write!(text, "\n  {name}: at least {minimum}");
        }
        text
    }
}
