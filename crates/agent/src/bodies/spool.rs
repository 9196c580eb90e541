//! The spool: a folder of sealed bodies, outgoing ones until nobody needs them any more, incoming ones until the agent has
//! taken them. It holds ciphertext alone; the keys are in the store's rows.
//!
//! A file's name says what it belongs to, so that what a crash has left behind is found. Whoever writes a file, or moves it
//! to or from a relay, holds its lock: two processes of an agent do not do the same work, and nobody sweeps it away.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::limits;

use sealpost_protocol::{
    MessageId, MessageRef,
    encoding::{Decode, Encode},
};
use sealpost_sqlite::{create_private_folder, free_bytes, private_options};

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    folder: PathBuf,
}

/// What a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spooled {
    /// A content of unknown length on its way into a body; under keys that only its process has.
    Staged(MessageId),
    /// The body of a message of this agent.
    Outgoing(MessageId),
    /// The body of a received message, or the beginning of it.
    Incoming(MessageRef),
}

/// A file of the spool, locked. Dropped before it is kept, a new one is deleted.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    file: File,
    path: PathBuf,
    is_kept: bool,
}

impl Spool {
    pub(crate) fn new(agent: &Path) -> Self {
        Self { folder: agent.join("spool") }
    }

    pub(crate) fn path(&self, spooled: Spooled) -> PathBuf {
        self.folder.join(spooled.to_string())
    }

    /// Makes a file that is its owner's only. What was under its name is gone.
    pub(crate) async fn create(&self, spooled: Spooled) -> io::Result<SpoolFile> {
        let (folder, path) = (self.folder.clone(), self.path(spooled));
        blocking(move || {
            create_private_folder(&folder)?;
            let file = private().create(true).truncate(false).open(&path)?;
            file.lock()?;
            file.set_len(0)?;
            Ok(SpoolFile { file, path, is_kept: false })
        })
        .await
    }

    /// Opens a file that is there, or makes it, unless another has it locked.
    pub(crate) async fn open_or_create(&self, spooled: Spooled) -> io::Result<Option<SpoolFile>> {
        let (folder, path) = (self.folder.clone(), self.path(spooled));
        blocking(move || {
            create_private_folder(&folder)?;
            lock(private().create(true).truncate(false).open(&path)?, path)
        })
        .await
    }

    /// Opens a file that is there, unless another has it locked.
    pub(crate) async fn open(&self, spooled: Spooled) -> io::Result<Option<SpoolFile>> {
        let path = self.path(spooled);
        blocking(move || lock(private().open(&path)?, path)).await
    }

    /// Deletes a file; one that is not there is no error.
    pub(crate) async fn remove(&self, spooled: Spooled) {
        let path = self.path(spooled);
        let removed = blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, "a spooled body is not deleted; a later round tries again");
        }
    }

    /// What the file system would still give to this process; made of the agent's folder, which is there.
    pub(crate) async fn free_bytes(&self) -> io::Result<u64> {
        let folder = self.folder.parent().unwrap_or(&self.folder).to_owned();
        blocking(move || free_bytes(&folder)).await
    }

    /// The files there are, and how many bytes each has.
    pub(crate) async fn list(&self) -> io::Result<Vec<(Spooled, u64)>> {
        let folder = self.folder.clone();
        blocking(move || {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut found = Vec::new();
            for entry in entries {
                let entry = entry?;
                let Some(spooled) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
                match entry.metadata() {
                    Ok(metadata) => found.push((spooled, metadata.len())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
        .await
    }
}

impl SpoolFile {
    /// The open file, by another handle.
    pub(crate) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Makes what was written durable, and the file's name with it.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        let (file, folder) = (self.file.try_clone()?, self.path.parent().map(Path::to_owned));
        blocking(move || {
            file.sync_all()?;
            folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        })
        .await
    }

    /// A row names it: it stays.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Deletes it after all.
    pub(crate) fn discard(mut self) {
        self.is_kept = false;
    }
}

impl Drop for SpoolFile {
    /// While the lock is held still, so that nobody is in the middle of using it.
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "a spooled body is not deleted; a later round tries again");
        }
    }
}

/// File operations wait for the disk: off the threads that serve others.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn lock(file: File, path: PathBuf) -> io::Result<Option<SpoolFile>> {
    let mut locked = file.try_lock();
    let (tries, pause) = limits::SPOOL_LOCK;
    for _ in 0..tries {
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            break;
        }
        // Whoever was interrupted may still be in the middle of its last write.
        #[expect(clippy::disallowed_methods, reason = "waiting for a lock has no end of its own")]
        std::thread::sleep(pause);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) if is_at(&file, &path)? => Ok(Some(SpoolFile { file, path, is_kept: true })),
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether `path` still leads to the open file: whoever had it before may have deleted it in between.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let open = file.metadata()?;
        match fs::metadata(path) {
            Ok(found) => Ok((found.dev(), found.ino()) == (open.dev(), open.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
    #[cfg(not(unix))]
    Ok(file.metadata().is_ok() && path.exists())
}

fn private() -> OpenOptions {
    let mut options = private_options();
    options.read(true).write(true);
    options
}

const STAGED: &str = "staged-";
const OUTGOING: &str = "out-";
const INCOMING: &str = "in-";

impl std::fmt::Display for Spooled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (prefix, name) = match self {
            Self::Staged(id) => (STAGED, id.as_bytes().to_vec()),
            Self::Outgoing(id) => (OUTGOING, id.as_bytes().to_vec()),
            Self::Incoming(message) => (INCOMING, message.to_bytes()),
        };
        formatter.write_str(prefix)?;
        name.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for Spooled {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let id = |name: &str| MessageId::from_bytes(&from_hex(name)?).ok();
        let found = if let Some(name) = name.strip_prefix(STAGED) {
            id(name).map(Self::Staged)
        } else if let Some(name) = name.strip_prefix(OUTGOING) {
            id(name).map(Self::Outgoing)
        } else {
            let name = name.strip_prefix(INCOMING).and_then(from_hex);
            name.and_then(|name| MessageRef::from_bytes(&name).ok()).map(Self::Incoming)
        };
        found.ok_or(())
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use sealpost_protocol::{AgentId, Timestamp};

    use super::*;

    fn id() -> MessageId {
        MessageId::new(Timestamp::from_millis(5), [7; 10])
    }

    #[test]
    fn a_file_s_name_says_what_it_belongs_to() {
        let message = MessageRef { sender: AgentId::from_array([3; 32]), id: id() };
        for spooled in [Spooled::Staged(id()), Spooled::Outgoing(id()), Spooled::Incoming(message)] {
            assert_eq!(spooled.to_string().parse(), Ok(spooled));
        }
        for other in ["", "out-", "out-00", "in-zz", "lock", "out-ü"] {
            assert_eq!(other.parse::<Spooled>(), Err(()), "{other}");
        }
    }

    #[tokio::test]
    async fn a_new_file_is_its_owner_s_only_and_gone_unless_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path());
        let spooled = Spooled::Outgoing(id());
        drop(spool.create(spooled).await.unwrap());
        assert!(spool.list().await.unwrap().is_empty());
        let mut file = spool.create(spooled).await.unwrap();
        assert!(spool.open(spooled).await.unwrap().is_none(), "another has it");
        file.keep();
        drop(file);
        assert_eq!(spool.list().await.unwrap(), [(spooled, 0)]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&spool.path(spooled)), mode(&spool.folder)), (0o600, 0o700));
        }
        spool.open(spooled).await.unwrap().unwrap().discard();
        assert!(spool.list().await.unwrap().is_empty());
        spool.remove(spooled).await;
    }
}
