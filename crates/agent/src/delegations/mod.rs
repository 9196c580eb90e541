//! Delegations: an agent lets others act for it at its relay, and takes that back.
//!
//! The identity certifies a delegation key, which is kept here and signs what is granted. What is revoked is noted here first
//! and told to the relay until its ledger has it, again if that is put back from an older copy.

mod delegation;

use std::time::Duration;

use biscuit_auth::{KeyPair, PrivateKey, builder::Algorithm};
use sealpost_api::{convert::millis, v1};
use sealpost_crypto::{IdentityPrivateKey, SecretBytes};
use sealpost_protocol::{DelegationCertificate, DelegationId, Rights, Signer, Timestamp, limits as wire};
use zeroize::Zeroizing;

use self::delegation::RelayName;
pub use self::delegation::{Delegation, InvalidDelegation};
use crate::{
    Agent, DelegationsError, StateError, SyncError,
    conflicts::retry_conflicts,
    limits,
    records::{DelegationKeyRecord, GrantRecord, RevocationRecord},
    store::{Changes, Versioned},
};

/// Names the revocation of everything; delegations have longer names.
const ALL: &[u8] = b"all";

/// A delegation that the agent has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedDelegation {
    /// Its name.
    pub id: DelegationId,
    /// What the agent calls it.
    pub label: String,
    /// What it grants.
    pub rights: Rights,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is worth nothing.
    pub until: Timestamp,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
}

impl Agent {
    /// Lets whoever is given the result act for this agent for a while: the `label` is for the agent's own list.
    ///
    /// # Errors
    /// [`DelegationsError`]; nothing was granted then.
    pub async fn delegate(&self, rights: Rights, life: Duration, label: &str) -> Result<Delegation, DelegationsError> {
        if life.is_zero() || life > wire::DELEGATION_KEY_LIFE {
            return Err(DelegationsError::Life);
        }
        if label.len() > limits::DELEGATION_LABEL {
            return Err(DelegationsError::Label);
        }
        retry_conflicts(|| self.try_delegate(rights, life, label)).await
    }

    async fn try_delegate(&self, rights: Rights, life: Duration, label: &str) -> Result<Delegation, DelegationsError> {
        if self.store.list::<GrantRecord>(&[], &[], limits::DELEGATIONS).await?.len() >= limits::DELEGATIONS {
            return Err(DelegationsError::TooMany);
        }
        let relay = self.relay().await?;
        let now = relay.time().await?;
        let until = now.saturating_add(life);
        let mut changes = Changes::default();
        let (key, certificate) = self.delegation_key(&mut changes, now, until).await?;
        let relay = RelayName { node: relay.node_id().await?, origin: relay.origin() };
        let delegation = Delegation::grant(&key, certificate, rights, until, relay)?;
        let grant = GrantRecord { rights: rights.to_string(), label: label.to_owned(), created: now, until };
        changes.insert(delegation.id().0, &grant);
        self.store.commit(changes).await?;
        Ok(delegation)
    }

    /// The key that grants until then: the one there is, or one that is made with it.
    async fn delegation_key(
        &self,
        changes: &mut Changes,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(KeyPair, DelegationCertificate), DelegationsError> {
        let known = self.store.find::<DelegationKeyRecord>(&[]).await?;
        if let Some(known) = known.as_ref().filter(|known| known.value.certificate.fields().expires >= until) {
            return Ok((key_pair(&known.value.seed)?, known.value.certificate.clone()));
        }
        let mut seed = Zeroizing::new([0; 32]);
        self.primitives.fill_random(seed.as_mut_slice())?;
        let key = IdentityPrivateKey::from_seed(&seed)?;
        let certificate = DelegationCertificate::sign(key.identity_key(), now, self.identity.as_ref());
        let record = DelegationKeyRecord { seed: SecretBytes::from(seed.to_vec()), certificate: certificate.clone() };
        changes.upsert(&[], known.as_ref(), &record);
        Ok((key_pair(&record.seed)?, certificate))
    }

    /// The delegations that the agent has made; those that ended 35 days ago are forgotten.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn delegations(&self) -> Result<Vec<GrantedDelegation>, StateError> {
        let all = self.store.find::<RevocationRecord>(ALL).await?.map(|row| row.value.at);
        let mut granted = Vec::new();
        for row in self.store.list::<GrantRecord>(&[], &[], limits::DELEGATIONS).await? {
            let one = self.store.find::<RevocationRecord>(&row.key).await?.map(|row| row.value.at);
            let GrantRecord { rights, label, created, until } = row.value;
            let (Ok(id), Ok(rights)) = (row.key.try_into(), rights.parse()) else { continue };
            let revoked = one.or(all.filter(|at| created <= *at));
            granted.push(GrantedDelegation { id: DelegationId(id), label, rights, created, until, revoked });
        }
        granted.sort_by_key(|granted| granted.created);
        Ok(granted)
    }

