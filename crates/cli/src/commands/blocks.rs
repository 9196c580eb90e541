//! `sealpost blocks`: what a relay's block store holds, and its upkeep.

use http::Method;
use sealpost_protocol::MessageId;
use sealpost_relay::{
    BlocksReport, CollectionReport, ContentLocation, Damaged, Findings, RepairReport, VerificationReport,
};
use serde::Serialize;

use super::operators::{Store, ask, failed};
use crate::{
    arguments::{BlocksCommand, Place, UrlPlace},
    failure::Failure,
    home::Context,
    interrupts::unless_interrupted,
    output, progress,
};

#[derive(Serialize)]
struct Contents {
    contents: Vec<ContentLocation>,
}

/// What an interruption leaves: each change to a store is whole or not there, as when the power fails.
fn told_if_interrupted(command: &BlocksCommand) -> &'static str {
    match command {
        BlocksCommand::Stats(_) | BlocksCommand::Verify(_) | BlocksCommand::Url { .. } => "nothing was changed",
        BlocksCommand::Repair { .. } => "what was mended so far stays so; `blocks repair` again mends the rest",
        BlocksCommand::Gc(_) => "what was let go of so far is gone; `blocks gc` again looks for the rest",
    }
}

pub(crate) async fn run(context: &Context, command: BlocksCommand) -> Result<(), Failure> {
    unless_interrupted(told_if_interrupted(&command), answer(context, command)).await
}

async fn answer(context: &Context, command: BlocksCommand) -> Result<(), Failure> {
    let json = context.json;
    match command {
        BlocksCommand::Stats(place) => {
            let report = match Store::seen(&place).await? {
                Store::Open(operations) => operations.stats().await.map_err(failed),
                Store::Relay(relay) => ask(relay, Method::GET, "/blocks/stats", Vec::new()).await,
            }?;
            output::print(json, &report, || stats_as_text(&report))
        }
        BlocksCommand::Verify(place) => {
            let report = progress::during("looking through blocks and ledger", verify(&place)).await?;
            output::print(json, &report, || verification_as_text(&report))?;
            let is_whole = report.damaged.is_empty() && report.findings.is_empty();
            if is_whole { Ok(()) } else { Err(Failure::other("the store is damaged")) }
        }
        BlocksCommand::Repair { place, accept_loss } => {
            let report = progress::during("mending blocks and ledger", repair(&place, accept_loss)).await?;
            let printed = output::print_done(json, &report, || repair_as_text(&report));
            let is_whole = report.lost.is_empty() && report.left.is_empty();
            output::end(json, printed, (!is_whole).then(|| Failure::other("not everything could be mended")))
        }
        BlocksCommand::Gc(place) => {
            let report = progress::during("looking for blocks that nobody needs", collect(&place)).await?;
            output::print_done(json, &report, || {
                format!("{} blocks let go of, {} needed", report.collected, report.needed)
            })
        }
        BlocksCommand::Url { place, what } => {
            let contents = contents(&place, &what).await?;
            output::print(json, &contents, || urls_as_text(&contents.contents))
        }
    }
}

async fn verify(place: &Place) -> Result<VerificationReport, Failure> {
    match Store::seen(place).await? {
        Store::Open(operations) => operations.verify().await.map_err(failed),
        Store::Relay(relay) => ask(relay, Method::POST, "/blocks/verify", Vec::new()).await,
    }
}

async fn repair(place: &Place, accept_loss: bool) -> Result<RepairReport, Failure> {
    let store = if accept_loss { Store::left(place).await? } else { Store::of(place).await? };
    match store {
        Store::Open(operations) => operations.repair().await.map_err(failed),
        Store::Relay(relay) => ask(relay, Method::POST, "/blocks/repair", Vec::new()).await,
    }
}

async fn collect(place: &Place) -> Result<CollectionReport, Failure> {
    match Store::of(place).await? {
        Store::Open(operations) => operations.collect().await.map_err(failed),
        Store::Relay(relay) => ask(relay, Method::POST, "/blocks/gc", Vec::new()).await,
    }
}

