//! What operators ask of a relay's store: figures, verification, repair, collection, where a message's contents lie, and
//! backups. The same questions are answered here without a relay, on a data directory that none uses, and by a running
//! relay on an endpoint apart from its own.

use std::{
    fs, future, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sealpost_core::ports::BackendError;
use sealpost_protocol::{Clock, LedgerId, MessageId};
use sealpost_storage::{
    BackupError, BackupReport, BackupStop, BlocksReport, CollectionReport, ContentLocation, Embedded, EmbeddedContents,
    OpenContentsError, OpenDataDirectoryError, RepairReport, VerificationReport, is_inside, restore_files,
};
use thiserror::Error;

use crate::{
    ledger_identity::{self, LedgerIdentityError},
    node_keys::NodeKeys,
    system_clock::SystemClock,
};

/// What a folder is called while a backup is put into it.
const UNFINISHED: &str = "restoring";

/// The store of one data directory, as its operators see it.
#[derive(Debug, Clone)]
pub struct Operations {
    contents: Arc<EmbeddedContents>,
}

/// Why an operator's request came to nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// There is no relay's data there.
    #[error("there is no relay's data in {}", .0.display())]
    NoData(PathBuf),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] OpenDataDirectoryError),
    /// The contents cannot be opened.
    #[error(transparent)]
    Contents(#[from] OpenContentsError),
    /// The node's keys cannot be had, or do not go with the ledger.
    #[error(transparent)]
    Identity(#[from] LedgerIdentityError),
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// No backup was made, or put back.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The folder for the data has something in it.
    #[error("{} is not empty: a backup is put back into a folder that is not there, or is empty", .0.display())]
    InUse(PathBuf),
    /// A backup would be put back into itself.
    #[error(
        "the data folder {} and the backup {} lie in each other: a backup is put back elsewhere", data_dir.display(),
        backup.display()
    )]
    Overlap {
        /// The data folder to be.
        data_dir: PathBuf,
        /// The backup.
        backup: PathBuf,
    },
    /// A backup would be put back into what holds a relay's data already, or a backup.
    #[error(
        "the data folder {} lies in {}, where a relay's data or a backup is: a backup is put back elsewhere",
        data_dir.display(), other.display()
    )]
    InsideOther {
        /// The data folder to be.
        data_dir: PathBuf,
        /// What it lies in.
        other: PathBuf,
    },
    /// Something is where the backup is to be put together, and no restore is known to have left it.
    #[error(
        "{} is there, where the backup is to be put together, and is not known to be what another restore left: remove it, \
         and begin again", .0.display()
    )]
    Unfinished(PathBuf),
    /// The folder could not be put into its place.
    #[error("cannot put the data into {}", path.display())]
    Place {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl OperatorError {
    /// Whether it was interrupted, and nothing is left of it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Backup(BackupError::Stopped))
    }
}

/// A backup that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What was put back.
    pub backup: BackupReport,
    /// The ledger's new life.
    pub ledger: LedgerId,
}

impl Operations {
    pub(crate) fn new(contents: Arc<EmbeddedContents>) -> Self {
        Self { contents }
    }

    /// Opens a data directory that no relay uses.
    ///
    /// # Errors
    /// [`OperatorError`]; nothing is made.
    pub async fn offline(data_dir: &Path) -> Result<Self, OperatorError> {
        let (storage, keys) = unused(data_dir).await?;
        Ok(Self::new(storage.open_contents(keys, Arc::new(SystemClock)).await?))
    }

    /// As [`Operations::offline`], though the blocks may end before what the ledger has accepted.
    ///
    /// # Errors
    /// [`OperatorError`]; nothing is made.
    pub async fn with_what_is_left(data_dir: &Path) -> Result<Self, OperatorError> {
        let (storage, keys) = unused(data_dir).await?;
        Ok(Self::new(storage.open_what_is_left(keys, Arc::new(SystemClock)).await?))
    }

    /// Opens a data directory that no relay uses, to look at its blocks: they stay as they are.
    ///
    /// # Errors
    /// [`OperatorError`]; nothing is made.
    pub async fn looking(data_dir: &Path) -> Result<Self, OperatorError> {
        let (storage, keys) = unused(data_dir).await?;
        Ok(Self::new(storage.look_at_contents(keys, Arc::new(SystemClock)).await?))
    }

    /// The block store in figures.
    ///
    /// # Errors
    /// [`OperatorError::Backend`].
    pub async fn stats(&self) -> Result<BlocksReport, OperatorError> {
        Ok(self.contents.stats().await?)
    }

