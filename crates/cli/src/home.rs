//! Where agents are kept, and how a name becomes one.
//!
//! `SEALPOST_HOME/NAME/` is an agent's folder: its store, and `master.key` unless it has a passphrase.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

use sealpost_agent::{Agent, KeyFileProvider, MasterKeySource, Primitives, RelayAddress, SystemPrimitives};
use sealpost_protocol::AgentId;
use zeroize::Zeroizing;

use crate::{arguments::Arguments, failure::Failure};

const KEY_FILE: &str = "master.key";

/// Bytes of an agent's name here: it is the name of a folder.
const NAME_BYTES: usize = 64;

/// What all commands share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) json: bool,
    pub(crate) relay: RelayAddress,
    home: Option<PathBuf>,
    passphrase: Option<Zeroizing<String>>,
}

impl Context {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let certificates = arguments.certificates.as_ref().map(|path| read(path)).transpose()?;
        let passphrase = match &arguments.passphrase_file {
            Some(path) => Some(first_line(&read(path)?)?),
            None => env::var("SEALPOST_PASSPHRASE").ok().map(Zeroizing::new),
        };
        Ok(Self {
            json: arguments.json,
            relay: RelayAddress { origin: arguments.relay.clone(), certificates },
            home: arguments.home.clone(),
            passphrase,
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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
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
        let folder = self.folder(name)?;
        let master = match &self.passphrase {
            Some(passphrase) => MasterKeySource::Passphrase(passphrase.clone()),
            None => key_file(&folder, true)?,
        };
        Ok(Agent::create(&folder, master).await?.connect(&self.relay).await?)
    }

    /// Opens the agent `name`.
    pub(crate) async fn open(&self, name: &str) -> Result<Agent, Failure> {
        let folder = self.folder(name)?;
        if !Agent::exists_in(&folder) {
            return Err(Failure::local_state(format!(
                "there is no agent {name}: make it with `sealpost agent new {name}`"
            )));
        }
        let master = match &self.passphrase {
            Some(passphrase) if !folder.join(KEY_FILE).exists() => MasterKeySource::Passphrase(passphrase.clone()),
            _ => key_file(&folder, false)?,
        };
        Ok(Agent::open(&folder, master).await?.connect(&self.relay).await?)
    }

    /// The agent that a text names: an id, or the name of an agent here.
    pub(crate) async fn resolve(&self, text: &str) -> Result<AgentId, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        match self.folder(text) {
            Ok(folder) if Agent::exists_in(&folder) => Ok(Agent::identity_in(&folder).await?.agent_id()),
            _ => Err(Failure::usage(format!("{text:?} is neither an agent's id nor the name of an agent here"))),
        }
    }

    /// The name that an agent has here, if it has one.
    pub(crate) async fn name_of(&self, id: AgentId) -> Option<String> {
        for name in self.names().ok()? {
            let folder = self.folder(&name).ok()?;
            if Agent::identity_in(&folder).await.is_ok_and(|identity| identity.agent_id() == id) {
                return Some(name);
            }
        }
        None
    }
}

/// Reads the agent's key file, or makes it: readable by its owner only, whole, and never over another.
fn key_file(folder: &Path, create: bool) -> Result<MasterKeySource, Failure> {
    let path = folder.join(KEY_FILE);
    if create && !path.exists() {
        let mut key = Zeroizing::new([0; 32]);
        SystemPrimitives.fill_random(key.as_mut_slice()).map_err(|error| Failure::other(error.to_string()))?;
        write_key(folder, &path, &key).map_err(|error| Failure::local_state(format!("{}: {error}", path.display())))?;
    }
    if !path.exists() {
        let folder = folder.display();
        return Err(Failure::local_state(format!("{folder} has no key file: give the agent's passphrase")));
    }
    let provider = KeyFileProvider::from_contents(&Zeroizing::new(read(&path)?))
        .map_err(|error| Failure::local_state(format!("{}: {error}", path.display())))?;
    Ok(MasterKeySource::Provider(Box::new(provider)))
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
        // Another process makes the same agent: its key is as good.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        result => result?,
    }
    fs::remove_file(&unfinished)?;
    fs::File::open(folder)?.sync_all()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn first_line(bytes: &[u8]) -> Result<Zeroizing<String>, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::usage("the passphrase file is not text"))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}
