//! Printing: results to standard output, the log to standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::{arguments::Command, failure::Failure};

/// Prints one result: as JSON on a line of its own, or as text.
pub(crate) fn print(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let line =
        if json { serde_json::to_string(value).map_err(|error| Failure::other(error.to_string()))? } else { text() };
    print_bytes(format!("{line}\n").as_bytes())
}

/// Prints a result that has its form already.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Failure::other(format!("standard output: {error}")))
}

/// Says something beside the results, on standard error. If no one takes it, the command goes on all the same.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", line.trim_end_matches('\n'));
}

/// Starts the log. `RUST_LOG` chooses what is in it; a relay tells what it does, other commands only what is wrong.
pub(crate) fn start_log(command: &Command, json: bool) -> Result<(), Failure> {
    let default = if matches!(command, Command::Serve(_)) { "info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(default));
    let filter = filter.map_err(|error| Failure::usage(format!("RUST_LOG: {error}")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    let started = if json || !io::stderr().is_terminal() && matches!(command, Command::Serve(_)) {
        log.json().try_init()
    } else {
        log.with_target(false).with_ansi(io::stderr().is_terminal()).try_init()
    };
    started.map_err(|error| Failure::other(error.to_string()))
}
