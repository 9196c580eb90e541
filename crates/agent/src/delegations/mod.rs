//! Delegations: an agent lets others act for it at its relay, and takes that back.
//!
//! The identity certifies a delegation key, which is kept here and signs what is granted. What is revoked is noted here first
//! and told to the relay until its ledger has it, again if that is put back from an older copy.

mod delegation;

use std::{collections::BTreeSet, time::Duration};

use biscuit_auth::{KeyPair, PrivateKey, builder::Algorithm};
use sealpost_api::{convert::millis, v1};
use sealpost_crypto::{IdentityPrivateKey, SecretBytes};
use sealpost_protocol::{
    DelegationCertificate, DelegationId, LedgerId, NodeId, Rights, Signer, Timestamp, limits as wire,
};
use zeroize::Zeroizing;

use self::delegation::RelayName;
pub use self::delegation::{Delegation, InvalidDelegation};
use crate::{
    Agent, DelegationsError, RelayError, StateError, SyncError,
    agent::ignore_conflict,
    conflicts::retry_conflicts,
    limits,
    records::{DelegationKeyRecord, GrantRecord, LedgerName, RelayRecord, RevocationRecord},
    store::{Changes, Versioned},
};

/// Begins the name of a revocation of everything; names of delegations are of another length.
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
    /// The relay that it is for.
    pub node: NodeId,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
    /// Whether that relay has heard so.
    pub is_told: bool,
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
        let (node, now) = (relay.node_id().await?, relay.time().await?);
        let until = now.saturating_add(life);
        let mut changes = Changes::default();
        let (key, certificate) = self.delegation_key(&mut changes, node, now, until).await?;
        let certified = certificate.fields().created;
        let delegation =
            Delegation::grant(&key, certificate, rights, until, RelayName { node, origin: relay.origin() })?;
        let (rights, label) = (rights.to_string(), label.to_owned());
        changes.insert(delegation.id().0, &GrantRecord { rights, label, created: now, until, certified, node });
        self.store.commit(changes).await?;
        Ok(delegation)
    }

    /// The key that grants until then: the one there is, or one that is made with it. What was certified before all was
    /// revoked at the relay grants nothing there, however its clock was set since.
    async fn delegation_key(
        &self,
        changes: &mut Changes,
        node: NodeId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(KeyPair, DelegationCertificate), DelegationsError> {
        let known = self.store.find::<DelegationKeyRecord>(&[]).await?;
        let revoked = self.store.find::<RevocationRecord>(&all_of(node)).await?.map(|row| row.value.at);
        let is_usable = |certificate: &DelegationCertificate| {
            let fields = certificate.fields();
            fields.expires >= until && revoked.is_none_or(|at| fields.created > at)
        };
        if let Some(known) = known.as_ref().filter(|known| is_usable(&known.value.certificate)) {
            return Ok((key_pair(&known.value.seed)?, known.value.certificate.clone()));
        }
        let mut seed = Zeroizing::new([0; 32]);
        self.primitives.fill_random(seed.as_mut_slice())?;
        let key = IdentityPrivateKey::from_seed(&seed)?;
        let created = revoked.map_or(now, |at| now.max(at.saturating_add(Duration::from_millis(1))));
        let certificate = DelegationCertificate::sign(key.identity_key(), created, self.identity.as_ref());
        let record = DelegationKeyRecord { seed: SecretBytes::from(seed.to_vec()), certificate: certificate.clone() };
        changes.upsert(&[], known.as_ref(), &record);
        Ok((key_pair(&record.seed)?, certificate))
    }

    /// The delegations that the agent has made; those that ended 35 days ago are forgotten.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn delegations(&self) -> Result<Vec<GrantedDelegation>, StateError> {
        let mut granted = Vec::new();
        for row in self.store.list::<GrantRecord>(&[], &[], limits::DELEGATIONS).await? {
            let one = self.store.find::<RevocationRecord>(&row.key).await?;
            let all = self.store.find::<RevocationRecord>(&all_of(row.value.node)).await?;
            let revocation = one.or(all.filter(|all| row.value.certified <= all.value.at)).map(|row| row.value);
            let GrantRecord { rights, label, created, until, certified: _, node } = row.value;
            let (Ok(id), Ok(rights)) = (row.key.try_into(), rights.parse()) else { continue };
            let revoked = revocation.as_ref().map(|revocation| revocation.at);
            let is_told = revocation.is_some_and(|revocation| revocation.told.is_some());
            granted.push(GrantedDelegation {
                id: DelegationId(id),
                label,
                rights,
                created,
                until,
                node,
                revoked,
                is_told,
            });
        }
        granted.sort_by_key(|granted| granted.created);
        Ok(granted)
    }

    /// Ends delegations for the relay, each with everything that was narrowed from it, and all tokens that there are: the
    /// agent, and those it still lets act for it, get others by themselves.
    ///
    /// # Errors
    /// [`DelegationsError`]. If it is [`DelegationsError::Relay`], what was revoked is noted, and told by the next round.
    pub async fn revoke(&self, delegations: &[DelegationId]) -> Result<(), DelegationsError> {
        let (node, now) = self.node_and_time().await?;
        retry_conflicts(|| self.note_revoked(delegations, node, now)).await?;
        self.tell_revocations().await
    }

    /// Ends every delegation for the relay that the agent has made until now, also those that this store does not know of.
    ///
    /// # Errors
    /// As [`Agent::revoke`].
    pub async fn revoke_all(&self) -> Result<(), DelegationsError> {
        let (node, now) = self.node_and_time().await?;
        retry_conflicts(|| self.note_all_revoked(node, now)).await?;
        self.tell_revocations().await
    }

    /// The relay's node, and the time by its clock, which certificates go by; if it does not answer, by the clock here.
    async fn node_and_time(&self) -> Result<(NodeId, Timestamp), DelegationsError> {
        let relay = self.relay.as_ref().ok_or(RelayError::NotConfigured)?;
        let known = self.store.find::<RelayRecord>(relay.origin().as_bytes()).await?;
        match (relay.time().await, known) {
            (Ok(now), _) => Ok((self.relay().await?.node_id().await?, now)),
            (Err(RelayError::Unreachable(_)), Some(known)) => Ok((known.value.node, self.clock.now())),
            (Err(error), _) => Err(error.into()),
        }
    }

    async fn note_revoked(
        &self,
        delegations: &[DelegationId],
        node: NodeId,
        at: Timestamp,
    ) -> Result<(), DelegationsError> {
        let mut changes = Changes::default();
        let mut noted = self.store.list::<RevocationRecord>(&[], &[], limits::REVOCATIONS).await?.len();
        for id in delegations.iter().collect::<BTreeSet<_>>() {
            let grant = self.store.find::<GrantRecord>(&id.0).await?;
            if grant.is_some_and(|grant| grant.value.node != node) {
                return Err(DelegationsError::OtherRelay(*id));
            }
            let known = self.store.find::<RevocationRecord>(&id.0).await?;
            noted += usize::from(known.is_none());
            changes.upsert(&id.0, known.as_ref(), &RevocationRecord { at, node, told: None });
        }
        if noted > limits::DELEGATIONS {
            return Err(DelegationsError::TooManyRevoked);
        }
        Ok(self.store.commit(changes).await?)
    }

    /// What was revoked one by one until then is among all.
    async fn note_all_revoked(&self, node: NodeId, mut at: Timestamp) -> Result<(), DelegationsError> {
        let mut changes = Changes::default();
        if let Some(key) = self.store.find::<DelegationKeyRecord>(&[]).await? {
            // What it has granted ends, however the clocks stand; what comes next needs another.
            at = at.max(key.value.certificate.fields().created);
            changes.delete(&key);
        }
        for row in self.store.list::<RevocationRecord>(&[], &[], limits::REVOCATIONS).await? {
            if row.value.node == node && row.key != all_of(node) {
                changes.delete(&row);
            }
        }
        let known = self.store.find::<RevocationRecord>(&all_of(node)).await?;
        at = known.as_ref().map_or(at, |known| at.max(known.value.at));
        changes.upsert(&all_of(node), known.as_ref(), &RevocationRecord { at, node, told: None });
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

    /// Tells the relay what its ledger has not heard, and first what makes room there for the rest.
    async fn tell_revocations(&self) -> Result<(), DelegationsError> {
        if self.store.list::<RevocationRecord>(&[], &[], 1).await?.is_empty() {
            return Ok(());
        }
        let LedgerName { node, ledger } = self.ledger().await?;
        let is_due = |row: &Versioned<RevocationRecord>| row.value.node == node && row.value.told != Some(ledger);
        if let Some(all) = self.store.find::<RevocationRecord>(&all_of(node)).await?.filter(is_due) {
            let request =
                v1::RevokeRequest { delegation_ids: Vec::new(), certified_until_ms: Some(millis(all.value.at)) };
            self.tell(request, &[all], ledger).await?;
        }
        let rows = self.store.list::<RevocationRecord>(&[], &[], limits::REVOCATIONS).await?;
        let each: Vec<_> = rows.into_iter().filter(|row| is_due(row) && row.key != all_of(node)).collect();
        for batch in each.chunks(wire::REVOKED_PER_REQUEST) {
            let delegation_ids = batch.iter().map(|row| row.key.clone()).collect();
            self.tell(v1::RevokeRequest { delegation_ids, certified_until_ms: None }, batch, ledger).await?;
        }
        Ok(())
    }

    async fn tell(
        &self,
        request: v1::RevokeRequest,
        revoked: &[Versioned<RevocationRecord>],
        ledger: LedgerId,
    ) -> Result<(), DelegationsError> {
        self.relay().await?.revoke(request).await?;
        let mut changes = Changes::default();
        for row in revoked {
            changes.replace(row, &RevocationRecord { told: Some(ledger), ..row.value.clone() });
        }
        // Another process of the agent may have told it meanwhile.
        Ok(ignore_conflict(self.store.commit(changes).await)?)
    }
}

fn all_of(node: NodeId) -> Vec<u8> {
    [ALL, node.as_bytes()].concat()
}

fn key_pair(seed: &[u8]) -> Result<KeyPair, DelegationsError> {
    let key = PrivateKey::from_bytes(seed, Algorithm::Ed25519).map_err(biscuit_auth::error::Token::from);
    Ok(KeyPair::from(&key.map_err(InvalidDelegation::from)?))
}
