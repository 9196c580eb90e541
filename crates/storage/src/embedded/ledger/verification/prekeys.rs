//! One-time prekeys and claims: what is handed out is what its owner signed, under the id and to the end that the ledger
//! says.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use sealpost_protocol::{
    AgentId, CurveKey, IdentityKey, KemKey, KeyId, OneTimeKey, OneTimePrekey, PrekeyKind, SignedManifest,
    encoding::Decode,
};

use super::{Check, FindingKind, Key, Notes, StoreError, Subject};
use crate::embedded::columns::{Number, Time};

const KEYS: &str =
    "SELECT k.id, a.agent, k.owner, a.manifest, k.kind, k.key_id, k.expires_at, k.content, k.content_hash
     FROM one_time_prekeys AS k LEFT JOIN agents AS a ON a.id = k.owner
     WHERE k.content IS NOT NULL ORDER BY k.owner, k.id";
const KEY: &str = "SELECT k.id, a.agent, k.owner, a.manifest, k.kind, k.key_id, k.expires_at, k.content, k.content_hash
     FROM one_time_prekeys AS k LEFT JOIN agents AS a ON a.id = k.owner
     WHERE k.content IS NOT NULL AND k.id = ?1";
const CLAIMS: &str = "SELECT id, target, manifest, one_time_curve, one_time_kem FROM claims ORDER BY id";
const CLAIM: &str = "SELECT id, target, manifest, one_time_curve, one_time_kem FROM claims WHERE id = ?1";

/// What is wrong with a one-time key.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// Nobody can use it.
    Unusable(&'static str),
    /// It is what its owner signed, and its hash is another's.
    Hash([u8; 32]),
}

/// The owner of the keys that are looked at: decoding a manifest checks its signature, once for all of them.
#[derive(Default)]
struct Owner(Option<(u64, Option<IdentityKey>)>);

impl Owner {
    /// The key that signs for this row's owner; `None` if its manifest is damaged, which is told by itself.
    fn of(&mut self, row: &Row<'_>) -> rusqlite::Result<Option<IdentityKey>> {
        let Number(owner) = row.get(2)?;
        match self.0 {
            Some((known, key)) if known == owner => Ok(key),
            _ => {
                let key = identity_key(row, 3);
                self.0 = Some((owner, key));
                Ok(key)
            }
        }
    }
}

pub(super) fn keys(notes: &mut Notes, connection: &Connection) -> Result<(), StoreError> {
    let mut owner = Owner::default();
    let mut statement = connection.prepare(KEYS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(signer) = owner.of(row)? else { continue };
        if let Some(fault) = fault(row, signer) {
            let Number(id) = row.get(0)?;
            let detail = match fault {
                Fault::Unusable(detail) => detail,
                Fault::Hash(_) => "is whole, and its hash is another's",
            };
            let key =
                row.get::<_, u32>(5).map_or_else(|_| "a one-time key".to_owned(), |id| format!("one-time key {id}"));
            let subject = subject(row.get(1).ok(), format!("{key} {detail}"));
            notes.add(FindingKind::UnusablePrekey, Check::Prekey, Key::Row(id), subject);
        }
    }
    Ok(())
}

pub(super) fn claims(notes: &mut Notes, connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare(CLAIMS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !is_whole_claim(row) {
            let Number(id) = row.get(0)?;
            let subject = subject(row.get(1).ok(), "what a claim was given is not what its target signed".to_owned());
            notes.add(FindingKind::DamagedClaim, Check::Claim, Key::Row(id), subject);
        }
    }
    Ok(())
}

