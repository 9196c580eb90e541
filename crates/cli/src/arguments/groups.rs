//! What can be typed about groups.

use clap::{Args, Subcommand};

use super::As;

const GROUP_EXAMPLES: &str = "Examples:
  sealpost group new --as alice team bob,carol
  sealpost group list --as bob
  sealpost group add --as alice team dave
  sealpost group remove --as alice team carol";

/// Groups that share a key.
#[derive(Debug, Subcommand)]
#[command(after_help = GROUP_EXAMPLES)]
pub(crate) enum GroupCommand {
    /// Found a group, and hand its key to its members.
    New {
        #[command(flatten)]
        agent: As,
        /// What to call it.
        #[arg(value_name = "NAME")]
        called: String,
        /// Who belongs to it beside the founder: ids or names, separated by commas.
        #[arg(value_name = "MEMBERS")]
        members: Option<String>,
    },
    /// List the groups that an agent belongs to, or has belonged to.
    List(As),
    /// Show a group and its members.
    Show(GroupOfAgent),
    /// Make agents members: they get the key of now.
    Add(ChangedMembers),
    /// Remove members: those who remain get a new key.
    Remove(ChangedMembers),
    /// Give the group a new key.
    Rotate(GroupOfAgent),
    /// Leave a group. If its founder does, it is dissolved.
    Leave(GroupOfAgent),
}

#[derive(Debug, Args)]
pub(crate) struct GroupOfAgent {
    #[command(flatten)]
    pub(crate) agent: As,
    /// The group: its name, or its id.
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
}

#[derive(Debug, Args)]
pub(crate) struct ChangedMembers {
    #[command(flatten)]
    pub(crate) of: GroupOfAgent,
    /// Whom: ids or names, separated by commas.
    #[arg(value_name = "AGENTS")]
    pub(crate) agents: String,
}
