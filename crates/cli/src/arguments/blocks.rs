//! What can be typed about a relay's store.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
};

use clap::{Args, Subcommand};

const BLOCKS_EXAMPLES: &str = "Examples:
  sealpost blocks stats --data-dir ./relay
  sealpost blocks verify --admin 127.0.0.1:7118
  sealpost blocks url --admin 127.0.0.1:7118 0190d3a8-0000-7000-8000-000000000001";

const VERIFY_EXIT_CODES: &str = "Exit codes:
  0  everything is as it was written, and agrees with everything else
  1  something was found; it is listed by kind, in text and as JSON
  3  no relay serves operators at this address
  5  the store cannot be opened
Others are those of every command: see sealpost --help";

const REPAIR_MENDS: &str = "Of the ledger's findings it mends:
  database                  indexes are built anew from their tables
  change-numbers            numbers that are in use are not given out again
  contents-mark             the mark is raised to what it should cover
  released-but-needed       the content is kept
  state-and-mailbox         a delivery is put where its state says
  lost-content              its sender is told that it is lost
  held-for-nobody           the content is let go of
  retained-without-message  the note of it goes
  mailbox-sums, body-sums   they are counted anew
  unusable-prekey           the one-time prekey counts as used
  damaged-claim             the claim is forgotten, and made anew if it is repeated
It leaves damaged-row, a row that cannot be read, and message-incomplete, a message whose deliveries are not those to the
recipients that its header names: put back a backup if you can.

Blocks that are damaged for good are given up, once those are told whom it concerns; the store is whole without them.

Exit codes:
  0  nothing was wrong, or everything is mended; contents that are lost are told as such
  1  something could not be mended; it is listed
  3  no relay serves operators at this address
  5  the store cannot be opened
Others are those of every command: see sealpost --help";

const BACKUP_EXAMPLES: &str = "Examples:
  sealpost backup --data-dir ./relay --to ./backup
  sealpost backup --admin 127.0.0.1:7118 --to ./backup";

const RESTORE_EXAMPLES: &str = "Examples:
  sealpost restore --from ./backup --data-dir ./relay";

/// The store of a relay.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// The data folder of a relay that does not run.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,

    /// The operators' endpoint of a relay that runs: what it was given as --admin-listen.
    #[arg(long, value_name = "ADDRESS", value_parser = admin_address)]
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = BLOCKS_EXAMPLES)]
pub(crate) enum BlocksCommand {
    /// Show what the block store holds.
    Stats(Place),
    /// Look through blocks and ledger, and rebuild every content that is kept. What is found stays as it is.
    #[command(after_help = VERIFY_EXIT_CODES)]
    Verify(Place),
    /// Mend what can be mended without guessing, and tell what was. A block that is damaged has no other copy: senders are
    /// told that what was in it is lost.
    #[command(after_help = REPAIR_MENDS)]
    Repair {
        #[command(flatten)]
        place: Place,
        /// Where the blocks end before what the ledger has accepted, and there is no backup: keep what is left, and have the
        /// messages whose contents are gone fail as lost. Look first with `blocks verify`.
        #[arg(long, conflicts_with = "admin")]
        accept_loss: bool,
    },
    /// Let go of blocks that nobody needs: what crashes have left over.
    Gc(Place),
    /// Show where the contents of a message lie, and their magnet links, which are for export only.
    Url {
        #[command(flatten)]
        place: UrlPlace,
        /// A message's id, or a handle as hexadecimal digits, which needs no store.
        #[arg(value_name = "MESSAGE_ID|HANDLE")]
        what: String,
    },
}

/// As [`Place`], but a handle needs none.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(crate) struct UrlPlace {
    /// The data folder of a relay that does not run.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,

    /// The operators' endpoint of a relay that runs.
    #[arg(long, value_name = "ADDRESS", value_parser = admin_address)]
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub(crate) place: Place,

    /// The folder for the backup; made if missing, and must be empty. It holds the node's key: guard it like the data folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(crate) struct Restore {
    /// The backup's folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) from: PathBuf,

    /// The data folder to be; it must be missing or empty.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: PathBuf,
}

/// An address, or a name that means this machine to itself: operators are served on loopback only.
fn admin_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let found = text.to_socket_addrs().map_err(|error| format!("{error}: give HOST:PORT, as in 127.0.0.1:7118"))?;
    let loopback = found.filter(|address| address.ip().is_loopback()).min_by_key(SocketAddr::is_ipv6);
    loopback.ok_or_else(|| "operators are served on loopback only, and that is no name of it".to_owned())
}
