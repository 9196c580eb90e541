//! One agent: its identity, its sealed store, and the relay it uses.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use sealpost_crypto::{
    IdentityPrivateKey, MasterKey, MasterKeyProvider, PassphraseParameters, PassphraseProvider, Primitives,
    PrimitivesError, Vault,
};
use sealpost_protocol::{
    AgentId, Clock, IdentityKey, Signer,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};
use zeroize::Zeroizing;

use crate::{
    bodies::{Followings, LostBodies, ReceivingLimits, Spool, Transfer, Transfers, Wanted},
    control::OwedSteps,
    error::{OpenAgentError, StateError},
    limits,
    mailbox_place::MailboxPlace,
    message_ids::MessageIds,
    outbox::Holds,
    records::{IdentityRecord, RelayRecord},
    relay_client::{RelayAddress, RelayClient},
    store::{Area, Changes, SealedStore, SqliteStore, Store, StoreAccessError, StoreError, Write, look},
    surroundings::Surroundings,
    turns::{Turn, Turns},
};

const FILE_NAME: &str = "agent.sqlite3";
const FORMAT: u8 = 1;

/// What the turns of an agent are taken by; the first is there as soon as it has been in use.
const TURN_FILES: [&str; 3] = ["turn.lock", "reader.lock", "teller.lock"];

/// Where the master key comes from that everything at rest is sealed under.
pub enum MasterKeySource {
    /// A key file, or whatever else provides 32 bytes.
    Provider(Box<dyn MasterKeyProvider>),
    /// A passphrase; how it is stretched is kept beside the store.
    Passphrase(Zeroizing<String>),
}

/// An agent's runtime.
pub struct Agent {
    pub(crate) identity: Arc<IdentityPrivateKey>,
    pub(crate) store: SealedStore,
    pub(crate) primitives: Arc<dyn Primitives>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) one_time_prekeys: usize,
    /// Taken while ratchets move and receipts are given.
    pub(crate) turns: Turns,
    readers: Turns,
    tellers: Turns,
    /// The last message that was composed here.
    pub(crate) message_ids: MessageIds,
    /// Sealed bodies.
    pub(crate) spool: Spool,
    /// What is on its way now.
    pub(crate) transfers: Transfers,
    /// Whose mail is not tried again just yet.
    pub(crate) holds: Holds,
    /// Whose bodies are not fetched again just yet.
    pub(crate) fetch_holds: Holds,
    /// How far bodies are that were fetched in part.
    pub(crate) followings: Followings,
    pub(crate) lost_bodies: LostBodies,
    /// What is fetched unasked.
    pub(crate) receiving: ReceivingLimits,
    /// Whose bodies were asked for here.
    pub(crate) wanted: Wanted,
    /// Where it is read on.
    pub(crate) mailbox: MailboxPlace,
    /// Whether the store was found to be no old copy since the relay was last out of reach.
    pub(crate) is_current: AtomicBool,
    /// Whether the relay's ledger contradicts what it has countersigned: it takes no receipts then.
    pub(crate) is_forked: AtomicBool,
    /// Peers that wait for a step of the ratchet.
    pub(crate) owed_steps: OwedSteps,
    /// Up to where control messages were taken in since the relay was last told.
    pub(crate) control_taken: AtomicU64,
    pub(crate) relay: Option<RelayClient>,
}

/// What opens an agent's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// A key file, or another provider.
    Key,
    /// A passphrase.
    Passphrase,
}

/// The one unsealed row: whose store it is and what is needed to unlock it.
pub(crate) struct VaultHead {
    pub(crate) identity: IdentityKey,
    pub(crate) sealed_store_key: Vec<u8>,
    pub(crate) passphrase: Option<PassphraseParameters>,
}

impl Agent {
    /// Makes an agent with a new identity in `folder`, which is made if missing.
    ///
    /// # Errors
    /// [`OpenAgentError`]; [`OpenAgentError::Exists`] if there is one already.
    pub async fn create(folder: &Path, master: MasterKeySource) -> Result<Self, OpenAgentError> {
        Self::create_with(folder, master, Surroundings::default()).await
    }

    /// The same with another clock and other randomness.
    ///
    /// # Errors
    /// As [`Agent::create`].
    pub async fn create_with(
        folder: &Path,
        master: MasterKeySource,
        surroundings: Surroundings,
    ) -> Result<Self, OpenAgentError> {
        let identity = IdentityPrivateKey::generate(surroundings.primitives.as_ref())?;
        Self::create_as(folder, master, identity, Changes::default(), surroundings).await
    }

