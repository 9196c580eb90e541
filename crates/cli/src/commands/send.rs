//! `sealpost send`: text, a file, or standard input.

use std::{io::Cursor, path::Path};

use sealpost_agent::{
    Agent, Composed, Content, FileName, Outgoing, OutgoingScheme, Payload, PayloadError, SendOutcome, Streamed,
};
use sealpost_protocol::{AgentId, MessageId, MessageRef, MessageType};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    arguments::Send,
    events,
    failure::{Behind, Failure},
    home::Context,
    interrupts::Interrupts,
    output, progress,
};

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
    /// The earlier message that it waits behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<Behind>,
}

pub(crate) async fn run(context: &Context, send: Send) -> Result<(), Failure> {
    // Listened for from now on: one that comes while the message is kept is heard after that.
    let mut interrupts = Interrupts::listen()?;
    let ready = tokio::select! {
        () = interrupts.heard() => {
            return Err(Failure::interrupted("interrupted: nothing was kept, and nothing was sent"));
        }
        ready = make_ready(context, send) => ready?,
    };
    let Ready { agent, composed, recipients } = ready;
    let kept = agent.keep(composed).await?;
    let sent = tokio::select! {
        sent = progress::moving(&agent, "sending", agent.send_kept(kept)) => sent?,
        () = interrupts.heard() => {
            return interrupted_while_kept(context, kept.to_string(), recipients);
        }
    };
    let id = sent.id.to_string();
    let (state, accepted_at, behind, kept) = match sent.outcome {
        SendOutcome::Accepted(at) => ("accepted", Some(at.to_string()), None, None),
        SendOutcome::Kept(error) => ("kept", None, Behind::of(&error), Some(Failure::from(error))),
    };
    let reason = kept.as_ref().map(|why| why.name().to_owned());
    let message = SentMessage { id, state, recipients, accepted_at, reason, behind };
    let printed = output::print_done(context.json, &message, || format!("{}  {}", message.id, message.state));
    events::tell_beside(context, &agent).await;
    output::end(context.json, printed, kept.map(Failure::kept))
}

/// A message that is kept nowhere yet.
struct Ready {
    agent: Agent,
    composed: Composed,
    recipients: Vec<String>,
}

/// Reads the content and seals it. Given up on the way, it leaves nothing behind.
async fn make_ready(context: &Context, send: Send) -> Result<Ready, Failure> {
    let send = without_recipients(send)?;
    let content = content(&send).await?;
    let agent = context.open(&send.agent.name).await?;
    if let Err(error) = agent.tidy_spool().await {
        tracing::debug!(%error, "the spool is tidied another time");
    }
    let (to, scheme, recipients) = match &send.group {
        Some(group) => {
            let group = super::group::find(&agent, group).await?;
            let others = group.members.iter().copied().filter(|member| *member != agent.id());
            (Vec::new(), OutgoingScheme::SharedKey(group.id), others.collect())
        }
        None => {
            let to = context.resolve_all(&agent, send.to.as_deref().unwrap_or_default()).await?;
            (to.clone(), send.scheme.into(), to)
        }
    };
    let reply_to = match send.reply_to {
        Some(id) => Some(answered(&agent, id, &recipients).await?),
        None => None,
    };
    let (priority, retention) = (send.priority.into(), send.keep.map(Into::into));
    let outgoing = Outgoing { to, payload: (), scheme, priority, life: send.life, retention, compress: send.compress };
    let composing = async {
        match content {
            Sent::Payload(payload) => agent.compose(outgoing.with(Payload { reply_to, ..payload })).await,
            Sent::Streamed(streamed) => agent.compose_streamed(outgoing.with(Streamed { reply_to, ..streamed })).await,
        }
    };
    let composed = progress::moving(&agent, "sealing", composing).await?;
    Ok(Ready { agent, composed, recipients: recipients.iter().map(AgentId::to_string).collect() })
}

/// The message with this id that is answered: a recipient must know which one is meant.
async fn answered(agent: &Agent, id: MessageId, recipients: &[AgentId]) -> Result<MessageRef, Failure> {
    match agent.answerable(id, recipients).await?.as_slice() {
        [message] => Ok(*message),
        [] => Err(Failure::usage(format!("no message {id} has come from a recipient, or was sent from here"))),
        _ => Err(Failure::usage(format!("several messages have the id {id}: which one is meant is not known"))),
    }
}

