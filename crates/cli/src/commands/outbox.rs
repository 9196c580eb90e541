//! `sealpost outbox`: what waits here, and taking it back.

use sealpost_agent::{Waiting, WaitingState};
use sealpost_protocol::{AgentId, MessageId};
use serde::Serialize;

use crate::{
    arguments::OutboxCommand,
    failure::{Behind, Failure},
    home::Context,
    output, progress,
};

#[derive(Serialize)]
struct Shown {
    id: String,
    recipients: Vec<String>,
    /// "draft"; "sealed": it may have left then, with the relay's answer lost; or "renewing": it was accepted, and goes out
    /// again for those who could not open it.
    state: &'static str,
    created_at: String,
    expires_at: String,
    /// Before then it is not sealed anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    /// Why it waits, if it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The earlier message that it waits behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<Behind>,
}

#[derive(Serialize)]
struct Cancelled {
    id: String,
    state: &'static str,
}

pub(crate) async fn run(context: &Context, command: OutboxCommand) -> Result<(), Failure> {
    match command {
        OutboxCommand::List(owner) => list(context, &owner.name).await,
        OutboxCommand::Cancel { agent, message } => cancel(context, &agent.name, message).await,
    }
}

async fn list(context: &Context, name: &str) -> Result<(), Failure> {
    let agent = context.open(name).await?;
    for waiting in agent.waiting().await? {
        let names = context.all_shown(&agent, &waiting.recipients).await;
        let shown = Shown::from(waiting);
        output::print(context.json, &shown, || {
            let behind = shown.behind.as_ref().map(|first| format!("  behind {} ({})", first.id, first.reason));
            let why = shown.reason.as_ref().map(|reason| format!("  ({reason})")).or(behind).unwrap_or_default();
            format!("{}  {}  until {}  for {names}{why}", shown.id, shown.state, shown.expires_at)
        })?;
    }
    Ok(())
}

async fn cancel(context: &Context, name: &str, message: MessageId) -> Result<(), Failure> {
    let agent = context.open(name).await?;
    progress::during("taking the message back", agent.cancel(message)).await?;
    let cancelled = Cancelled { id: message.to_string(), state: "cancelled" };
    output::print_done(context.json, &cancelled, || format!("{}  {}", cancelled.id, cancelled.state))
}

impl From<Waiting> for Shown {
    fn from(waiting: Waiting) -> Self {
        Self {
            id: waiting.id.to_string(),
            recipients: waiting.recipients.iter().map(AgentId::to_string).collect(),
            state: match waiting.state {
                WaitingState::Draft => "draft",
                WaitingState::Sealed => "sealed",
                WaitingState::Renewing(_) => "renewing",
            },
            not_before: match waiting.state {
                WaitingState::Renewing(at) => Some(at.to_string()),
                _ => None,
            },
            reason: waiting.reason,
            behind: waiting.behind.as_ref().map(Behind::from),
            created_at: waiting.created.to_string(),
            expires_at: waiting.expires.to_string(),
        }
    }
}
