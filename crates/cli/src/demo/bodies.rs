//! The steps about bodies: a large file, and a message to many.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use sealpost_agent::{
    Agent, Content, FileName, Outgoing, Payload, ReceiptCheck, Received, SendOutcome, Streamed, Surroundings,
    TransferKind,
};
use sealpost_protocol::{AgentId, DeliveryState, MessageId, limits as wire};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, ReadBuf},
    task::JoinSet,
};
use zeroize::Zeroizing;

use super::stage::{
    Stage,
    Who::{Alice, Bob},
    connect, ensure, master_key,
};
use crate::{failure::chain, limits};

/// Bytes of the large file.
const LENGTH: u64 = 200_000_000;

/// How much of it is through when the way is cut.
const CUT: u64 = LENGTH / 3;

/// Bytes of what goes to many: more than a key, so that it goes as one body.
const CIRCULAR: usize = 4_000;

/// Agents that are at work at a time: each has files open, and threads.
const AT_A_TIME: usize = 24;

/// A content that nobody has to keep: each byte follows from its place.
struct Pattern {
    at: u64,
}

impl Pattern {
    fn fill(&mut self, room: &mut [u8]) {
        for byte in room {
            let mixed = (self.at / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
            *byte = mixed.get(usize::try_from(self.at % 8).unwrap_or_default()).copied().unwrap_or_default();
            self.at += 1;
        }
    }
}

impl AsyncRead for Pattern {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = usize::try_from(LENGTH - self.at).unwrap_or(usize::MAX);
        let length = left.min(room.remaining());
        self.fill(room.initialize_unfilled_to(length));
        room.advance(length);
        Poll::Ready(Ok(()))
    }
}

pub(super) async fn large_file(stage: &mut Stage) -> Result<(), String> {
    upload_until_cut(stage).await?;
    let address = stage.kill_relay().await?;
    stage.restart_agent(Alice).await?;
    let waiting = stage.alice.waiting().await.map_err(|error| chain(&error))?;
    let id = waiting.first().ok_or("the file is gone from the outbox")?.id;
    stage.restart_relay(&address).await?;
    let resumed = sync_and_watch(&stage.alice).await?;
    ensure(resumed >= CUT / 2, &format!("the upload began anew, at {resumed} bytes"))?;

    let mut transfers = stage.bob.transfers();
    let cut = tokio::select! {
        synced = stage.bob.sync(Duration::ZERO) => Err(format!("the download was over before it was cut: {synced:?}")),
        reached = transfers.wait_for(|now| now.is_some_and(|now| now.done >= CUT)) => reached.map(drop).map_err(|error| error.to_string()),
    };
    cut?;
    stage.restart_agent(Bob).await?;
    let resumed = sync_and_watch(&stage.bob).await?;
    ensure(resumed >= CUT / 2, &format!("the download began anew, at {resumed} bytes"))?;
    read_the_file(stage, id).await
}

/// Sends the file, and gives the sender up in the middle of it.
async fn upload_until_cut(stage: &Stage) -> Result<(), String> {
    let mut streamed = Streamed::new(Pattern { at: 0 }, Some(LENGTH));
    streamed.file_name = Some(FileName::new("film.bin").map_err(|error| error.to_string())?);
    let mut transfers = stage.alice.transfers();
    tokio::select! {
        sent = stage.alice.send_streamed(Outgoing::to([stage.bob.id()], streamed)) => {
            Err(format!("the upload was over before it was cut: {sent:?}"))
        }
        reached = transfers.wait_for(|now| now.is_some_and(|now| now.kind == TransferKind::Upload && now.done >= CUT)) => {
            reached.map(drop).map_err(|error| error.to_string())
        }
    }
}

/// Syncs to the end, and says where the first transfer went on.
async fn sync_and_watch(agent: &Agent) -> Result<u64, String> {
    let mut transfers = agent.transfers();
    let first = async {
        let seen = tokio::time::timeout(limits::DEMO_PATIENCE, transfers.wait_for(Option::is_some)).await;
        seen.ok()?.ok()?.map(|now| now.done)
    };
    let (first, synced) = tokio::join!(first, agent.sync(Duration::ZERO));
    synced.map_err(|error| chain(&error))?;
    first.ok_or_else(|| "nothing was moved".to_owned())
}

async fn read_the_file(stage: &Stage, id: MessageId) -> Result<(), String> {
    let messages = stage.bob.unread(None, 1).await.map_err(|error| chain(&error))?;
    let message = messages.first().ok_or("the file did not arrive")?;
    ensure(message.message.id == id, "another message arrived")?;
    ensure(matches!(message.content, Received::Body(_)), "the file was held in memory")?;
    let body = stage.bob.open_body(&message.message).await.map_err(|error| chain(&error))?;
    let mut body = body.ok_or("the file cannot be opened")?;
    let (found, expected) = tokio::task::spawn_blocking(move || {
        let expected = hash(|room| {
            let mut pattern = Pattern { at: room.1 };
            pattern.fill(room.0);
            Ok(room.0.len())
        });
        (hash(|room| body.read(room.0)), expected)
    })
    .await
    .map_err(|error| error.to_string())?;
    let (found, expected) = (found.map_err(|error| error.to_string())?, expected.map_err(|error| error.to_string())?);
    ensure(found == expected, "the file has another hash")?;
    stage.bob.take(&[message.message]).await.map_err(|error| chain(&error))?;
    stage.bob.give_receipts().await.map_err(|error| chain(&error))?;
    let status = stage.status(Alice, id).await?;
    let is_proven = status.deliveries.iter().all(|delivery| delivery.receipt == ReceiptCheck::Verified);
    ensure(is_proven && status.deliveries.len() == 1, "Bob has not signed for the file")
}

