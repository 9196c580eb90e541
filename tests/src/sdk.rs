//! Agents by the SDK, as tests use them.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sealpost_agent::{
    Agent, IdentityFile, InboxMessage, MasterKeySource, Outgoing, ReceivingLimits, RelayAddress, Sent, Surroundings,
    SystemClock,
};
use sealpost_crypto::{Content, KeyFileProvider, Payload};
use sealpost_protocol::{AgentId, Clock, MessageRef, Timestamp};
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
    clock: Arc<dyn Clock>,
    receiving: ReceivingLimits,
}

impl SdkAgent {
    /// A new agent that has published its prekeys at `origin`.
    ///
    /// # Panics
    /// When that fails.
    pub async fn new(origin: &str) -> Self {
        Self::by_clock(origin, &Arc::new(SystemClock)).await
    }

    /// The same, by another clock.
    ///
    /// # Panics
    /// When that fails.
    pub async fn by_clock<C: Clock + 'static>(origin: &str, clock: &Arc<C>) -> Self {
        let clock: Arc<dyn Clock> = Arc::<C>::clone(clock);
        let agent = Self::make(origin, clock, ReceivingLimits::default()).await;
        within("the first publication", agent.publish_prekeys()).await.unwrap();
        agent
    }

    /// A new agent that fetches no more than that unasked.
    ///
    /// # Panics
    /// When that fails.
    pub async fn receiving(origin: &str, receiving: ReceivingLimits) -> Self {
        let agent = Self::make(origin, Arc::new(SystemClock), receiving).await;
        within("the first publication", agent.publish_prekeys()).await.unwrap();
        agent
    }

    /// A new agent that has published nothing yet.
    ///
    /// # Panics
    /// When that fails.
    pub async fn unpublished(origin: &str) -> Self {
        Self::make(origin, Arc::new(SystemClock), ReceivingLimits::default()).await
    }

    async fn make(origin: &str, clock: Arc<dyn Clock>, receiving: ReceivingLimits) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let path = folder.path().join("agent");
        let agent = Agent::create_with(&path, master_key(), surroundings(&clock, receiving)).await.unwrap();
        Self { agent: agent.connect(&address(origin)).await.unwrap(), folder, clock, receiving }
    }

    /// The same agent once more, as another process of it would open it, by way of `origin`.
    ///
    /// # Panics
    /// When that fails.
    pub async fn reopen(&self, origin: &str) -> Self {
        self.reopen_receiving(origin, self.receiving).await
    }

    /// The same, fetching no more than that unasked.
    ///
    /// # Panics
    /// When that fails.
    pub async fn reopen_receiving(&self, origin: &str, receiving: ReceivingLimits) -> Self {
        let path = self.folder.path().join("agent");
        let agent = Agent::open_with(&path, master_key(), surroundings(&self.clock, receiving)).await.unwrap();
        let agent = agent.connect(&address(origin)).await.unwrap();
        Self { agent, folder: Arc::clone(&self.folder), clock: Arc::clone(&self.clock), receiving }
    }

    /// What is stored in an area, of all rows whose key begins so: their keys, and how many bytes each has.
    ///
    /// # Panics
    /// When the store cannot be read.
    #[must_use]
    pub fn stored(&self, area: u8, key: &[u8]) -> Vec<(Vec<u8>, usize)> {
        let store = rusqlite::Connection::open(self.folder.path().join("agent/agent.sqlite3")).unwrap();
        let found = "SELECT key, length(content) FROM sealed
                     WHERE area = ?1 AND substr(key, 1, length(?2)) = ?2 ORDER BY key";
        let mut select = store.prepare(found).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, usize::try_from(row.get::<_, i64>(1)?).unwrap()));
        select.query_map(rusqlite::params![area, key], row).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Erases what is stored in an area, of all rows whose key begins so.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn erase(&self, area: u8, key: &[u8]) {
        let store = rusqlite::Connection::open(self.folder.path().join("agent/agent.sqlite3")).unwrap();
        let erase = "DELETE FROM sealed WHERE area = ?1 AND substr(key, 1, length(?2)) = ?2";
        assert!(store.execute(erase, rusqlite::params![area, key]).unwrap() > 0, "nothing to erase");
    }

    /// Overwrites what is stored in an area, of all rows whose key begins so.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn damage(&self, area: u8, key: &[u8]) {
        let store = rusqlite::Connection::open(self.folder.path().join("agent/agent.sqlite3")).unwrap();
        let spoilt = "UPDATE sealed SET content = zeroblob(length(content))
                      WHERE area = ?1 AND substr(key, 1, length(?2)) = ?2";
        assert!(store.execute(spoilt, rusqlite::params![area, key]).unwrap() > 0, "no such row");
    }

    /// The folder of sealed bodies.
    #[must_use]
    pub fn spool(&self) -> std::path::PathBuf {
        self.folder.path().join("agent/spool")
    }

    /// The files in the agent's spool of sealed bodies, and their lengths.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn spooled(&self) -> Vec<(String, u64)> {
        let Ok(files) = std::fs::read_dir(self.spool()) else { return Vec::new() };
        let named = |file: std::io::Result<std::fs::DirEntry>| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), file.metadata().unwrap().len())
        };
        files.map(named).collect()
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
            if file.file_type().unwrap().is_dir() {
                continue; // sealed bodies, which no old copy needs
            }
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
        Self {
            agent: agent.connect(&address(origin)).await.unwrap(),
            folder: backup,
            clock: Arc::new(SystemClock),
            receiving: ReceivingLimits::default(),
        }
    }

    /// The identity once more, in a folder of its own, by way of a file.
    ///
    /// # Panics
    /// When that fails.
    pub async fn exported_and_imported(self, origin: &str) -> Self {
        Self::imported(&self.exported().await, origin).await
    }

    /// The identity as a file.
    ///
    /// # Panics
    /// When that fails.
    pub async fn exported(&self) -> Vec<u8> {
        self.export(passphrase()).await.unwrap()
    }

    /// The agent that such a file makes, in a folder of its own.
    ///
    /// # Panics
    /// When that fails.
    pub async fn imported(file: &[u8], origin: &str) -> Self {
        let imported = Self::imported_unpublished(file, origin).await;
        within("the first publication", imported.publish_prekeys()).await.unwrap();
        imported
    }

    /// The same, that has published nothing yet.
    ///
    /// # Panics
    /// When that fails.
    pub async fn imported_unpublished(file: &[u8], origin: &str) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let identity = IdentityFile::open(file, passphrase()).await.unwrap();
        let agent = identity.import(&folder.path().join("agent"), master_key()).await.unwrap();
        let agent = agent.connect(&address(origin)).await.unwrap();
        Self { agent, folder, clock: Arc::new(SystemClock), receiving: ReceivingLimits::default() }
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
        self.inbox().await
    }

    /// What is in the inbox, in order, read page by page.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn inbox(&self) -> Vec<InboxMessage> {
        let mut messages: Vec<InboxMessage> = Vec::new();
        loop {
            let page = self.unread(messages.last().map(|last| &last.arrival), usize::MAX).await.unwrap();
            if page.is_empty() {
                return messages;
            }
            messages.extend(page);
        }
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
    message.payload().and_then(|payload| payload.content.as_text()).expect("a text").to_owned()
}

fn passphrase() -> Zeroizing<String> {
    Zeroizing::new("a passphrase".to_owned())
}

fn master_key() -> MasterKeySource {
    MasterKeySource::Provider(Box::new(KeyFileProvider::from_contents(&[7; 32]).unwrap()))
}

fn surroundings(clock: &Arc<dyn Clock>, receiving: ReceivingLimits) -> Surroundings {
    Surroundings { clock: Arc::clone(clock), receiving, ..Surroundings::default() }
}

fn address(origin: &str) -> RelayAddress {
    RelayAddress { origin: origin.to_owned(), certificates: None }
}
