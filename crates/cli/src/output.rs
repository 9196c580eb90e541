//! Printing: results to standard output, the log to standard error.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Read, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
};

use sealpost_agent::{printable, steers};
use serde::Serialize;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::{
    arguments::Command,
    failure::{ExitCode, Failure},
};

/// Characters of a group's id that tell a few groups apart.
const SHORT_ID: usize = 8;

/// Prints one result: as JSON on a line of its own, or as text.
pub(crate) fn print(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let line = if json { to_json(value)? } else { text() };
    print_bytes(format!("{line}\n").as_bytes())
}

/// Prints the result of what is done by now. If it cannot be written, the failure tells it, so that nobody does the same again
/// for want of an answer.
pub(crate) fn print_done(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let text = text();
    let line = if json { to_json(value)? } else { text.clone() };
    let printed = check_open().and_then(|()| print_bytes(format!("{line}\n").as_bytes()));
    printed.map_err(|failure| match failure.code() {
        ExitCode::Done => failure,
        _ => Failure::unshown(&failure, &text, serde_json::to_value(value).ok()),
    })
}

/// Ends a command that has printed what it has done, and may have something else to say of it.
pub(crate) fn end(json: bool, printed: Result<(), Failure>, failure: Option<Failure>) -> Result<(), Failure> {
    let Some(failure) = failure else { return printed };
    if let Err(unshown) = printed {
        unshown.report(json);
    }
    Err(failure)
}

/// Refuses to print for nobody. A process of which a standard stream is closed is given the null device in its place, open
/// for reading too, which no redirection of a shell is.
pub(crate) fn check_open() -> Result<(), Failure> {
    match is_closed(io::stdout()) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Failure::unwritten("it is closed")),
        Err(error) => Err(Failure::unwritten(&error)),
    }
}

/// Refuses to tell nobody.
pub(crate) fn check_errors_open() -> Result<(), Failure> {
    match is_closed(io::stderr()) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Failure::untold("it is closed")),
        Err(error) => Err(Failure::untold(&error)),
    }
}

fn is_closed(stream: impl AsFd) -> io::Result<bool> {
    let mut file = File::from(stream.as_fd().try_clone_to_owned()?);
    let is_null = file.metadata()?.rdev() == fs::metadata("/dev/null")?.rdev();
    Ok(is_null && file.read(&mut [0]).is_ok())
}

/// Prints a result that has its form already.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::reader_left(),
        _ => Failure::unwritten(&error),
    })
}

/// Says something beside the results, on standard error. Its words may be another's: they steer no terminal. If no one takes
/// it, the command goes on all the same.
pub(crate) fn say(text: &str) {
    say_as_it_is(&printable(text));
}

/// Tells on standard error what happened, which must have been written before it counts as told.
pub(crate) fn tell(json: bool, value: &impl Serialize, text: &str) -> Result<(), Failure> {
    let line = if json { to_json(value)? } else { printable(text) };
    let written = io::stderr().lock().write_all(format!("{}\n", line.trim_end_matches('\n')).as_bytes());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::reader_left(),
        _ => Failure::untold(&error),
    })
}

/// Warns of what does not end the command: a line, or for a program an object with a stable code.
pub(crate) fn warn(json: bool, code: &str, message: &str) {
    match json {
        true => say_json(&json!({ "warning": { "code": code, "message": message } })),
        false => say(message),
    }
}

/// Says something beside the results for a program.
pub(crate) fn say_json(value: &impl Serialize) {
    say_as_it_is(&to_json(value).unwrap_or_else(|failure| failure.message().to_owned()));
}

/// Says something that has its form already.
pub(crate) fn say_as_it_is(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// A group by its name, which others may have too, and the beginning of its id.
pub(crate) fn named_group(name: Option<&str>, id: &str) -> String {
    let short: String = id.chars().take(SHORT_ID).collect();
    name.map_or(short.clone(), |name| format!("{} ({short})", one_line(name)))
}

/// An agent by the name that it has here, or by its id.
pub(crate) fn named_agent(name: Option<&str>, id: impl ToString) -> String {
    name.map_or_else(|| id.to_string(), one_line)
}

/// Another's words, on one line and without what steers a terminal.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

/// JSON on one line. JSON itself escapes the first set of control characters only; the others that steer are escaped too,
/// since a terminal may be what reads it.
fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(value).map_err(|error| Failure::other(error.to_string()))?;
    if !json.contains(steers) {
        return Ok(json);
    }
    let mut units = [0; 2];
    let escape = |character: char| match steers(character) {
        true => character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        false => character.to_string(),
    };
    Ok(json.chars().map(escape).collect())
}

/// Starts the log. `RUST_LOG` chooses what is in it; a relay tells what it does, other commands only what is wrong.
pub(crate) fn start_log(command: &Command, json: bool) -> Result<(), Failure> {
    let default = match command {
        Command::Serve(_) => "info",
        Command::Demo => "error", // what it warns of, the story has brought about
        _ => "warn",
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_every_character_and_shows_none_that_steers() {
        let hostile = "\u{1b}[2J\u{9b}31m \u{7f} \u{202e} ünïcödé 🦀 \"quoted\" \\ \n";
        let json = to_json(&hostile).unwrap();
        assert!(!json.contains(steers) && json.contains("🦀"), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }
}
