//! Prekey life: a set is made and stored before it is published, refilled when low, rotated weekly, and erased when no
//! message can name it any more.

use sealpost_api::v1;
use sealpost_crypto::{Kind, ManifestPrekeys, OneTimeCurvePrekey, OneTimeKemPrekey, PrivatePrekey, Validity};
use sealpost_protocol::{
    ErrorCode, KeyId, PrekeyKind, SignedManifest, Suite, Timestamp,
    encoding::{Decode, DecodeError, Encode},
};

use crate::{
    Agent, PrekeysError, RelayError, limits,
    records::{FloorRecord, ManifestRecord, NextKeyIds, PrekeyRecord, prekey_key},
    store::{Changes, StoreAccessError, Versioned},
};

/// The suites that an agent offers and takes, best first.
pub(crate) const SUITES: [Suite; 2] = [Suite::Pqxdh25519MlKem768, Suite::X3dh25519];

/// The kinds of keys that stand in a manifest.
const MANIFEST_KINDS: [PrekeyKind; 3] = [PrekeyKind::Signed, PrekeyKind::LastResortKem, PrekeyKind::Sealing];

/// How an agent's prekeys stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrekeyStatus {
    /// The manifest's version; 0 before the first.
    pub version: u64,
    /// When its keys were made.
    pub created: Option<Timestamp>,
    /// When it may not be used any more.
    pub expires: Option<Timestamp>,
    /// When the relay confirmed it.
    pub confirmed: Option<Timestamp>,
    /// One-time curve keys that the relay has left.
    pub one_time_curve: u64,
    /// One-time KEM keys that the relay has left.
    pub one_time_kem: u64,
}

impl Agent {
    /// Publishes prekeys if there are none at the relay yet: a manifest and 100 one-time keys of each kind.
    ///
    /// # Errors
    /// [`PrekeysError`]; what was made is kept and published by the next call.
    pub async fn publish_prekeys(&self) -> Result<PrekeyStatus, PrekeysError> {
        let _turn = self.turns.take().await?;
        match self.manifest_record().await? {
            None => self.rotate_with(Changes::default(), None).await,
            Some(_) => self.upload().await,
        }
    }

    /// Replaces the keys in the manifest and fills up the one-time keys.
    ///
    /// # Errors
    /// [`PrekeysError`]; the old keys stay in use until the relay has confirmed the new ones.
    pub async fn rotate_prekeys(&self) -> Result<PrekeyStatus, PrekeysError> {
        let _turn = self.turns.take().await?;
        self.rotate_with(Changes::default(), None).await
    }

    /// Replaces the keys in one commit with `changes`. Within a turn, for two processes of the agent would make two sets.
    /// With `above`, someone else has published for this identity, up to that version and under who knows which ids.
    pub(crate) async fn rotate_with(
        &self,
        mut changes: Changes,
        above: Option<u64>,
    ) -> Result<PrekeyStatus, PrekeysError> {
        let known = match self.manifest_record().await? {
            Some(known) => Some(self.for_this_ledger(known).await?),
            None => None,
        };
        let validity = Validity::lasting(self.clock.now(), limits::MANIFEST_LIFE);
        let (mut version, mut ids) = match &known {
            Some(known) => (known.value.manifest.fields().version, known.value.next_ids),
            None => self.published_elsewhere().await?,
        };
        if let Some(above) = above {
            (version, ids) = (version.max(above), ids.beyond_the_gap());
        }
        let prekeys = ManifestPrekeys::generate(self.primitives.as_ref(), SUITES.to_vec(), ids.manifest, validity)?;
        ids.manifest = next(ids.manifest);
        keep(&mut changes, &prekeys.signed);
        keep(&mut changes, &prekeys.sealing);
        if let Some(kem) = &prekeys.last_resort_kem {
            keep(&mut changes, kem);
        }
        let relay_counts = if known.is_some() { self.relay_counts().await? } else { v1::PrekeyCounts::default() };
        self.erase_expired_one_time_keys(&mut changes).await?;
        self.add_one_time_keys(&mut changes, &mut ids, relay_counts).await?;
        let manifest = prekeys.publish(self.identity.as_ref(), version + 1, validity)?;
        let ledger = known.as_ref().and_then(|known| known.value.ledger);
        changes.upsert(&[], known.as_ref(), &ManifestRecord { manifest, confirmed: None, next_ids: ids, ledger });
        self.store.commit(changes).await?;
        self.upload().await
    }

