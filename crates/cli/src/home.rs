//! Where agents are kept, and how a name becomes one.
//!
//! `SEALPOST_HOME/NAME/` is an agent's folder: its store, and `master.key` unless it has a passphrase.

use std::{
    collections::HashMap,
    env, fs,
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use sealpost_agent::{
    Agent, KeyFileProvider, Lock, MasterKeySource, OpenError, Primitives, RelayAddress, StateError, SystemPrimitives,
};
use sealpost_protocol::AgentId;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::{arguments::Arguments, failure::Failure};

const KEY_FILE: &str = "master.key";

/// A new key before it takes the place of the old one.
const NEXT_KEY_FILE: &str = "master.key.next";

/// Bytes of an agent's name here: it is the name of a folder.
const NAME_BYTES: usize = 64;

/// Bytes of a passphrase file at most: its first line counts, and what never ends is none.
const PASSPHRASE_FILE: usize = 64 * 1024;

/// What all commands share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) json: bool,
    pub(crate) relay: RelayAddress,
    home: Option<PathBuf>,
    passphrase: Option<Zeroizing<String>>,
    /// The names of the agents here, once they were asked for.
    book: OnceCell<HashMap<AgentId, String>>,
}

impl Context {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let certificates = arguments.certificates.as_ref().map(|path| read(path)).transpose()?;
        let passphrase = secret(arguments.passphrase_file.as_deref(), "SEALPOST_PASSPHRASE")?;
        Ok(Self {
            json: arguments.json,
            relay: RelayAddress { origin: arguments.relay.clone(), certificates },
            home: arguments.home.clone(),
            passphrase,
            book: OnceCell::new(),
        })
    }

    /// The folder that agents are kept in.
    fn home(&self) -> Result<PathBuf, Failure> {
        match &self.home {
            Some(home) => Ok(home.clone()),
            None => env::home_dir()
                .map(|home| home.join(".sealpost"))
                .ok_or_else(|| Failure::usage("there is no home folder: set SEALPOST_HOME")),
        }
    }

    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !(1..=NAME_BYTES).contains(&name.len()) || !name.bytes().all(is_plain) || name.starts_with(['.', '-']) {
            return Err(Failure::usage(format!(
                "{name:?} is not a name for an agent: up to {NAME_BYTES} letters, digits, '-', '_' and '.'"
            )));
        }
        Ok(self.home()?.join(name))
    }

    /// The names of the folders here that are an agent's, whole or not, in order.
    pub(crate) fn names(&self) -> Result<Vec<String>, Failure> {
        let home = self.home()?;
        let entries = match fs::read_dir(&home) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::local_state(format!("{}: {error}", home.display()))),
        };
        let is_agents = |folder: &Path| Agent::exists_in(folder) || folder.join(KEY_FILE).is_file();
        let agents = entries.filter_map(Result::ok).filter(|entry| is_agents(&entry.path()));
        let mut names: Vec<_> = agents.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Makes the agent `name`, with a key file unless there is a passphrase.
    pub(crate) async fn create(&self, name: &str) -> Result<Agent, Failure> {
        let (folder, master) = self.new_lock(name).await?;
        Ok(Agent::create(&folder, master).await?.connect(&self.relay).await?)
    }

    /// The folder of an agent that is to be made, and what is to open it: a key file unless there is a passphrase.
    pub(crate) async fn new_lock(&self, name: &str) -> Result<(PathBuf, MasterKeySource), Failure> {
        let folder = self.folder(name)?;
        match Agent::identity_in(&folder).await {
            // A key file would be made beside another's store.
            Ok(_) => return Err(OpenError::Exists(folder).into()),
            Err(OpenError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let master = match &self.passphrase {
            Some(passphrase) => MasterKeySource::Passphrase(passphrase.clone()),
            None => {
                make_key(&folder, KEY_FILE)?;
                key_source(&folder.join(KEY_FILE))?
            }
        };
        Ok((folder, master))
    }

    /// Opens the agent `name`.
    pub(crate) async fn open(&self, name: &str) -> Result<Agent, Failure> {
        let (folder, master) = self.unlock(name).await?;
        Ok(Agent::open(&folder, master).await?.connect(&self.relay).await?)
    }

    /// The folder of the agent `name`, and what opens it.
    pub(crate) async fn unlock(&self, name: &str) -> Result<(PathBuf, MasterKeySource), Failure> {
        let folder = self.folder(name)?;
        if !Agent::exists_in(&folder) {
            return Err(Failure::local_state(format!(
                "there is no agent {name}: make it with `sealpost agent new {name}`"
            )));
        }
        let master = match (Agent::lock_in(&folder).await?, &self.passphrase) {
            (Lock::Passphrase, Some(passphrase)) => MasterKeySource::Passphrase(passphrase.clone()),
            (Lock::Passphrase, None) => {
                return Err(Failure::local_state(format!("the agent {name} has a passphrase, and none was given")));
            }
            (Lock::Key, _) => key_in(&folder).await?,
        };
        Ok((folder, master))
    }

    /// The agent that a text names to `agent`: an id, a contact, or the name of an agent here, which is a contact from
    /// then on. A name that has come to mean another agent means none, until someone has decided.
    pub(crate) async fn resolve(&self, agent: &Agent, text: &str) -> Result<AgentId, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let state = |error: StateError| Failure::local_state(error.to_string());
        let known = agent.contact(text).await.map_err(state)?;
        let local = match self.folder(text) {
            Ok(_) => self.local(text).await?,
            Err(_) => None,
        };
        match (known, local) {
            (Some(known), Some(local)) if known != local => Err(Failure::name_changed(format!(
                "{text} was {known}, and the agent of that name here is {local} now: \
                 decide with `sealpost agent trust --as NAME {text} ID`, or give an id"
            ))),
            (Some(known), _) => Ok(known),
            (None, Some(local)) => {
                agent.set_contact(text, local).await.map_err(state)?;
                Ok(local)
            }
            (None, None) => {
                Err(Failure::usage(format!("{text:?} is neither an agent's id nor a name that is known here")))
            }
        }
    }

    /// The agents that a list names to `agent`, separated by commas, none twice; of an empty list none.
    pub(crate) async fn resolve_all(&self, agent: &Agent, list: &str) -> Result<Vec<AgentId>, Failure> {
        let mut agents = Vec::new();
        for text in list.split(',').map(str::trim).filter(|_| !list.trim().is_empty()) {
            let named = self.resolve(agent, text).await?;
            if !agents.contains(&named) {
                agents.push(named);
            }
        }
        Ok(agents)
    }

    /// The agent here that has a name, if there is one.
    pub(crate) async fn local(&self, name: &str) -> Result<Option<AgentId>, Failure> {
        let folder = self.folder(name)?;
        if !Agent::exists_in(&folder) {
            return Ok(None);
        }
        Ok(Some(Agent::identity_in(&folder).await?.agent_id()))
    }

    /// The name that an agent has here, if it has one. The agents are looked at once, so that each message costs nothing.
    pub(crate) async fn name_of(&self, id: AgentId) -> Option<String> {
        self.book.get_or_init(|| self.read_book()).await.get(&id).cloned()
    }

    async fn read_book(&self) -> HashMap<AgentId, String> {
        let mut book = HashMap::new();
        for name in self.names().unwrap_or_default() {
            let Ok(folder) = self.folder(&name) else { continue };
            if let Ok(identity) = Agent::identity_in(&folder).await {
                book.entry(identity.agent_id()).or_insert(name);
            }
        }
        book
    }
}

