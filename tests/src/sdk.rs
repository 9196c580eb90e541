//! Agents by the SDK, as tests use them.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sealpost_agent::{Agent, InboxMessage, MasterKeySource, Outgoing, RelayAddress, Sent};
use sealpost_crypto::{Content, KeyFileProvider, Payload};
use sealpost_protocol::{AgentId, Clock, MessageRef, SystemClock, Timestamp};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::within;

/// The system's clock, moved by hand. It begins half a minute late, so that it can pass what a session must rest before it
/// is renewed, and still make proofs that a relay takes: those may be a minute off.
#[derive(Debug, Default)]
pub struct ShiftedClock(AtomicU64);

impl ShiftedClock {
    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let late = SystemClock.now().saturating_sub(Duration::from_secs(30));
        late.saturating_add(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

/// An agent in a folder of its own.
pub struct SdkAgent {
    agent: Agent,
    folder: Arc<TempDir>,
}

impl SdkAgent {
    /// A new agent that has published its prekeys at `origin`.
    ///
    /// # Panics
    /// When that fails.
    pub async fn new(origin: &str) -> Self {
        let agent = Self::unpublished(origin).await;
        within("the first publication", agent.publish_prekeys()).await.unwrap();
        agent
    }

    /// A new agent that has published nothing yet.
    ///
    /// # Panics
    /// When that fails.
    pub async fn unpublished(origin: &str) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let path = folder.path().join("agent");
        let agent = Agent::create(&path, master_key()).await.unwrap().connect(&address(origin)).await.unwrap();
        Self { agent, folder }
    }

    /// A new agent that has published its prekeys and goes by `clock`.
    ///
    /// # Panics
    /// When that fails.
    pub async fn with_clock(origin: &str, clock: Arc<ShiftedClock>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let agent = Agent::create(&folder.path().join("agent"), master_key()).await.unwrap().with_clock(clock);
        let agent = agent.connect(&address(origin)).await.unwrap();
        within("the first publication", agent.publish_prekeys()).await.unwrap();
        Self { agent, folder }
    }

    /// The same agent once more, as another process of it would open it, by way of `origin`.
    ///
    /// # Panics
    /// When that fails.
    pub async fn reopen(&self, origin: &str) -> Self {
        let path = self.folder.path().join("agent");
        let agent = Agent::open(&path, master_key()).await.unwrap().connect(&address(origin)).await.unwrap();
        Self { agent, folder: Arc::clone(&self.folder) }
    }

    /// A copy of the agent's folder as it is now, opened as the agent itself: a backup that was put back.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn backup(&self) -> Arc<TempDir> {
        let copy = Arc::new(tempfile::tempdir().unwrap());
        std::fs::create_dir(copy.path().join("agent")).unwrap();
        for file in std::fs::read_dir(self.folder.path().join("agent")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join("agent").join(file.file_name())).unwrap();
        }
        copy
    }

    /// The agent that such a copy makes.
    ///
    /// # Panics
    /// When it does not open.
    pub async fn restored(backup: Arc<TempDir>, origin: &str) -> Self {
        let agent = Agent::open(&backup.path().join("agent"), master_key()).await.unwrap();
        Self { agent: agent.connect(&address(origin)).await.unwrap(), folder: backup }
    }

    /// The identity once more, in a folder of its own, by way of a file.
    ///
    /// # Panics
    /// When that fails.
    pub async fn exported_and_imported(self, origin: &str) -> Self {
        let passphrase = || Zeroizing::new("a passphrase".to_owned());
        let file = self.export(passphrase()).await.unwrap();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let agent = Agent::import(&folder.path().join("agent"), &file, passphrase(), master_key()).await.unwrap();
        let agent = agent.connect(&address(origin)).await.unwrap();
        within("the first publication", agent.publish_prekeys()).await.unwrap();
        Self { agent, folder }
    }

    /// Sends a text.
    ///
    /// # Panics
    /// When the message is neither accepted nor kept.
    pub async fn send_text(&self, to: AgentId, words: &str) -> Sent {
        within("a message sent", self.send(Outgoing::to([to], text(words)))).await.unwrap()
    }

    /// Syncs once and returns what is in the inbox, in order.
    ///
    /// # Panics
    /// When the relay does not answer.
    pub async fn sync_inbox(&self) -> Vec<InboxMessage> {
        within("a sync", self.sync(Duration::ZERO)).await.unwrap();
        self.unread(usize::MAX).await.unwrap()
    }

    /// Syncs once, takes everything, and returns the texts.
    ///
    /// # Panics
    /// When the relay does not answer.
    pub async fn take_texts(&self) -> Vec<String> {
        let messages = self.sync_inbox().await;
        let names: Vec<MessageRef> = messages.iter().map(|message| message.message).collect();
        self.take(&names).await.unwrap();
        within("the acknowledgements", self.give_receipts()).await.unwrap();
        messages.iter().map(words).collect()
    }
}

impl Deref for SdkAgent {
    type Target = Agent;

    fn deref(&self) -> &Agent {
        &self.agent
    }
}

/// A payload that is nothing but text.
///
/// # Panics
/// When it is too long.
#[must_use]
pub fn text(words: &str) -> Payload {
    Payload::new(Content::text(words.to_owned()).unwrap())
}

/// The text of a message.
///
/// # Panics
/// When it has none.
#[must_use]
pub fn words(message: &InboxMessage) -> String {
    message.payload.content.as_text().expect("a text").to_owned()
}

fn master_key() -> MasterKeySource {
    MasterKeySource::Provider(Box::new(KeyFileProvider::from_contents(&[7; 32]).unwrap()))
}

fn address(origin: &str) -> RelayAddress {
    RelayAddress { origin: origin.to_owned(), certificates: None }
}
