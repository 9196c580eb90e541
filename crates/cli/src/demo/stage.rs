//! What the story is played on: a relay, a proxy, and two agents with stores of their own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sealpost_agent::{
    Agent, Content, InboxMessage, KeyFileProvider, MasterKeySource, MessageStatus, Outgoing, Payload, Primitives,
    RelayAddress, SendOutcome, SystemPrimitives,
};
use sealpost_protocol::{AgentId, MessageId};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{proxy::Proxy, relay_process::RelayProcess};
use crate::{failure::chain, limits};

/// Where the relay's data is.
const RELAY: &str = "relay";

/// Everything the steps need. Its folder, and all in it, is gone when it is dropped.
pub(super) struct Stage {
    folder: TempDir,
    relay: Option<RelayProcess>,
    pub(super) proxy: Proxy,
    pub(super) alice: Agent,
    pub(super) bob: Agent,
    master: Zeroizing<[u8; 32]>,
}

/// The two that talk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    Alice,
    Bob,
}

impl Stage {
    pub(super) async fn set() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let proxy = Proxy::start().await?;
        let relay = RelayProcess::start(&folder.path().join(RELAY), "127.0.0.1:0", &proxy.origin).await?;
        proxy.forward_to(&relay.address);
        let mut master = Zeroizing::new([0; 32]);
        SystemPrimitives.fill_random(master.as_mut_slice()).map_err(|error| error.to_string())?;
        let alice = create_agent(folder.path(), "alice", &master, &proxy.origin).await?;
        let bob = create_agent(folder.path(), "bob", &master, &proxy.origin).await?;
        Ok(Self { folder, relay: Some(relay), proxy, alice, bob, master })
    }

    /// Ends the relay.
    pub(super) async fn strike(self) {
        if let Some(relay) = self.relay {
            relay.stop().await;
        }
    }

    /// What opens every store here.
    pub(super) fn master(&self) -> Zeroizing<[u8; 32]> {
        self.master.clone()
    }

    pub(super) fn relay_origin(&self) -> String {
        format!("http://{}", self.relay_address())
    }

    pub(super) fn relay_data(&self) -> PathBuf {
        self.folder.path().join(RELAY)
    }

    /// A folder, made anew, for what a step keeps.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        Ok(folder)
    }

    fn relay_address(&self) -> &str {
        self.relay.as_ref().map_or("", |relay| relay.address.as_str())
    }

    pub(super) fn agent(&self, who: Who) -> &Agent {
        match who {
            Who::Alice => &self.alice,
            Who::Bob => &self.bob,
        }
    }

    fn peer(&self, who: Who) -> AgentId {
        match who {
            Who::Alice => self.bob.id(),
            Who::Bob => self.alice.id(),
        }
    }

    /// Sends a text to the other one.
    pub(super) async fn send(&self, who: Who, text: &str) -> Result<(MessageId, SendOutcome), String> {
        let content = Content::text(text.to_owned()).map_err(|error| error.to_string())?;
        let sent = self.agent(who).send(Outgoing::to([self.peer(who)], Payload::new(content))).await;
        sent.map(|sent| (sent.id, sent.outcome)).map_err(|error| chain(&error))
    }

    /// Sends a text, which the relay must accept.
    pub(super) async fn send_accepted(&self, who: Who, text: &str) -> Result<MessageId, String> {
        match self.send(who, text).await? {
            (id, SendOutcome::Accepted(_)) => Ok(id),
            (_, SendOutcome::Kept(error)) => Err(format!("the relay did not accept {text:?}: {error}")),
        }
    }

    /// Another agent, who has published its prekeys.
    pub(super) async fn newcomer(&self, name: &str) -> Result<Agent, String> {
        create_agent(self.folder.path(), name, &self.master, &self.proxy.origin).await
    }

    /// Receives until there are `count` messages, takes them, and gives their receipts.
    pub(super) async fn receive(&self, who: Who, count: usize) -> Result<Vec<InboxMessage>, String> {
        receive_by(self.agent(who), count).await
    }

    /// One round that must bring nothing.
    pub(super) async fn receive_nothing(&self, who: Who) -> Result<(), String> {
        let agent = self.agent(who);
        agent.sync(Duration::ZERO).await.map_err(|error| chain(&error))?;
        let messages = agent.unread(None, 1).await.map_err(|error| chain(&error))?;
        ensure(messages.is_empty(), "a message arrived that should not have")
    }

    pub(super) async fn status(&self, who: Who, id: MessageId) -> Result<MessageStatus, String> {
        self.agent(who).status(id).await.map_err(|error| chain(&error))
    }

    /// Kills the relay without warning.
    pub(super) async fn kill_relay(&mut self) -> Result<String, String> {
        let relay = self.relay.take().ok_or("there is no relay to kill")?;
        let address = relay.address.clone();
        relay.kill().await?;
        Ok(address)
    }

    /// Starts the relay again where it was.
    pub(super) async fn restart_relay(&mut self, address: &str) -> Result<(), String> {
        let relay = RelayProcess::start(&self.relay_data(), address, &self.proxy.origin).await?;
        self.proxy.forward_to(&relay.address);
        self.relay = Some(relay);
        Ok(())
    }

    /// Lets go of an agent's runtime and opens it again from its store.
    pub(super) async fn restart_agent(&mut self, who: Who) -> Result<(), String> {
        let name = match who {
            Who::Alice => "alice",
            Who::Bob => "bob",
        };
        let opened = Agent::open(&self.folder.path().join(name), master_key(&self.master)?).await;
        let agent = connect(opened.map_err(|error| chain(&error))?, &self.proxy.origin).await?;
        match who {
            Who::Alice => self.alice = agent,
            Who::Bob => self.bob = agent,
        }
        Ok(())
    }
}

/// Receives until there are `count` messages, takes them, and gives their receipts.
pub(super) async fn receive_by(agent: &Agent, count: usize) -> Result<Vec<InboxMessage>, String> {
    let deadline = tokio::time::Instant::now() + limits::DEMO_PATIENCE;
    loop {
        agent.sync(Duration::from_millis(200)).await.map_err(|error| chain(&error))?;
        let messages = agent.unread(None, usize::MAX).await.map_err(|error| chain(&error))?;
        if messages.len() >= count {
            let names: Vec<_> = messages.iter().map(|message| message.message).collect();
            agent.take(&names).await.map_err(|error| chain(&error))?;
            agent.give_receipts().await.map_err(|error| chain(&error))?;
            return Ok(messages);
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(format!("{} of {count} messages arrived", messages.len()));
        }
    }
}

async fn create_agent(folder: &Path, name: &str, master: &[u8; 32], origin: &str) -> Result<Agent, String> {
    let agent = Agent::create(&folder.join(name), master_key(master)?).await.map_err(|error| chain(&error))?;
    let agent = connect(agent, origin).await?;
    agent.publish_prekeys().await.map_err(|error| chain(&error))?;
    Ok(agent)
}

pub(super) async fn connect(agent: Agent, origin: &str) -> Result<Agent, String> {
    let address = RelayAddress { origin: origin.to_owned(), certificates: None };
    agent.connect(&address).await.map_err(|error| chain(&error))
}

pub(super) fn master_key(master: &[u8; 32]) -> Result<MasterKeySource, String> {
    let provider = KeyFileProvider::from_contents(master).map_err(|error| error.to_string())?;
    Ok(MasterKeySource::Provider(Box::new(provider)))
}

/// Fails with `otherwise` unless `holds`.
pub(super) fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