    /// Looks through blocks, ledger and contents.
    ///
    /// # Errors
    /// [`OperatorError::Backend`].
    pub async fn verify(&self) -> Result<VerificationReport, OperatorError> {
        Ok(self.contents.verify().await?)
    }

    /// Mends what can be mended.
    ///
    /// # Errors
    /// [`OperatorError::Backend`].
    pub async fn repair(&self) -> Result<RepairReport, OperatorError> {
        Ok(self.contents.repair().await?)
    }

    /// Lets go of blocks that nobody needs.
    ///
    /// # Errors
    /// [`OperatorError::Backend`].
    pub async fn collect(&self) -> Result<CollectionReport, OperatorError> {
        Ok(self.contents.collect().await?)
    }

    /// One step of letting go of what crashes have left over; `None` if there is nothing to look at.
    pub(crate) async fn collect_some(&self, pause: Duration) -> Result<Option<CollectionReport>, OperatorError> {
        Ok(self.contents.collect_some(pause).await?)
    }

    /// Rebuilds one content; `None` if its handle leads to nothing any more.
    ///
    /// # Errors
    /// [`OperatorError::Backend`].
    pub async fn rebuild(&self, handle: Vec<u8>) -> Result<Option<Vec<u8>>, OperatorError> {
        Ok(self.contents.rebuild(handle).await?)
    }

    /// The stored bytes of every block that a content has for itself; `None` if its handle does not lead to all of them.
    ///
    /// # Errors
    /// [`OperatorError::Backend`].
    pub async fn blocks_of(&self, handle: Vec<u8>) -> Result<Option<Vec<Vec<u8>>>, OperatorError> {
        Ok(self.contents.blocks_of(handle).await?)
    }

    /// Where the contents of a message lie.
    ///
    /// # Errors
    /// [`OperatorError::Backend`].
    pub async fn contents_of(&self, message: MessageId) -> Result<Vec<ContentLocation>, OperatorError> {
        Ok(self.contents.contents_of(message).await?)
    }

    /// Makes a backup of ledger, blocks and the node's keys in `folder`, at one point in time. If nobody waits for it any
    /// more, it stops, and takes away what it has written.
    ///
    /// # Errors
    /// [`OperatorError::Backup`].
    pub async fn back_up(&self, folder: PathBuf) -> Result<BackupReport, OperatorError> {
        self.back_up_until(folder, future::pending()).await
    }

    /// As [`Operations::back_up`], until it is `interrupted`: then it returns when what it has written is gone.
    ///
    /// # Errors
    /// [`OperatorError::Backup`], [`OperatorError::is_stopped`].
    pub async fn back_up_until(
        &self,
        folder: PathBuf,
        interrupted: impl Future<Output = ()>,
    ) -> Result<BackupReport, OperatorError> {
        let contents = Arc::clone(&self.contents);
        let further = NodeKeys::FILE_NAME;
        Ok(until(interrupted, move |stop| contents.back_up(&folder, &[further], stop)).await??)
    }
}

/// Does on a thread of its own what can be stopped, until it is `interrupted`; then it waits for it to come to its end.
async fn until<T: Send + 'static>(
    interrupted: impl Future<Output = ()>,
    act: impl FnOnce(&BackupStop) -> T + Send + 'static,
) -> Result<T, BackendError> {
    let stop = StopOnDrop::default();
    let stopped = stop.0.clone();
    let mut acting = tokio::task::spawn_blocking(move || act(&stopped));
    let acted = tokio::select! {
        acted = &mut acting => acted,
        () = interrupted => {
            stop.0.stop();
            acting.await
        }
    };
    acted.map_err(BackendError::new)
}

