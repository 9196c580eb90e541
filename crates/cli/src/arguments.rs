//! What can be typed.

mod blocks;
mod delegations;
mod groups;
mod mark;
mod policy;
mod receiving;
mod scheme;
mod sending;

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use sealpost_agent::RelayAddress;
use sealpost_protocol::{AgentId, MessageId};

pub(crate) use self::{
    blocks::{Backup, BlocksCommand, Place, Restore, UrlPlace},
    delegations::{Delegate, DelegationCommand, Revoke, Shown},
    groups::{GroupCommand, GroupOfAgent},
    mark::Mark,
    policy::PolicyCommand,
    receiving::Receive,
    scheme::SchemeName,
    sending::Send,
};
use crate::failure::EXIT_CODES;

const EXAMPLES: &str = "Examples:
  sealpost demo
  sealpost serve --data-dir ./relay
  sealpost agent new alice
  sealpost send --as alice bob \"hello\"
  sealpost receive --as bob --wait 30s";

const STATUS_EXAMPLES: &str = "Examples:
  sealpost status --as alice 0190d3a8-0000-7000-8000-000000000001
  sealpost status --as alice \"$id\" --json | jq -r '.recipients[].state'";

const OUTBOX_EXAMPLES: &str = "Examples:
  sealpost outbox list --as alice
  sealpost outbox cancel --as alice 0190d3a8-0000-7000-8000-000000000001";

/// A post office for AI agents: sealed end to end, kept for those who are offline, honest about each message.
#[derive(Debug, Parser)]
#[command(name = "sealpost", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print results as JSON: one document, or one per line.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The folder that agents are kept in; left out, ~/.sealpost.
    #[arg(long, global = true, env = "SEALPOST_HOME", value_name = "FOLDER")]
    pub(crate) home: Option<PathBuf>,

    /// The relay to use.
    #[arg(long, global = true, env = "SEALPOST_RELAY", default_value = "http://127.0.0.1:7117", value_name = "ORIGIN", value_parser = relay_origin)]
    pub(crate) relay: String,

    /// PEM certificates to trust for the relay instead of the system's.
    #[arg(long, global = true, env = "SEALPOST_CERTIFICATES", value_name = "FILE")]
    pub(crate) certificates: Option<PathBuf>,

    /// A file whose first line is the passphrase of the agent; SEALPOST_PASSPHRASE serves as well. Without either, the
    /// agent's key file is used.
    #[arg(long, global = true, env = "SEALPOST_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// A relay's address, refused before it is used for anything.
fn relay_origin(text: &str) -> Result<String, String> {
    let address = RelayAddress { origin: text.to_owned(), certificates: None };
    address.checked_origin().map(str::to_owned).map_err(|error| error.to_string())
}