async fn contents(place: &UrlPlace, what: &str) -> Result<Contents, Failure> {
    if let Some(content) = bytes_of(what).and_then(|bytes| ContentLocation::of(&bytes)) {
        return Ok(Contents { contents: vec![content] });
    }
    let message: MessageId = what.parse().map_err(|_| Failure::usage("that is neither a message's id nor a handle"))?;
    let place = Place { data_dir: place.data_dir.clone(), admin: place.admin };
    let contents: Vec<_> = match Store::seen(&place).await? {
        Store::Open(operations) => operations.contents_of(message).await.map_err(failed)?,
        Store::Relay(relay) => ask(relay, Method::GET, &format!("/blocks/contents/{message}"), Vec::new()).await?,
    };
    if contents.is_empty() {
        return Err(Failure::other("nothing of this message is kept here"));
    }
    Ok(Contents { contents })
}

/// The bytes that hexadecimal digits stand for.
pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if digits.len().is_multiple_of(2) { digits.chunks(2).map(byte).collect() } else { None }
}

fn stats_as_text(report: &BlocksReport) -> String {
    let BlocksReport { segments, stored_bytes, live_bytes, dead_bytes, .. } = report;
    format!(
        "segments   {segments}\nstored     {stored_bytes} bytes\nneeded     {live_bytes} bytes\nlet go of  {dead_bytes} \
         bytes, which compaction gives back\npools      {} bytes in {} blocks, borrowed by {}",
        report.pool_bytes, report.pool_blocks, report.borrowing_blocks
    )
}

fn verification_as_text(report: &VerificationReport) -> String {
    let mut text = format!(
        "{} blocks with {} bytes hashed, {} contents rebuilt, {} lost",
        report.blocks, report.bytes, report.contents, report.lost_contents
    );
    text += &damage_as_text("damaged", &report.damaged);
    text += &findings_as_text("found", &report.findings);
    text
}

fn repair_as_text(report: &RepairReport) -> String {
    let mut text = format!("{} files of the blocks mended", report.rewritten);
    text += &damage_as_text("damaged", &report.lost);
    text += &damage_as_text("given up", &report.given_up);
    text += &findings_as_text("mended", &report.mended);
    text += &findings_as_text("not mended", &report.left);
    text
}

/// A line for each kind, and below it one for each of the first of its findings.
fn findings_as_text(what: &str, findings: &[Findings]) -> String {
    let mut text = String::new();
    for found in findings {
        text += &format!("\n{what}: {} {}", found.count, found.kind);
        for subject in &found.subjects {
            let whose = subject.agent.as_ref().map(|agent| format!("{agent} ")).unwrap_or_default();
            let message = subject.message.as_ref().map(|message| format!("{message} ")).unwrap_or_default();
            text += &format!("\n  {whose}{message}{}", subject.detail);
        }
        if found.count > found.subjects.len() as u64 {
            text += &format!("\n  and {} more", found.count - found.subjects.len() as u64);
        }
    }
    text
}

fn damage_as_text(what: &str, damaged: &[Damaged]) -> String {
    let line = |Damaged { file, part }: &Damaged| {
        if file.is_empty() { format!("\n{what}: {part}") } else { format!("\n{what}: {file}, {part}") }
    };
    damaged.iter().map(line).collect()
}

fn urls_as_text(contents: &[ContentLocation]) -> String {
    let line = |content: &ContentLocation| {
        let whose = content.recipient.as_ref().map_or("body".to_owned(), |recipient| format!("part of {recipient}"));
        let whose = if content.sender.is_some() { whose } else { "content".to_owned() };
        format!("{whose}, {} bytes, {}\n{}", content.length, content.policy, content.url)
    };
    contents.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_handle_is_none() {
        assert_eq!(bytes_of("00ff"), Some(vec![0, 255]));
        for text in ["0", "0g", "ü0", "0190d3a8-0000-7000-8000-000000000001"] {
            assert_eq!(bytes_of(text), None, "{text}");
        }
        assert!(ContentLocation::of(&[0, 255]).is_none());
    }
}
