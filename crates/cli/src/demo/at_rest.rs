//! The steps about what lies in a relay's files: nothing to read, and after the end nothing to rebuild it from. Each looks
//! at a relay of its own, whose files hold nothing else.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use sealpost_agent::{Content, Outgoing, OutgoingScheme, Payload, SendOutcome, Sent, Streamed};
use sealpost_protocol::{MessageId, Retention};
use sealpost_relay::Operations;

use super::stage::{Stage, Who::Bob, ensure};
use crate::{commands::blocks::bytes_of, failure::chain};

/// Bytes that a run must have to count as found.
const RUN: usize = 16;

/// Bytes of what is uploaded as a body.
const LARGE: usize = 3 << 20;

/// Bytes of what goes inline.
const SMALL: usize = 6_000;

/// Bytes of what is shredded: more blocks than a handle names, so that lists of them are shredded, too.
const LISTED: usize = 20_000;

/// A text of which no two runs are alike: each holds a whole line's number.
struct Numbers(Vec<u8>);

impl Numbers {
    fn new(bytes: usize) -> Self {
        Self((0_u32..).flat_map(|line| format!("{line:08}\n").into_bytes()).take(bytes).collect())
    }

    /// Whether a run of the text stands in `file`. A run consists of digits and line ends, so nothing else is compared.
    fn have_a_run_in(&self, file: &[u8]) -> bool {
        let is_of_text = |byte: &u8| byte.is_ascii_digit() || *byte == b'\n';
        let stretches = file.split(|byte| !is_of_text(byte)).filter(|stretch| stretch.len() >= RUN);
        let is_ours = |window: &[u8]| self.0.windows(RUN).any(|run| run == window);
        stretches.flat_map(|stretch| stretch.windows(RUN)).any(is_ours)
    }
}

pub(super) async fn whitened_at_rest(_: &mut Stage) -> Result<(), String> {
    let known = Numbers::new(LARGE);
    let mut stage = Stage::set().await?;
    let small = String::from_utf8(known.0.iter().take(SMALL).copied().collect()).map_err(|error| error.to_string())?;
    let channel = stage.alice.create_group("channel", &[stage.bob.id()]).await.map_err(|error| chain(&error))?.group.id;
    stage.receive_nothing(Bob).await?;
    let to_bob = vec![stage.bob.id()];
    let schemes = [
        (OutgoingScheme::None, to_bob.clone()),
        (OutgoingScheme::SharedKey(channel), Vec::new()),
        (OutgoingScheme::RecipientKeys, to_bob.clone()),
        (OutgoingScheme::Ratchet, to_bob),
    ];
    let count = schemes.len();
    for (scheme, to) in schemes {
        let content = Content::text(small.clone()).map_err(|error| error.to_string())?;
        let outgoing = Outgoing::to(to, Payload::new(content)).under(scheme);
        accepted(stage.alice.send(outgoing).await.map_err(|error| chain(&error))?)?;
    }
    let streamed = Streamed::new(io::Cursor::new(known.0.clone()), Some(known.0.len() as u64));
    let outgoing = Outgoing::to([stage.bob.id()], streamed).under(OutgoingScheme::None);
    accepted(stage.alice.send_streamed(outgoing).await.map_err(|error| chain(&error))?)?;

    let address = stage.kill_relay().await?;
    let middle = known.0.get(LARGE / 2..LARGE / 2 + RUN).unwrap_or_default();
    let control = stage.folder("control")?.join("with-a-run");
    fs::write(&control, [&[0xa5; 1_000], middle, &[0x5a; 1_000]].concat()).map_err(|error| error.to_string())?;
    let data = stage.relay_data();
    let (found, known, bytes) = tokio::task::spawn_blocking(move || {
        let is_found = known.have_a_run_in(&fs::read(control)?);
        ensure(is_found, "the search does not find a run that is there").map_err(io::Error::other)?;
        let (mut found, mut bytes) = (None, 0);
        for path in files(&data)? {
            let file = fs::read(&path)?;
            bytes += file.len();
            found = found.or(known.have_a_run_in(&file).then_some(path));
        }
        Ok::<_, io::Error>((found, known, bytes))
    })
    .await
    .map_err(|error| error.to_string())?
    .map_err(|error| error.to_string())?;
    ensure(found.is_none(), &format!("{found:?} holds a run of what was sent"))?;
    ensure(bytes > 2 * known.0.len(), &format!("the relay's files have {bytes} bytes: the messages are not in them"))?;

    stage.restart_relay(&address).await?;
    let messages = stage.receive(Bob, count + 1).await?;
    let texts = messages.iter().filter_map(|message| message.payload()?.content.as_text());
    ensure(texts.filter(|text| *text == small).count() == count, "what waited there is not what was sent")?;
    stage.strike().await;
    Ok(())
}