/// SHA-256 of what `read` puts into the room that it is given, from a place on, up to the file's length or its own end.
fn hash(mut read: impl FnMut((&mut [u8], u64)) -> io::Result<usize>) -> io::Result<(u64, Vec<u8>)> {
    let mut context = digest::Context::new(&digest::SHA256);
    let (mut buffer, mut at) = (vec![0; 1 << 20], 0);
    loop {
        let left = usize::try_from(LENGTH.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
        // One byte more than there should be would be read, too.
        let room = buffer.get_mut(..left.max(1)).unwrap_or_default();
        let read = if left == 0 { 0 } else { read((room, at))? };
        let Some(found) = buffer.get(..read).filter(|found| !found.is_empty()) else { break };
        context.update(found);
        at += read as u64;
    }
    Ok((at, context.finish().as_ref().to_vec()))
}

pub(super) async fn thousand_recipients(stage: &mut Stage) -> Result<(), String> {
    let begun = Instant::now();
    let place = stores_in_memory()?;
    let strangers = Strangers { place: place.path().to_owned(), master: stage.master(), origin: stage.relay_origin() };
    let recipients = strangers.each(wire::RECIPIENTS, Strangers::make).await?;
    tracing::debug!(ms = begun.elapsed().as_millis(), "a thousand agents are made");
    let text: String = "To all whom it may concern. ".chars().cycle().take(CIRCULAR).collect();
    let content = Content::text(text.clone()).map_err(|error| error.to_string())?;
    let sent = stage.alice.send(Outgoing::to(recipients, Payload::new(content))).await;
    let sent = sent.map_err(|error| chain(&error))?;
    ensure(matches!(sent.outcome, SendOutcome::Accepted(_)), &format!("the message was not accepted: {sent:?}"))?;
    tracing::debug!(ms = begun.elapsed().as_millis(), "the message is accepted");
    let texts = strangers.each(wire::RECIPIENTS, Strangers::read).await?;
    tracing::debug!(ms = begun.elapsed().as_millis(), "everyone has read it");
    ensure(texts.iter().all(|found| *found == text), "not everyone read what Alice wrote")?;
    let status = stage.status(Alice, sent.id).await?;
    let proven = status.deliveries.iter().filter(|delivery| {
        delivery.status.state == DeliveryState::Delivered && delivery.receipt == ReceiptCheck::Verified
    });
    ensure(proven.count() == wire::RECIPIENTS, "not everyone has signed for it")
}

/// A folder for a thousand stores, in memory where the system has such a place: the story is about Alice, the relay and their
/// disks, and not about a thousand more.
fn stores_in_memory() -> Result<TempDir, String> {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    place.map_err(|error| error.to_string())
}

/// Agents with keys and stores of their own, open while they are at work.
#[derive(Clone)]
struct Strangers {
    place: PathBuf,
    master: Zeroizing<[u8; 32]>,
    origin: String,
}

impl Strangers {
    /// Does the same with each, several at a time.
    async fn each<T: Send + 'static, F: Future<Output = Result<T, String>> + Send + 'static>(
        &self,
        count: usize,
        work: fn(Self, usize) -> F,
    ) -> Result<Vec<T>, String> {
        let (mut at_work, mut done, mut next) = (JoinSet::new(), Vec::with_capacity(count), 0);
        while done.len() < count {
            while next < count && at_work.len() < AT_A_TIME {
                at_work.spawn(work(self.clone(), next));
                next += 1;
            }
            let result = at_work.join_next().await.ok_or("nobody is at work")?;
            done.push(result.map_err(|error| error.to_string())??);
        }
        Ok(done)
    }

    /// A new agent that is known to the relay, with one prekey of each kind for a stranger.
    async fn make(self, number: usize) -> Result<AgentId, String> {
        let surroundings = Surroundings { one_time_prekeys: 1, ..Surroundings::default() };
        let folder = self.place.join(number.to_string());
        let agent = Agent::create_with(&folder, master_key(&self.master)?, surroundings).await;
        let agent = connect(agent.map_err(|error| chain(&error))?, &self.origin).await?;
        agent.publish_prekeys().await.map_err(|error| chain(&error))?;
        Ok(agent.id())
    }

    /// The text that has arrived, which is taken and signed for.
    async fn read(self, number: usize) -> Result<String, String> {
        let surroundings = Surroundings { one_time_prekeys: 1, ..Surroundings::default() };
        let folder = self.place.join(number.to_string());
        let agent = Agent::open_with(&folder, master_key(&self.master)?, surroundings).await;
        let agent = connect(agent.map_err(|error| chain(&error))?, &self.origin).await?;
        agent.sync(Duration::ZERO).await.map_err(|error| chain(&error))?;
        let messages = agent.unread(None, 2).await.map_err(|error| chain(&error))?;
        ensure(messages.len() == 1, "a stranger has not one message")?;
        let message = messages.first().ok_or("a stranger has no message")?;
        agent.take(&[message.message]).await.map_err(|error| chain(&error))?;
        agent.give_receipts().await.map_err(|error| chain(&error))?;
        let text = message.payload().and_then(|payload| payload.content.as_text());
        text.map(str::to_owned).ok_or_else(|| "a stranger has no text".to_owned())
    }
}