/// How long to wait: no longer than a clock can count from now.
fn waiting_time(text: &str) -> Result<Duration, String> {
    let wait = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    Instant::now().checked_add(wait).map(|_| wait).ok_or_else(|| "longer than a clock can count".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a relay.
    Serve(Serve),
    /// Show the whole main job in under a minute, with a relay and agents of its own.
    Demo,
    /// Make and show agents.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Send a message.
    Send(Send),
    /// Receive messages.
    Receive(Receive),
    /// Show what became of a message.
    Status(Status),
    /// Show a peer what was read of its messages, and that something is being written for it.
    Mark(Mark),
    /// Show and take back messages that wait here because they could not go out.
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Found and change groups that share a key.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Show and set the weakest scheme that an agent sends and takes messages under.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Show and rotate prekeys.
    #[command(subcommand)]
    Prekeys(PrekeysCommand),
    /// Act for an agent by what it has granted, without its keys.
    #[command(subcommand)]
    Delegation(DelegationCommand),
    /// Measure what this machine makes of it, beside what it could.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Show and keep up what a relay stores.
    #[command(subcommand)]
    Blocks(BlocksCommand),
    /// Make a backup of a relay's data, also while it runs.
    Backup(Backup),
    /// Put a backup back into a new data folder.
    Restore(Restore),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// The block store beside the disk and memory: speed, space and memory. Takes minutes, and four times the room.
    Blocks {
        /// MiB of the large content, and of what the store holds before.
        #[arg(long, default_value_t = 1_024, value_name = "MIB")]
        mib: usize,
        /// Small messages, of which nine tenths are deleted.
        #[arg(long, default_value_t = 1_000_000, value_name = "COUNT")]
        messages: usize,
        #[command(flatten)]
        place: BenchPlace,
    },
    /// A relay beside a gRPC echo on its own connections: messages accepted, each durable, with tokens and limits on.
    Relay {
        /// Senders, each with a connection of its own.
        #[arg(long, default_value_t = 4, value_name = "COUNT")]
        clients: usize,
        /// Messages under way at a time, all clients together.
        #[arg(long, default_value_t = 64, value_name = "COUNT")]
        inflight: usize,
        /// Bytes of content in a message.
        #[arg(long, default_value_t = 1_024, value_name = "BYTES")]
        size: usize,
        /// Seconds to measure; preparations come on top.
        #[arg(long, default_value_t = 20, value_name = "SECONDS")]
        seconds: u64,
        #[command(flatten)]
        place: BenchPlace,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BenchPlace {
    /// A folder on the disk to measure; what is written there is removed again.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A TOML file; the options here come before it.
    #[arg(long, env = "SEALPOST_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where everything is kept; made if missing. [default: ./relay]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,

    /// The address to serve on; port 0 takes a free one. [default: 127.0.0.1:7117]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,

    /// The address of the operators' endpoint, on loopback; none unless it is given. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<SocketAddr>,

    /// A further origin under which clients reach this relay; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<String>,

    /// Serve other than loopback without TLS. For networks that encrypt by themselves.
    #[arg(long)]
    pub(crate) allow_plaintext: bool,

    /// Stop when standard input ends: whoever started the relay and holds the other end is gone then, however it ended.
    #[arg(long, hide = true)]
    pub(crate) until_input_ends: bool,

    /// The data folder was put back from a copy by hand. Say so once: agents then begin their receipts anew and publish
    /// new one-time prekeys, and those of the copy are not handed out again.
    #[arg(long)]
    pub(crate) restored: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Make an agent and publish its prekeys.
    New {
        /// What to call it here.
        name: String,
        /// Do not contact the relay; prekeys are published by the first command that does.
        #[arg(long)]
        offline: bool,
    },
    /// List the agents here.
    List,
    /// Show an agent.
    Show {
        /// Its name here.
        name: String,
    },
    /// Replace the key that everything the agent keeps is sealed under. Other commands of the agent end meanwhile.
    Rekey {
        /// The agent's name here.
        name: String,
    },
    /// Open the agent with another passphrase, or with a new key file, from now on.
    Passphrase {
        /// The agent's name here.
        name: String,
        #[command(flatten)]
        new: NewLock,
    },
    /// Write the agent's identity into a file, sealed under a passphrase of its own: what it takes to be the same agent
    /// elsewhere. Mail and sessions are not in it.
    Export {
        /// The agent's name here.
        name: String,
        /// The file; it must not exist.
        file: PathBuf,
        #[command(flatten)]
        sealing: FilePassphrase,
    },
    /// Make an agent from an exported identity. The agent it was exported from must not be used any more.
    Import {
        /// What to call it here.
        name: String,
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        sealing: FilePassphrase,
    },
    /// Show the fingerprint of an agent and a contact, 60 digits and a QR code, the same at both ends; compare it if it is given.
    Verify {
        /// The agent here.
        #[arg(long = "as", value_name = "NAME")]
        own: String,
        /// The contact: a name or an id.
        contact: String,
        /// The digits that the other side has read out. If they match, the contact is noted as verified.
        #[arg(value_name = "DIGITS")]
        digits: Vec<String>,
    },
    /// Let a name mean an agent: a new contact, or one whose name has come to mean another agent.
    Trust {
        /// The agent here.
        #[arg(long = "as", value_name = "NAME")]
        own: String,
        /// The name.
        contact: String,
        /// Whom it means. Without it, the agent here that has the name.
        id: Option<AgentId>,
    },
    /// List an agent's contacts, and whose fingerprints were compared.
    Contacts {
        /// The agent here.
        #[arg(long = "as", value_name = "NAME")]
        own: String,
    },
    /// Let whoever has the resulting file act for an agent at its relay, without its identity.
    Delegate(Delegate),
    /// List the delegations that an agent has made.
    Delegations {
        /// The agent's name here.
        name: String,
    },
    /// End delegations, and every token of the agent; whoever may still act for it gets another.
    Revoke(Revoke),
    /// Trust whichever node answers at the relay's address now, and publish the prekeys there.
    TrustRelay {
        /// The agent's name here.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewLock {
    /// A file whose first line is the new passphrase; SEALPOST_NEW_PASSPHRASE serves as well.
    #[arg(long, env = "SEALPOST_NEW_PASSPHRASE_FILE", value_name = "FILE", conflicts_with = "new_key_file")]
    pub(crate) new_passphrase_file: Option<PathBuf>,

    /// Make a new key file instead.
    #[arg(long)]
    pub(crate) new_key_file: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FilePassphrase {
    /// A file whose first line is the passphrase that seals the exported identity; SEALPOST_EXPORT_PASSPHRASE serves as well.
    #[arg(long, env = "SEALPOST_EXPORT_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) export_passphrase_file: Option<PathBuf>,
}

/// Which of the agents here it is about.
#[derive(Debug, Args)]
pub(crate) struct As {
    /// The agent here that does it.
    #[arg(long = "as", env = "SEALPOST_AGENT", value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) agent: As,

    /// The message.
    pub(crate) message: MessageId,
}

#[derive(Debug, Subcommand)]
#[command(after_help = OUTBOX_EXAMPLES)]
pub(crate) enum OutboxCommand {
    /// List what waits, oldest first; nothing is sent.
    List(As),
    /// Take a message back: it is not sent, and its content is erased here. If it is sealed already it may have left, and
    /// the relay is asked first.
    Cancel {
        #[command(flatten)]
        agent: As,
        /// The message.
        message: MessageId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PrekeysCommand {
    /// Show the manifest's version and how many one-time keys the relay has left.
    Status(As),
    /// Replace the keys in the manifest and fill up the one-time keys.
    Rotate(As),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
