//! What goes to the relay: keys that it has not confirmed, in the ledger that it keeps now.

use sealpost_api::v1;
use sealpost_crypto::{OneTimeCurve, OneTimeKem};
use sealpost_protocol::{
    ErrorCode, PrekeyKind, SignedManifest,
    encoding::{Decode, Encode},
};

use super::PrekeyStatus;
use crate::{
    Agent, PrekeysError, RelayError,
    records::{FloorRecord, LedgerName, ManifestRecord, NextKeyIds, PrekeyRecord, PublicationRecord},
    relay_access::RelayAccessError,
    store::{Changes, StoreAccessError, Versioned},
};

impl Agent {
    /// What is to be published in the relay's ledger of now. A ledger that is met for the first time gets one-time keys of its
    /// own, and forgets all others: another one may have handed out any of those that it was given. One that the agent comes
    /// back to has what it had.
    pub(super) async fn for_this_ledger(
        &self,
        known: Versioned<ManifestRecord>,
    ) -> Result<Versioned<ManifestRecord>, PrekeysError> {
        let ledger = self.ledger().await?;
        if known.value.ledger == Some(ledger) {
            return Ok(known);
        }
        let (mut changes, mut next_ids) = (Changes::default(), known.value.next_ids);
        let met = self.store.find::<PublicationRecord>(&ledger.to_bytes()).await?;
        if let Some(left) = known.value.ledger {
            self.note_publication(&mut changes, left, &known.value).await?;
            self.spend_unpublished(&mut changes).await?;
            if met.is_none() {
                self.make_one_time_keys(&mut changes, &mut next_ids, [self.one_time_prekeys; 2]).await?;
            }
        }
        if met.is_none() {
            self.note_recall(&mut changes, ledger).await?;
        }
        let version = known.value.manifest.fields().version;
        let confirmed = met.filter(|met| met.value.version == version).map(|met| met.value.confirmed);
        let value = ManifestRecord { confirmed, next_ids, ledger: Some(ledger), ..known.value.clone() };
        changes.replace(&known, &value);
        self.store.commit(changes).await?;
        Ok(Versioned { version: known.version + 1, value, ..known })
    }

    /// Notes what a ledger has that is left now. One that confirmed nothing of now keeps what is noted of it, or counts as
    /// met for the first time when the agent comes back.
    async fn note_publication(
        &self,
        changes: &mut Changes,
        left: LedgerName,
        published: &ManifestRecord,
    ) -> Result<(), StoreAccessError> {
        if let Some(confirmed) = published.confirmed {
            let key = left.to_bytes();
            let noted = self.store.find::<PublicationRecord>(&key).await?;
            let version = published.manifest.fields().version;
            changes.upsert(&key, noted.as_ref(), &PublicationRecord { version, confirmed });
        }
        Ok(())
    }

    /// One-time keys that were meant for another ledger, or may be known under their ids: they go out no more, and their
    /// private halves stay, for messages may name them.
    async fn spend_unpublished(&self, changes: &mut Changes) -> Result<(), StoreAccessError> {
        for kind in [PrekeyKind::OneTimeCurve, PrekeyKind::OneTimeKem] {
            for row in self.prekey_rows(kind).await?.iter().filter(|row| !row.value.published) {
                changes.replace(row, &PrekeyRecord { published: true, ..row.value.clone() });
            }
        }
        Ok(())
    }

    /// Sends the manifest and the one-time keys that the relay has not confirmed. Safe to repeat. Ids that the relay holds to
    /// be used are spent: others take their place, once.
    pub(super) async fn upload(&self) -> Result<PrekeyStatus, PrekeysError> {
        match self.upload_unpublished().await {
            Err(PrekeysError::Relay(error)) if error.code() == Some(ErrorCode::Conflict) => {
                self.spend_ids(error).await?;
                self.upload_unpublished().await
            }
            result => result,
        }
    }

