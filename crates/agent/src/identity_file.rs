//! An identity as one sealed file: what it takes to be the same agent elsewhere.
//!
//! The file holds the identity's key, private prekeys, what was published, known agents, names and comparisons; no session and no
//! mail. So an imported identity begins like a copy that was put back: its correspondents' messages in old sessions are
//! refused, and sealed anew by them, and its prekeys are replaced at the first contact with the relay.

use std::path::Path;

use sealpost_crypto::{
    IdentityPrivateKey, MasterKeyProvider, PassphraseParameters, PassphraseProvider, RowAddress, SecretBytes, Vault,
};
use sealpost_protocol::{
    IdentityKey,
    encoding::{Decode, DecodeError, Reader, Writer},
};
use zeroize::Zeroizing;

use crate::{
    Agent, MasterKeySource, OpenError, Surroundings,
    agent::stretch,
    limits,
    records::{
        ContactRecord, FloorRecord, IdentityRecord, ManifestRecord, NextKeyIds, PeerRecord, PrekeyRecord,
        ReceiptHeadRecord, RelayRecord, VerifiedRecord,
    },
    store::{Changes, Record, StoreAccessError},
};

const LABEL: &[u8] = b"sealpost/v1/identity-file";
const ROW: RowAddress<'static> = RowAddress { table: "identity-file", row: &[], version: 1 };

/// Bytes of a sealed store key at most.
const SEALED_STORE_KEY: usize = 256;

/// An exported identity, opened.
pub struct IdentityFile {
    identity: IdentityPrivateKey,
    rows: Changes,
}

impl IdentityFile {
    /// Opens the file.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] for what is no such file, [`OpenError::Vault`] for another passphrase.
    pub async fn open(file: &[u8], passphrase: Zeroizing<String>) -> Result<Self, OpenError> {
        let mut reader = Reader::new(file);
        if reader.bytes("identity file", LABEL.len())? != LABEL {
            return Err(DecodeError::Invalid { field: "identity file", reason: "not a file of this kind" }.into());
        }
        let identity = IdentityKey::decode(&mut reader)?;
        let parameters = PassphraseParameters::decode(&mut reader)?;
        let sealed_store_key = reader.bytes("sealed store key", SEALED_STORE_KEY)?.to_vec();
        let provider = PassphraseProvider::new(passphrase, parameters)?;
        let key = tokio::task::spawn_blocking(move || provider.master_key()).await;
        let key = key.map_err(|_| sealpost_crypto::MasterKeyError::Unavailable)??;
        let vault = Vault::unlock(&sealed_store_key, identity.agent_id(), &key)?;
        let content = vault.open(&ROW, reader.rest())?;
        let mut reader = Reader::new(&content);
        let seed = Zeroizing::new(reader.array()?);
        let identity = IdentityPrivateKey::from_seed(&seed)?;
        let mut rows = Changes::default();
        rows.insert([], &read_floor(&mut reader)?);
        read_rows::<PrekeyRecord>(&mut reader, &mut rows)?;
        read_rows::<PeerRecord>(&mut reader, &mut rows)?;
        read_rows::<RelayRecord>(&mut reader, &mut rows)?;
        read_rows::<ReceiptHeadRecord>(&mut reader, &mut rows)?;
        read_rows::<ContactRecord>(&mut reader, &mut rows)?;
        read_rows::<VerifiedRecord>(&mut reader, &mut rows)?;
        reader.finish()?;
        Ok(Self { identity, rows })
    }

    /// Makes an agent of it in `folder`.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Exists`] if there is one already.
    pub async fn import(self, folder: &Path, master: MasterKeySource) -> Result<Agent, OpenError> {
        Agent::create_as(folder, master, self.identity, self.rows, Surroundings::default()).await
    }
}

impl Agent {
    /// The identity as one file, sealed under a passphrase of its own. Whoever has both is the agent.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn export(&self, passphrase: Zeroizing<String>) -> Result<Vec<u8>, OpenError> {
        let primitives = self.primitives.as_ref();
        let parameters = PassphraseParameters::generate(primitives)?;
        let key = stretch(MasterKeySource::Passphrase(passphrase), Some(parameters.clone())).await?;
        let vault = Vault::create(primitives, self.id())?;
        let content = SecretBytes::from(self.content().await?.into_bytes());
        let mut file = Writer::new();
        file.bytes(LABEL)
            .value(&self.identity_key())
            .value(&parameters)
            .bytes(&vault.sealed_store_key(primitives, &key)?)
            .array(&vault.seal(primitives, &ROW, &content)?);
        Ok(file.into_bytes())
    }

    async fn content(&self) -> Result<Writer, StoreAccessError> {
        let mut writer = Writer::new();
        writer.array(&IdentityRecord::of(&self.identity).seed);
        let manifest = self.store.find::<ManifestRecord>(&[]).await?;
        let floor = self.store.find::<FloorRecord>(&[]).await?;
        let (version, ids) = match (&manifest, &floor) {
            (Some(known), _) => (known.value.manifest.fields().version, known.value.next_ids),
            (None, Some(floor)) => (floor.value.manifest_version, floor.value.next_ids),
            (None, None) => (0, NextKeyIds::FIRST),
        };
        writer.u64(version).value(&ids);
        self.write_rows::<PrekeyRecord>(&mut writer).await?;
        self.write_rows::<PeerRecord>(&mut writer).await?;
        self.write_rows::<RelayRecord>(&mut writer).await?;
        self.write_rows::<ReceiptHeadRecord>(&mut writer).await?;
        self.write_rows::<ContactRecord>(&mut writer).await?;
        self.write_rows::<VerifiedRecord>(&mut writer).await?;
        Ok(writer)
    }

    async fn write_rows<T: Record>(&self, writer: &mut Writer) -> Result<(), StoreAccessError> {
        let mut after = Vec::new();
        loop {
            let rows = self.store.list::<T>(&[], &after, limits::ROWS).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.key);
            for row in &rows {
                let value = SecretBytes::from(row.value.to_bytes());
                writer.u8(1).bytes(&row.key).bytes(&value);
            }
        }
        writer.u8(0);
        Ok(())
    }
}

/// What is published from now on goes well above what was published elsewhere since: key ids by a gap that nobody fills,
/// the manifest's version by what the relay says.
fn read_floor(reader: &mut Reader<'_>) -> Result<FloorRecord, DecodeError> {
    let manifest_version = reader.u64()?;
    Ok(FloorRecord { manifest_version, next_ids: NextKeyIds::decode(reader)?.beyond_the_gap() })
}

fn read_rows<T: Record>(reader: &mut Reader<'_>, changes: &mut Changes) -> Result<(), DecodeError> {
    while reader.u8()? == 1 {
        let key = reader.bytes("a row's key", limits::ROW_KEY)?.to_vec();
        let value = T::from_bytes(reader.bytes("a row", sealpost_protocol::limits::ENVELOPE)?)?;
        changes.insert(key, &value);
    }
    Ok(())
}