/// Stops a backup whose request has ended.
#[derive(Default)]
struct StopOnDrop(BackupStop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
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

/// What is in a data directory that no relay uses, and the keys of its node.
async fn unused(data_dir: &Path) -> Result<(Embedded, Arc<NodeKeys>), OperatorError> {
    if !Embedded::is_in(data_dir) {
        return Err(OperatorError::NoData(data_dir.to_owned()));
    }
    let storage = Embedded::open(data_dir)?;
    let (keys, _) = ledger_identity::establish(&storage, data_dir, None).await?;
    Ok((storage, Arc::new(keys)))
}

/// Opens what was put back, which shows that its pieces go together.
async fn begin_anew(data_dir: &Path) -> Result<LedgerId, OperatorError> {
    let storage = Embedded::open(data_dir)?;
    let (keys, ledger) = ledger_identity::establish(&storage, data_dir, Some(SystemClock.now())).await?;
    storage.open_contents(Arc::new(keys), Arc::new(SystemClock)).await?;
    Ok(ledger)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, process::Command};

    use super::*;

    /// A data directory of a node, in a folder of its own.
    async fn data_in(folder: &Path) -> PathBuf {
        let data_dir = folder.join("data");
        let storage = Embedded::open(&data_dir).unwrap();
        ledger_identity::establish(&storage, &data_dir, None).await.unwrap();
        data_dir
    }

    async fn until(mut is_so: impl FnMut() -> bool) {
        let wait = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it comes to be");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_backup_that_nobody_waits_for_stops_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = data_in(folder.path()).await;
        let operations = Operations::offline(&data_dir).await.unwrap();
        // Copying the key blocks until somebody writes it.
        let key = NodeKeys::path(&data_dir);
        let bytes = fs::read(&key).unwrap();
        fs::remove_file(&key).unwrap();
        assert!(Command::new("mkfifo").arg(&key).status().unwrap().success());
        for was_there in [false, true] {
            let backup = folder.path().join("backup");
            if was_there {
                fs::create_dir(&backup).unwrap();
            }
            let making = tokio::spawn({
                let (operations, backup) = (operations.clone(), backup.clone());
                async move { operations.back_up(backup).await }
            });
            until(|| backup.join("ledger.sqlite3").exists()).await;
            making.abort();
            assert!(making.await.unwrap_err().is_cancelled());
            until(|| {
                // Open for both it waits for nobody; who has it open by now reads to its end.
                File::options().read(true).write(true).open(&key).unwrap().write_all(&bytes).unwrap();
                fs::read_dir(&backup).map_or(!was_there, |mut left| was_there && left.next().is_none())
            })
            .await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_restore_that_is_interrupted_leaves_nothing_and_the_data_folder_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = data_in(folder.path()).await;
        let backup = folder.path().join("backup");
        Operations::offline(&data_dir).await.unwrap().back_up(backup.clone()).await.unwrap();
        let (target, left) = (folder.path().join("target"), folder.path().join("target.restoring"));
        for was_there in [false, true] {
            if was_there {
                fs::create_dir(&target).unwrap();
            }
            let refused = restore_until(backup.clone(), target.clone(), future::ready(())).await.unwrap_err();
            assert!(refused.is_stopped(), "{refused:?}");
            assert_eq!((target.exists(), left.exists()), (was_there, false));
        }
        assert!(fs::read_dir(&target).unwrap().next().is_none());
        restore(backup, target.clone()).await.unwrap();
        Operations::offline(&target).await.unwrap();
    }

    #[tokio::test]
    async fn a_backup_and_the_data_do_not_go_into_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = data_in(folder.path()).await;
        let operations = Operations::offline(&data_dir).await.unwrap();
        for inside in [data_dir.join("backup"), data_dir.join("blocks/backup"), data_dir.clone()] {
            let refused = operations.back_up(inside.clone()).await;
            assert!(matches!(refused, Err(OperatorError::Backup(BackupError::InsideData { .. }))), "{refused:?}");
            assert!(inside == data_dir || !inside.exists());
        }
        let backup = folder.path().join("backups/one");
        operations.back_up(backup.clone()).await.unwrap();
        for target in [backup.clone(), backup.join("data"), backup.join("new/data"), folder.path().join("backups")] {
            let refused = restore(backup.clone(), target.clone()).await;
            assert!(matches!(refused, Err(OperatorError::Overlap { .. })), "{target:?}: {refused:?}");
        }
        restore(backup.clone(), folder.path().join("target")).await.unwrap();

        let other = folder.path().join("other");
        operations.back_up(other.clone()).await.unwrap();
        for inside in [other.join("in"), folder.path().join("target/deep/in")] {
            let refused = operations.back_up(inside.clone()).await;
            assert!(matches!(refused, Err(OperatorError::Backup(BackupError::InsideOther { .. }))), "{refused:?}");
            let refused = restore(backup.clone(), inside.clone()).await;
            assert!(matches!(refused, Err(OperatorError::InsideOther { .. })), "{refused:?}");
            assert!(!inside.exists());
        }
    }

    #[tokio::test]
    async fn a_backup_is_opened_by_nobody_and_can_still_be_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = data_in(folder.path()).await;
        let backup = folder.path().join("backup");
        Operations::offline(&data_dir).await.unwrap().back_up(backup.clone()).await.unwrap();
        let refused = Operations::offline(&backup).await;
        assert!(matches!(refused, Err(OperatorError::Ledger(OpenDataDirectoryError::Backup(_)))), "{refused:?}");
        assert!(matches!(Embedded::open(&backup), Err(OpenDataDirectoryError::Backup(_))));
        restore(backup, folder.path().join("target")).await.unwrap();
    }

    #[tokio::test]
    async fn an_emptied_ledger_beside_contents_is_no_fresh_start_and_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = data_in(folder.path()).await;
        fs::create_dir_all(data_dir.join("blocks")).unwrap();
        fs::write(data_dir.join("blocks/00000001-00000000.segment"), b"contents").unwrap();
        for name in ["ledger.sqlite3-wal", "ledger.sqlite3-shm"] {
            _ = fs::remove_file(data_dir.join(name));
        }
        fs::write(data_dir.join("ledger.sqlite3"), b"").unwrap();
        let files = || {
            let mut files: Vec<_> = fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            files.sort();
            files
        };
        let before = files();
        let refused = Operations::offline(&data_dir).await.unwrap_err();
        assert!(matches!(refused, OperatorError::Ledger(OpenDataDirectoryError::Emptied(_))), "{refused:?}");
        let text = refused.to_string();
        assert!(text.contains("sealpost restore") && text.contains("remove the file"), "{text}");
        assert!(matches!(Embedded::open(&data_dir), Err(OpenDataDirectoryError::Emptied(_))));
        assert_eq!((files(), fs::metadata(data_dir.join("ledger.sqlite3")).unwrap().len()), (before, 0));
        fs::remove_file(data_dir.join("ledger.sqlite3")).unwrap();
        Embedded::open(&data_dir).unwrap();
    }

    #[tokio::test]
    async fn what_a_restore_left_that_was_cut_short_is_told_and_left() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = data_in(folder.path()).await;
        let backup = folder.path().join("backup");
        Operations::offline(&data_dir).await.unwrap().back_up(backup.clone()).await.unwrap();
        let (target, left) = (folder.path().join("target"), folder.path().join("target.restoring"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("ledger.sqlite3"), b"half").unwrap();
        let refused = restore(backup, target.clone()).await;
        assert!(matches!(refused, Err(OperatorError::Unfinished(_))), "{refused:?}");
        assert!(!target.exists() && left.join("ledger.sqlite3").exists());
    }

    #[tokio::test]
    async fn what_a_restore_left_that_was_killed_is_cleared_by_the_next_unless_it_works_on() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = data_in(folder.path()).await;
        let backup = folder.path().join("backup");
        Operations::offline(&data_dir).await.unwrap().back_up(backup.clone()).await.unwrap();
        let (target, left) = (folder.path().join("target"), folder.path().join("target.restoring"));
        let (_, working) = restore_files(&backup, &left, &BackupStop::default()).unwrap();
        fs::write(left.join("blocks/half"), b"half").unwrap();
        let refused = restore(backup.clone(), target.clone()).await;
        assert!(matches!(refused, Err(OperatorError::Backup(BackupError::BeingRestored(_)))), "{refused:?}");
        assert!(left.join("blocks/half").exists());
        drop(working); // as a process that is killed does: it leaves the files, and no lock
        restore(backup, target.clone()).await.unwrap();
        assert!(!left.exists() && !target.join("blocks/half").exists() && !target.join("restoring").exists());
        Operations::offline(&target).await.unwrap();
    }

    #[tokio::test]
    async fn a_backup_that_was_cut_short_is_taken_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = data_in(folder.path()).await;
        let operations = Operations::offline(&data_dir).await.unwrap();
        let backup = folder.path().join("backup");
        operations.back_up(backup.clone()).await.unwrap();
        assert!(!backup.join("unfinished").exists());
        // What there is when the relay is killed: everything but the list.
        fs::rename(backup.join("backup.json"), backup.join("unfinished")).unwrap();
        let again = operations.back_up(backup.clone()).await.unwrap_err();
        assert!(matches!(again, OperatorError::Backup(BackupError::HoldsUnfinished(_))), "{again:?}");
        assert!(again.to_string().contains("remove the folder, or name another"), "{again}");
        let refused = restore(backup.clone(), folder.path().join("target")).await.unwrap_err();
        assert!(matches!(refused, OperatorError::Backup(BackupError::Unfinished(_))), "{refused:?}");
        let refused = Operations::offline(&backup).await.unwrap_err();
        assert!(matches!(refused, OperatorError::Ledger(OpenDataDirectoryError::UnfinishedBackup(_))), "{refused:?}");
        fs::remove_dir_all(&backup).unwrap();
        operations.back_up(backup).await.unwrap();
    }
}