    /// Ends delegations of the agent, each with everything that was narrowed from it, and all tokens that there are: the
    /// agent, and those it still lets act for it, get others by themselves.
    ///
    /// # Errors
    /// [`DelegationsError`]. What could not be told to the relay is noted, and told by the next round.
    pub async fn revoke(&self, delegations: &[DelegationId]) -> Result<(), DelegationsError> {
        let now = self.relays_time().await;
        retry_conflicts(|| self.note_revoked(delegations.iter().map(|id| &id.0[..]), now)).await?;
        self.tell_revocations().await
    }

    /// Ends every delegation that the agent has made until now, also those that this store does not know of.
    ///
    /// # Errors
    /// As [`Agent::revoke`].
    pub async fn revoke_all(&self) -> Result<(), DelegationsError> {
        let now = self.relays_time().await;
        retry_conflicts(|| self.note_revoked([ALL], now)).await?;
        self.tell_revocations().await
    }

    /// By the relay's clock, which certificates go by; if it does not answer, by the clock here.
    async fn relays_time(&self) -> Timestamp {
        match self.relay().await {
            Ok(relay) => relay.time().await.unwrap_or_else(|_| self.clock.now()),
            Err(_) => self.clock.now(),
        }
    }

    async fn note_revoked<'a>(
        &self,
        names: impl IntoIterator<Item = &'a [u8]>,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let mut changes = Changes::default();
        for name in names {
            let known = self.store.find::<RevocationRecord>(name).await?;
            let mut revoked = RevocationRecord { at, told: None };
            if name == ALL
                && let Some(key) = self.store.find::<DelegationKeyRecord>(&[]).await?
            {
                // What it has granted ends, however the clocks stand; what comes next needs another.
                revoked.at = at.max(key.value.certificate.fields().created);
                changes.delete(&key);
            }
            changes.upsert(name, known.as_ref(), &revoked);
        }
        Ok(self.store.commit(changes).await?)
    }

    /// The same in passing: what the relay refuses keeps the agent from nothing else.
    pub(crate) async fn repeat_revocations(&self) -> Result<(), SyncError> {
        match self.tell_revocations().await {
            Err(DelegationsError::Relay(error)) if error.code().is_none() => Err(error.into()),
            Err(DelegationsError::State(error)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "the relay does not take what was revoked");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Tells the relay what its ledger has not heard.
    pub(crate) async fn tell_revocations(&self) -> Result<(), DelegationsError> {
        loop {
            let rows = self.store.list::<RevocationRecord>(&[], &[], limits::DELEGATIONS).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let ledger = self.ledger().await?;
            let untold: Vec<_> = rows.into_iter().filter(|row| row.value.told != Some(ledger)).collect();
            let Some(batch) = untold.chunks(wire::REVOKED_PER_REQUEST).next() else { return Ok(()) };
            self.relay().await?.revoke(request(batch)).await?;
            let mut changes = Changes::default();
            for row in batch {
                changes.replace(row, &RevocationRecord { told: Some(ledger), ..row.value.clone() });
            }
            match self.store.commit(changes).await.map_err(StateError::from) {
                Err(error) if !error.is_conflict() => return Err(error.into()),
                _ => {} // another process of the agent tells, too
            }
        }
    }
}

fn request(revoked: &[Versioned<RevocationRecord>]) -> v1::RevokeRequest {
    let all = revoked.iter().find(|row| row.key == ALL);
    v1::RevokeRequest {
        delegation_ids: revoked.iter().filter(|row| row.key != ALL).map(|row| row.key.clone()).collect(),
        certified_until_ms: all.map(|row| millis(row.value.at)),
    }
}

fn key_pair(seed: &[u8]) -> Result<KeyPair, DelegationsError> {
    let key = PrivateKey::from_bytes(seed, Algorithm::Ed25519).map_err(biscuit_auth::error::Token::from);
    Ok(KeyPair::from(&key.map_err(InvalidDelegation::from)?))
}
