//! `sealpost prekeys`: how they stand, and new ones.

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
        format!(
            "manifest version {}, made {}, confirmed {}\none-time keys at the relay: {} curve, {} KEM",
            self.version,
            self.created_at.as_deref().unwrap_or("never"),
            self.confirmed_at.as_deref().unwrap_or("never"),
            self.one_time_curve,
            self.one_time_kem
        )
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
        }
    }
}
