//! `sealpost receive`: one round, or on and on.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use sealpost_agent::{Agent, Arrival, InboxMessage, Round};
use serde::Serialize;

use crate::{arguments::Receive, events, failure::Failure, home::Context, output, progress};

/// Messages shown before they are taken together.
const PAGE: usize = 100;

#[derive(Serialize)]
struct Received {
    id: String,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<String>,
    priority: &'static str,
    sent_at: String,
    received_at: String,
}

pub(crate) async fn run(context: &Context, receive: Receive) -> Result<(), Failure> {
    let agent = context.open(&receive.recipient).await?;
    let mut reader = Reader { context, agent: &agent, peek: receive.peek, save: receive.save.as_deref(), shown: None };
    if receive.follow {
        tokio::select! {
            result = follow(&mut reader) => result,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    } else {
        once(&mut reader, receive.wait, receive.limit.unwrap_or(usize::MAX)).await
    }
}

/// Shows the inbox to whoever typed the command.
struct Reader<'a> {
    context: &'a Context,
    agent: &'a Agent,
    peek: bool,
    save: Option<&'a Path>,
    /// Up to where the inbox was shown: what stays in it is shown once.
    shown: Option<Arrival>,
}

/// One round, its messages shown page by page. What is in the inbox is shown even if the relay does not answer.
async fn once(reader: &mut Reader<'_>, wait: Duration, limit: usize) -> Result<(), Failure> {
    let wait = if reader.agent.unread(None, 1).await?.is_empty() { wait } else { Duration::ZERO };
    let deadline = tokio::time::Instant::now() + wait;
    let mut left = limit;
    let mut received = 0;
    let synced = loop {
        let remaining = deadline.saturating_duration_since(tokio::time::Instant::now());
        let wait = if received > 0 { Duration::ZERO } else { remaining };
        let synced = progress::during("receiving", reader.agent.sync_page(wait)).await;
        left -= reader.show_all(left).await?;
        let Ok(page) = synced else { break synced };
        received += page.received;
        let is_over = received > 0 || tokio::time::Instant::now() >= deadline;
        if (is_over && !page.more) || left == 0 {
            break synced;
        }
    };
    if synced.is_ok() {
        reader.agent.give_receipts().await?;
    }
    events::tell(reader.context.json, reader.agent).await?;
    synced?;
    Ok(())
}

impl Reader<'_> {
    /// Shows up to `limit` messages, page by page, and says how many.
    async fn show_all(&mut self, limit: usize) -> Result<usize, Failure> {
        let mut left = limit;
        while left > 0 {
            match self.show_page(left.min(PAGE)).await? {
                0 => break,
                shown => left -= shown,
            }
        }
        Ok(limit - left)
    }

    /// Shows up to `limit` messages that were not shown yet, then takes them. No other process shows them meanwhile.
    async fn show_page(&mut self, limit: usize) -> Result<usize, Failure> {
        let _alone = self.agent.read_alone().await.map_err(|error| Failure::local_state(error.to_string()))?;
        let page = self.agent.unread(self.shown.as_ref(), limit).await?;
        let mut taken = Vec::new();
        for message in &page {
            if self.show(message).await? && !self.peek {
                taken.push(message.message);
            }
        }
        self.agent.take(&taken).await?;
        self.shown = page.last().map(|last| last.arrival.clone()).or(self.shown.take());
        Ok(page.len())
    }

    /// Shows one message. Returns whether its content was handed out whole.
    async fn show(&self, message: &InboxMessage) -> Result<bool, Failure> {
        let received = Received::new(message, self.context.name_of(message.message.sender).await);
        let saved = match (self.save, received.bytes.is_some()) {
            (Some(folder), true) => Some(save(folder, message)?),
            _ => None,
        };
        let is_whole = self.context.json || received.text.is_some() || saved.is_some();
        output::print(self.context.json, &received, || match saved {
            Some(path) => format!("{}, saved as {}", received.to_text(), printable(&path.display().to_string())),
            None if is_whole => received.to_text(),
            None => format!("{}; it stays in the inbox: receive with --save FOLDER or --json", received.to_text()),
        })?;
        Ok(is_whole)
    }
}

/// Writes a message's bytes into a file of their own, never over another.
fn save(folder: &Path, message: &InboxMessage) -> Result<PathBuf, Failure> {
    let failure = |path: &Path, error: &std::io::Error| Failure::other(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| failure(folder, &error))?;
    let id = message.message.id.to_string();
    let named = message.payload.file_name.as_ref().map(|name| folder.join(name.as_str()));
    let numbered = folder.join(match &message.payload.file_name {
        Some(name) => format!("{id}-{}", name.as_str()),
        None => id,
    });
    for path in named.into_iter().chain([numbered.clone()]) {
        match fs::File::create_new(&path).and_then(|mut file| {
            file.write_all(message.payload.content.as_bytes())?;
            file.sync_all()
        }) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failure(&path, &error)),
        }
    }
    // This very message was saved before, and the process ended before it was taken.
    Ok(numbered)
}

/// On and on; a relay that goes away is waited for.
async fn follow(reader: &mut Reader<'_>) -> Result<(), Failure> {
    let mut follower = reader.agent.follow();
    loop {
        let round = follower.next().await;
        reader.show_all(usize::MAX).await?;
        events::tell(reader.context.json, reader.agent).await?;
        if let Round::Interrupted { error, pause } = round? {
            output::say(&format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
        }
    }
}

impl Received {
    fn new(message: &InboxMessage, from_name: Option<String>) -> Self {
        let payload = &message.payload;
        let text = payload.content.as_text().map(str::to_owned);
        Self {
            id: message.message.id.to_string(),
            from: message.message.sender.to_string(),
            from_name,
            bytes: text.is_none().then(|| STANDARD.encode(payload.content.as_bytes())),
            text,
            file_name: payload.file_name.as_ref().map(|name| name.as_str().to_owned()),
            r#type: payload.message_type.as_ref().map(|name| name.as_str().to_owned()),
            thread: payload.thread.map(|thread| thread.to_string()),
            priority: message.priority.as_str(),
            sent_at: message.sent.to_string(),
            received_at: message.received.to_string(),
        }
    }

    fn to_text(&self) -> String {
        let from = self.from_name.as_deref().unwrap_or(&self.from);
        match (&self.text, &self.bytes) {
            (Some(text), _) => format!("{from} at {}: {}", self.sent_at, printable(text)),
            (None, bytes) => {
                let length = bytes.as_ref().map_or(0, |bytes| bytes.trim_end_matches('=').len() * 3 / 4);
                format!(
                    "{from} at {}: {} ({length} bytes)",
                    self.sent_at,
                    self.file_name.as_deref().map_or_else(|| "bytes".to_owned(), printable)
                )
            }
        }
    }
}

/// A sender's text does not get to steer the reader's terminal, nor to look like another line of ours: control characters
/// and those that turn the direction of writing are replaced, and further lines are indented.
fn printable(text: &str) -> String {
    let steers = |character: char| {
        (character.is_control() && character != '\t')
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let line =
        |line: &str| line.chars().map(|character| if steers(character) { '\u{fffd}' } else { character }).collect();
    text.lines().map(line).collect::<Vec<String>>().join("\n    ")
}
