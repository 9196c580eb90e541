//! `sealpost backup` and `sealpost restore`.

use std::path;

use http::Method;
use sealpost_relay::{BackupReport, OperatorError, restore_until};
use serde::Serialize;
use serde_json::json;

use super::operators::{Store, ask, failed};
use crate::{
    arguments::{Backup, Restore},
    failure::Failure,
    home::Context,
    interrupts::{heard, unless_interrupted},
    output, progress,
};

/// What an interruption leaves.
const NOT_MADE: &str = "no backup was made, and nothing is left of it";
const GIVEN_UP: &str = "the relay gives the backup up, and removes what it has written of it";
const NOT_PUT_BACK: &str = "nothing was put back, and the data folder is as it was";

#[derive(Serialize)]
struct Restored {
    data_dir: String,
    ledger_id: String,
    files: u64,
    bytes: u64,
}

pub(crate) async fn back_up(context: &Context, backup: Backup) -> Result<(), Failure> {
    let report = progress::during("making the backup", made(&backup)).await?;
    output::print_done(context.json, &report, || {
        format!("{} files, {} bytes in {}", report.files, report.bytes, report.folder.display())
    })
}

async fn made(backup: &Backup) -> Result<BackupReport, Failure> {
    // A relay that runs has another working folder.
    let to = path::absolute(&backup.to).map_err(|error| Failure::usage(error.to_string()))?;
    // The ledger is told by text where to write its copy, and so is a relay that runs.
    if to.to_str().is_none() {
        return Err(Failure::usage(format!("--to {}: a backup's folder needs a name that is text", to.display())));
    }
    match unless_interrupted(NOT_MADE, Store::of(&backup.place)).await? {
        Store::Open(operations) => {
            operations.back_up_until(to, heard()).await.map_err(|error| stopped(error, NOT_MADE))
        }
        Store::Relay(relay) => {
            let request =
                serde_json::to_vec(&json!({ "to": to })).map_err(|error| Failure::other(error.to_string()))?;
            unless_interrupted(GIVEN_UP, ask(relay, Method::POST, "/backup", request)).await
        }
    }
}

fn stopped(error: OperatorError, told: &str) -> Failure {
    match error.is_stopped() {
        true => Failure::interrupted(format!("interrupted: {told}")),
        false => failed(error),
    }
}

pub(crate) async fn restore(context: &Context, restore: Restore) -> Result<(), Failure> {
    let Restore { from, data_dir } = restore;
    let put_back = restore_until(from, data_dir.clone(), heard());
    let restored = progress::during("putting the backup back", put_back).await;
    let restored = restored.map_err(|error| stopped(error, NOT_PUT_BACK))?;
    let told = Restored {
        data_dir: data_dir.display().to_string(),
        ledger_id: restored.ledger.to_string(),
        files: restored.backup.files,
        bytes: restored.backup.bytes,
    };
    output::print_done(context.json, &told, || {
        format!(
            "{} files put back into {}\nledger {}: agents publish their prekeys anew",
            told.files, told.data_dir, told.ledger_id
        )
    })
}