    /// Makes an agent with this identity and, in the same commit, what else it begins with.
    pub(crate) async fn create_as(
        folder: &Path,
        master: MasterKeySource,
        identity: IdentityPrivateKey,
        mut changes: Changes,
        surroundings: Surroundings,
    ) -> Result<Self, OpenAgentError> {
        let io_error = |source| OpenAgentError::Io { path: folder.to_owned(), source };
        match read_head(folder).await {
            Ok(_) => return Err(OpenAgentError::Exists(folder.to_owned())),
            Err(OpenAgentError::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        let primitives = Arc::clone(&surroundings.primitives);
        let passphrase = match &master {
            MasterKeySource::Passphrase(_) => Some(PassphraseParameters::generate(primitives.as_ref())?),
            MasterKeySource::Provider(_) => None,
        };
        let key = stretch(master, passphrase.clone()).await?;
        sealpost_sqlite::create_private_folder(folder).map_err(io_error)?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.join(FILE_NAME))?);
        let vault = Vault::create(primitives.as_ref(), identity.agent_id())?;
        let sealed_store_key = vault.sealed_store_key(primitives.as_ref(), &key)?;
        let head = VaultHead { identity: identity.identity_key(), sealed_store_key, passphrase };
        let write = Write { area: Area::Vault, key: Vec::new(), replaces: 0, sealed: Some(head.to_bytes()) };
        let store = SealedStore::new(store, vault, primitives);
        changes.insert([], &IdentityRecord::of(&identity));
        // Together, so that a process that ends in between leaves no agent without an identity.
        store.commit_beside(Some(write), changes).await?;
        Ok(Self::new(folder, identity, store, surroundings))
    }

    /// Opens the agent in `folder`.
    ///
    /// # Errors
    /// [`OpenAgentError`]; [`OpenAgentError::Missing`] if there is none.
    pub async fn open(folder: &Path, master: MasterKeySource) -> Result<Self, OpenAgentError> {
        Self::open_with(folder, master, Surroundings::default()).await
    }

    /// The same with another clock and other randomness.
    ///
    /// # Errors
    /// As [`Agent::open`].
    pub async fn open_with(
        folder: &Path,
        master: MasterKeySource,
        surroundings: Surroundings,
    ) -> Result<Self, OpenAgentError> {
        let (store, head, _) = read_head(folder).await?;
        let key = stretch(master, head.passphrase).await?;
        let vault = Vault::unlock(&head.sealed_store_key, head.identity.agent_id(), &key)?;
        let store = SealedStore::new(store, vault, Arc::clone(&surroundings.primitives));
        let record: IdentityRecord =
            store.find(&[]).await?.ok_or_else(|| OpenAgentError::Missing(folder.to_owned()))?.value;
        let identity = record.identity()?;
        Ok(Self::new(folder, identity, store, surroundings))
    }

    /// The public identity of the agent in `folder`, for which neither a master key nor leave to write is needed.
    ///
    /// # Errors
    /// [`OpenAgentError`]; [`OpenAgentError::Missing`] if there is none, or one whose making was cut short.
    pub async fn identity_in(folder: &Path) -> Result<IdentityKey, OpenAgentError> {
        Ok(look_at_head(folder).await?.identity)
    }

    /// What opens the agent in `folder`.
    ///
    /// # Errors
    /// As [`Agent::identity_in`].
    pub async fn lock_in(folder: &Path) -> Result<Lock, OpenAgentError> {
        Ok(if look_at_head(folder).await?.passphrase.is_some() { Lock::Passphrase } else { Lock::Key })
    }

    /// Whether `folder` holds an agent.
    #[must_use]
    pub fn exists_in(folder: &Path) -> bool {
        folder.join(FILE_NAME).is_file()
    }

    fn new(folder: &Path, identity: IdentityPrivateKey, store: SealedStore, surroundings: Surroundings) -> Self {
        let [turns, readers, tellers] = TURN_FILES;
        Self {
            identity: Arc::new(identity),
            store,
            primitives: surroundings.primitives,
            clock: surroundings.clock,
            one_time_prekeys: surroundings.one_time_prekeys.min(limits::ONE_TIME_PREKEYS),
            turns: Turns::new(folder, turns),
            readers: Turns::new(folder, readers),
            tellers: Turns::new(folder, tellers),
            message_ids: MessageIds::default(),
            spool: Spool::new(folder),
            transfers: Transfers::default(),
            holds: Holds::default(),
            fetch_holds: Holds::default(),
            followings: Followings::default(),
            lost_bodies: LostBodies::default(),
            receiving: surroundings.receiving,
            wanted: Wanted::default(),
            mailbox: MailboxPlace::default(),
            is_current: AtomicBool::new(false),
            is_forked: AtomicBool::new(false),
            owed_steps: OwedSteps::default(),
            control_taken: AtomicU64::new(0),
            relay: None,
        }
    }

    /// Uses the relay at `address` from now on. Nothing is sent yet.
    ///
    /// # Errors
    /// [`OpenAgentError::Relay`] for an address that is none, [`OpenAgentError::State`].
    pub async fn connect(mut self, address: &RelayAddress) -> Result<Self, OpenAgentError> {
        let origin = address.checked_origin()?;
        let known = self.store.find::<RelayRecord>(origin.as_bytes()).await?;
        let pinned = known.map(|known| known.value.node);
        let (identity, clock) = (Arc::clone(&self.identity), Arc::clone(&self.clock));
        self.relay = Some(RelayClient::new(address, pinned, identity, clock)?);
        Ok(self)
    }

