//! Turns: one at a time moves an agent's ratchets and gives its receipts, over all tasks of a process and all processes of
//! the agent. The store's versions would catch two at once; turns keep them from getting in each other's way.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use tokio::sync::{Mutex, MutexGuard};

use crate::store::{StoreAccessError, StoreError};

/// Who comes next.
#[derive(Debug)]
pub(crate) struct Turns {
    file: PathBuf,
    in_process: Mutex<()>,
}

/// A turn; it ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Turn<'a> {
    _file: File,
    _in_process: MutexGuard<'a, ()>,
}

impl Turns {
    /// Turns that are taken by locking `name` in `folder`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self { file: folder.join(name), in_process: Mutex::new(()) }
    }

    /// Waits for a turn.
    pub(crate) async fn take(&self) -> Result<Turn<'_>, StoreAccessError> {
        let in_process = self.in_process.lock().await;
        let path = self.file.clone();
        let locked = tokio::task::spawn_blocking(move || {
            sealpost_sqlite::create_file(&path)?;
            let file = File::options().write(true).open(path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        });
        let file = match locked.await {
            Ok(Ok(file)) => file,
            Ok(Err(error)) => return Err(StoreError(Box::new(error)).into()),
            Err(error) => return Err(StoreError(Box::new(error)).into()),
        };
        Ok(Turn { _file: file, _in_process: in_process })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_is_waited_for_also_by_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Turns::new(folder.path(), "turn"), Turns::new(folder.path(), "turn"));
        let turn = one.take().await.unwrap();
        let waits = File::open(folder.path().join("turn")).unwrap();
        assert!(waits.try_lock().is_err(), "another handle stands for another process");
        drop(turn);
        other.take().await.unwrap();
    }
}