    /// How the prekeys stand here and at the relay.
    ///
    /// # Errors
    /// [`PrekeysError`].
    pub async fn prekey_status(&self) -> Result<PrekeyStatus, PrekeysError> {
        let counts = self.relay_counts().await?;
        Ok(status_of(self.manifest_record().await?.as_ref(), counts))
    }

    /// Does what is due: finishes an upload, refills, rotates weekly, erases what is too old.
    pub(crate) async fn tend_prekeys(&self, counts: v1::PrekeyCounts) -> Result<(), PrekeysError> {
        match self.do_what_is_due(counts).await {
            // Another process of the agent is at it.
            Err(PrekeysError::State(error)) if error.is_conflict() => Ok(()),
            // It has enough of them: an earlier set that was never confirmed here. Nobody is kept from writing.
            Err(PrekeysError::Relay(error)) if error.code() == Some(ErrorCode::TooLarge) => {
                tracing::warn!(%error, "the relay takes no more prekeys for now");
                Ok(())
            }
            result => result,
        }
    }

    /// Publishes what the relay has not confirmed, so that those who are written to can answer. A failure is left to the
    /// next call.
    pub(crate) async fn introduce(&self) -> Result<(), StoreAccessError> {
        let is_known = self.manifest_record().await?.is_some_and(|known| known.value.confirmed.is_some());
        if !(is_known && self.is_at_home().await)
            && let Err(error) = self.publish_prekeys().await
        {
            tracing::warn!(%error, "prekeys are not published yet");
        }
        Ok(())
    }

    /// Whether the relay keeps the ledger that the prekeys were published in, as far as it can be told.
    async fn is_at_home(&self) -> bool {
        match (self.manifest_record().await, self.ledger().await) {
            (Ok(Some(known)), Ok(ledger)) => known.value.ledger == Some(ledger),
            _ => true,
        }
    }

    async fn do_what_is_due(&self, counts: v1::PrekeyCounts) -> Result<(), PrekeysError> {
        let Some(known) = self.manifest_record().await? else { return self.publish_prekeys().await.map(drop) };
        let known = self.for_this_ledger(known).await?;
        self.erase_retired_keys().await?;
        if self.is_old(&known) {
            self.rotate_if_old().await?;
        } else if fewest(counts) < limits::REFILL_BELOW {
            self.refill().await?;
        } else if known.value.confirmed.is_none() {
            let _turn = self.turns.take().await?;
            self.upload().await?;
        }
        Ok(())
    }

    /// What is to be published in the relay's ledger of now. In another ledger than before the set of one-time keys begins
    /// anew: the old one may have handed out any of the keys that it was given.
    async fn for_this_ledger(
        &self,
        known: Versioned<ManifestRecord>,
    ) -> Result<Versioned<ManifestRecord>, PrekeysError> {
        let ledger = Some(self.ledger().await?);
        if known.value.ledger == ledger {
            return Ok(known);
        }
        let (mut changes, mut next_ids) = (Changes::default(), known.value.next_ids);
        if known.value.ledger.is_some() {
            for kind in [PrekeyKind::OneTimeCurve, PrekeyKind::OneTimeKem] {
                for row in self.prekey_rows(kind).await?.iter().filter(|row| !row.value.published) {
                    changes.replace(row, &PrekeyRecord { published: true, ..row.value.clone() });
                }
            }
            let missing = [limits::ONE_TIME_PREKEYS; 2];
            self.make_one_time_keys(&mut changes, &mut next_ids, missing)?;
        }
        let value = ManifestRecord { confirmed: None, next_ids, ledger, ..known.value.clone() };
        changes.replace(&known, &value);
        self.store.commit(changes).await?;
        Ok(Versioned { version: known.version + 1, value, ..known })
    }