    /// The relay has had keys of these ids: an upload whose answer was lost, and one of them was handed out since. Their
    /// private halves stay, for messages may name them.
    async fn spend_ids(&self, error: RelayError) -> Result<(), PrekeysError> {
        let Some(known) = self.manifest_record().await? else { return Err(error.into()) };
        // If it is the manifest that the relay refuses, other ids would not help, and would be made again each time.
        let alone = v1::UploadPrekeysRequest {
            manifest: known.value.manifest.to_bytes(),
            ..v1::UploadPrekeysRequest::default()
        };
        let counts = self.staying(self.relay().await?.upload_prekeys(alone).await?).await?;
        let mut changes = Changes::default();
        self.spend_unpublished(&mut changes).await?;
        self.store.commit(changes).await?;
        tracing::warn!(%error, "ids of one-time prekeys were used before; others take their place");
        let (mut changes, mut next_ids) = (Changes::default(), known.value.next_ids);
        self.add_one_time_keys(&mut changes, &mut next_ids, counts).await?;
        changes.replace(&known, &ManifestRecord { next_ids, ..known.value.clone() });
        Ok(self.store.commit(changes).await?)
    }

    async fn upload_unpublished(&self) -> Result<PrekeyStatus, PrekeysError> {
        let Some(known) = self.manifest_record().await? else {
            return Ok(self.status_of(None, v1::PrekeyCounts::default()).await?);
        };
        let known = self.for_this_ledger(known).await?;
        let curve = self.unpublished::<OneTimeCurve>().await?;
        let kem = self.unpublished::<OneTimeKem>().await?;
        let recall = self.due_recall().await?;
        if known.value.confirmed.is_some() && curve.is_empty() && kem.is_empty() && recall.is_none() {
            return Ok(self.status_of(Some(&known), self.relay_counts().await?).await?);
        }
        let signer = self.identity.as_ref();
        let request = v1::UploadPrekeysRequest {
            manifest: known.value.manifest.to_bytes(),
            one_time_curve: curve.iter().map(|(_, key)| key.publish(signer).to_bytes()).collect(),
            one_time_kem: kem.iter().map(|(_, key)| key.publish(signer).to_bytes()).collect(),
            forget_unused: recall.is_some(),
        };
        let counts = self.relay().await?.upload_prekeys(request).await?;
        let now = self.agreed_time().await?;
        let mut changes = Changes::default();
        if let Some(recall) = &recall {
            self.note_recalled(&mut changes, recall, [curve.len(), kem.len()], counts).await?;
        }
        let rows = curve.into_iter().map(|(row, _)| row).chain(kem.into_iter().map(|(row, _)| row));
        for row in rows {
            changes.replace(&row, &PrekeyRecord { published: true, ..row.value.clone() });
        }
        if known.value.confirmed.is_none() {
            changes.replace(&known, &ManifestRecord { confirmed: Some(now), ..known.value.clone() });
            self.retire_replaced_keys(&mut changes, &known.value.manifest, now).await?;
        }
        self.store.commit(changes).await?;
        self.forget_refusal().await?;
        Ok(self.status_of(self.manifest_record().await?.as_ref(), counts).await?)
    }

    /// The manifest's version and the next key ids of an identity that has published nothing from here.
    pub(super) async fn published_elsewhere(&self) -> Result<(u64, NextKeyIds), PrekeysError> {
        let Some(floor) = self.store.find::<FloorRecord>(&[]).await? else { return Ok((0, NextKeyIds::FIRST)) };
        let version = self.published_manifest().await?.map_or(0, |manifest| manifest.fields().version);
        Ok((version.max(floor.value.manifest_version), floor.value.next_ids))
    }

    /// The manifest that the relay hands out for this agent, if it has one. What is not under the agent's own signature says
    /// nothing about it.
    pub(crate) async fn published_manifest(&self) -> Result<Option<SignedManifest>, RelayAccessError> {
        let request = v1::GetManifestRequest { agent_id: self.id().to_string() };
        match self.relay().await?.manifest(request).await {
            Ok(answer) => {
                let manifest = SignedManifest::from_bytes(&answer.manifest).ok();
                let ours = manifest.filter(|manifest| manifest.fields().identity == self.identity_key());
                Ok(Some(ours.ok_or(RelayError::Answer("the manifest is not the agent's"))?))
            }
            Err(error) if error.code() == Some(ErrorCode::UnknownRecipient) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the relay has left; asked for by reading a page of the mailbox that cannot have entries.
    pub(crate) async fn relay_counts(&self) -> Result<v1::PrekeyCounts, RelayAccessError> {
        let nothing = v1::ReceiveRequest { after: i64::MAX.cast_unsigned(), limit: 1, ..Default::default() };
        Ok(self.relay().await?.receive(nothing).await?.prekeys.unwrap_or_default())
    }
}
