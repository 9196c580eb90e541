//! The key that everything at rest is sealed under, and what seals it: both can be replaced.
//!
//! Either is one commit: a process that ends in between leaves the store as it was, or as it shall be. Processes that have
//! the agent open keep what they committed; after the store key was replaced they commit nothing more.

use std::{path::Path, sync::Arc};

use sealpost_crypto::{PassphraseParameters, Primitives, RowAddress, SystemPrimitives, Vault};
use sealpost_protocol::encoding::Encode;

use crate::{
    Agent, MasterKeySource, OpenAgentError, StateError,
    agent::{VaultHead, read_head, stretch},
    store::{Area, Row, StoreAccessError, StoreError, Write},
};

impl Agent {
    /// Replaces the store key of the agent in `folder`, and seals every row anew under it. Old copies of the store do not
    /// open with the new key, nor the other way round. It takes a few microseconds a row.
    ///
    /// # Errors
    /// [`OpenAgentError`]; the store is as it was.
    pub async fn replace_store_key(folder: &Path, master: MasterKeySource) -> Result<(), OpenAgentError> {
        let (store, head, version) = read_head(folder).await?;
        let key = stretch(master, head.passphrase.clone()).await?;
        let vault = Vault::unlock(&head.sealed_store_key, head.identity.agent_id(), &key)?;
        let replacement = vault.replacement(&SystemPrimitives)?;
        let generation = vault.generation().number();
        let sealed_store_key = replacement.sealed_store_key(&SystemPrimitives, &key)?;
        let reseal = move |area: Area, row: &Row| {
            let address = RowAddress { table: area.name(), row: &row.key, version: row.version };
            let content = vault.open(&address, &row.sealed).map_err(|error| StoreError(Box::new(error)))?;
            replacement.seal(&SystemPrimitives, &address, &content).map_err(|error| StoreError(Box::new(error)))
        };
        let head = VaultHead { sealed_store_key, ..head }.replacing(version);
        Ok(store.reseal(head, generation, Box::new(reseal)).await.map_err(state)?)
    }

    /// Seals the store key of the agent in `folder` under another master key; only that opens it from then on.
    ///
    /// # Errors
    /// [`OpenAgentError`]; the store is as it was.
    pub async fn replace_master_key(
        folder: &Path,
        master: MasterKeySource,
        new: MasterKeySource,
    ) -> Result<(), OpenAgentError> {
        let primitives: Arc<dyn Primitives> = Arc::new(SystemPrimitives);
        let (store, head, version) = read_head(folder).await?;
        let key = stretch(master, head.passphrase.clone()).await?;
        let vault = Vault::unlock(&head.sealed_store_key, head.identity.agent_id(), &key)?;
        let passphrase = match &new {
            MasterKeySource::Passphrase(_) => Some(PassphraseParameters::generate(primitives.as_ref())?),
            MasterKeySource::Provider(_) => None,
        };
        let new = stretch(new, passphrase.clone()).await?;
        let sealed_store_key = vault.sealed_store_key(primitives.as_ref(), &new)?;
        let head = VaultHead { sealed_store_key, passphrase, ..head }.replacing(version);
        Ok(store.commit(vec![head], vault.generation().number()).await.map_err(state)?)
    }
}

impl VaultHead {
    /// The change that puts it in the place of the head of that version.
    fn replacing(&self, version: u64) -> Write {
        Write { area: Area::Vault, key: Vec::new(), replaces: version, sealed: Some(self.to_bytes()) }
    }
}

fn state(error: crate::store::CommitError) -> StateError {
    StoreAccessError::from(error).into()
}
