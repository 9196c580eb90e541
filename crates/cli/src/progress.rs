//! A sign of life for what takes over a second, on a terminal only.

use std::{io::IsTerminal, pin::pin, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use sealpost_agent::{Agent, Transfer};

/// How a body is shown on its way.
const BAR: &str = "{msg} [{wide_bar}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";

/// Runs `work`, and says `doing` if it takes over a second.
pub(crate) async fn during<T>(doing: &'static str, work: impl Future<Output = T>) -> T {
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(Duration::from_secs(1), &mut work).await {
        return done;
    }
    let spinner = spinner(doing);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// The same, and shows how far the bodies are that `agent` moves meanwhile.
pub(crate) async fn moving<T>(agent: &Agent, doing: &'static str, work: impl Future<Output = T>) -> T {
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(Duration::from_secs(1), &mut work).await {
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

fn show(shown: &mut ProgressBar, transfer: Transfer) {
    if shown.length() != Some(transfer.length) {
        shown.finish_and_clear();
        let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
        let message = if transfer.is_upload { "uploading" } else { "downloading" };
        *shown = ProgressBar::new(transfer.length).with_message(message).with_style(style);
        // What was moved before tells nothing of how fast it is now.
        shown.reset_eta();
        shown.set_position(transfer.done);
        shown.reset_elapsed();
    }
    shown.set_position(transfer.done);
}

fn spinner(doing: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(doing).with_style(ProgressStyle::default_spinner());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
