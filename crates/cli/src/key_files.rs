//! The key file of an agent: made whole, replaced by one that is there before the store is sealed under it, and tidied up
//! after a command that was cut short.
//!
//! Whoever replaces or removes key files holds `key.lock` meanwhile. What is found without a holder is a left-over.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process,
};

use sealpost_agent::{
    Agent, KeyFileProvider, Lock, MasterKeySource, Primitives, SystemPrimitives, create_private_folder, private_options,
};
use zeroize::Zeroizing;

use crate::{failure::Failure, home::read};

pub(crate) const KEY_FILE: &str = "master.key";

/// A new key before it takes the place of the old one.
const NEXT_KEY_FILE: &str = "master.key.next";

const LOCK_FILE: &str = "key.lock";

/// What the name of a key begins and ends with while it is written.
const UNFINISHED: (&str, &str) = ("master.", ".new");

/// The right to replace an agent's key files; it ends when this is dropped, or with the process.
pub(crate) struct KeyTurn {
    _file: File,
}

impl KeyTurn {
    /// Waits for it.
    pub(crate) fn take(folder: &Path) -> Result<Self, Failure> {
        let file = Self::file(folder)?;
        file.lock().map_err(|error| local(folder, &error))?;
        Ok(Self { _file: file })
    }

    /// `None` while someone else has it.
    fn try_take(folder: &Path) -> Result<Option<Self>, Failure> {
        let file = Self::file(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(local(folder, &error)),
        }
    }

    fn file(folder: &Path) -> Result<File, Failure> {
        let opened = private_options().create(true).truncate(false).write(true).open(folder.join(LOCK_FILE));
        opened.map_err(|error| local(folder, &error))
    }
}

/// The key of the store in `folder`. While another command replaces it, that may be the new one.
pub(crate) async fn key_in(folder: &Path) -> Result<MasterKeySource, Failure> {
    let (path, next) = (folder.join(KEY_FILE), folder.join(NEXT_KEY_FILE));
    if next.exists() && opens(folder, &next).await {
        return key_source(&next);
    }
    if !path.exists() {
        return Err(Failure::local_state(format!(
            "{} is missing, and without it the agent stays shut",
            path.display()
        )));
    }
    key_source(&path)
}

/// Finishes what a command that was cut short has left: a new key that opens the store takes its place, one that opens
/// nothing goes, and so do keys that were not written to their end.
pub(crate) async fn tidy(folder: &Path) -> Result<(), Failure> {
    let next = folder.join(NEXT_KEY_FILE);
    if !next.exists() && unfinished(folder).next().is_none() {
        return Ok(());
    }
    let Some(_turn) = KeyTurn::try_take(folder)? else { return Ok(()) };
    remove_unfinished(folder);
    if !next.exists() {
        return Ok(());
    }
    match Agent::lock_in(folder).await? {
        Lock::Key if opens(folder, &next).await => NewKey { folder: folder.to_owned() }.take_place(),
        // Only what is certainly of no use goes.
        Lock::Key if !opens(folder, &folder.join(KEY_FILE)).await => Ok(()),
        Lock::Key | Lock::Passphrase => remove(&next),
    }
}

async fn opens(folder: &Path, key: &Path) -> bool {
    match key_source(key) {
        Ok(source) => Agent::open(folder, source).await.is_ok(),
        Err(_) => false,
    }
}

pub(crate) fn key_source(path: &Path) -> Result<MasterKeySource, Failure> {
    let provider = KeyFileProvider::from_contents(&Zeroizing::new(read(path)?))
        .map_err(|error| Failure::local_state(format!("{}: {error}", path.display())))?;
    Ok(MasterKeySource::Provider(Box::new(provider)))
}

/// Makes a key file, readable by its owner only, whole, and never over another.
pub(crate) fn make_key(folder: &Path, name: &str) -> Result<(), Failure> {
    let path = folder.join(name);
    if path.exists() {
        remove_unfinished(folder);
        return Ok(());
    }
    let mut key = Zeroizing::new([0; 32]);
    SystemPrimitives.fill_random(key.as_mut_slice()).map_err(|error| Failure::other(error.to_string()))?;
    write_key(folder, &path, &key).map_err(|error| local(&path, &error))?;
    remove_unfinished(folder);
    Ok(())
}

