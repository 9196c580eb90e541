//! What happened to an agent's messages while nobody asked: told once, on standard error.

use sealpost_agent::{Agent, Event, Noted};
use sealpost_protocol::{AgentId, ErrorCode, FailureReason, GroupId};
use serde::Serialize;

use crate::{
    failure::{FORK_ADVICE, Failure},
    home::Context,
    limits, output,
};

#[derive(Default, Serialize)]
struct Told {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_name: Option<String>,
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
    agent_name: Option<String>,
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

/// Tells what the agent has not heard of yet, each of it once, however many commands of the agent run. What cannot be written
/// is left for a later command.
pub(crate) async fn tell(context: &Context, agent: &Agent) -> Result<Heard, Failure> {
    let mut heard = Heard::default();
    if agent.events(1).await?.is_empty() {
        return Ok(heard);
    }
    let _alone = agent.tell_alone().await?;
    output::check_errors_open()?;
    loop {
        let events = agent.events(limits::PAGE).await?;
        let (told, written) = tell_page(context, agent, &events).await;
        let told = events.get(..told).unwrap_or_default();
        agent.take_events(told).await?;
        let is_lost = |noted: &&Noted| matches!(noted.event, Event::BodyLost { .. } | Event::BodyGone { .. });
        heard.lost += told.iter().filter(is_lost).count();
        written?;
        if events.len() < limits::PAGE {
            return Ok(heard);
        }
    }
}

/// Tells these, and returns how many were told until one could not be written.
async fn tell_page(context: &Context, agent: &Agent, events: &[Noted]) -> (usize, Result<(), Failure>) {
    for (number, noted) in events.iter().enumerate() {
        let Some((told, text)) = words(context, agent, noted).await else { continue };
        if let Err(failure) = output::tell(context.json, &told, &text) {
            return (number, Err(failure));
        }
    }
    (events.len(), Ok(()))
}

/// Tells it beside something that is done: whatever is wrong here, that stays done.
pub(crate) async fn tell_beside(context: &Context, agent: &Agent) {
    if let Err(failure) = tell(context, agent).await {
        let message = format!("what else has happened is told another time: {}", failure.message());
        output::warn(context.json, failure.name(), &message);
    }
}

/// What an event is about, in words.
struct Subject {
    /// The other agent, as text shows it.
    who: String,
    /// The group.
    group: String,
}

/// An event for a program, and in words; nothing of what this version does not know.
async fn words(context: &Context, agent: &Agent, noted: &Noted) -> Option<(Told, String)> {
    let (party, group) = (Party::of(&noted.event), group_of(&noted.event));
    let name = match &party {
        Some(party) => context.name_of(agent, party.agent()).await,
        None => None,
    };
    let group_name = match group {
        Some(group) => agent.group(group).await.ok().map(|group| group.name),
        None => None,
    };
    let who = party.as_ref().map(|party| output::named_agent(name.as_deref(), party.agent()));
    let subject = Subject {
        who: who.unwrap_or_default(),
        group: group.map(|group| output::named_group(group_name.as_deref(), &group.to_string())).unwrap_or_default(),
    };
    let (told, text) = about_message(&noted.event, &subject)
        .or_else(|| about_membership(&noted.event, &subject))
        .or_else(|| about_mark(&noted.event, &subject))
        .or_else(|| about_itself(&noted.event))?;
    Some((Told { group_name, at: noted.at.to_string(), ..told.with_party(party, name) }, text))
}

/// The other agent that an event is about, and as what; none is about two.
enum Party {
    Sender(AgentId),
    Recipient(AgentId),
    /// Whose doing it is.
    Other(AgentId),
}

impl Party {
    fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::SealedAnew { recipient, .. }
            | Event::SentAgain { recipient, .. }
            | Event::Failed { recipient, .. } => Self::Recipient(*recipient),
            Event::BodyGone { sender, .. }
            | Event::BodyLost { sender, .. }
            | Event::BodyDamaged { sender, .. }
            | Event::PrekeysRecalled { sender, .. }
            | Event::Missing { sender, .. } => Self::Sender(*sender),
            Event::JoinedGroup { founder: other, .. }
            | Event::RemovedFromGroup { founder: other, .. }
            | Event::LeftGroup { member: other, .. }
            | Event::Read { reader: other, .. }
            | Event::Typing { peer: other } => Self::Other(*other),
            _ => return None,
        })
    }

    fn agent(&self) -> AgentId {
        match self {
            Self::Sender(agent) | Self::Recipient(agent) | Self::Other(agent) => *agent,
        }
    }
}

