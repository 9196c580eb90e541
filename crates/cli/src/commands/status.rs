//! `sealpost status`: what became of a message, recipient by recipient.

use sealpost_agent::{LocalState, ProvenStatus, RelayError, StoredContent, StoredMessage, SystemClock};
use sealpost_protocol::{Clock, ErrorCode, Timestamp};
use serde::Serialize;

use crate::{
    arguments::Status,
    events,
    failure::{Behind, Failure},
    home::Context,
    output, progress,
};

#[derive(Serialize)]
struct Shown {
    id: String,
    /// "kept" here, "accepted" by the relay, or "unsent": refused by it for good.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The earlier message that it waits behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<Behind>,
    /// When the relay last told, if it does not now.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
    recipients: Vec<ShownDelivery>,
    /// How the relay stores what the sender may read of it, while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<StoredMessage>,
}

#[derive(Serialize)]
struct ShownDelivery {
    recipient: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_name: Option<String>,
    attempt: u16,
    /// The relay's word.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Whether it is sealed anew, since the recipient could not open it: then the state is of the attempt before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    renewing: bool,
    late: bool,
    queued_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    handed_over_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_at: Option<String>,
    /// Whether the recipient's own signature bears the state out.
    receipt: &'static str,
}

pub(crate) async fn run(context: &Context, status: Status) -> Result<(), Failure> {
    let agent = context.open(&status.agent.name).await?;
    let found = progress::during("asking the relay", agent.status(status.message)).await?;
    let behind = found.waits.as_ref().and_then(Behind::of);
    let waits = found.waits.map(Failure::from);
    let (state, accepted_at, reason) = match found.local {
        LocalState::Kept => ("kept", None, waits.as_ref().map(|why| why.name().to_owned())),
        LocalState::Accepted(at) => ("accepted", Some(at.to_string()), None),
        LocalState::Unsent(code) => ("unsent", None, Some(code)),
    };
    let mut recipients = Vec::new();
    for delivery in &found.deliveries {
        let name = context.name_of(&agent, delivery.status.recipient).await;
        let renewing = found.renewing.contains(&delivery.status.recipient);
        recipients.push(ShownDelivery { renewing, ..ShownDelivery::new(delivery, name) });
    }
    let as_of = found.outdated.as_ref().map(|(_, asked)| asked.to_string());
    let (id, content) = (found.id.to_string(), found.content);
    let shown = Shown { id, state, accepted_at, reason, behind, as_of, recipients, content };
    let printed = output::print(context.json, &shown, || shown.to_text());
    events::tell(context, &agent).await?;
    let failure = match (waits, found.outdated) {
        (Some(why), _) => Some(Failure::kept(why)),
        (None, Some((error, _))) if error.code() == Some(ErrorCode::NotFound) => {
            Some(Failure::unknown_to_relay(format!(
                "the relay at {} has no message {}: it was accepted by another relay, or this one has lost or forgotten it",
                context.relay.origin, found.id
            )))
        }
        (None, Some((error, asked))) => Some(outdated(error, asked)),
        (None, None) => None,
    };
    output::end(context.json, printed, failure)
}

/// The relay does not tell how a message stands; what is known is from when it last did.
fn outdated(error: RelayError, asked: Timestamp) -> Failure {
    let age = SystemClock.now().since(asked);
    let age = humantime::format_duration(std::time::Duration::from_secs(age.as_secs()));
    Failure::from(error).with(&format!("what is shown is {age} old"))
}

impl ShownDelivery {
    fn new(delivery: &ProvenStatus, recipient_name: Option<String>) -> Self {
        let status = &delivery.status;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        Self {
            recipient: status.recipient.to_string(),
            recipient_name,
            attempt: status.attempt.number(),
            state: status.state.as_str(),
            reason: status.state.failure().map(|reason| reason.as_str()),
            renewing: false,
            late: status.late,
            queued_at: status.queued_at.to_string(),
            handed_over_at: time(status.handed_over_at),
            delivered_at: time(status.delivered_at),
            acknowledged_at: time(status.acknowledged_at),
            receipt: delivery.receipt.as_str(),
        }
    }
}

/// One line each, without the ids.
fn stored_as_lines(StoredMessage { body, part }: &StoredMessage) -> Vec<String> {
    let body = body.as_ref().map(|body| {
        let first = body.contents.first().map(|first| format!(", {}", stored_as_text(first))).unwrap_or_default();
        let pieces = if body.pieces == 1 { "1 piece".to_owned() } else { format!("{} pieces", body.pieces) };
        format!("  body: {} bytes in {pieces}{first}", body.length)
    });
    let part = part.as_ref().map(|part| format!("  part: {} bytes, {}", part.length, stored_as_text(part)));
    body.into_iter().chain(part).collect()
}

fn stored_as_text(content: &StoredContent) -> String {
    let StoredContent { policy, block_size, tuple_size, is_cbl, .. } = content;
    let list = if *is_cbl { " listed in a CBL" } else { "" };
    format!("{policy} whitened in blocks of {block_size} bytes{list}, tuples of {tuple_size}")
}

impl Shown {
    fn to_text(&self) -> String {
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let as_of = self.as_of.as_ref().map(|as_of| format!(", as of {as_of}")).unwrap_or_default();
        let mut lines = vec![format!("{}  {}{reason}{as_of}", self.id, self.state)];
        for delivery in &self.recipients {
            let who = output::named_agent(delivery.recipient_name.as_deref(), &delivery.recipient);
            let reason = delivery.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let state = format!("{}{reason}, receipt {}", delivery.state, delivery.receipt);
            lines.push(match delivery.renewing {
                true => format!(
                    "  {who}: renewing: it is sealed anew; the relay says of attempt {}: {state}",
                    delivery.attempt
                ),
                false => format!("  {who}: {state}"),
            });
            let times = [
                ("queued", Some(&delivery.queued_at)),
                ("handed over", delivery.handed_over_at.as_ref()),
                ("delivered", delivery.delivered_at.as_ref()),
                ("acknowledged", delivery.acknowledged_at.as_ref()),
            ];
            lines.extend(times.iter().filter_map(|(name, time)| Some(format!("    {name:<13} {}", (*time)?))));
        }
        lines.extend(self.content.iter().flat_map(stored_as_lines));
        lines.join("\n")
    }
}
