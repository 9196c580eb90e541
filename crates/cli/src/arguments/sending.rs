//! What can be typed about sending.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use sealpost_protocol::{Priority, Retention};

use super::{As, SchemeName};

const SEND_EXAMPLES: &str = "Examples:
  sealpost send --as alice bob \"hello\"
  sealpost send --as alice agent1…,carol --file report.pdf --priority high
  sealpost send --as alice bob --file log.txt --compress
  sealpost send --as alice --group team \"hello, all of you\"
  sealpost send --as alice bob,carol \"once\" --scheme recipient-keys
  date | sealpost send --as alice bob - --json | jq -r .id
  SEALPOST_AGENT=alice sealpost send bob \"for an hour\" --life 1h";

/// The library cannot say that one of two is needed.
const SEND_USAGE: &str = "sealpost send [OPTIONS] --as <NAME> <RECIPIENT> <TEXT>
       sealpost send [OPTIONS] --as <NAME> <RECIPIENT> --file <FILE>";

#[derive(Debug, Args)]
#[command(after_help = SEND_EXAMPLES, override_usage = SEND_USAGE)]
pub(crate) struct Send {
    #[command(flatten)]
    pub(crate) agent: As,

    /// For whom: an id, or the name of an agent here; several are separated by commas. Left out with --group.
    #[arg(value_name = "RECIPIENT", required_unless_present = "group")]
    pub(crate) to: Option<String>,

    /// The text; "-" reads standard input.
    #[arg(required_unless_present_any = ["file", "group"], conflicts_with = "file")]
    pub(crate) text: Option<String>,

    /// Send a file's bytes and its name instead; "-" reads standard input.
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,

    /// How it is sealed: by a ratchet with each recipient, under a key wrapped for each, or not at all, for the relay and
    /// everybody else to read.
    #[arg(long, value_enum, default_value_t = SchemeName::Ratchet, conflicts_with = "group")]
    pub(crate) scheme: SchemeName,

    /// For the members of a group, sealed under its key: its name, or its id.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,

    /// How urgent it is; the relay sees it.
    #[arg(long, value_enum, default_value_t = Urgency::Normal)]
    pub(crate) priority: Urgency,

    /// How long it may wait, at most 30 days.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "30days", value_name = "DURATION")]
    pub(crate) life: Duration,

    /// Until when the relay keeps it; left out, until delivery under a ratchet, and otherwise until its life ends.
    #[arg(long, value_enum, value_name = "UNTIL")]
    pub(crate) keep: Option<Keep>,

    /// Compress it before it is sealed, where that makes it shorter; its length then tells something of what it says.
    #[arg(long)]
    pub(crate) compress: bool,

    /// What the message is, to the application; sealed.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) message_type: Option<String>,

    /// The conversation, a UUID; sealed.
    #[arg(long, value_name = "UUID")]
    pub(crate) thread: Option<sealpost_protocol::ThreadId>,

    /// The message that it answers, one of a recipient's or of this agent's own; sealed.
    #[arg(long, value_name = "ID")]
    pub(crate) reply_to: Option<sealpost_protocol::MessageId>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Urgency {
    Low,
    Normal,
    High,
}

/// Until when a relay keeps a message.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Keep {
    /// Until the last recipient has it, and then no trace of it stays.
    Delivery,
    /// Until its life ends, for its sender and recipients to read again.
    Expiry,
}

impl From<Keep> for Retention {
    fn from(keep: Keep) -> Self {
        match keep {
            Keep::Delivery => Self::UntilDelivered,
            Keep::Expiry => Self::UntilExpiry,
        }
    }
}

impl From<Urgency> for Priority {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Low => Self::Low,
            Urgency::Normal => Self::Normal,
            Urgency::High => Self::High,
        }
    }
}
