//! `sealpost delegation`: acting for an agent by what it has granted, without its keys.

use std::{path::Path, time::Instant};

use sealpost_agent::{Delegation, InvalidDelegation, RelayAddress, RelayClient, SystemClock};
use sealpost_api::v1;
use sealpost_protocol::{Clock, Header, MessageClass, Right, Timestamp, encoding::Decode, limits as wire};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    arguments::{DelegationCommand, Shown},
    failure::Failure,
    home::{self, Context},
    limits, output, progress,
};

/// What a delegation grants, and whose it is.
#[derive(Serialize)]
pub(super) struct ShownDelegation {
    id: String,
    agent: String,
    rights: Vec<&'static str>,
    until: String,
    relay: String,
    node_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

impl ShownDelegation {
    /// With the file that it was written into, if it was.
    pub(super) fn new(delegation: &Delegation, file: Option<&Path>) -> Self {
        let (node, origin) = delegation.relay();
        Self {
            id: delegation.id().to_string(),
            agent: delegation.agent().to_string(),
            rights: delegation.rights().iter().map(Right::as_str).collect(),
            until: delegation.until().to_string(),
            relay: origin.to_owned(),
            node_id: node.to_string(),
            file: file.map(|file| file.display().to_string()),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let file = self.file.as_ref().map(|file| format!("\nfile    {file}, as secret as a key")).unwrap_or_default();
        let rights = self.rights.join(" and ");
        format!(
            "id      {}\nagent   {}\nrights  {rights}\nuntil   {}\nrelay   {} ({}){file}",
            self.id,
            self.agent,
            self.until,
            output::one_line(&self.relay),
            self.node_id
        )
    }
}

/// A message that waits, as far as its carrier sees it.
#[derive(Serialize)]
struct Waiting {
    /// Its place in the mailbox: what waits later has a higher one.
    seq: u64,
    id: String,
    from: String,
    attempt: u32,
    scheme: String,
    priority: String,
    sent_at: String,
    queued_at: String,
    expires_at: String,
    /// Bytes of the part, and of the body if there is one.
    length: u64,
}

pub(crate) async fn run(context: &Context, command: DelegationCommand) -> Result<(), Failure> {
    match command {
        DelegationCommand::Show { file } => {
            let shown = ShownDelegation::new(&read(&file)?, None);
            output::print(context.json, &shown, || shown.to_text())
        }
        DelegationCommand::Narrow { file, into, only, life } => {
            check_new(&into)?;
            let until = life.map(|life| SystemClock.now().saturating_add(life));
            let narrowed = read(&file)?.narrow(only.map(Right::from), until)?;
            write(&into, &narrowed)?;
            let shown = ShownDelegation::new(&narrowed, Some(&into));
            output::print_done(context.json, &shown, || shown.to_text())
        }
        DelegationCommand::Waiting { delegation, wait, after } => {
            let relay = connect(context, &delegation)?;
            let until = Instant::now() + wait;
            progress::during("reading the mailbox", waiting(context, &relay, after, until)).await
        }
        DelegationCommand::Events { delegation, after } => {
            let relay = connect(context, &delegation)?;
            progress::during("reading events", events(context, &relay, after)).await
        }
    }
}

async fn waiting(context: &Context, relay: &RelayClient, mut after: u64, until: Instant) -> Result<(), Failure> {
    let mut is_shown = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let wait = if is_shown { 0 } else { left.min(wire::RECEIVE_WAIT).as_millis() };
        let wait_ms = u32::try_from(wait).unwrap_or(u32::MAX);
        let request = v1::ReceiveRequest { after, limit: 0, wait_ms, control_taken: 0 };
        let page = relay.receive(request).await?;
        let Some(last) = page.entries.last() else {
            if is_shown || Instant::now() >= until {
                return Ok(());
            }
            continue;
        };
        after = last.mailbox_seq;
        for entry in &page.entries {
            if let Some(waiting) = Waiting::of(entry)? {
                output::print(context.json, &waiting, || waiting.to_text())?;
                is_shown = true;
            }
        }
    }
}

impl Waiting {
    /// Nothing for what runtimes say to each other.
    fn of(entry: &v1::MailboxEntry) -> Result<Option<Self>, Failure> {
        let header = Header::from_bytes(&entry.header)
            .map_err(|error| Failure::other(format!("the relay's answer makes no sense: {error}")))?;
        let fields = header.fields();
        if fields.class == MessageClass::Control {
            return Ok(None);
        }
        let queued = Timestamp::from_millis(u64::try_from(entry.queued_at_ms).unwrap_or_default());
        let body = fields.body.as_ref().map_or(0, |body| body.sealed_length);
        Ok(Some(Self {
            seq: entry.mailbox_seq,
            id: fields.message.id.to_string(),
            from: fields.message.sender.to_string(),
            attempt: entry.attempt,
            scheme: fields.scheme.to_string(),
            priority: fields.priority.to_string(),
            sent_at: fields.created.to_string(),
            queued_at: queued.to_string(),
            expires_at: fields.expires.to_string(),
            length: body.saturating_add(entry.envelope.len() as u64),
        }))
    }

    fn to_text(&self) -> String {
        format!("{}  {}  from {}, {} bytes, queued {}", self.seq, self.id, self.from, self.length, self.queued_at)
    }
}

async fn events(context: &Context, relay: &RelayClient, mut after: u64) -> Result<(), Failure> {
    loop {
        let page = relay.changes(v1::ListEventsRequest { after }).await?;
        for event in &page.events {
            after = event.seq;
            output::print(context.json, event, || {
                let reason = if event.reason.is_empty() { String::new() } else { format!(" ({})", event.reason) };
                let text =
                    format!("{}  {}{reason}  {} to {}", event.seq, event.r#type, event.message_id, event.recipient);
                output::one_line(&text)
            })?;
        }
        if page.events.len() < wire::FEED_CHANGES {
            return Ok(());
        }
    }
}

fn connect(context: &Context, shown: &Shown) -> Result<RelayClient, Failure> {
    let delegation = read(&shown.file)?;
    let origin = shown.at.clone().unwrap_or_else(|| delegation.relay().1.to_owned());
    let address = RelayAddress { origin, certificates: context.relay.certificates.clone() };
    Ok(RelayClient::for_delegate(&address, delegation, std::sync::Arc::new(SystemClock))?)
}

fn read(path: &Path) -> Result<Delegation, Failure> {
    let bytes = Zeroizing::new(home::read_up_to(path, limits::DELEGATION_FILE)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::usage(format!("{}: not text", path.display())))?;
    text.parse().map_err(|error: InvalidDelegation| Failure::usage(format!("{}: {error}", path.display())))
}

/// Refuses to write over what there is.
pub(super) fn check_new(path: &Path) -> Result<(), Failure> {
    if path.exists() { Err(Failure::usage(format!("{} exists already", path.display()))) } else { Ok(()) }
}

/// Writes a delegation into a file that nobody else may read, never over another.
pub(super) fn write(path: &Path, delegation: &Delegation) -> Result<(), Failure> {
    home::write_new(path, delegation.to_text()?.as_bytes())
}
