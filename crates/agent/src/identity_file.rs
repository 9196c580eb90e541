//! An identity as one sealed file: what it takes to be the same agent elsewhere.
//!
//! The file holds the identity's key, private prekeys, what was published, known agents, names and comparisons; no session and no
//! mail. So an imported identity begins like a copy that was put back: its correspondents' messages in old sessions are
//! refused, and sealed anew by them, and its prekeys are replaced at the first contact with the relay.

use std::path::Path;

use sealpost_crypto::{IdentityPrivateKey, PassphraseParameters, RowAddress, SecretBytes, Vault, encode_secret};
use sealpost_protocol::{
    IdentityKey,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};
use zeroize::Zeroizing;

use crate::{
    Agent, MasterKeySource, OpenAgentError, Surroundings,
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

/// The file as it lies there.
pub(crate) struct SealedIdentity {
    pub(crate) identity: IdentityKey,
    pub(crate) parameters: PassphraseParameters,
    pub(crate) sealed_store_key: Vec<u8>,
    pub(crate) content: Vec<u8>,
}

/// What is sealed in it.
pub(crate) struct Content<'a> {
    pub(crate) seed: &'a [u8],
    pub(crate) manifest_version: u64,
    pub(crate) next_ids: NextKeyIds,
    /// Each kind of rows, encoded.
    pub(crate) rows: [SecretBytes; 6],
}

/// An exported identity, opened.
pub struct IdentityFile {
    identity: IdentityPrivateKey,
    rows: Changes,
}

impl IdentityFile {
    /// Opens the file.
    ///
    /// # Errors
    /// [`OpenAgentError::Damaged`] for what is no such file, [`OpenAgentError::Vault`] for another passphrase.
    pub async fn open(file: &[u8], passphrase: Zeroizing<String>) -> Result<Self, OpenAgentError> {
        let sealed = SealedIdentity::parse(file)?;
        let key = stretch(MasterKeySource::Passphrase(passphrase), Some(sealed.parameters)).await?;
        let vault = Vault::unlock(&sealed.sealed_store_key, sealed.identity.agent_id(), &key)?;
        Self::parse(&vault.open(&ROW, &sealed.content)?)
    }

    /// Reads what was sealed in the file.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, OpenAgentError> {
        let mut reader = Reader::new(content);
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
    /// [`OpenAgentError`]; [`OpenAgentError::Exists`] if there is one already.
    pub async fn import(self, folder: &Path, master: MasterKeySource) -> Result<Agent, OpenAgentError> {
        Agent::create_as(folder, master, self.identity, self.rows, Surroundings::default()).await
    }
}

impl Agent {
    /// The identity as one file, sealed under a passphrase of its own. Whoever has both is the agent.
    ///
    /// # Errors
    /// [`OpenAgentError`].
    pub async fn export(&self, passphrase: Zeroizing<String>) -> Result<Vec<u8>, OpenAgentError> {
        let primitives = self.primitives.as_ref();
        let parameters = PassphraseParameters::generate(primitives)?;
        let key = stretch(MasterKeySource::Passphrase(passphrase), Some(parameters.clone())).await?;
        let vault = Vault::create(primitives, self.id())?;
        let content = vault.seal(primitives, &ROW, &self.content().await?)?;
        let (identity, sealed_store_key) = (self.identity_key(), vault.sealed_store_key(primitives, &key)?);
        Ok(SealedIdentity { identity, parameters, sealed_store_key, content }.to_bytes())
    }

