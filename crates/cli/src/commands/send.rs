//! `sealpost send`: text, a file, or standard input.

use std::path::Path;

use sealpost_agent::{Content, FileName, Outgoing, Payload, PayloadError, SendOutcome};
use sealpost_protocol::{AgentId, MessageType};
use serde::Serialize;
use tokio::io::AsyncReadExt;

use crate::{arguments::Send, events, failure::Failure, home::Context, output, progress};

#[derive(Serialize)]
struct SentMessage {
    id: String,
    /// "accepted" by the relay, or "kept" here.
    state: &'static str,
    recipients: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
    /// Why it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(crate) async fn run(context: &Context, send: Send) -> Result<(), Failure> {
    let payload = payload(&send).await?;
    let agent = context.open(&send.agent.name).await?;
    let to = context.resolve_all(&agent, &send.to).await?;
    let recipients = to.iter().map(AgentId::to_string).collect();
    let outgoing = Outgoing { to, payload, priority: send.priority.into(), life: send.life };
    let sent = progress::during("sending", agent.send(outgoing)).await?;
    let id = sent.id.to_string();
    let (state, accepted_at, kept) = match sent.outcome {
        SendOutcome::Accepted(at) => ("accepted", Some(at.to_string()), None),
        SendOutcome::Kept(error) => ("kept", None, Some(Failure::from(error))),
    };
    let reason = kept.as_ref().map(|why| why.name().to_owned());
    let message = SentMessage { id, state, recipients, accepted_at, reason };
    let printed = output::print(context.json, &message, || format!("{}  {}", message.id, message.state));
    events::tell(context.json, &agent).await?;
    kept.map_or(printed, |why| Err(Failure::kept(why)))
}

async fn payload(send: &Send) -> Result<Payload, Failure> {
    let (content, file_name) = match (&send.text, &send.file) {
        (Some(text), _) if text == "-" => (text_or_bytes(standard_input().await?), None),
        (Some(text), _) => (Content::text(text.clone()), None),
        (None, Some(path)) if path.as_os_str() == "-" => (Content::bytes(standard_input().await?), None),
        (None, Some(path)) => (Content::bytes(file(path).await?), path.file_name().and_then(|name| name.to_str())),
        (None, None) => return Err(Failure::usage("nothing to send")),
    };
    let usage = |error: &dyn std::error::Error| Failure::usage(error.to_string());
    let mut payload = Payload::new(content.map_err(|error| usage(&error))?);
    payload.file_name = file_name.map(FileName::new).transpose().map_err(|error| usage(&error))?;
    payload.message_type =
        send.message_type.as_deref().map(MessageType::new).transpose().map_err(|error| usage(&error))?;
    payload.thread = send.thread;
    Ok(payload)
}

fn text_or_bytes(bytes: Vec<u8>) -> Result<Content, PayloadError> {
    match String::from_utf8(bytes) {
        Ok(text) => Content::text(text),
        Err(error) => Content::bytes(error.into_bytes()),
    }
}

/// Reads at most what a message may have; of more nothing is held.
async fn bounded(reader: impl tokio::io::AsyncRead + Unpin, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = sealpost_agent::limits::CONTENT;
    let read = reader.take(limit as u64 + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    if bytes.len() > limit { Err(too_large(name, "more than that")) } else { Ok(bytes) }
}

fn too_large(name: &str, found: &str) -> Failure {
    let limit = sealpost_agent::limits::CONTENT;
    Failure::usage(format!("{name}: a message carries at most {limit} bytes, and this is {found}"))
}

async fn standard_input() -> Result<Vec<u8>, Failure> {
    bounded(tokio::io::stdin(), "standard input").await
}

async fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display().to_string();
    let failure = |error: std::io::Error| Failure::usage(format!("{name}: {error}"));
    let file = tokio::fs::File::open(path).await.map_err(failure)?;
    let length = file.metadata().await.map_err(failure)?.len();
    if length > sealpost_agent::limits::CONTENT as u64 {
        return Err(too_large(&name, &format!("{length} bytes")));
    }
    bounded(file, &name).await
}
