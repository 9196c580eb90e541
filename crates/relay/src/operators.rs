//! What operators ask of a relay's store: figures, verification, repair, collection, where a message's contents lie, and
//! backups. The same questions are answered here without a relay, on a data directory that none uses, and by a running
//! relay on an endpoint apart from its own.

mod restoring;

use std::{
    future, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sealpost_core::ports::BackendError;
use sealpost_protocol::MessageId;
use sealpost_storage::{
    BackupError, BackupReport, BackupStop, BlocksReport, CollectionReport, ContentLocation, Embedded, EmbeddedContents,
    OpenContentsError, OpenDataDirectoryError, RepairReport, VerificationReport,
};
use thiserror::Error;

pub use self::restoring::{Restored, restore, restore_until};
use crate::{
    ledger_identity::{self, LedgerIdentityError},
    node_keys::NodeKeys,
    system_clock::SystemClock,
};

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

/// What is in a data directory that no relay uses, and the keys of its node.
async fn unused(data_dir: &Path) -> Result<(Embedded, Arc<NodeKeys>), OperatorError> {
    if !Embedded::is_in(data_dir) {
        return Err(OperatorError::NoData(data_dir.to_owned()));
    }
    let storage = Embedded::open(data_dir)?;
    let (keys, _) = ledger_identity::establish(&storage, data_dir, None).await?;
    Ok((storage, Arc::new(keys)))
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