/// What is durable here says so, though nobody waits for the rest.
fn interrupted_while_kept(context: &Context, id: String, recipients: Vec<String>) -> Result<(), Failure> {
    let reason = Some("interrupted".to_owned());
    let message = SentMessage { id, state: "kept", recipients, accepted_at: None, reason, behind: None };
    let printed = output::print_done(context.json, &message, || format!("{}  {}", message.id, message.state));
    let told = format!("interrupted: {} is kept, and the next send or receive goes on with it", message.id);
    output::end(context.json, printed, Some(Failure::interrupted(told)))
}

/// With a group, the one thing that is typed beside it is the text: its members are the recipients.
fn without_recipients(mut send: Send) -> Result<Send, Failure> {
    if send.group.is_some() {
        if send.text.is_some() || (send.to.is_some() && send.file.is_some()) {
            return Err(Failure::usage("a message for a group goes to its members, and names no recipients"));
        }
        send.text = send.to.take();
    }
    Ok(send)
}

/// Whatever content is read from.
type Reader = Box<dyn AsyncRead + std::marker::Send + Unpin>;

/// What is sent: what fits into memory, or a stream.
enum Sent {
    Payload(Payload),
    Streamed(Streamed<Reader>),
}

/// The beginning of a content: all of it, if it is short.
struct Beginning {
    bytes: Vec<u8>,
    rest: Option<Reader>,
    /// Bytes of a file.
    length: Option<u64>,
}

async fn content(send: &Send) -> Result<Sent, Failure> {
    let usage = |error: &dyn std::error::Error| Failure::usage(error.to_string());
    let is_text = send.text.is_some();
    let (beginning, name) = match (&send.text, &send.file) {
        (Some(text), _) if text == "-" => (standard_input().await?, None),
        (Some(text), _) => (Beginning { bytes: text.clone().into_bytes(), rest: None, length: None }, None),
        (None, Some(path)) if path.as_os_str() == "-" => (standard_input().await?, None),
        (None, Some(path)) => (file(path).await?, path.file_name().and_then(|name| name.to_str())),
        (None, None) => return Err(Failure::usage("nothing to send")),
    };
    // On other systems it separates folders.
    let file_name =
        name.map(|name| FileName::new(&name.replace('\\', "_"))).transpose().map_err(|error| usage(&error))?;
    let message_type = send.message_type.as_deref().map(MessageType::new).transpose().map_err(|error| usage(&error))?;
    let Beginning { bytes, rest, length } = beginning;
    if let Some(rest) = rest {
        let content: Reader = Box::new(Cursor::new(bytes).chain(rest));
        let thread = send.thread;
        return Ok(Sent::Streamed(Streamed { message_type, thread, file_name, ..Streamed::new(content, length) }));
    }
    let content = if is_text { text_or_bytes(bytes) } else { Content::bytes(bytes) };
    let mut payload = Payload::new(content.map_err(|error| usage(&error))?);
    (payload.file_name, payload.message_type, payload.thread) = (file_name, message_type, send.thread);
    Ok(Sent::Payload(payload))
}

fn text_or_bytes(bytes: Vec<u8>) -> Result<Content, PayloadError> {
    match String::from_utf8(bytes) {
        Ok(text) => Content::text(text),
        Err(error) => Content::bytes(error.into_bytes()),
    }
}

/// Reads at most what fits into an envelope; of more nothing is held.
async fn begin(mut reader: Reader, length: Option<u64>, name: &str) -> Result<Beginning, Failure> {
    let mut bytes = Vec::new();
    let limit = sealpost_agent::limits::CONTENT;
    let read = (&mut reader).take(limit as u64 + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let rest = (bytes.len() > limit).then_some(reader);
    Ok(Beginning { bytes, rest, length })
}

async fn standard_input() -> Result<Beginning, Failure> {
    begin(Box::new(tokio::io::stdin()), None, "standard input").await
}

async fn file(path: &Path) -> Result<Beginning, Failure> {
    let name = path.display().to_string();
    let failure = |error: std::io::Error| Failure::usage(format!("{name}: {error}"));
    let file = tokio::fs::File::open(path).await.map_err(failure)?;
    let metadata = file.metadata().await.map_err(failure)?;
    // A pipe has a length that says nothing.
    begin(Box::new(file), metadata.is_file().then_some(metadata.len()), &name).await
}
