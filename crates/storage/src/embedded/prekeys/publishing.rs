//! Storing an upload: whole or not at all.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, Transaction, params};
use sealpost_core::ports::{PrekeyCounts, PrekeyUpload, StoreManifestError};
use sealpost_protocol::{AgentId, KeyId, OneTimePrekey, PrekeyKind, Timestamp, encoding::Encode};

use super::{Abort, StoreError, Time, counts};

pub(super) const FIND_AGENT: &str = "SELECT id, version, manifest FROM agents WHERE agent = ?1";
pub(super) const INSERT_AGENT: &str = "INSERT INTO agents (agent, version, manifest) VALUES (?1, ?2, ?3)";
pub(super) const UPDATE_AGENT: &str = "UPDATE agents SET version = ?2, manifest = ?3 WHERE id = ?1";
pub(super) const FIND_KEY: &str =
    "SELECT content, content_hash FROM one_time_prekeys WHERE owner = ?1 AND kind = ?2 AND key_id = ?3";
pub(super) const INSERT_KEY: &str = "INSERT INTO one_time_prekeys
         (owner, kind, key_id, expires_at, content, content_hash)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(super) const UNUSED_KEYS: &str = "SELECT id, key_id FROM one_time_prekeys
     WHERE owner = ?1 AND kind = ?2 AND claimed_at IS NULL AND content IS NOT NULL";
pub(super) const FORGET_KEY: &str = "UPDATE one_time_prekeys SET content = NULL WHERE id = ?1";

/// An upload as it is stored.
pub(super) struct EncodedUpload {
    agent: AgentId,
    version: u64,
    manifest: Vec<u8>,
    keys: Vec<EncodedKey>,
    forget_unused: bool,
}

struct EncodedKey {
    kind: PrekeyKind,
    id: KeyId,
    expires: Timestamp,
    content: Vec<u8>,
    hash: [u8; 32],
}

impl EncodedUpload {
    pub(super) fn new(upload: &PrekeyUpload) -> Self {
        let curve = upload.one_time_curve.iter().map(|key| EncodedKey::new(PrekeyKind::OneTimeCurve, key));
        let kem = upload.one_time_kem.iter().map(|key| EncodedKey::new(PrekeyKind::OneTimeKem, key));
        Self {
            agent: upload.manifest.agent_id(),
            version: upload.manifest.fields().version,
            manifest: upload.manifest.to_bytes(),
            keys: curve.chain(kem).collect(),
            forget_unused: upload.forget_unused,
        }
    }
}

impl EncodedKey {
    fn new<K>(kind: PrekeyKind, key: &OneTimePrekey<K>) -> Self
    where
        OneTimePrekey<K>: Encode,
    {
        let content = key.to_bytes();
        let hash = *blake3::hash(&content).as_bytes();
        Self { kind, id: key.prekey.id, expires: key.prekey.expires, content, hash }
    }
}

pub(super) fn publish(
    transaction: &Transaction<'_>,
    upload: &EncodedUpload,
    now: Timestamp,
) -> Result<PrekeyCounts, Abort<StoreManifestError>> {
    let owner = store_manifest(transaction, upload)?;
    for key in &upload.keys {
        store_key(transaction, owner, key)?;
    }
    if upload.forget_unused {
        for kind in [PrekeyKind::OneTimeCurve, PrekeyKind::OneTimeKem] {
            let uploaded = upload.keys.iter().filter(|key| key.kind == kind).map(|key| key.id).collect();
            forget_unused_but(transaction, owner, kind, &uploaded)?;
        }
    }
    StoreManifestError::unless_few(counts(transaction, upload.agent, now)?).map_err(Abort::Refused)
}

/// Returns the agent's row.
fn store_manifest(transaction: &Transaction<'_>, upload: &EncodedUpload) -> Result<i64, Abort<StoreManifestError>> {
    let mut find = transaction.prepare_cached(FIND_AGENT)?;
    let known = find.query_one([upload.agent.as_bytes()], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned(), row.get::<_, Vec<u8>>(2)?))
    });
    let version = upload.version.cast_signed();
    match known.optional()? {
        None => {
            let columns = params![upload.agent.as_bytes(), version, upload.manifest];
            transaction.prepare_cached(INSERT_AGENT)?.execute(columns)?;
            Ok(transaction.last_insert_rowid())
        }
        Some((owner, stored, manifest)) => {
            let is_the_same = manifest == upload.manifest;
            StoreManifestError::unless_follows(stored, upload.version, is_the_same).map_err(Abort::Refused)?;
            if is_the_same {
                return Ok(owner);
            }
            transaction.prepare_cached(UPDATE_AGENT)?.execute(params![owner, version, upload.manifest])?;
            Ok(owner)
        }
    }
}

fn store_key(transaction: &Transaction<'_>, owner: i64, key: &EncodedKey) -> Result<(), Abort<StoreManifestError>> {
    let mut find = transaction.prepare_cached(FIND_KEY)?;
    let known = find.query_one(params![owner, key.kind.as_str(), key.id.0], |row| {
        Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, Option<[u8; 32]>>(1)?))
    });
    match known.optional()? {
        None => {
            let columns = params![owner, key.kind.as_str(), key.id.0, Time(key.expires), key.content, key.hash];
            transaction.prepare_cached(INSERT_KEY)?.execute(columns)?;
            Ok(())
        }
        Some((content, hash)) => {
            let is_the_same = content.map_or(hash == Some(key.hash), |content| content == key.content);
            StoreManifestError::unless_same_key(key.kind, key.id, is_the_same).map_err(Abort::Refused)
        }
    }
}

/// Expired keys go too: what is forgotten is what was not handed out.
fn forget_unused_but(
    transaction: &Transaction<'_>,
    owner: i64,
    kind: PrekeyKind,
    kept: &HashSet<KeyId>,
) -> Result<(), StoreError> {
    let mut unused = transaction.prepare_cached(UNUSED_KEYS)?;
    let keys =
        unused.query_map(params![owner, kind.as_str()], |row| Ok((row.get::<_, i64>(0)?, KeyId(row.get(1)?))))?;
    let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
    let mut forget = transaction.prepare_cached(FORGET_KEY)?;
    for (row, _) in keys.iter().filter(|(_, id)| !kept.contains(id)) {
        forget.execute([row])?;
    }
    Ok(())
}
