//! What can be typed about marks.

use clap::Args;
use sealpost_protocol::MessageId;

use super::As;

const MARK_EXAMPLES: &str = "Examples:
  sealpost mark --as bob alice --read 0190d3a8-0000-7000-8000-000000000001
  sealpost mark --as bob alice --typing
  sealpost mark --as bob alice --not-typing";

#[derive(Debug, Args)]
#[command(after_help = MARK_EXAMPLES)]
pub(crate) struct Mark {
    #[command(flatten)]
    pub(crate) agent: As,

    /// Whom to show it: a name or an id.
    pub(crate) peer: String,

    /// All messages of the peer are read up to this one.
    #[arg(long, value_name = "MESSAGE", required_unless_present_any = ["typing", "not_typing"])]
    pub(crate) read: Option<MessageId>,

    /// Something is being written for the peer; without it, nothing is.
    #[arg(long)]
    pub(crate) typing: bool,

    /// Nothing is being written any more; needed only where nothing else is shown.
    #[arg(long, conflicts_with = "typing")]
    pub(crate) not_typing: bool,
}