    fn is_old(&self, known: &Versioned<ManifestRecord>) -> bool {
        self.clock.now().since(known.value.manifest.fields().created) >= limits::ROTATION
    }

    /// Within a turn another process of the agent may turn out to have done it.
    async fn rotate_if_old(&self) -> Result<(), PrekeysError> {
        let _turn = self.turns.take().await?;
        match self.manifest_record().await? {
            Some(known) if self.is_old(&known) => self.rotate_with(Changes::default(), None).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Makes what is missing of the set, and publishes it. Within a turn the relay is asked again: another process of the
    /// agent may just have done the same.
    async fn refill(&self) -> Result<(), PrekeysError> {
        let _turn = self.turns.take().await?;
        let counts = self.relay_counts().await?;
        let Some(known) = self.manifest_record().await? else { return Ok(()) };
        if fewest(counts) >= limits::REFILL_BELOW {
            return Ok(());
        }
        if fewest(counts) < limits::WARN_BELOW {
            tracing::warn!(?counts, "one-time prekeys are nearly out");
        }
        let mut next_ids = known.value.next_ids;
        let mut changes = Changes::default();
        self.add_one_time_keys(&mut changes, &mut next_ids, counts).await?;
        changes.replace(&known, &ManifestRecord { next_ids, ..known.value.clone() });
        self.store.commit(changes).await?;
        self.upload().await.map(drop)
    }

    /// Sends the manifest and the one-time keys that the relay has not confirmed. Safe to repeat. Ids that the relay holds to
    /// be used are spent: others take their place, once.
    async fn upload(&self) -> Result<PrekeyStatus, PrekeysError> {
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
        let counts = self.relay().await?.upload_prekeys(alone).await?;
        let mut changes = Changes::default();
        for kind in [PrekeyKind::OneTimeCurve, PrekeyKind::OneTimeKem] {
            for row in self.prekey_rows(kind).await?.iter().filter(|row| !row.value.published) {
                changes.replace(row, &PrekeyRecord { published: true, ..row.value.clone() });
            }
        }
        self.store.commit(changes).await?;
        tracing::warn!(%error, "ids of one-time prekeys were used before; others take their place");
        let (mut changes, mut next_ids) = (Changes::default(), known.value.next_ids);
        self.add_one_time_keys(&mut changes, &mut next_ids, counts).await?;
        changes.replace(&known, &ManifestRecord { next_ids, ..known.value.clone() });
        Ok(self.store.commit(changes).await?)
    }

    async fn upload_unpublished(&self) -> Result<PrekeyStatus, PrekeysError> {
        let Some(known) = self.manifest_record().await? else {
            return Ok(status_of(None, v1::PrekeyCounts::default()));
        };
        let known = self.for_this_ledger(known).await?;
        let curve = self.unpublished::<OneTimeCurvePrekey>(PrekeyKind::OneTimeCurve, PrivatePrekey::decode).await?;
        let kem = self.unpublished::<OneTimeKemPrekey>(PrekeyKind::OneTimeKem, PrivatePrekey::decode).await?;
        let signer = self.identity.as_ref();
        let request = v1::UploadPrekeysRequest {
            manifest: known.value.manifest.to_bytes(),
            one_time_curve: curve.iter().map(|(_, key)| key.publish(signer).to_bytes()).collect(),
            one_time_kem: kem.iter().map(|(_, key)| key.publish(signer).to_bytes()).collect(),
        };
        let counts = self.relay().await?.upload_prekeys(request).await?;
        let now = self.clock.now();
        let mut changes = Changes::default();
        let rows = curve.into_iter().map(|(row, _)| row).chain(kem.into_iter().map(|(row, _)| row));
        for row in rows {
            changes.replace(&row, &PrekeyRecord { published: true, ..row.value.clone() });
        }
        if known.value.confirmed.is_none() {
            changes.replace(&known, &ManifestRecord { confirmed: Some(now), ..known.value.clone() });
            self.retire_replaced_keys(&mut changes, &known.value.manifest, now).await?;
        }
        self.store.commit(changes).await?;
        Ok(status_of(self.manifest_record().await?.as_ref(), counts))
    }

    /// The manifest's version and the next key ids of an identity that has published nothing from here.
    async fn published_elsewhere(&self) -> Result<(u64, NextKeyIds), PrekeysError> {
        let Some(floor) = self.store.find::<FloorRecord>(&[]).await? else { return Ok((0, NextKeyIds::FIRST)) };
        let request = v1::GetManifestRequest { agent_id: self.id().to_string() };
        let version = match self.relay().await?.manifest(request).await {
            Ok(answer) => SignedManifest::from_bytes(&answer.manifest)?.fields().version,
            Err(error) if error.code() == Some(ErrorCode::UnknownRecipient) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok((version.max(floor.value.manifest_version), floor.value.next_ids))
    }

    async fn manifest_record(&self) -> Result<Option<Versioned<ManifestRecord>>, StoreAccessError> {
        self.store.find(&[]).await
    }

    /// What the relay has left; asked for by reading a page of the mailbox that cannot have entries.
    async fn relay_counts(&self) -> Result<v1::PrekeyCounts, PrekeysError> {
        let nothing = v1::ReceiveRequest { after: i64::MAX.cast_unsigned(), limit: 1, ..Default::default() };
        Ok(self.relay().await?.receive(nothing).await?.prekeys.unwrap_or_default())
    }

    /// Fills the set up. Keys whose upload may not have arrived go out again, and count: they must not pile up.
    async fn add_one_time_keys(
        &self,
        changes: &mut Changes,
        ids: &mut NextKeyIds,
        left: v1::PrekeyCounts,
    ) -> Result<(), PrekeysError> {
        let missing = |left: u64, unpublished: usize| {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            limits::ONE_TIME_PREKEYS.saturating_sub(left.max(unpublished))
        };
        let missing_curve = missing(left.one_time_curve, self.count_unpublished(PrekeyKind::OneTimeCurve).await?);
        let missing_kem = missing(left.one_time_kem, self.count_unpublished(PrekeyKind::OneTimeKem).await?);
        self.make_one_time_keys(changes, ids, [missing_curve, missing_kem])
    }

    /// Makes so many one-time curve and KEM keys.
    fn make_one_time_keys(
        &self,
        changes: &mut Changes,
        ids: &mut NextKeyIds,
        [missing_curve, missing_kem]: [usize; 2],
    ) -> Result<(), PrekeysError> {
        let validity = Validity::lasting(self.clock.now(), limits::ONE_TIME_LIFE);
        let primitives = self.primitives.as_ref();
        let curve: Vec<OneTimeCurvePrekey> =
            PrivatePrekey::generate_many(primitives, ids.one_time_curve, missing_curve, validity)?;
        let kem: Vec<OneTimeKemPrekey> =
            PrivatePrekey::generate_many(primitives, ids.one_time_kem, missing_kem, validity)?;
        for key in &curve {
            keep(changes, key);
            ids.one_time_curve = next(key.id());
        }
        for key in &kem {
            keep(changes, key);
            ids.one_time_kem = next(key.id());
        }
        Ok(())
    }

    async fn unpublished<K>(
        &self,
        kind: PrekeyKind,
        decode: impl Fn(&[u8]) -> Result<K, DecodeError>,
    ) -> Result<Vec<(Versioned<PrekeyRecord>, K)>, PrekeysError> {
        let rows = self.prekey_rows(kind).await?;
        let open =
            |row: Versioned<PrekeyRecord>| decode(&row.value.key).map(|key| (row, key)).map_err(PrekeysError::from);
        let limit = sealpost_protocol::limits::ONE_TIME_PREKEYS_PER_UPLOAD;
        rows.into_iter().filter(|row| !row.value.published).take(limit).map(open).collect()
    }

    async fn count_unpublished(&self, kind: PrekeyKind) -> Result<usize, StoreAccessError> {
        let rows = self.prekey_rows(kind).await?;
        Ok(rows.iter().filter(|row| !row.value.published).count())
    }

    /// Those that are damaged are passed over: the others must not run out or grow old for their sake.
    pub(crate) async fn prekey_rows(&self, kind: PrekeyKind) -> Result<Vec<Versioned<PrekeyRecord>>, StoreAccessError> {
        let mut rows: Vec<Versioned<PrekeyRecord>> = Vec::new();
        let mut after = Vec::new();
        loop {
            let page = self.store.page(&[kind.to_byte()], &after, limits::ROWS).await?;
            rows.extend(page.rows);
            match page.last {
                Some(last) => after = last,
                None => return Ok(rows),
            }
        }
    }

    /// Notes on the keys of earlier manifests that their replacement is confirmed.
    async fn retire_replaced_keys(
        &self,
        changes: &mut Changes,
        manifest: &SignedManifest,
        now: Timestamp,
    ) -> Result<(), StoreAccessError> {
        let current = manifest.fields().signed_prekey.id;
        for kind in MANIFEST_KINDS {
            for row in self.prekey_rows(kind).await? {
                if row.value.retired.is_none() && row.key != prekey_key(kind, current) {
                    changes.replace(&row, &PrekeyRecord { retired: Some(now), ..row.value.clone() });
                }
            }
        }
        Ok(())
    }

    /// Erases one-time keys that no one may have begun to use for so long that no message can name them.
    async fn erase_expired_one_time_keys(&self, changes: &mut Changes) -> Result<(), PrekeysError> {
        let limit = self.clock.now().saturating_sub(limits::RETIRED_KEPT);
        for row in self.prekey_rows(PrekeyKind::OneTimeCurve).await? {
            if OneTimeCurvePrekey::decode(&row.value.key)?.validity().expires() < limit {
                changes.delete(&row);
            }
        }
        for row in self.prekey_rows(PrekeyKind::OneTimeKem).await? {
            if OneTimeKemPrekey::decode(&row.value.key)?.validity().expires() < limit {
                changes.delete(&row);
            }
        }
        Ok(())
    }

    async fn erase_retired_keys(&self) -> Result<(), StoreAccessError> {
        let now = self.clock.now();
        let mut changes = Changes::default();
        for kind in MANIFEST_KINDS {
            for row in self.prekey_rows(kind).await? {
                if row.value.retired.is_some_and(|retired| now.since(retired) > limits::RETIRED_KEPT) {
                    changes.delete(&row);
                }
            }
        }
        self.store.commit(changes).await
    }
}

fn keep<K: Kind>(changes: &mut Changes, key: &PrivatePrekey<K>) {
    let record = PrekeyRecord { key: key.encode(), retired: None, published: false };
    changes.insert(prekey_key(K::KIND, key.id()), &record);
}

/// Of whichever kind there are fewer.
fn fewest(counts: v1::PrekeyCounts) -> u64 {
    counts.one_time_curve.min(counts.one_time_kem)
}

fn next(id: KeyId) -> KeyId {
    KeyId(id.0.saturating_add(1))
}

fn status_of(known: Option<&Versioned<ManifestRecord>>, counts: v1::PrekeyCounts) -> PrekeyStatus {
    let fields = known.map(|known| known.value.manifest.fields());
    PrekeyStatus {
        version: fields.map_or(0, |fields| fields.version),
        created: fields.map(|fields| fields.created),
        expires: fields.map(|fields| fields.expires),
        confirmed: known.and_then(|known| known.value.confirmed),
        one_time_curve: counts.one_time_curve,
        one_time_kem: counts.one_time_kem,
    }
}