/// An unusable key counts as used; its id and hash stay, as those of any other.
pub(super) fn use_up(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    const USED: &str = "UPDATE one_time_prekeys SET content = NULL WHERE id = ?1";
    const HASHED: &str = "UPDATE one_time_prekeys SET content_hash = ?2 WHERE id = ?1";
    let Key::Row(id) = key else { return Ok(false) };
    let found = transaction.prepare_cached(KEY)?.query_one([Number(*id)], |row| {
        let signer = Owner::default().of(row)?;
        Ok(signer.and_then(|signer| fault(row, signer)))
    });
    match found.optional()?.flatten() {
        None => Ok(false),
        Some(Fault::Unusable(_)) => Ok(transaction.prepare_cached(USED)?.execute([Number(*id)])? > 0),
        Some(Fault::Hash(hash)) => Ok(transaction.prepare_cached(HASHED)?.execute(params![Number(*id), hash])? > 0),
    }
}

/// A claim that is forgotten is made anew when it is repeated.
pub(super) fn forget_claim(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let Key::Row(id) = key else { return Ok(false) };
    let is_whole = transaction.prepare_cached(CLAIM)?.query_one([Number(*id)], |row| Ok(is_whole_claim(row)));
    if is_whole.optional()? != Some(false) {
        return Ok(false);
    }
    Ok(transaction.prepare_cached("DELETE FROM claims WHERE id = ?1")?.execute([Number(*id)])? > 0)
}

fn fault(row: &Row<'_>, owner: IdentityKey) -> Option<Fault> {
    let kind: Option<String> = row.get(4).ok();
    match kind.as_deref().and_then(PrekeyKind::from_name) {
        Some(PrekeyKind::OneTimeCurve) => fault_of::<CurveKey>(row, owner),
        Some(PrekeyKind::OneTimeKem) => fault_of::<KemKey>(row, owner),
        _ => Some(Fault::Unusable("is of no kind that is handed out")),
    }
}

fn fault_of<K: OneTimeKey>(row: &Row<'_>, owner: IdentityKey) -> Option<Fault> {
    let content: Vec<u8> = row.get(7).unwrap_or_default();
    let Ok(key) = OneTimePrekey::<K>::from_bytes(&content) else { return Some(Fault::Unusable("cannot be read")) };
    if row.get(5).ok().map(KeyId) != Some(key.prekey.id) {
        return Some(Fault::Unusable("has another id inside"));
    }
    if row.get(6).ok().map(|Time(expires)| expires) != Some(key.prekey.expires) {
        return Some(Fault::Unusable("has another end of its life inside"));
    }
    if key.verify(&owner).is_err() {
        return Some(Fault::Unusable("is not what its owner signed"));
    }
    let hash = *blake3::hash(&content).as_bytes();
    // Keys that are older than their hashes have none.
    let said: Option<Vec<u8>> = row.get(8).unwrap_or(Some(Vec::new()));
    said.is_some_and(|said| said != hash).then_some(Fault::Hash(hash))
}

fn is_whole_claim(row: &Row<'_>) -> bool {
    let Some(owner) = identity_key(row, 2) else { return false };
    row.get(1).is_ok_and(|target| AgentId::from_array(target) == owner.agent_id())
        && is_whole_key::<CurveKey>(row, 3, owner)
        && is_whole_key::<KemKey>(row, 4, owner)
}

fn is_whole_key<K: OneTimeKey>(row: &Row<'_>, column: usize, owner: IdentityKey) -> bool {
    row.get::<_, Option<Vec<u8>>>(column).is_ok_and(|key| {
        key.is_none_or(|key| OneTimePrekey::<K>::from_bytes(&key).is_ok_and(|key| key.verify(&owner).is_ok()))
    })
}

fn identity_key(row: &Row<'_>, manifest: usize) -> Option<IdentityKey> {
    let bytes: Vec<u8> = row.get(manifest).ok()?;
    SignedManifest::from_bytes(&bytes).ok().map(|manifest| manifest.fields().identity)
}

fn subject(agent: Option<[u8; 32]>, detail: String) -> Subject {
    let subject = Subject::that(detail);
    match agent {
        Some(agent) => subject.of_agent(AgentId::from_array(agent)),
        None => subject,
    }
}