fn group_of(event: &Event) -> Option<GroupId> {
    match event {
        Event::JoinedGroup { group, .. } | Event::RemovedFromGroup { group, .. } | Event::LeftGroup { group, .. } => {
            Some(*group)
        }
        _ => None,
    }
}

impl Told {
    fn new(event: &'static str) -> Self {
        Self { event, ..Self::default() }
    }

    fn with_party(self, party: Option<Party>, name: Option<String>) -> Self {
        let Some(party) = party else { return self };
        let id = Some(party.agent().to_string());
        match party {
            Party::Sender(_) => Self { sender: id, sender_name: name, ..self },
            Party::Recipient(_) => Self { recipient: id, recipient_name: name, ..self },
            Party::Other(_) => Self { agent: id, agent_name: name, ..self },
        }
    }
}

/// What became of a message.
fn about_message(event: &Event, Subject { who, .. }: &Subject) -> Option<(Told, String)> {
    if let Event::Missing { before, count, .. } = event {
        let what = if *count == 1 { "1 message".to_owned() } else { format!("up to {count} messages") };
        let place = before.map(|id| format!(" before {id}")).unwrap_or_default();
        let text = format!("{what} of {who}{place} did not come: lost, expired, taken back, or late");
        let id = before.map(|id| id.to_string());
        let told = Told { id, count: Some(*count), ..Told::new("message:missing") };
        return Some((told, text));
    }
    let (name, id, reason, text) = match event {
        Event::Unsent { message, code } => {
            let text = if code == ErrorCode::Expired.as_str() {
                format!("{message} was kept here, and could not go out before its life was over")
            } else if code == ErrorCode::ClockSkew.as_str() {
                format!("{message} was kept here, dated by a clock that was wrong; it is not sent: send the same anew")
            } else {
                format!("{message} was kept here; now the relay has refused it for good: {code}")
            };
            ("message:unsent", message, code.clone(), text)
        }
        Event::SealedAnew { message, attempt, reason, .. } => {
            let number = attempt.number();
            let text = format!("{who} could not open {message} ({reason}); it is sealed anew, attempt {number}");
            ("message:sealed-anew", message, reason.to_string(), text)
        }
        Event::SentAgain { message, attempt, reason, .. } => {
            let number = attempt.number();
            let text = format!("{who} lacks the key of {message} ({reason}); it goes again later, attempt {number}");
            ("message:sent-again", message, reason.to_string(), text)
        }
        Event::Failed { message, reason, .. } => {
            let (name, text) = failed(*reason, &message.to_string(), who);
            (name, message, reason.as_str().to_owned(), text)
        }
        Event::BodyGone { message, .. } => {
            let text = format!("{message} from {who} is gone: the relay no longer has its content");
            ("message:body-gone", message, "body-gone".to_owned(), text)
        }
        Event::BodyLost { message, .. } => {
            let text = format!("{message} from {who} is lost: the relay has lost or damaged its content");
            ("message:body-lost", message, "lost".to_owned(), text)
        }
        Event::BodyDamaged { message, .. } => {
            let text = format!(
                "{message} from {who} does not come: again and again, what the relay handed out was not what was sent; \
                 it stays there: receive with --fetch {message} to try again"
            );
            ("message:body-damaged", message, "damaged".to_owned(), text)
        }
        Event::PrekeysRecalled { message, .. } => {
            let text = format!(
                "{message} from {who} names a one-time prekey that was never made here: the store is an old copy, or its \
                 sender made the name up; those that the relay had left are replaced"
            );
            ("prekeys:recalled", message, "unknown-prekey".to_owned(), text)
        }
        _ => return None,
    };
    let attempt = match event {
        Event::SealedAnew { attempt, .. } | Event::SentAgain { attempt, .. } => Some(attempt.number()),
        _ => None,
    };
    Some((Told { id: Some(id.to_string()), attempt, reason: Some(reason), ..Told::new(name) }, text))
}

