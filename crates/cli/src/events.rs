//! What happened to an agent's messages while nobody asked: told once, on standard error.

use sealpost_agent::{Agent, Event, Noted};
use sealpost_protocol::{AgentId, GroupId};
use serde::Serialize;

use crate::{
    failure::{FORK_ADVICE, Failure},
    output,
};

/// Events told and taken at a time.
const PAGE: usize = 100;

#[derive(Default, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    group_name: Option<String>,
    /// Whose doing it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    at: String,
}

/// What was heard that a script may want to know.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    /// Messages whose content will never come.
    pub(crate) lost: usize,
}

/// Tells what the agent has not heard of yet.
pub(crate) async fn tell(json: bool, agent: &Agent) -> Result<Heard, Failure> {
    let mut heard = Heard::default();
    loop {
        let events = agent.events(PAGE).await?;
        for noted in &events {
            heard.lost += usize::from(matches!(noted.event, Event::BodyLost { .. } | Event::BodyGone { .. }));
            let Some((mut told, text)) = words(noted, &group_in_words(agent, noted).await) else { continue };
            told.group_name = match group_of(noted) {
                Some(group) => agent.group(group).await.ok().map(|group| group.name),
                None => None,
            };
            if json { output::say_json(&told) } else { output::say(&text) }
        }
        agent.take_events(&events).await?;
        if events.len() < PAGE {
            return Ok(heard);
        }
    }
}

fn group_of(noted: &Noted) -> Option<GroupId> {
    match noted.event {
        Event::JoinedGroup { group, .. } | Event::RemovedFromGroup { group, .. } | Event::LeftGroup { group, .. } => {
            Some(group)
        }
        _ => None,
    }
}

/// The group that it is about, by its name and short id.
async fn group_in_words(agent: &Agent, noted: &Noted) -> String {
    let Some(id) = group_of(noted) else { return String::new() };
    match agent.group(id).await {
        Ok(group) => output::named_group(Some(&group.name), &id.to_string()),
        Err(_) => output::named_group(None, &id.to_string()),
    }
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
    let told = Told { event, id, agent: Some(agent.to_string()), at, ..Told::default() };
    Some((told, text))
}

fn about_group(event: &'static str, group: String, agent: AgentId, at: String) -> Told {
    Told { event, group: Some(group), agent: Some(agent.to_string()), at, ..Told::default() }
}

/// Who has become a member of a group, and who is one no more.
fn about_membership(event: &Event, group_in_words: &str, at: &str) -> Option<(Told, String)> {
    Some(match event {
        Event::JoinedGroup { group, founder } => {
            let text = format!("{founder} has made this agent a member of the group {group_in_words}");
            (about_group("group:joined", group.to_string(), *founder, at.to_owned()), text)
        }
        Event::RemovedFromGroup { group, founder } => {
            let text = format!("{founder} has removed this agent from the group {group_in_words}");
            (about_group("group:removed", group.to_string(), *founder, at.to_owned()), text)
        }
        Event::LeftGroup { group, member } => {
            let text = format!("{member} has left the group {group_in_words}; a new epoch has begun");
            (about_group("group:left", group.to_string(), *member, at.to_owned()), text)
        }
        _ => return None,
    })
}

/// How the agent's prekeys stand at the relay.
fn about_prekeys(event: &Event, at: &str) -> Option<(Told, String)> {
    let (event, reason, text) = match event {
        Event::PrekeysRefused { code } => {
            let text =
                format!("the relay refuses new prekeys ({code}); the old ones stay in use, and it is tried again");
            ("prekeys:refused", code.clone(), text)
        }
        Event::PrekeysLow { one_time_curve, one_time_kem } => {
            let left = format!("{one_time_curve} curve, {one_time_kem} KEM");
            let text = format!("the relay's one-time prekeys were nearly out: {left}");
            ("prekeys:low", left, text)
        }
        _ => return None,
    };
    Some((Told { event, reason: Some(reason), at: at.to_owned(), ..Told::default() }, text))
}

fn words(noted: &Noted, group_in_words: &str) -> Option<(Told, String)> {
    let at = noted.at.to_string();
    let told = |event, id: String, reason| Told {
        event,
        id: Some(id),
        reason: Some(reason),
        at: at.clone(),
        ..Told::default()
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
        Event::BodyLost { message, sender } => {
            let text = format!("{message} from {sender} is lost: the relay has lost or damaged its content");
            let told = told("message:body-lost", message.to_string(), "lost".to_owned());
            (Told { sender: Some(sender.to_string()), ..told }, text)
        }
        Event::Missing { sender, before, count } => {
            let (id, sender) = (before.map(|id| id.to_string()), sender.to_string());
            let what = if *count == 1 { "1 message".to_owned() } else { format!("up to {count} messages") };
            let before = id.as_ref().map(|id| format!(" before {id}")).unwrap_or_default();
            let text = format!("{what} of {sender}{before} did not come: lost, expired, taken back, or late");
            let told = told("message:missing", String::new(), String::new());
            (Told { id, sender: Some(sender), count: Some(*count), reason: None, ..told }, text)
        }
        Event::ForkedLedger { store, relay } => {
            let reason = format!("it has countersigned {store} batches of receipts, and has {relay}");
            let text = format!(
                "the relay's ledger contradicts itself ({reason}): it was put back from a copy without \
                 `serve --restored`, or does not tell the truth; it is given no receipts"
            );
            (Told { id: None, advice: Some(FORK_ADVICE), ..told("relay:forked", String::new(), reason) }, text)
        }
        Event::RestoredCopy { sign } => {
            let text = format!("the store was an old copy ({sign}): sessions were retired and prekeys replaced");
            let told = told("agent:restored-copy", String::new(), sign.clone());
            (Told { id: None, ..told }, text)
        }
        event => {
            return about_membership(event, group_in_words, &at)
                .or_else(|| about_prekeys(event, &at))
                .or_else(|| about_mark(event, at));
        }
    })
}
