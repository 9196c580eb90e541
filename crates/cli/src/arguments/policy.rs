//! What can be typed about an agent's policy.

use clap::{Args, Subcommand, ValueEnum};
use sealpost_protocol::Scheme;

use super::As;

const POLICY_EXAMPLES: &str = "Examples:
  sealpost policy show --as alice
  sealpost policy set --as alice recipient-keys
  sealpost policy set --as alice ratchet --type com.example.order";

/// The weakest scheme that an agent sends and takes messages under.
#[derive(Debug, Subcommand)]
#[command(after_help = POLICY_EXAMPLES)]
pub(crate) enum PolicyCommand {
    /// Show it.
    Show(As),
    /// Send and take nothing below a scheme from now on; from weak to strong: none, shared-key, recipient-keys, ratchet.
    Set {
        #[command(flatten)]
        agent: As,
        /// The scheme.
        minimum: Minimum,
        /// Of messages of this type only.
        #[arg(long = "type", value_name = "TYPE")]
        message_type: Option<String>,
    },
    /// Forget the rule for a type.
    Unset(UnsetPolicy),
}

#[derive(Debug, Args)]
pub(crate) struct UnsetPolicy {
    #[command(flatten)]
    pub(crate) agent: As,
    /// The type.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) message_type: String,
}

/// A scheme, as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Minimum {
    None,
    SharedKey,
    RecipientKeys,
    Ratchet,
}

impl From<Minimum> for Scheme {
    fn from(minimum: Minimum) -> Self {
        match minimum {
            Minimum::None => Self::None,
            Minimum::SharedKey => Self::SharedKey,
            Minimum::RecipientKeys => Self::RecipientKeys,
            Minimum::Ratchet => Self::Ratchet,
        }
    }
}
