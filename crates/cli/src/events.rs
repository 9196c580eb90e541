//! What happened to an agent's messages while nobody asked: told once, on standard error.

use sealpost_agent::{Agent, Event, Noted};
use sealpost_protocol::AgentId;
use serde::Serialize;

use crate::{failure::Failure, output};

/// Events told and taken at a time.
const PAGE: usize = 100;

#[derive(Serialize)]
struct Told {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Whose doing it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    at: String,
}

/// Tells what the agent has not heard of yet.
pub(crate) async fn tell(json: bool, agent: &Agent) -> Result<(), Failure> {
    loop {
        let events = agent.events(PAGE).await?;
        for (told, text) in events.iter().filter_map(words) {
            if json { output::say_json(&told) } else { output::say(&text) }
        }
        agent.take_events(&events).await?;
        if events.len() < PAGE {
            return Ok(());
        }
    }
}

fn about_group(event: &'static str, group: String, agent: AgentId, at: String) -> Told {
    let (group, agent) = (Some(group), Some(agent.to_string()));
    Told { event, id: None, sender: None, recipient: None, attempt: None, group, agent, count: None, reason: None, at }
}

/// What a peer shows of its reading and writing; nothing of what this version does not know.
fn about_mark(event: &Event, at: String) -> Option<(Told, String)> {
    let (event, id, agent, text) = match event {
        Event::Read { reader, up_to } => {
            ("message:read", Some(up_to.to_string()), reader, format!("{reader} has read everything up to {up_to}"))
        }
        Event::Typing { peer } => ("agent:typing", None, peer, format!("{peer} is writing")),
        _ => return None,
    };
    let agent = Some(agent.to_string());
    let told = Told {
        event,
        id,
        sender: None,
        recipient: None,
        attempt: None,
        group: None,
        agent,
        count: None,
        reason: None,
        at,
    };
    Some((told, text))
}

fn words(noted: &Noted) -> Option<(Told, String)> {
    let at = noted.at.to_string();
    let told = |event, id: String, reason| {
        let (id, reason, at) = (Some(id), Some(reason), at.clone());
        let (sender, recipient, attempt, group, agent, count) = (None, None, None, None, None, None);
        Told { event, id, sender, recipient, attempt, group, agent, count, reason, at }
    };
    Some(match &noted.event {
        Event::Unsent { message, code } => {
            let text = format!("{message} was kept here; now the relay has refused it for good: {code}");
            (told("message:unsent", message.to_string(), code.clone()), text)
        }
        Event::SealedAnew { message, recipient, attempt, reason } => {
            let number = attempt.number();
            let text = format!("{recipient} could not open {message} ({reason}); it is sealed anew, attempt {number}");
            let told = told("message:sealed-anew", message.to_string(), reason.to_string());
            (Told { recipient: Some(recipient.to_string()), attempt: Some(number), ..told }, text)
        }
        Event::SentAgain { message, recipient, attempt, reason } => {
            let number = attempt.number();
            let text =
                format!("{recipient} lacks the key of {message} ({reason}); it goes again later, attempt {number}");
            let told = told("message:sent-again", message.to_string(), reason.to_string());
            (Told { recipient: Some(recipient.to_string()), attempt: Some(number), ..told }, text)
        }
        Event::Refused { message, recipient, reason } => {
            let text = format!("{recipient} refused {message} for good: {reason}");
            let told = told("message:refused", message.to_string(), reason.to_string());
            (Told { recipient: Some(recipient.to_string()), ..told }, text)
        }
        Event::BodyGone { message, sender } => {
            let text = format!("{message} from {sender} is gone: the relay no longer has its content");
            let told = told("message:body-gone", message.to_string(), "body-gone".to_owned());
            (Told { sender: Some(sender.to_string()), ..told }, text)
        }
        Event::JoinedGroup { group, founder } => {
            let text = format!("{founder} has made this agent a member of the group {group}");
            (about_group("group:joined", group.to_string(), *founder, at), text)
        }
        Event::RemovedFromGroup { group, founder } => {
            let text = format!("{founder} has removed this agent from the group {group}");
            (about_group("group:removed", group.to_string(), *founder, at), text)
        }
        Event::LeftGroup { group, member } => {
            let text = format!("{member} has left the group {group}; a new epoch has begun");
            (about_group("group:left", group.to_string(), *member, at), text)
        }
        Event::Missing { before, count } => {
            let (id, sender) = (before.id.to_string(), before.sender.to_string());
            let what = if *count == 1 { "1 message".to_owned() } else { format!("up to {count} messages") };
            let text = format!("{what} of {sender} before {id} did not come: lost, taken back, or late");
            let told = told("message:missing", id, String::new());
            (Told { sender: Some(sender), count: Some(*count), reason: None, ..told }, text)
        }
        Event::ForkedLedger { store, relay } => {
            let reason = format!("it has countersigned {store} batches of receipts, and has {relay}");
            let text = format!(
                "the relay's ledger contradicts itself ({reason}): it was put back from a copy without \
                 `serve --restored`, or does not tell the truth; it is given no receipts"
            );
            (Told { id: None, ..told("relay:forked", String::new(), reason) }, text)
        }
        Event::RestoredCopy { sign } => {
            let text = format!("the store was an old copy ({sign}): sessions were retired and prekeys replaced");
            let told = told("agent:restored-copy", String::new(), sign.clone());
            (Told { id: None, ..told }, text)
        }
        event => return about_mark(event, at),
    })
}