    async fn content(&self) -> Result<SecretBytes, StoreAccessError> {
        let manifest = self.store.find::<ManifestRecord>(&[]).await?;
        let floor = self.store.find::<FloorRecord>(&[]).await?;
        let (version, ids) = match (&manifest, &floor) {
            (Some(known), _) => (known.value.manifest.fields().version, known.value.next_ids),
            (None, Some(floor)) => (floor.value.manifest_version, floor.value.next_ids),
            (None, None) => (0, NextKeyIds::FIRST),
        };
        let seed = IdentityRecord::of(&self.identity).seed;
        let rows = [
            self.rows_of::<PrekeyRecord>().await?,
            self.rows_of::<PeerRecord>().await?,
            self.rows_of::<RelayRecord>().await?,
            self.rows_of::<ReceiptHeadRecord>().await?,
            self.rows_of::<ContactRecord>().await?,
            self.rows_of::<VerifiedRecord>().await?,
        ];
        Ok(Content { seed: &seed, manifest_version: version, next_ids: ids, rows }.encode())
    }

    /// All rows of a kind, read before they are written, so that their length is known.
    async fn rows_of<T: Record>(&self) -> Result<SecretBytes, StoreAccessError> {
        let (mut rows, mut after) = (Vec::new(), Vec::new());
        loop {
            let page = self.store.list::<T>(&[], &after, limits::ROWS).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.key);
            rows.extend(page.into_iter().map(|row| (row.key, row.value)));
        }
        Ok(encode_rows(&rows))
    }
}

impl SealedIdentity {
    pub(crate) fn parse(file: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(file);
        if reader.bytes("identity file", LABEL.len())? != LABEL {
            return Err(DecodeError::Invalid { field: "identity file", reason: "not a file of this kind" });
        }
        Ok(Self {
            identity: IdentityKey::decode(&mut reader)?,
            parameters: PassphraseParameters::decode(&mut reader)?,
            sealed_store_key: reader.bytes("sealed store key", limits::SEALED_STORE_KEY)?.to_vec(),
            content: reader.rest().to_vec(),
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut file = Writer::new();
        file.bytes(LABEL)
            .value(&self.identity)
            .value(&self.parameters)
            .bytes(&self.sealed_store_key)
            .array(&self.content);
        file.into_bytes()
    }
}

impl Content<'_> {
    pub(crate) fn encode(&self) -> SecretBytes {
        let ids = self.next_ids.to_bytes();
        let length = self.seed.len() + 8 + ids.len() + self.rows.iter().map(|rows| rows.len()).sum::<usize>();
        encode_secret(length, |writer| {
            writer.array(self.seed).u64(self.manifest_version).array(&ids);
            for rows in &self.rows {
                writer.array(rows);
            }
        })
    }
}

/// Rows of one kind.
pub(crate) fn encode_rows<T: Record>(rows: &[(Vec<u8>, T)]) -> SecretBytes {
    let rows: Vec<_> = rows.iter().map(|(key, value)| (key, value.to_secret())).collect();
    let length = |(key, value): &(&Vec<u8>, SecretBytes)| 1 + 4 + key.len() + 4 + value.len();
    encode_secret(rows.iter().map(length).sum::<usize>() + 1, |writer| {
        for (key, value) in &rows {
            writer.u8(1).bytes(key).bytes(value);
        }
        writer.u8(0);
    })
}

/// What is published from now on goes well above what was published elsewhere since: key ids by a gap that nobody fills,
/// the manifest's version by what the relay says.
fn read_floor(reader: &mut Reader<'_>) -> Result<FloorRecord, DecodeError> {
    let manifest_version = reader.u64()?;
    Ok(FloorRecord { manifest_version, next_ids: NextKeyIds::decode(reader)?.beyond_the_gap() })
}

fn read_rows<T: Record>(reader: &mut Reader<'_>, changes: &mut Changes) -> Result<(), DecodeError> {
    loop {
        match reader.u8()? {
            0 => return Ok(()),
            1 => {}
            found => return Err(DecodeError::UnknownValue { field: "what follows a row", found }),
        }
        let key = reader.bytes("a row's key", limits::ROW_KEY)?.to_vec();
        let value = T::from_bytes(reader.bytes("a row", sealpost_protocol::limits::ENVELOPE)?)?;
        changes.insert(key, &value);
    }
}
