//! `sealpost prekeys`: how they stand, and new ones.

use std::fmt::Write as _;

use sealpost_agent::PrekeyStatus;
use serde::Serialize;

use crate::{arguments::PrekeysCommand, failure::Failure, home::Context, output, progress};

#[derive(Serialize)]
struct Shown {
    version: u64,
    created_at: Option<String>,
    expires_at: Option<String>,
    confirmed_at: Option<String>,
    one_time_curve: u64,
    one_time_kem: u64,
    /// Whether one kind of one-time keys is nearly out.
    low: bool,
    /// With which code the relay refuses new keys.
    refused: Option<String>,
    /// Whether the relay is still to forget one-time keys whose private halves may not be here.
    recall_due: bool,
}

pub(crate) async fn run(context: &Context, command: PrekeysCommand) -> Result<(), Failure> {
    match command {
        PrekeysCommand::Status(owner) => {
            let agent = context.open(&owner.name).await?;
            let shown = Shown::from(progress::during("asking the relay", agent.prekey_status()).await?);
            output::print(context.json, &shown, || shown.to_text())
        }
        PrekeysCommand::Rotate(owner) => {
            let agent = context.open(&owner.name).await?;
            let shown = Shown::from(progress::during("rotating prekeys", agent.rotate_prekeys()).await?);
            output::print_done(context.json, &shown, || shown.to_text())
        }
    }
}

impl Shown {
    fn to_text(&self) -> String {
        let mut words = format!(
            "manifest version {}, made {}, confirmed {}\none-time keys at the relay: {} curve, {} KEM",
            self.version,
            self.created_at.as_deref().unwrap_or("never"),
            self.confirmed_at.as_deref().unwrap_or("never"),
            self.one_time_curve,
            self.one_time_kem
        );
        if self.low {
            words.push_str("\nwarning: one-time keys are nearly out; the next command that receives fills them up");
        }
        if let Some(code) = &self.refused {
            let _ = write!(words, "\nwarning: the relay refuses new keys ({code}); the old ones stay in use");
        }
        if self.recall_due {
            words.push_str(
                "\nwarning: the relay may hand out one-time keys that were not made here; the next command that receives \
                 has it forget them",
            );
        }
        words
    }
}

impl From<PrekeyStatus> for Shown {
    fn from(status: PrekeyStatus) -> Self {
        Self {
            version: status.version,
            created_at: status.created.map(|time| time.to_string()),
            expires_at: status.expires.map(|time| time.to_string()),
            confirmed_at: status.confirmed.map(|time| time.to_string()),
            one_time_curve: status.one_time_curve,
            one_time_kem: status.one_time_kem,
            low: status.is_low,
            refused: status.refused,
            recall_due: status.recall_due,
        }
    }
}
