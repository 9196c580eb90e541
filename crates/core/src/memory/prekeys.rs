//! Prekeys in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use sealpost_protocol::{
    AgentId, Bundle, ClaimId, CurveKey, KemKey, KeyId, OneTimePrekey, PrekeyKind, SignedManifest, Timestamp,
};

use crate::{
    limits,
    ports::{
        BackendError, Claim, ClaimKeysError, PrekeyCounts, PrekeyUpload, Prekeys, RecentClaims, StoreManifestError,
    },
};

/// Manifests, one-time keys and claims.
#[derive(Debug, Default)]
pub struct MemoryPrekeys {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    agents: HashMap<AgentId, Published>,
    claims: HashMap<ClaimName, (Timestamp, Bundle)>,
}

/// Requester, id and target.
type ClaimName = (AgentId, ClaimId, AgentId);

impl State {
    fn recent(&self, claim: &Claim, counts: impl Fn(&ClaimName, &Bundle) -> bool) -> RecentClaims {
        let made = self.claims.iter().filter(|(name, (_, bundle))| counts(name, bundle)).map(|(_, (at, _))| *at);
        made.filter(|at| *at > claim.window_begins()).fold(RecentClaims::default(), |recent, at| RecentClaims {
            count: recent.count + 1,
            first: if recent.count == 0 { at } else { recent.first.min(at) },
        })
    }
}

#[derive(Debug, Clone)]
struct Published {
    manifest: SignedManifest,
    curve: OneTimeKeys<CurveKey>,
    kem: OneTimeKeys<KemKey>,
}

/// One-time keys by id.
#[derive(Debug, Clone)]
struct OneTimeKeys<K>(BTreeMap<KeyId, OneTime<K>>);

/// What became of a one-time key.
#[derive(Debug, Clone)]
enum OneTime<K> {
    Unused(OneTimePrekey<K>),
    HandedOut(OneTimePrekey<K>, Timestamp),
    /// Its id stays used; a real adapter keeps no more of it than tells it from another.
    Forgotten(OneTimePrekey<K>),
}

impl<K: PartialEq + Clone> OneTimeKeys<K> {
    fn add(&mut self, kind: PrekeyKind, keys: Vec<OneTimePrekey<K>>) -> Result<(), StoreManifestError> {
        for key in keys {
            match self.0.get(&key.prekey.id) {
                None => {
                    self.0.insert(key.prekey.id, OneTime::Unused(key));
                }
                Some(OneTime::Unused(known) | OneTime::HandedOut(known, _) | OneTime::Forgotten(known)) => {
                    StoreManifestError::unless_same_key(kind, key.prekey.id, *known == key)?;
                }
            }
        }
        Ok(())
    }

    /// Forgets the unused keys that are not among `kept`.
    fn forget_unused_but(&mut self, kept: &BTreeSet<KeyId>) {
        for (id, known) in &mut self.0 {
            if let OneTime::Unused(key) = known
                && !kept.contains(id)
            {
                *known = OneTime::Forgotten(key.clone());
            }
        }
    }

    fn unused(&self, now: Timestamp) -> u64 {
        let is_usable = |known: &&OneTime<K>| matches!(known, OneTime::Unused(key) if key.prekey.expires > now);
        self.0.values().filter(is_usable).count() as u64
    }

    /// Takes the key that expires first, so that the least goes to waste.
    fn take(&mut self, now: Timestamp) -> Option<OneTimePrekey<K>> {
        let usable = |known: &OneTime<K>| match known {
            OneTime::Unused(key) if key.prekey.expires > now => Some(key.clone()),
            _ => None,
        };
        let key = self.0.values().filter_map(usable).min_by_key(|key| key.prekey.expires)?;
        self.0.insert(key.prekey.id, OneTime::HandedOut(key.clone(), now));
        Some(key)
    }

    /// Forgets up to `rows` keys that were handed out or expired before `before`.
    fn forget(&mut self, before: Timestamp, rows: usize) -> usize {
        let old = |known: &OneTime<K>| match known {
            OneTime::Unused(key) => (key.prekey.expires < before).then(|| key.clone()),
            OneTime::HandedOut(key, at) => (*at < before).then(|| key.clone()),
            OneTime::Forgotten(_) => None,
        };
        let forgotten = self.0.values_mut().filter_map(|known| old(known).map(|key| *known = OneTime::Forgotten(key)));
        forgotten.take(rows).count()
    }

    /// Forgets the ids of up to `rows` forgotten keys that expired before `before`.
    fn forget_ids(&mut self, before: Timestamp, rows: usize) -> usize {
        let old = |known: &OneTime<K>| matches!(known, OneTime::Forgotten(key) if key.prekey.expires < before);
        let ids: Vec<_> = self.0.iter().filter(|(_, known)| old(known)).map(|(id, _)| *id).take(rows).collect();
        for id in &ids {
            self.0.remove(id);
        }
        ids.len()
    }
}

