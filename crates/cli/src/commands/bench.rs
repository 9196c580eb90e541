//! `sealpost bench`: what this machine makes of it, beside what it could.

use std::path::Path;

use sealpost_bench::{
    BenchError, BlockFigures, BlockOptions, Missed, RelayFigures, RelayOptions, measure_blocks, measure_relay,
};
use tokio::task::JoinHandle;

use crate::{arguments::BenchCommand, failure::Failure, home::Context, interrupts, output, progress};

pub(crate) async fn run(context: &Context, command: BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Blocks { mib, messages, place } => {
            let options = BlockOptions { mib, messages, folder: place.folder };
            check(options.check(), &options.folder)?;
            let measuring = tokio::task::spawn_blocking(move || measure_blocks(&options));
            let figures = measured("measuring the block store", measuring).await?;
            output::print(context.json, &figures, || blocks_as_text(&figures))
        }
        BenchCommand::Relay { clients, inflight, size, seconds, place } => {
            let options = RelayOptions { clients, inflight, size, seconds, folder: place.folder };
            check(options.check(), &options.folder)?;
            let measuring = tokio::spawn(measure_relay(options));
            let figures = measured("measuring the relay", measuring).await?;
            output::print(context.json, &figures, || relay_as_text(&figures))
        }
    }
}

fn check(options: Result<(), BenchError>, folder: &Path) -> Result<(), Failure> {
    options.map_err(|error| Failure::usage(error.to_string()))?;
    match folder.is_dir() {
        true => Ok(()),
        false => Err(Failure::usage(format!("--folder {}: there is no such folder", folder.display()))),
    }
}

/// What is measured, unless someone ends it: then nothing of it is left behind. It goes on beside this until the process
/// ends.
async fn measured<T>(doing: &'static str, measuring: JoinHandle<Result<T, BenchError>>) -> Result<T, Failure> {
    let measurement = measuring.abort_handle();
    tokio::select! {
        measured = progress::during(doing, measuring) => measured.map_err(|error| failed(error.into()))?.map_err(failed),
        interrupted = interrupts::interrupted() => {
            interrupted?;
            measurement.abort();
            sealpost_bench::remove_folders();
            Err(Failure::interrupted("interrupted: nothing was measured"))
        }
    }
}

fn failed(error: BenchError) -> Failure {
    Failure::other(format!("nothing was measured: {error}"))
}

fn blocks_as_text(figures: &BlockFigures) -> String {
    let mut text = String::new();
    for (name, figure, ceiling, of) in [
        ("durable write", figures.write_mb_s, figures.disk_mb_s, "the bare disk's"),
        ("verified read", figures.read_mb_s, figures.memory_mb_s, "hashes and XORs in memory,"),
    ] {
        text += &format!("{name:<24} {figure:>8.0} MB/s   {:.2} of {of} {ceiling:.0}\n", figure / ceiling);
    }
    text += &format!("{:<24} {:>8.0} MB\n", "memory at most", figures.peak_rss_mb);
    let large = format!("the worse of 16 MiB + 1 byte and {} MiB", figures.mib);
    for (name, figure, of) in [
        ("stored, pooled", figures.overhead_pooled, large.as_str()),
        ("stored, fresh", figures.overhead_fresh, large.as_str()),
        ("stored, pooled", figures.overhead_100b, "messages of 100 bytes"),
        ("stored, after deletes", figures.overhead_after_delete, "what lives, as a relay compacts in the background"),
        ("stored, all compacted", figures.overhead_compacted, "what lives"),
    ] {
        text += &format!("{name:<24} {figure:>8.3} bytes for each byte of {of}\n");
    }
    for Missed { figure, measured, at_most } in &figures.missed {
        text += &format!("above its bar: {figure} is {measured:.3}, and may be {at_most}\n");
    }
    text.trim_end().to_owned()
}

fn relay_as_text(figures: &RelayFigures) -> String {
    format!(
        "accepted, each durable   {:>8.0}/s   {:.2} of an echo\n\
         echo                     {:>8.0}/s\n\
         flushes, one by one      {:>8.0}/s\n\
         until accepted           {:>8} µs in half, {} µs in 99 of 100",
        figures.accepted_per_s,
        figures.accepted_over_echo,
        figures.echo_per_s,
        figures.fdatasync_per_s,
        figures.p50_us,
        figures.p99_us
    )
}
