//! `sealpost receive`: one round, or on and on.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use sealpost_agent::{
    Agent, Arrival, ContentKind, InboxMessage, Received as Content, ReceivedScheme as Scheme, Round, printable,
};
use serde::Serialize;

use crate::{
    arguments::Receive, events, failure::Failure, home::Context, output, output::one_line, progress, saving::Saving,
};

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
    /// Bytes of a content that is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_as: Option<String>,
    /// Whether it stays in the inbox, since its content was not handed out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<String>,
    /// How it was sealed, unless by a ratchet.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    /// Whether the relay, and whoever has its store, can read it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    public: bool,
    /// Whose key it was sealed under.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_name: Option<String>,
    priority: &'static str,
    sent_at: String,
    received_at: String,
}

pub(crate) async fn run(context: &Context, receive: Receive) -> Result<(), Failure> {
    output::check_open()?;
    let (peek, save) = (receive.peek, receive.save.as_deref());
    let (mut shown, mut unsaved) = (None, 0);
    // Once for each store key that is put in the place of another meanwhile.
    loop {
        let agent = context.open(&receive.agent.name).await?;
        let mut reader = Reader { context, agent: &agent, peek, save, shown: shown.take(), unsaved };
        let result = if receive.follow {
            tokio::select! {
                result = follow(&mut reader) => result,
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        } else {
            once(&mut reader, receive.wait, receive.limit.unwrap_or(usize::MAX)).await
        };
        (shown, unsaved) = (reader.shown, reader.unsaved);
        match result {
            Err(failure) if receive.follow && failure.is_key_replaced() => {
                output::warn(context.json, failure.name(), "the store key was replaced; the agent is opened anew");
            }
            result => break result?,
        }
    }
    match unsaved {
        0 => Ok(()),
        1 => Err(Failure::other("a message could not be saved and stays in the inbox")),
        count => Err(Failure::other(format!("{count} messages could not be saved and stay in the inbox"))),
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
    /// How many could not be saved.
    unsaved: usize,
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
        let synced = progress::moving(reader.agent, "receiving", reader.agent.sync_page(wait)).await;
        left -= reader.show_all(left).await?;
        let Ok(page) = synced else { break synced };
        received += page.received;
        let is_over = received > 0 || tokio::time::Instant::now() >= deadline;
        if (is_over && !page.more) || left == 0 {
            break synced;
        }
    };
    let given = match &synced {
        Ok(_) => reader.agent.give_receipts().await.map(drop),
        Err(_) => Ok(()),
    };
    events::tell(reader.context.json, reader.agent).await?;
    synced?;
    Ok(given?)
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
        let _alone = self.agent.read_alone().await?;
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

    /// Shows one message. Returns whether its content was handed out whole. One that cannot be saved does not keep others
    /// from it.
    async fn show(&mut self, message: &InboxMessage) -> Result<bool, Failure> {
        let mut received = Received::new(message, self.context.name_of(message.message.sender).await);
        if let Scheme::SharedKey { group, .. } = message.scheme {
            received.group_name = self.agent.group(group).await.ok().map(|group| group.name);
        }
        if let (Some(folder), true) = (self.save, received.text.is_none()) {
            match self.save(message, folder).await {
                Ok(path) => received.saved_as = Some(path.display().to_string()),
                Err(error) => {
                    self.unsaved += 1;
                    let failure = Failure::other(format!("{}: {error}", folder.display()));
                    failure.with(&format!("{} stays in the inbox", received.id)).report(self.context.json);
                    return Ok(false);
                }
            }
        }
        let is_at_hand = self.context.json && received.bytes.is_some();
        received.kept = !is_at_hand && received.text.is_none() && received.saved_as.is_none();
        output::print(self.context.json, &received, || match &received.saved_as {
            Some(path) => format!("{}, saved as {}", received.to_text(), one_line(path)),
            None if !received.kept => received.to_text(),
            None if received.bytes.is_some() => {
                format!("{}; it stays in the inbox: receive with --save FOLDER or --json", received.to_text())
            }
            None => format!("{}; it stays in the inbox: receive with --save FOLDER", received.to_text()),
        })?;
        Ok(!received.kept)
    }

    /// Writes a content into a file, as it is read.
    async fn save(&self, message: &InboxMessage, folder: &Path) -> io::Result<PathBuf> {
        let id = message.message.id.to_string();
        if let Some(payload) = message.payload() {
            let name = payload.file_name.as_ref().map(|name| name.as_str());
            return Saving { id, name }.write_into(folder, &mut payload.content.as_bytes());
        }
        let body = self.agent.open_body(&message.message).await.map_err(io::Error::other)?;
        let mut body = body.ok_or_else(|| io::Error::other("another process of the agent has just taken it"))?;
        let (name, folder) = (body.prelude().file_name.clone(), folder.to_owned());
        let saving = tokio::task::spawn_blocking(move || {
            let name = name.as_ref().map(|name| name.as_str());
            Saving { id, name }.write_into(&folder, &mut body)
        });
        progress::during("saving", saving).await.map_err(io::Error::other)?
    }
}

/// On and on; a relay that goes away is waited for.
async fn follow(reader: &mut Reader<'_>) -> Result<(), Failure> {
    let mut follower = reader.agent.follow();
    loop {
        let round = follower.next().await;
        reader.show_all(usize::MAX).await?;
        events::tell(reader.context.json, reader.agent).await?;
        if let Round::Interrupted { error, pause } = round? {
            let message = format!("{error}; trying again in {:.1} s", pause.as_secs_f64());
            output::warn(reader.context.json, Failure::from(error).name(), &message);
        }
    }
}

impl Received {
    fn new(message: &InboxMessage, from_name: Option<String>) -> Self {
        let (content, prelude) = match &message.content {
            Content::Payload(payload) => (Some(&payload.content), payload.prelude()),
            Content::Body(prelude) => (None, prelude.clone()),
        };
        let text = content.and_then(|content| content.as_text()).map(str::to_owned);
        let bytes = content.filter(|content| content.kind() == ContentKind::Bytes);
        Self {
            id: message.message.id.to_string(),
            from: message.message.sender.to_string(),
            from_name,
            bytes: bytes.map(|bytes| STANDARD.encode(bytes.as_bytes())),
            length: text.is_none().then_some(prelude.content_length),
            text,
            saved_as: None,
            kept: false,
            file_name: prelude.file_name.map(|name| name.as_str().to_owned()),
            r#type: prelude.message_type.map(|name| name.as_str().to_owned()),
            thread: prelude.thread.map(|thread| thread.to_string()),
            scheme: Some(message.scheme)
                .filter(|scheme| *scheme != Scheme::Ratchet)
                .map(|scheme| scheme.scheme().as_str()),
            public: message.scheme == Scheme::None,
            group: match message.scheme {
                Scheme::SharedKey { group, .. } => Some(group.to_string()),
                _ => None,
            },
            group_name: None,
            priority: message.priority.as_str(),
            sent_at: message.sent.to_string(),
            received_at: message.received.to_string(),
        }
    }

    fn to_text(&self) -> String {
        let from = self.from_name.as_deref().unwrap_or(&self.from);
        let from = match (self.public, self.group_name.as_ref().or(self.group.as_ref())) {
            (true, _) => format!("(public) {from}"),
            (false, Some(group)) => format!("[{}] {from}", one_line(group)),
            (false, None) => from.to_owned(),
        };
        match &self.text {
            // Further lines are indented, so that none looks like another line of ours.
            Some(text) => {
                let text = printable(text);
                let lines = text.strip_suffix('\n').unwrap_or(&text).replace('\n', "\n    ");
                format!("{from} at {}: {lines}", self.sent_at)
            }
            None => {
                let name = self.file_name.as_deref().map_or_else(|| "bytes".to_owned(), one_line);
                format!("{from} at {}: {name} ({} bytes)", self.sent_at, self.length.unwrap_or_default())
            }
        }
    }
}
