//! `sealpost receive`: one round, or on and on.

mod shown;

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sealpost_agent::{Agent, Arrival, FetchAnswer, InboxMessage, ReceivedScheme as Scheme, Round};
use sealpost_protocol::{MessageId, MessageRef};
use tokio::sync::MutexGuard;

use self::shown::Received;
use crate::{
    arguments::Receive,
    events,
    failure::Failure,
    home::Context,
    interrupts, limits,
    output::{self, one_line},
    progress::{self, Counted, Counter},
    saving::{self, Saving},
};

pub(crate) async fn run(context: &Context, receive: Receive) -> Result<(), Failure> {
    output::check_open()?;
    check(&receive)?;
    let (peek, save) = (receive.peek, receive.save.as_deref());
    if let Some(folder) = save {
        saving::tidy(folder);
    }
    let (mut shown, mut unsaved, mut waiting) = (None, 0, HashSet::new());
    let mut unfetched = None;
    // Once for each store key that is put in the place of another meanwhile.
    loop {
        let agent = context.open(&receive.agent.name).await?;
        // Opened anew, the agent asks again for what has come by then.
        let refused = ask_for(&agent, &receive.fetch).await?;
        unfetched.get_or_insert(refused);
        let mut reader = Reader {
            context,
            agent: &agent,
            peek,
            save,
            shown: shown.take(),
            unsaved,
            is_folder_unusable: false,
            waiting,
            interrupts_are_off: None,
        };
        let result = if receive.follow {
            tokio::select! {
                result = follow(&mut reader) => result,
                () = interrupts::heard() => Ok(()),
            }
        } else {
            once(&mut reader, receive.wait, receive.limit.unwrap_or(usize::MAX)).await
        };
        (shown, unsaved, waiting) = (reader.shown, reader.unsaved, reader.waiting);
        match result {
            Err(failure) if receive.follow && failure.is_key_replaced() => {
                output::warn(context.json, failure.name(), "the store key was replaced; the agent is opened anew");
            }
            result => break result?,
        }
    }
    let mut failures = unfetched.unwrap_or_default();
    match unsaved {
        0 => {}
        1 => failures.push(Failure::other("a message could not be saved and stays in the inbox")),
        count => failures.push(Failure::other(format!("{count} messages could not be saved and stay in the inbox"))),
    }
    let Some(last) = failures.pop() else { return Ok(()) };
    for failure in failures {
        failure.report(context.json);
    }
    Err(last)
}

fn check(receive: &Receive) -> Result<(), Failure> {
    match &receive.save {
        Some(folder) if folder.exists() && !folder.is_dir() => {
            Err(Failure::usage(format!("--save {}: that is a file, and a folder is needed", folder.display())))
        }
        _ => Ok(()),
    }
}

/// Asks for bodies that wait at the relay. One that cannot be had keeps no other from coming: returns why.
async fn ask_for(agent: &Agent, messages: &[MessageId]) -> Result<Vec<Failure>, Failure> {
    let mut refused = Vec::new();
    for id in messages {
        let mut answer = FetchAnswer::Unknown;
        for message in agent.awaited_under(*id).await? {
            answer = agent.fetch_waiting(message).await?;
        }
        match answer {
            FetchAnswer::Fetches => {}
            FetchAnswer::NoRoom { needed, free } => refused.push(Failure::no_room(format!(
                "there is no room here for the body of {id}: it needs {needed} bytes, and {free} are free"
            ))),
            FetchAnswer::Unknown => {
                refused.push(Failure::not_waiting(format!("no body of {id} waits at the relay")));
            }
        }
    }
    Ok(refused)
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
    /// Whether the folder was found to take no file at all: then it is not tried for each message.
    is_folder_unusable: bool,
    /// Bodies at the relay that were shown as waiting.
    waiting: HashSet<MessageRef>,
    /// From the first message that is shown until all that were are taken: whoever interrupts sees none of them again.
    interrupts_are_off: Option<MutexGuard<'static, ()>>,
}

/// One round, its messages shown page by page until the mailbox is empty. What is in the inbox is shown even if the relay does
/// not answer.
async fn once(reader: &mut Reader<'_>, wait: Duration, limit: usize) -> Result<(), Failure> {
    let wait = if reader.agent.unread(None, 1).await?.is_empty() { wait } else { Duration::ZERO };
    let deadline = tokio::time::Instant::now() + wait;
    let mut left = limit;
    let mut received = 0;
    let mut last_fruit = tokio::time::Instant::now();
    let mut stopped_early = false;
    let synced = loop {
        let remaining = deadline.saturating_duration_since(tokio::time::Instant::now());
        let wait = if received > 0 { Duration::ZERO } else { remaining };
        let synced = progress::moving(reader.agent, "receiving", reader.agent.sync_page(wait)).await;
        let shown = reader.show_all(left).await?;
        left -= shown;
        let Ok(page) = synced else { break synced };
        received += page.received;
        let is_over = received > 0 || tokio::time::Instant::now() >= deadline;
        if (is_over && !page.more) || left == 0 {
            break synced;
        }
        if shown > 0 || page.transfers || !page.more {
            last_fruit = tokio::time::Instant::now();
        }
        if last_fruit.elapsed() >= limits::FRUITLESS {
            stopped_early = true;
            break synced;
        }
    };
    reader.show_waiting().await?;
    let given = match &synced {
        Ok(_) if !reader.agent.relay_is_forked() => reader.agent.give_receipts().await.map(drop),
        _ => Ok(()),
    };
    let heard = events::tell(reader.context, reader.agent).await;
    synced?;
    given?;
    match heard?.lost {
        _ if reader.agent.relay_is_forked() => Err(Failure::forked()),
        0 if stopped_early => Err(Failure::more()),
        0 => Ok(()),
        lost => Err(Failure::lost(lost)),
    }
}