#[async_trait]
impl Prekeys for MemoryPrekeys {
    async fn publish(&self, upload: PrekeyUpload, now: Timestamp) -> Result<PrekeyCounts, StoreManifestError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = upload.manifest.agent_id();
        let (curve, kem) = match state.agents.get(&agent) {
            None => (OneTimeKeys(BTreeMap::new()), OneTimeKeys(BTreeMap::new())),
            Some(known) => {
                let (stored, offered) = (known.manifest.fields().version, upload.manifest.fields().version);
                StoreManifestError::unless_follows(stored, offered, known.manifest == upload.manifest)?;
                (known.curve.clone(), known.kem.clone())
            }
        };
        let mut published = Published { manifest: upload.manifest, curve, kem };
        let uploaded = (ids_of(&upload.one_time_curve), ids_of(&upload.one_time_kem));
        published.curve.add(PrekeyKind::OneTimeCurve, upload.one_time_curve)?;
        published.kem.add(PrekeyKind::OneTimeKem, upload.one_time_kem)?;
        if upload.forget_unused {
            published.curve.forget_unused_but(&uploaded.0);
            published.kem.forget_unused_but(&uploaded.1);
        }
        let counts = StoreManifestError::unless_few(published.counts(now))?;
        state.agents.insert(agent, published);
        Ok(counts)
    }

    async fn manifest(&self, agent: AgentId) -> Result<Option<SignedManifest>, BackendError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(state.agents.get(&agent).map(|published| published.manifest.clone()))
    }

    async fn claim(&self, claim: Claim) -> Result<Option<Bundle>, ClaimKeysError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (claim.requester, claim.id, claim.target);
        if let Some((_, bundle)) = state.claims.get(&name) {
            return Ok(Some(bundle.clone()));
        }
        if !state.agents.contains_key(&claim.target) {
            return Ok(None);
        }
        let by_requester = state.recent(&claim, |(requester, _, _), _| *requester == claim.requester);
        let of_target =
            |(requester, _, target): &ClaimName, _: &_| (*requester, *target) == (claim.requester, claim.target);
        claim.check(by_requester, state.recent(&claim, of_target))?;
        let with_keys = |(_, _, target): &ClaimName, bundle: &Bundle| {
            *target == claim.target && (bundle.one_time_curve.is_some() || bundle.one_time_kem.is_some())
        };
        let is_protected = state.recent(&claim, with_keys).count >= limits::ONE_TIME_CLAIMS_PER_TARGET;
        let Some(target) = state.agents.get_mut(&claim.target) else { return Ok(None) };
        let bundle = Bundle {
            manifest: target.manifest.clone(),
            one_time_curve: if is_protected { None } else { target.curve.take(claim.at) },
            one_time_kem: if is_protected { None } else { target.kem.take(claim.at) },
        };
        state.claims.insert(name, (claim.at, bundle.clone()));
        Ok(Some(bundle))
    }

    async fn counts(&self, agent: AgentId, now: Timestamp) -> Result<PrekeyCounts, BackendError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(state.agents.get(&agent).map(|published| published.counts(now)).unwrap_or_default())
    }

    async fn first_unknown(&self, agents: &[AgentId]) -> Result<Option<AgentId>, BackendError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(agents.iter().copied().find(|agent| !state.agents.contains_key(agent)))
    }

    async fn forget(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let old: Vec<_> =
            state.claims.iter().filter(|(_, (at, _))| *at < before).map(|(name, _)| *name).take(rows).collect();
        for name in &old {
            state.claims.remove(name);
        }
        let mut keys = 0;
        for published in state.agents.values_mut() {
            keys += published.curve.forget(before, rows - keys);
            keys += published.kem.forget(before, rows - keys);
        }
        Ok(old.len() + keys)
    }

    async fn forget_ids(&self, before: Timestamp, rows: usize) -> Result<usize, BackendError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids = 0;
        for published in state.agents.values_mut() {
            ids += published.curve.forget_ids(before, rows - ids);
            ids += published.kem.forget_ids(before, rows - ids);
        }
        Ok(ids)
    }
}

fn ids_of<K>(keys: &[OneTimePrekey<K>]) -> BTreeSet<KeyId> {
    keys.iter().map(|key| key.prekey.id).collect()
}

impl Published {
    fn counts(&self, now: Timestamp) -> PrekeyCounts {
        PrekeyCounts { one_time_curve: self.curve.unused(now), one_time_kem: self.kem.unused(now) }
    }
}
