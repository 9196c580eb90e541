//! Putting a backup back.

use std::{
    fs, future, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sealpost_protocol::{Clock, LedgerId};
use sealpost_storage::{BackupError, BackupReport, Embedded, is_inside, restore_files};

use super::{OperatorError, until};
use crate::{ledger_identity, system_clock::SystemClock};

/// What a folder is called while a backup is put into it.
const UNFINISHED: &str = "restoring";

/// A backup that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What was put back.
    pub backup: BackupReport,
    /// The ledger's new life.
    pub ledger: LedgerId,
}

/// Puts a backup back into `data_dir`, which must be missing or empty. The ledger begins another life: every one-time prekey
/// counts as handed out, and agents publish anew. Whatever goes wrong, `data_dir` is as it was.
///
/// # Errors
/// [`OperatorError`].
pub async fn restore(backup: PathBuf, data_dir: PathBuf) -> Result<Restored, OperatorError> {
    restore_until(backup, data_dir, future::pending()).await
}

/// As [`restore`], until it is `interrupted`: then it returns when what it has written is gone. Once all files are there, it is
/// carried to its end.
///
/// # Errors
/// [`OperatorError`], [`OperatorError::is_stopped`].
pub async fn restore_until(
    backup: PathBuf,
    data_dir: PathBuf,
    interrupted: impl Future<Output = ()>,
) -> Result<Restored, OperatorError> {
    let place = |source| OperatorError::Place { path: data_dir.clone(), source };
    let (lies_in, holds) = (is_inside(&data_dir, &backup), is_inside(&backup, &data_dir));
    if lies_in.map_err(place)? || holds.map_err(place)? {
        return Err(OperatorError::Overlap { data_dir, backup });
    }
    if let Some(other) = Embedded::above(&data_dir).map_err(place)? {
        return Err(OperatorError::InsideOther { data_dir, other });
    }
    match fs::read_dir(&data_dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(OperatorError::InUse(data_dir)),
        Ok(false) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(place(error)),
    }
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{UNFINISHED}"));
    let unfinished = data_dir.with_file_name(name);
    let put = {
        let unfinished = unfinished.clone();
        until(interrupted, move |stop| restore_files(&backup, &unfinished, stop))
    };
    let (backup, restoring) = match put.await? {
        Ok(put) => put,
        // What is there is another's.
        Err(BackupError::NotEmpty(unfinished)) => return Err(OperatorError::Unfinished(unfinished)),
        Err(error) => return Err(error.into()),
    };
    let ledger = match begin_anew(&unfinished).await {
        Ok(ledger) => ledger,
        Err(error) => {
            restoring.abandon();
            return Err(error);
        }
    };
    match fs::remove_dir(&data_dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(place(error)),
        _ => {}
    }
    restoring.finish(&data_dir).map_err(place)?;
    Ok(Restored { backup, ledger })
}

/// Opens what was put back, which shows that its pieces go together.
async fn begin_anew(data_dir: &Path) -> Result<LedgerId, OperatorError> {
    let storage = Embedded::open(data_dir)?;
    let (keys, ledger) = ledger_identity::establish(&storage, data_dir, Some(SystemClock.now())).await?;
    storage.open_contents(Arc::new(keys), Arc::new(SystemClock)).await?;
    Ok(ledger)
}