/// A key that is to take the place of an agent's key file, beside it until then.
pub(crate) struct NewKey {
    folder: PathBuf,
}

impl NewKey {
    /// Makes it, for whoever has the turn.
    pub(crate) fn make(folder: &Path, _turn: &KeyTurn) -> Result<Self, Failure> {
        remove(&folder.join(NEXT_KEY_FILE))?;
        make_key(folder, NEXT_KEY_FILE)?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub(crate) fn source(&self) -> Result<MasterKeySource, Failure> {
        key_source(&self.folder.join(NEXT_KEY_FILE))
    }

    pub(crate) fn take_place(&self) -> Result<(), Failure> {
        let path = self.folder.join(KEY_FILE);
        fs::rename(self.folder.join(NEXT_KEY_FILE), &path)
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(|error| local(&path, &error))
    }
}

/// Removes the key files of an agent that has a passphrase now, for whoever has the turn.
pub(crate) fn remove_keys(folder: &Path, _turn: &KeyTurn) -> Result<(), Failure> {
    remove(&folder.join(NEXT_KEY_FILE))?;
    remove(&folder.join(KEY_FILE))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(local(path, &error)),
        _ => Ok(()),
    }
}

/// The key gets its name once it is whole and synced: a process that ends in between leaves an unfinished file beside it.
fn write_key(folder: &Path, path: &Path, key: &[u8; 32]) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.new", process::id()));
    create_private_folder(folder)?;
    let written = write_whole(&unfinished, key).and_then(|()| match fs::hard_link(&unfinished, path) {
        // Another process makes the same agent: its key is as good, and it may have taken this one for a left-over.
        Err(_) if path.exists() => Ok(()),
        result => result,
    });
    if written.is_err() {
        // A full disk is left no fuller than it was, and a folder that was made for the key goes if nothing else is in it.
        _ = fs::remove_file(&unfinished);
        _ = fs::remove_dir(folder);
        return written;
    }
    File::open(folder)?.sync_all()
}

fn write_whole(path: &Path, key: &[u8; 32]) -> io::Result<()> {
    let mut file = private_options().write(true).create(true).truncate(true).open(path)?;
    file.write_all(key)?;
    file.sync_all()
}

/// Removes the unfinished keys of processes that ended while they wrote them; once the key has its name, no one needs them.
fn remove_unfinished(folder: &Path) {
    for path in unfinished(folder) {
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), %error, "a left-over key cannot be removed");
        }
    }
}

fn unfinished(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let (begin, end) = UNFINISHED;
    let files = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|file| file.path());
    files.filter(move |path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(begin) && name.ends_with(end))
    })
}

fn local(path: &Path, error: &io::Error) -> Failure {
    Failure::local_state(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = files.filter(|name| name.starts_with("master.")).collect();
        names.sort();
        names
    }

    #[test]
    fn left_overs_of_unfinished_keys_go_once_the_key_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("master.4711.new"), [1; 7]).unwrap();
        make_key(folder.path(), KEY_FILE).unwrap();
        assert_eq!(names(folder.path()), [KEY_FILE]);
    }

    #[tokio::test]
    async fn what_a_change_of_keys_left_behind_is_finished_at_the_next_opening_and_not_while_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        make_key(folder, KEY_FILE).unwrap();
        let key = || key_source(&folder.join(KEY_FILE)).unwrap();
        drop(Agent::create(folder, key()).await.unwrap());
        let left = ["master.key", "master.key.4711.new", "master.key.next"];

        let turn = KeyTurn::take(folder).unwrap();
        NewKey::make(folder, &turn).unwrap();
        fs::write(folder.join("master.key.4711.new"), [1; 7]).unwrap();
        tidy(folder).await.unwrap();
        assert_eq!(names(folder), left, "it goes on");
        drop(turn);
        tidy(folder).await.unwrap();
        assert_eq!(names(folder), [KEY_FILE], "it had not come to the store");

        let turn = KeyTurn::take(folder).unwrap();
        let new = NewKey::make(folder, &turn).unwrap();
        Agent::replace_master_key(folder, key(), new.source().unwrap()).await.unwrap();
        Agent::open(folder, key_in(folder).await.unwrap()).await.unwrap();
        drop(turn);
        tidy(folder).await.unwrap();
        assert_eq!(names(folder), [KEY_FILE]);
        Agent::open(folder, key()).await.expect("the new key has taken the place");
    }
}