/// The key of the store in `folder`. A new one that had not yet taken the old one's place when its command ended, does so
/// now.
async fn key_in(folder: &Path) -> Result<MasterKeySource, Failure> {
    let (path, next) = (folder.join(KEY_FILE), folder.join(NEXT_KEY_FILE));
    if next.exists() && Agent::open(folder, key_source(&next)?).await.is_ok() {
        NewKey { folder: folder.to_owned() }.take_place()?;
    }
    if !path.exists() {
        return Err(Failure::local_state(format!(
            "{} is missing, and without it the agent stays shut",
            path.display()
        )));
    }
    key_source(&path)
}

fn key_source(path: &Path) -> Result<MasterKeySource, Failure> {
    let provider = KeyFileProvider::from_contents(&Zeroizing::new(read(path)?))
        .map_err(|error| Failure::local_state(format!("{}: {error}", path.display())))?;
    Ok(MasterKeySource::Provider(Box::new(provider)))
}

/// Makes a key file, readable by its owner only, whole, and never over another.
fn make_key(folder: &Path, name: &str) -> Result<(), Failure> {
    let path = folder.join(name);
    if path.exists() {
        remove_unfinished(folder);
        return Ok(());
    }
    let mut key = Zeroizing::new([0; 32]);
    SystemPrimitives.fill_random(key.as_mut_slice()).map_err(|error| Failure::other(error.to_string()))?;
    write_key(folder, &path, &key).map_err(|error| Failure::local_state(format!("{}: {error}", path.display())))?;
    remove_unfinished(folder);
    Ok(())
}

