//! Where agents are kept, and how a name becomes one.
//!
//! `SEALPOST_HOME/NAME/` is an agent's folder: its store, and `master.key` unless it has a passphrase.

use std::{
    collections::HashMap,
    env, fs,
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use sealpost_agent::{Agent, Lock, MasterKeySource, OpenAgentError, RelayAddress, StateError, private_options};
use sealpost_protocol::AgentId;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::{
    arguments::Arguments,
    failure::Failure,
    key_files::{self, KEY_FILE, key_in, key_source, make_key},
    limits, output,
};

/// What all commands share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) json: bool,
    pub(crate) relay: RelayAddress,
    home: Option<PathBuf>,
    passphrase: Option<Zeroizing<String>>,
    /// The names of contacts and of the agents here, once they were asked for.
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
        if !(1..=limits::AGENT_NAME).contains(&name.len())
            || !name.bytes().all(is_plain)
            || name.starts_with(['.', '-'])
        {
            return Err(Failure::usage(format!(
                "{name:?} is not a name for an agent: up to {} letters, digits, '-', '_' and '.'",
                limits::AGENT_NAME
            )));
        }
        Ok(self.home()?.join(name))
    }

    /// An id is no name: it would stand for another agent than the one that has it.
    pub(crate) fn check_no_id(&self, name: &str) -> Result<(), Failure> {
        match name.parse::<AgentId>() {
            Ok(_) => Err(Failure::usage(format!("{name} is an agent's id, and cannot be the name of one"))),
            Err(_) => Ok(()),
        }
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
        self.check_no_id(name)?;
        match Agent::identity_in(&folder).await {
            // A key file would be made beside another's store.
            Ok(_) => return Err(OpenAgentError::Exists(folder).into()),
            Err(OpenAgentError::Missing(_)) => {}
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
        let lock = Agent::lock_in(&folder).await?;
        key_files::tidy(&folder).await?;
        let master = match (lock, &self.passphrase) {
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

    /// An agent as text shows it.
    pub(crate) async fn shown(&self, agent: &Agent, id: AgentId) -> String {
        output::named_agent(self.name_of(agent, id).await.as_deref(), id)
    }

    /// Agents as text shows them.
    pub(crate) async fn all_shown(&self, agent: &Agent, ids: &[AgentId]) -> String {
        let mut names = Vec::new();
        for id in ids {
            names.push(self.shown(agent, *id).await);
        }
        names.join(", ")
    }

    /// The name that an agent has for `agent`, if it has one: that of a contact, or else that of an agent here. Both are
    /// looked up once, so that each message costs nothing.
    pub(crate) async fn name_of(&self, agent: &Agent, id: AgentId) -> Option<String> {
        self.book.get_or_init(|| self.read_book(agent)).await.get(&id).cloned()
    }

    async fn read_book(&self, agent: &Agent) -> HashMap<AgentId, String> {
        let contacts = agent.contacts().await.unwrap_or_default();
        let mut book = HashMap::new();
        for contact in &contacts {
            book.entry(contact.agent).or_insert_with(|| contact.name.clone());
        }
        // A name that means another agent to this one names nobody else.
        let is_free = |name: &String| contacts.iter().all(|contact| contact.name != *name);
        for name in self.names().unwrap_or_default().into_iter().filter(is_free) {
            let Ok(folder) = self.folder(&name) else { continue };
            if let Ok(identity) = Agent::identity_in(&folder).await {
                book.entry(identity.agent_id()).or_insert(name);
            }
        }
        book
    }
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

/// Writes a file that nobody else may read, never over another.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        let mut file = private_options().write(true).create_new(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error: io::Error| {
        if error.kind() != ErrorKind::AlreadyExists {
            let _ = fs::remove_file(path); // what was not written whole is nothing
        }
        Failure::other(format!("{}: {error}", path.display()))
    })
}

/// The first line of a file. Nothing of it is left in memory but the passphrase: the buffer never grows, and is wiped.
fn passphrase_in(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failure = |problem: &dyn std::fmt::Display| Failure::usage(format!("{}: {problem}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(limits::PASSPHRASE_FILE + 1));
    let file = fs::File::open(path).map_err(|error| failure(&error))?;
    file.take(limits::PASSPHRASE_FILE as u64 + 1).read_to_end(&mut bytes).map_err(|error| failure(&error))?;
    if bytes.len() > limits::PASSPHRASE_FILE {
        return Err(failure(&format_args!("a passphrase file has at most {} bytes", limits::PASSPHRASE_FILE)));
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
        let bob = context(home.path()).create("bob").await.unwrap();
        let context = context(home.path());
        assert_eq!(context.name_of(&bob, alice).await.as_deref(), Some("alice"));
        fs::rename(home.path().join("alice"), home.path().join("renamed")).unwrap();
        assert_eq!(context.name_of(&bob, alice).await.as_deref(), Some("alice"), "it was not asked again");
    }

    #[tokio::test]
    async fn a_contact_s_name_comes_first_and_names_nobody_else() {
        let home = tempfile::tempdir().unwrap();
        let alice = context(home.path()).create("alice").await.unwrap().id();
        let bob = context(home.path()).create("bob").await.unwrap();
        let (carol, dave) = (AgentId::from_array([3; 32]), AgentId::from_array([4; 32]));
        bob.set_contact("carol", carol).await.unwrap();
        bob.set_contact("alice", dave).await.unwrap();
        let context = context(home.path());
        assert_eq!(context.shown(&bob, carol).await, "carol");
        assert_eq!(context.shown(&bob, dave).await, "alice");
        assert_eq!(context.shown(&bob, alice).await, alice.to_string(), "to bob, alice is another");
        assert_eq!(context.all_shown(&bob, &[bob.id(), carol]).await, "bob, carol");
    }
}
