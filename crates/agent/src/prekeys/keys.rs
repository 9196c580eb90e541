//! The private halves: made, read, retired and erased.

use sealpost_api::v1;
use sealpost_crypto::{Kind, OneTimeCurve, OneTimeCurvePrekey, OneTimeKem, OneTimeKemPrekey, PrivatePrekey, Validity};
use sealpost_protocol::{KeyId, PrekeyKind, SignedManifest, Timestamp, limits as wire};

use super::MANIFEST_KINDS;
use crate::{
    Agent, PrekeysError, limits,
    records::{NextKeyIds, PrekeyRecord, prekey_key},
    relay_access::RelayAccessError,
    store::{Changes, StoreAccessError, Versioned},
};

/// Private keys, each with its row.
type Unpublished<K> = Vec<(Versioned<PrekeyRecord>, PrivatePrekey<K>)>;

impl Agent {
    /// Fills the set up. Keys whose upload may not have arrived go out again, and count: they must not pile up.
    pub(super) async fn add_one_time_keys(
        &self,
        changes: &mut Changes,
        ids: &mut NextKeyIds,
        left: v1::PrekeyCounts,
    ) -> Result<(), PrekeysError> {
        let missing = |left: u64, unpublished: usize| {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            self.one_time_prekeys.saturating_sub(left.max(unpublished))
        };
        let missing_curve = missing(left.one_time_curve, self.drop_dated_ahead::<OneTimeCurve>(changes).await?);
        let missing_kem = missing(left.one_time_kem, self.drop_dated_ahead::<OneTimeKem>(changes).await?);
        self.make_one_time_keys(changes, ids, [missing_curve, missing_kem]).await
    }

    /// Makes so many one-time curve and KEM keys.
    pub(super) async fn make_one_time_keys(
        &self,
        changes: &mut Changes,
        ids: &mut NextKeyIds,
        [missing_curve, missing_kem]: [usize; 2],
    ) -> Result<(), PrekeysError> {
        let validity = Validity::lasting(self.agreed_time().await?, wire::ONE_TIME_PREKEY_LIFE);
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

    /// One-time keys that are to go out. Those that a wrong clock has dated ahead are not: no relay takes them.
    pub(super) async fn unpublished<K: Kind>(&self) -> Result<Unpublished<K>, PrekeysError> {
        let [_, mut keys] = self.unpublished_by_date().await?;
        keys.truncate(sealpost_protocol::limits::ONE_TIME_PREKEYS_PER_UPLOAD);
        Ok(keys)
    }

    async fn all_unpublished<K: Kind>(&self) -> Result<Unpublished<K>, PrekeysError> {
        let open = |row: Versioned<PrekeyRecord>| Ok((PrivatePrekey::decode(&row.value.key)?, row));
        let rows = self.prekey_rows(K::KIND).await?.into_iter().filter(|row| !row.value.published);
        rows.map(open).map(|opened| opened.map(|(key, row)| (row, key))).collect()
    }

    /// Those that a wrong clock has dated ahead, and the others.
    async fn unpublished_by_date<K: Kind>(&self) -> Result<[Unpublished<K>; 2], PrekeysError> {
        let (mut ahead, mut others) = (Vec::new(), Vec::new());
        for unpublished in self.all_unpublished::<K>().await? {
            let is_ahead = self.is_dated_ahead(unpublished.1.validity().created()).await?;
            if is_ahead { &mut ahead } else { &mut others }.push(unpublished);
        }
        Ok([ahead, others])
    }

    /// Drops keys that a wrong clock has dated ahead, and says how many others are still to go out.
    async fn drop_dated_ahead<K: Kind>(&self, changes: &mut Changes) -> Result<usize, PrekeysError> {
        let [ahead, kept] = self.unpublished_by_date::<K>().await?;
        for (row, _) in &ahead {
            changes.delete(row);
        }
        Ok(kept.len())
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
    pub(super) async fn retire_replaced_keys(
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
    pub(super) async fn erase_expired_one_time_keys(&self, changes: &mut Changes) -> Result<(), PrekeysError> {
        let limit = self.agreed_time().await?.saturating_sub(limits::RETIRED_KEPT);
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

    pub(super) async fn erase_retired_keys(&self) -> Result<(), RelayAccessError> {
        let now = self.agreed_time().await?;
        let mut changes = Changes::default();
        for kind in MANIFEST_KINDS {
            for row in self.prekey_rows(kind).await? {
                if row.value.retired.is_some_and(|retired| now.since(retired) > limits::RETIRED_KEPT) {
                    changes.delete(&row);
                }
            }
        }
        Ok(self.store.commit(changes).await?)
    }
}

pub(super) fn keep<K: Kind>(changes: &mut Changes, key: &PrivatePrekey<K>) {
    let record = PrekeyRecord { key: key.encode(), retired: None, published: false };
    changes.insert(prekey_key(K::KIND, key.id()), &record);
}

pub(super) fn next(id: KeyId) -> KeyId {
    KeyId(id.0.saturating_add(1))
}
