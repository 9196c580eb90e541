//! What can be typed about letting others act for an agent.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use sealpost_protocol::{DelegationId, Right};

use super::waiting_time;

const DELEGATE_EXAMPLES: &str = "Examples:
  sealpost agent delegate alice --may read --for 7d --file watcher.delegation
  sealpost delegation waiting watcher.delegation --wait 30s --json
  sealpost agent revoke alice \"$id\"";

/// What a delegation may grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RightName {
    /// Hand sealed messages over.
    Send,
    /// See what waits, and what became of messages.
    Read,
}

impl From<RightName> for Right {
    fn from(name: RightName) -> Self {
        match name {
            RightName::Send => Self::Send,
            RightName::Read => Self::Read,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = DELEGATE_EXAMPLES)]
pub(crate) struct Delegate {
    /// The agent's name here.
    pub(crate) name: String,

    /// What is granted, separated by commas. Neither lets anybody open mail, sign receipts or publish keys.
    #[arg(long, value_delimiter = ',', required = true, value_name = "RIGHTS")]
    pub(crate) may: Vec<RightName>,

    /// For how long, at most 90 days.
    #[arg(long = "for", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub(crate) life: Duration,

    /// The file that the delegation is written into, which is as secret as a key; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// What to call it in the agent's own list.
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) label: String,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The agent's name here.
    pub(crate) name: String,

    /// The delegations to end, by their ids; each ends with everything that was narrowed from it.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) delegations: Vec<DelegationId>,

    /// End every delegation that the agent has made until now, also those that are not listed here.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DelegationCommand {
    /// Show what a delegation grants.
    Show {
        /// The file that it is in.
        file: PathBuf,
    },
    /// Make a delegation that grants less, to pass on.
    Narrow {
        /// The file that it is in.
        file: PathBuf,
        /// The file that the new one is written into; it must not exist.
        #[arg(long, value_name = "FILE")]
        into: PathBuf,
        /// Leave this right alone.
        #[arg(long, value_name = "RIGHT")]
        only: Option<RightName>,
        /// End so long from now, if that is earlier.
        #[arg(long = "for", value_parser = humantime::parse_duration, value_name = "DURATION")]
        life: Option<Duration>,
    },
    /// List what waits in the agent's mailbox, sealed as it is. Nothing is taken.
    Waiting {
        #[command(flatten)]
        delegation: Shown,
        /// How long to wait for the first message.
        #[arg(long, value_parser = waiting_time, default_value = "0s", value_name = "DURATION")]
        wait: Duration,
        /// Only what stands after this place in the mailbox: what waits there, and was seen, is not waited for again.
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        after: u64,
    },
    /// List what has changed of the agent's messages: each by its latest state.
    Events {
        #[command(flatten)]
        delegation: Shown,
        /// Only what has changed after this number.
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        after: u64,
    },
}

/// A delegation that is used.
#[derive(Debug, Args)]
pub(crate) struct Shown {
    /// The file that it is in.
    pub(crate) file: PathBuf,

    /// Where the relay is reached from here, if that is not where the agent reaches it.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) at: Option<String>,
}
