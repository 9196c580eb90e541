//! A sign of life for what takes over a second, on a terminal only.

use std::{
    io::{self, IsTerminal, Read},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::limits;

use indicatif::{ProgressBar, ProgressStyle};
use sealpost_agent::{Agent, Transfer, TransferKind};

/// How a body is shown on its way.
const BAR: &str = "{msg} [{wide_bar}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";

/// Runs `work`, and says `doing` if it takes over a second.
pub(crate) async fn during<T>(doing: &'static str, work: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(limits::PROGRESS_DELAY, &mut work).await {
        return done;
    }
    let spinner = spinner(doing);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// The same, and shows how far the bodies are that `agent` moves meanwhile.
pub(crate) async fn moving<T>(agent: &Agent, doing: &'static str, work: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(limits::PROGRESS_DELAY, &mut work).await {
        return done;
    }
    let mut transfers = agent.transfers();
    let mut shown = spinner(doing);
    let done = loop {
        let transfer = *transfers.borrow_and_update();
        match transfer {
            Some(transfer) => show(&mut shown, transfer),
            None if shown.length().is_some() => {
                shown.finish_and_clear();
                shown = spinner(doing);
            }
            None => {}
        }
        tokio::select! {
            done = &mut work => break done,
            _ = transfers.changed() => {}
        }
    };
    shown.finish_and_clear();
    done
}

/// How far something has come, counted where it is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

/// A reader whose bytes are counted.
pub(crate) struct Counted<R> {
    pub(crate) reader: R,
    pub(crate) counter: Counter,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.counter.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Runs `work`, and shows how far it has come, in bytes of `length`, if it takes over a second.
pub(crate) async fn counting<T>(
    doing: &'static str,
    (length, counter): (u64, Counter),
    work: impl Future<Output = T>,
) -> T {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = pin!(work);
    let mut looks =
        tokio::time::interval_at(tokio::time::Instant::now() + limits::PROGRESS_DELAY, limits::PROGRESS_INTERVAL);
    let mut shown: Option<ProgressBar> = None;
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = looks.tick() => {
                let shown = shown.get_or_insert_with(|| bar(doing, length));
                shown.set_position(counter.0.load(Ordering::Relaxed));
            }
        }
    };
    if let Some(shown) = shown {
        shown.finish_and_clear();
    }
    done
}

fn show(shown: &mut ProgressBar, transfer: Transfer) {
    let message = match transfer.kind {
        TransferKind::Sealing => "sealing",
        TransferKind::Upload => "uploading",
        TransferKind::Download => "downloading",
    };
    if shown.length() != Some(transfer.length) || shown.message() != message {
        shown.finish_and_clear();
        *shown = bar(message, transfer.length);
        // What was moved before tells nothing of how fast it is now.
        shown.reset_eta();
        shown.set_position(transfer.done);
        shown.reset_elapsed();
    }
    shown.set_position(transfer.done);
}

fn bar(message: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_message(message).with_style(style)
}

fn spinner(doing: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(doing).with_style(ProgressStyle::default_spinner());
    spinner.enable_steady_tick(limits::PROGRESS_INTERVAL);
    spinner
}