impl Reader<'_> {
    /// Shows up to `limit` messages, page by page, and says how many.
    async fn show_all(&mut self, limit: usize) -> Result<usize, Failure> {
        let mut left = limit;
        self.is_folder_unusable = false;
        while left > 0 {
            match self.show_page(left.min(limits::PAGE)).await? {
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
            if self.save.is_some() {
                self.take(&mut taken).await?; // to save the next one may take long
            }
            if self.show(message).await? && !self.peek {
                taken.push(message.message);
            }
        }
        self.take(&mut taken).await?;
        self.shown = page.last().map(|last| last.arrival.clone()).or(self.shown.take());
        Ok(page.len())
    }

    /// Takes what was shown.
    async fn take(&mut self, taken: &mut Vec<MessageRef>) -> Result<(), Failure> {
        self.agent.take(taken).await?;
        taken.clear();
        self.interrupts_are_off = None;
        Ok(())
    }

    /// Shows what stays at the relay until it is asked for, each once.
    async fn show_waiting(&mut self) -> Result<(), Failure> {
        for body in self.agent.waiting_bodies(limits::PAGE).await? {
            if self.waiting.insert(body.message) {
                let mut received =
                    Received::waiting(&body, self.context.name_of(self.agent, body.message.sender).await);
                received.group_name = self.group_name(body.scheme).await;
                output::print(self.context.json, &received, || received.to_text())?;
            }
        }
        Ok(())
    }

    async fn group_name(&self, scheme: Scheme) -> Option<String> {
        match scheme {
            Scheme::SharedKey { group, .. } => self.agent.group(group).await.ok().map(|group| group.name),
            _ => None,
        }
    }

    /// Shows one message. Returns whether its content was handed out whole. One that cannot be saved does not keep others
    /// from it.
    async fn show(&mut self, message: &InboxMessage) -> Result<bool, Failure> {
        let mut received = Received::new(message, self.context.name_of(self.agent, message.message.sender).await);
        received.group_name = self.group_name(message.scheme).await;
        if let (Some(folder), true) = (self.save, received.text.is_none()) {
            if self.is_folder_unusable {
                self.unsaved += 1;
                return Ok(false);
            }
            match self.save(message, folder).await {
                Ok(path) => received.saved_as = Some(path.display().to_string()),
                Err(error) => {
                    self.unsaved += 1;
                    self.is_folder_unusable = !saving::is_usable(folder);
                    let failure = Failure::other(format!("{}: {error}", folder.display()));
                    failure.with(&format!("{} stays in the inbox", received.id)).report(self.context.json);
                    return Ok(false);
                }
            }
        }
        if self.interrupts_are_off.is_none() {
            self.interrupts_are_off = Some(interrupts::put_off().await);
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
        let (message_id, received) = (message.message.id, message.received);
        if let Some(payload) = message.payload() {
            let name = payload.file_name.as_ref().map(|name| name.as_str());
            return Saving { message: message_id, received, name }.write_into(folder, &mut payload.content.as_bytes());
        }
        let body = self.agent.open_body(&message.message).await.map_err(io::Error::other)?;
        let body = body.ok_or_else(|| io::Error::other("another process of the agent has just taken it"))?;
        let (name, folder) = (body.prelude().file_name.clone(), folder.to_owned());
        let (length, counter) = (body.prelude().content_length, Counter::default());
        self.agent.check_room_in(&message.message, &folder, length).await.map_err(io::Error::other)?;
        let mut body = Counted { reader: body, counter: counter.clone() };
        let saving = tokio::task::spawn_blocking(move || {
            let name = name.as_ref().map(|name| name.as_str());
            Saving { message: message_id, received, name }.write_into(&folder, &mut body)
        });
        progress::counting("saving", (length, counter), saving).await.map_err(io::Error::other)?
    }
}

/// On and on; a relay that goes away is waited for.
async fn follow(reader: &mut Reader<'_>) -> Result<(), Failure> {
    let mut follower = reader.agent.follow();
    loop {
        let round = follower.next().await;
        reader.show_all(usize::MAX).await?;
        reader.show_waiting().await?;
        events::tell(reader.context, reader.agent).await?;
        if let Round::Interrupted { error, pause } = round? {
            let message = format!("{error}; trying again in {:.1} s", pause.as_secs_f64());
            output::warn(reader.context.json, Failure::from(error).name(), &message);
        }
    }
}