    /// Waits until no one else reads the inbox. Whoever shows messages and then takes them holds this meanwhile, so that
    /// two processes of the agent do not show the same.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn read_alone(&self) -> Result<Turn<'_>, StateError> {
        Ok(self.readers.take().await?)
    }

    /// Waits until no one else tells events. Whoever tells events and then takes them holds this meanwhile, so that two
    /// processes of the agent do not tell the same.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn tell_alone(&self) -> Result<Turn<'_>, StateError> {
        Ok(self.tellers.take().await?)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> AgentId {
        self.identity.agent_id()
    }

    /// Its public identity.
    #[must_use]
    pub fn identity_key(&self) -> IdentityKey {
        self.identity.identity_key()
    }

    /// Whether the relay's ledger was found to contradict what it has countersigned, when it was last asked: it is given no
    /// receipts then.
    #[must_use]
    pub fn relay_is_forked(&self) -> bool {
        self.is_forked.load(Ordering::Relaxed)
    }

    /// What is on its way to or from the relay, for whoever shows it.
    #[must_use]
    pub fn transfers(&self) -> tokio::sync::watch::Receiver<Option<Transfer>> {
        self.transfers.watch()
    }

    /// For the length of a pause.
    pub(crate) fn random(&self) -> Result<u32, PrimitivesError> {
        let mut random = [0; 4];
        self.primitives.fill_random(&mut random)?;
        Ok(u32::from_le_bytes(random))
    }
}

/// Someone else having written the same first is as good.
pub(crate) fn ignore_conflict(result: Result<(), StoreAccessError>) -> Result<(), StoreAccessError> {
    match result {
        Err(StoreAccessError::Commit(crate::store::CommitError::Conflict)) => Ok(()),
        result => result,
    }
}

/// The head of the agent's store in `folder`; nothing is written.
async fn look_at_head(folder: &Path) -> Result<VaultHead, OpenAgentError> {
    let missing = || OpenAgentError::Missing(folder.to_owned());
    let file = folder.join(FILE_NAME);
    if !file.is_file() {
        return Err(missing());
    }
    check_not_emptied(folder)?;
    let looked = tokio::task::spawn_blocking(move || look(&file, Area::Vault, &[])).await;
    let row = looked.map_err(|error| StateError::from(StoreAccessError::from(StoreError(Box::new(error)))))??;
    Ok(VaultHead::from_bytes(&row.ok_or_else(missing)?.sealed)?)
}

/// The store in `folder`, its head, and the head's version.
pub(crate) async fn read_head(folder: &Path) -> Result<(Arc<dyn Store>, VaultHead, u64), OpenAgentError> {
    let missing = || OpenAgentError::Missing(folder.to_owned());
    let file: PathBuf = folder.join(FILE_NAME);
    if !file.is_file() {
        return Err(missing());
    }
    check_not_emptied(folder)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&file)?);
    let row =
        store.row(Area::Vault, Vec::new()).await.map_err(|error| StateError::from(StoreAccessError::from(error)))?;
    let row = row.ok_or_else(missing)?;
    let head = VaultHead::from_bytes(&row.sealed)?;
    Ok((store, head, row.version))
}

/// A file with nothing in it is what the making of an agent leaves that was cut short, or what is left of an agent: then
/// another must not take its place unasked.
fn check_not_emptied(folder: &Path) -> Result<(), OpenAgentError> {
    let file = folder.join(FILE_NAME);
    let is_empty = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
    let was_in_use = TURN_FILES.iter().any(|name| folder.join(name).exists());
    if is_empty && was_in_use { Err(OpenAgentError::Emptied(file)) } else { Ok(()) }
}

/// Argon2id takes its time: off the threads that serve others.
pub(crate) async fn stretch(
    master: MasterKeySource,
    parameters: Option<PassphraseParameters>,
) -> Result<MasterKey, OpenAgentError> {
    let provider: Box<dyn MasterKeyProvider> = match (master, parameters) {
        (MasterKeySource::Provider(provider), _) => provider,
        (MasterKeySource::Passphrase(passphrase), Some(parameters)) => {
            Box::new(PassphraseProvider::new(passphrase, parameters)?)
        }
        (MasterKeySource::Passphrase(_), None) => {
            return Err(OpenAgentError::MasterKey(sealpost_crypto::MasterKeyError::NotAKeyFile));
        }
    };
    let key = tokio::task::spawn_blocking(move || provider.master_key()).await;
    Ok(key.map_err(|_| sealpost_crypto::MasterKeyError::Unavailable)??)
}

impl Encode for VaultHead {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(FORMAT).value(&self.identity).bytes(&self.sealed_store_key).option(self.passphrase.as_ref());
    }
}

impl Decode for VaultHead {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "vault format", found }),
        }
        Ok(Self {
            identity: IdentityKey::decode(reader)?,
            sealed_store_key: reader.bytes("sealed store key", limits::SEALED_STORE_KEY)?.to_vec(),
            passphrase: reader.option("passphrase parameters")?,
        })
    }
}
