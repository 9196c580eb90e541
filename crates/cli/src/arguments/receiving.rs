//! What can be typed about receiving.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use sealpost_protocol::MessageId;

use super::{As, waiting_time};

const RECEIVE_EXAMPLES: &str = "Examples:
  sealpost receive --as bob
  sealpost receive --as bob --follow --json
  sealpost receive --as bob --wait 30s --limit 1
  sealpost receive --as bob --save ./inbox
  sealpost receive --as bob --fetch 0190d3a8-0000-7000-8000-000000000001 --save ./inbox";

#[derive(Debug, Args)]
#[command(after_help = RECEIVE_EXAMPLES)]
pub(crate) struct Receive {
    #[command(flatten)]
    pub(crate) agent: As,

    /// Go on until interrupted.
    #[arg(long)]
    pub(crate) follow: bool,

    /// How long to wait for the first message.
    #[arg(long, value_parser = waiting_time, default_value = "0s", value_name = "DURATION")]
    pub(crate) wait: Duration,

    /// Show messages without taking them: they are shown again, and their senders do not hear that they were taken.
    #[arg(long)]
    pub(crate) peek: bool,

    /// Write files and other bytes into this folder, each under its own name: `name (2).ext` where there is another already.
    /// A file is dated when its message was received. Without it, and without --json, they stay in the inbox.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) save: Option<PathBuf>,

    /// At most so many messages.
    #[arg(long, value_name = "COUNT", conflicts_with = "follow", value_parser = at_least_one)]
    pub(crate) limit: Option<usize>,

    /// Fetch the body of a message that is shown as waiting; may be repeated. Large bodies of agents that are no contacts and
    /// were never written to, and those for which the disk has no room, stay at the relay until then.
    #[arg(long, value_name = "MESSAGE_ID")]
    pub(crate) fetch: Vec<MessageId>,
}

/// Nothing would be shown, however often it is asked for.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1; to show messages without taking them, give --peek".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}