pub(super) async fn shredded(_: &mut Stage) -> Result<(), String> {
    let known = Numbers::new(LISTED);
    let mut stage = Stage::set().await?;
    let text = String::from_utf8(known.0.clone()).map_err(|error| error.to_string())?;
    let content = Content::text(text.clone()).map_err(|error| error.to_string())?;
    let outgoing = Outgoing::to([stage.bob.id()], Payload::new(content))
        .under(OutgoingScheme::None)
        .kept(Retention::UntilDelivered);
    let id = accepted(stage.alice.send(outgoing).await.map_err(|error| chain(&error))?)?;

    let address = stage.kill_relay().await?;
    let copy = stage.folder("copy")?;
    copy_files(&stage.relay_data(), &copy).map_err(|error| error.to_string())?;
    let Stored { handles, runs } = Stored::of(id, &copy, &known).await?;
    let there = found(runs.clone(), copy).await?;
    ensure(there == runs.len(), "the search does not find all blocks of a message that waits")?;

    stage.restart_relay(&address).await?;
    let messages = stage.receive(Bob, 1).await?;
    let received = messages.first().and_then(|message| message.payload()?.content.as_text());
    ensure(received == Some(text.as_str()), "what was received is not what was sent")?;
    // Looked at before anything could tidy up: what the receipt's answer promised is in the files already.
    stage.kill_relay().await?;
    let count = found(runs, stage.relay_data()).await?;
    ensure(count == 0, &format!("{count} parts of the content's blocks are still in the relay's files"))?;
    let live = Operations::offline(&stage.relay_data()).await.map_err(|error| chain(&error))?;
    let named = live.contents_of(id).await.map_err(|error| chain(&error))?;
    ensure(named.is_empty(), "the ledger still names what was delivered")?;
    for handle in handles {
        let read = live.rebuild(handle).await.map_err(|error| chain(&error))?;
        ensure(read.is_none(), "the handle still leads to the content")?;
    }
    Ok(())
}

fn accepted(sent: Sent) -> Result<MessageId, String> {
    match sent.outcome {
        SendOutcome::Accepted(_) => Ok(sent.id),
        SendOutcome::Kept(error) => Err(format!("the relay did not accept a message: {error}")),
    }
}

/// What the relay has of a message for itself, as an operator gets at it.
struct Stored {
    handles: Vec<Vec<u8>>,
    /// Every run of every block: of data, of lists, and of random ones. Without those nothing is left but blocks that other
    /// messages have borrowed, too.
    runs: HashSet<[u8; RUN]>,
}

impl Stored {
    async fn of(message: MessageId, data: &Path, known: &Numbers) -> Result<Self, String> {
        let operations = Operations::looking(data).await.map_err(|error| chain(&error))?;
        let contents = operations.contents_of(message).await.map_err(|error| chain(&error))?;
        let (mut stored, mut is_text) = (Self { handles: Vec::new(), runs: HashSet::new() }, false);
        for content in contents {
            ensure(content.policy == "fresh", "it was stored without random blocks of its own")?;
            let handle = bytes_of(&content.handle).ok_or("the handle is none")?;
            let read = operations.rebuild(handle.clone()).await.map_err(|error| chain(&error))?;
            is_text |= content.is_cbl && known.have_a_run_in(&read.ok_or("a message that waits cannot be rebuilt")?);
            let blocks = operations.blocks_of(handle.clone()).await.map_err(|error| chain(&error))?;
            let blocks = blocks.ok_or("a block of a message that waits is not there")?;
            stored.runs.extend(blocks.iter().flat_map(|block| block.as_chunks().0));
            stored.handles.push(handle);
        }
        ensure(is_text, "what is stored in lists of blocks is not what was sent")?;
        Ok(stored)
    }
}

/// How many of these runs stand anywhere in the files below a folder.
async fn found(runs: HashSet<[u8; RUN]>, data: PathBuf) -> Result<usize, String> {
    let search = move || {
        let mut found = HashSet::<[u8; RUN]>::new();
        for path in files(&data)? {
            let file = fs::read(path)?;
            let windows = file.windows(RUN).filter_map(|window| window.first_chunk::<RUN>());
            found.extend(windows.filter(|window| runs.contains(*window)).copied());
        }
        Ok::<_, io::Error>(found.len())
    };
    let found = tokio::task::spawn_blocking(search).await.map_err(|error| error.to_string())?;
    found.map_err(|error| error.to_string())
}

/// All files below a folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for path in files(from)? {
        let place = to.join(path.strip_prefix(from).map_err(io::Error::other)?);
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::copy(&path, place)?;
    }
    Ok(())
}
