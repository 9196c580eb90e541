//! A scheme as it is typed with a message.

use clap::ValueEnum;
use sealpost_agent::OutgoingScheme;

/// How a message is to be sealed, unless it is for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemeName {
    Ratchet,
    RecipientKeys,
    None,
}

impl From<SchemeName> for OutgoingScheme {
    fn from(name: SchemeName) -> Self {
        match name {
            SchemeName::Ratchet => Self::Ratchet,
            SchemeName::RecipientKeys => Self::RecipientKeys,
            SchemeName::None => Self::None,
        }
    }
}