/// The end of a message that did not reach its recipient.
fn failed(reason: FailureReason, message: &str, who: &str) -> (&'static str, String) {
    let text = match reason {
        FailureReason::Refused(reason) => {
            return ("message:refused", format!("{who} refused {message} for good: {reason}"));
        }
        FailureReason::Expired => format!("{message} has not reached {who}: its life is over"),
        FailureReason::Evicted => format!("{message} has not reached {who}: the mailbox is full"),
        FailureReason::Lost => format!("{message} has not reached {who}: the relay has lost it; send it again"),
    };
    ("message:failed", text)
}

/// Who has become a member of a group, and who is one no more.
fn about_membership(event: &Event, Subject { who, group }: &Subject) -> Option<(Told, String)> {
    let (name, id, text) = match event {
        Event::JoinedGroup { group: id, .. } => {
            ("group:joined", id, format!("{who} has made this agent a member of the group {group}"))
        }
        Event::RemovedFromGroup { group: id, .. } => {
            ("group:removed", id, format!("{who} has removed this agent from the group {group}"))
        }
        Event::LeftGroup { group: id, .. } => {
            ("group:left", id, format!("{who} has left the group {group}; a new epoch has begun"))
        }
        _ => return None,
    };
    Some((Told { group: Some(id.to_string()), ..Told::new(name) }, text))
}

/// What a peer shows of its reading and writing.
fn about_mark(event: &Event, Subject { who, .. }: &Subject) -> Option<(Told, String)> {
    let (name, id, text) = match event {
        Event::Read { up_to, .. } => {
            ("message:read", Some(up_to.to_string()), format!("{who} has read everything up to {up_to}"))
        }
        Event::Typing { .. } => ("agent:typing", None, format!("{who} is writing")),
        _ => return None,
    };
    Some((Told { id, ..Told::new(name) }, text))
}

/// What became of the agent's store, and of its relay.
fn about_itself(event: &Event) -> Option<(Told, String)> {
    Some(match event {
        Event::ForkedLedger { store, relay } => {
            let reason = format!("it has countersigned {store} batches of receipts, and has {relay}");
            let text = format!(
                "the relay's ledger contradicts itself ({reason}): it was put back from a copy without \
                 `serve --restored`, or does not tell the truth; it is given no receipts"
            );
            (Told { reason: Some(reason), advice: Some(FORK_ADVICE), ..Told::new("relay:forked") }, text)
        }
        Event::RestoredCopy { sign } => {
            let text = format!("the store was an old copy ({sign}): sessions were retired and prekeys replaced");
            (Told { reason: Some(sign.clone()), ..Told::new("agent:restored-copy") }, text)
        }
        Event::PrekeysRefused { code } => {
            let text =
                format!("the relay refuses new prekeys ({code}); the old ones stay in use, and it is tried again");
            (Told { reason: Some(code.clone()), ..Told::new("prekeys:refused") }, text)
        }
        Event::PrekeysLow { one_time_curve, one_time_kem } => {
            let left = format!("{one_time_curve} curve, {one_time_kem} KEM");
            let text = format!("the relay's one-time prekeys were nearly out: {left}");
            (Told { reason: Some(left), ..Told::new("prekeys:low") }, text)
        }
        _ => return None,
    })
}
