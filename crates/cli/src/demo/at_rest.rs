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

/// Where a relay keeps its blocks, inside its data.
const BLOCKS: &str = "blocks";

/// Where blocks may begin in a file of the store: at multiples of this many bytes.
const UNIT: usize = 64;

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
    for scheme in [OutgoingScheme::None, OutgoingScheme::RecipientKeys, OutgoingScheme::Ratchet] {
        let content = Content::text(small.clone()).map_err(|error| error.to_string())?;
        let outgoing = Outgoing::to([stage.bob.id()], Payload::new(content)).under(scheme);
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
    let messages = stage.receive(Bob, 4).await?;
    let texts = messages.iter().filter_map(|message| message.payload()?.content.as_text());
    ensure(texts.filter(|text| *text == small).count() == 3, "what waited there is not what was sent")?;
    stage.strike().await;
    Ok(())
}

pub(super) async fn shredded(_: &mut Stage) -> Result<(), String> {
    let known = Numbers::new(SMALL);
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
    let (handle, content) = rebuilt(&copy, id, &known).await?;
    let first = content.first_chunk().copied().ok_or("the content is empty")?;
    ensure(can_be_made(first, copy).await?, "no blocks of the store make the content: the search finds nothing")?;

    stage.restart_relay(&address).await?;
    let messages = stage.receive(Bob, 1).await?;
    let received = messages.first().and_then(|message| message.payload()?.content.as_text());
    ensure(received == Some(text.as_str()), "what was received is not what was sent")?;
    // As a power cut would, so that only what is durable counts.
    stage.kill_relay().await?;
    ensure(!can_be_made(first, stage.relay_data()).await?, "the content can still be made from blocks of the store")?;
    let live = Operations::offline(&stage.relay_data()).await.map_err(|error| chain(&error))?;
    let named = live.contents_of(id).await.map_err(|error| chain(&error))?;
    ensure(named.is_empty(), "the ledger still names what was delivered")?;
    let read = live.rebuild(handle).await.map_err(|error| chain(&error))?;
    ensure(read.is_none(), "the handle still leads to the content")
}

fn accepted(sent: Sent) -> Result<MessageId, String> {
    match sent.outcome {
        SendOutcome::Accepted(_) => Ok(sent.id),
        SendOutcome::Kept(error) => Err(format!("the relay did not accept a message: {error}")),
    }
}

/// The one content of a message that holds the text, and its handle, as an operator gets at them.
async fn rebuilt(data: &Path, message: MessageId, known: &Numbers) -> Result<(Vec<u8>, Vec<u8>), String> {
    let operations = Operations::offline(data).await.map_err(|error| chain(&error))?;
    let contents = operations.contents_of(message).await.map_err(|error| chain(&error))?;
    ensure(!contents.is_empty(), "the relay has nothing of a message that waits")?;
    for content in contents {
        ensure(content.policy == "fresh", "it was stored without random blocks of its own")?;
        let handle = bytes_of(&content.handle).ok_or("the handle is none")?;
        let read = operations.rebuild(handle.clone()).await.map_err(|error| chain(&error))?;
        let read = read.ok_or("a message that waits cannot be rebuilt")?;
        if known.have_a_run_in(&read) {
            return Ok((handle, read));
        }
    }
    Err("what was rebuilt is not what was sent".to_owned())
}

/// Whether a block that begins with `first` is, or is the XOR of, up to three of the blocks in these files: a block of
/// data, its own random block and a shared one make three.
async fn can_be_made(first: [u8; RUN], data: PathBuf) -> Result<bool, String> {
    let search = move || {
        let mut begins = HashSet::from([0]);
        for path in files(&data.join(BLOCKS))? {
            let file = fs::read(path)?;
            begins.extend(file.chunks(UNIT).filter_map(|unit| unit.first_chunk().copied().map(u128::from_ne_bytes)));
        }
        let (all, first): (Vec<u128>, _) = (begins.iter().copied().collect(), u128::from_ne_bytes(first));
        let makes_it =
            |(place, one): (usize, &u128)| all.iter().take(place).any(|other| begins.contains(&(one ^ other ^ first)));
        Ok::<_, io::Error>(all.iter().enumerate().any(makes_it))
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