/// A key that is to take the place of an agent's key file, beside it until then.
pub(crate) struct NewKey {
    folder: PathBuf,
}

impl NewKey {
    pub(crate) fn make(folder: &Path) -> Result<Self, Failure> {
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
            .and_then(|()| fs::File::open(&self.folder)?.sync_all())
            .map_err(|error| Failure::local_state(format!("{}: {error}", path.display())))
    }
}

/// Removes the key files of an agent that has a passphrase now.
pub(crate) fn remove_keys(folder: &Path) -> Result<(), Failure> {
    remove(&folder.join(NEXT_KEY_FILE))?;
    remove(&folder.join(KEY_FILE))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::local_state(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// The key gets its name once it is whole and synced: a process that ends in between leaves an unfinished file beside it.
fn write_key(folder: &Path, path: &Path, key: &[u8; 32]) -> std::io::Result<()> {
    let unfinished = path.with_extension(format!("{}.new", std::process::id()));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    builder.create(folder)?;
    let mut file = options.open(&unfinished)?;
    file.write_all(key)?;
    file.sync_all()?;
    match fs::hard_link(&unfinished, path) {
        // Another process makes the same agent: its key is as good, and it may have taken this one for a left-over.
        Err(_) if path.exists() => {}
        result => result?,
    }
    fs::File::open(folder)?.sync_all()
}

/// A secret from the first line of a file, or from a variable.
pub(crate) fn secret(file: Option<&Path>, variable: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    match file {
        Some(path) => Ok(Some(passphrase_in(path)?)),
        None => match env::var(variable) {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{variable} is not text"))),
        },
    }
}

/// Removes the unfinished keys of processes that ended while they wrote them; once the key has its name, no one needs them.
fn remove_unfinished(folder: &Path) {
    let stem = KEY_FILE.trim_end_matches("key");
    for file in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let name = file.file_name();
        let is_unfinished = name.to_str().is_some_and(|name| name.starts_with(stem) && name.ends_with(".new"));
        if is_unfinished
            && let Err(error) = fs::remove_file(file.path())
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(file = %file.path().display(), %error, "a left-over key cannot be removed");
        }
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// A file of at most `limit` bytes; of more nothing is held.
pub(crate) fn read_up_to(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let failure = |problem: &dyn std::fmt::Display| Failure::usage(format!("{}: {problem}", path.display()));
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| failure(&error))?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| failure(&error))?;
    if bytes.len() > limit { Err(failure(&format_args!("more than {limit} bytes"))) } else { Ok(bytes) }
}

/// The first line of a file. Nothing of it is left in memory but the passphrase: the buffer never grows, and is wiped.
fn passphrase_in(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failure = |problem: &dyn std::fmt::Display| Failure::usage(format!("{}: {problem}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSPHRASE_FILE + 1));
    let file = fs::File::open(path).map_err(|error| failure(&error))?;
    file.take(PASSPHRASE_FILE as u64 + 1).read_to_end(&mut bytes).map_err(|error| failure(&error))?;
    if bytes.len() > PASSPHRASE_FILE {
        return Err(failure(&format_args!("a passphrase file has at most {PASSPHRASE_FILE} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| failure(&"the passphrase file is not text"))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use clap::Parser;

    use super::*;

    fn context(home: &Path) -> Context {
        let arguments = ["sealpost", "--home", home.to_str().unwrap(), "agent", "list"];
        Context::new(&Arguments::parse_from(arguments)).unwrap()
    }

    #[tokio::test]
    async fn names_are_looked_up_once_and_a_folder_that_is_no_agents_stands_in_no_ones_way() {
        let home = tempfile::tempdir().unwrap();
        for stray in [b"0 no name".as_slice(), b"0\xff"] {
            let folder = home.path().join(std::ffi::OsStr::from_bytes(stray));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(KEY_FILE), [1; 32]).unwrap();
        }
        let alice = context(home.path()).create("alice").await.unwrap().id();
        let context = context(home.path());
        assert_eq!(context.name_of(alice).await.as_deref(), Some("alice"));
        fs::rename(home.path().join("alice"), home.path().join("renamed")).unwrap();
        assert_eq!(context.name_of(alice).await.as_deref(), Some("alice"), "it was not asked again");
    }

    #[test]
    fn left_overs_of_unfinished_keys_go_once_the_key_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("master.4711.new"), [1; 7]).unwrap();
        make_key(folder.path(), KEY_FILE).unwrap();
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, [KEY_FILE]);
    }
}
