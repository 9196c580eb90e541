//! Prekey life: a set is made and stored before it is published, refilled when low, rotated weekly, and erased when no
//! message can name it any more.

mod keys;
mod recall;
mod upload;
mod warnings;

use sealpost_api::v1;
use sealpost_crypto::{ManifestPrekeys, Validity};
use sealpost_protocol::{PrekeyKind, Suite, Timestamp};

use self::keys::{keep, next};
use crate::{
    Agent, PrekeysError, RelayError, limits,
    records::ManifestRecord,
    relay_access::RelayAccessError,
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
    /// Whether one kind of one-time keys is nearly out: below ten.
    pub is_low: bool,
    /// The stable code with which the relay has refused new keys since it last took some.
    pub refused: Option<String>,
    /// Whether the relay is still to forget one-time keys whose private halves may not be here.
    pub recall_due: bool,
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
            Some(known) if self.is_dated_ahead(known.value.manifest.fields().created).await? => {
                self.rotate_with(Changes::default(), None).await
            }
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
    /// With `above`, someone else has published for this identity, up to that version and under who knows which ids; what the
    /// relay has of that is called back.
    pub(crate) async fn rotate_with(
        &self,
        mut changes: Changes,
        above: Option<u64>,
    ) -> Result<PrekeyStatus, PrekeysError> {
        let known = match self.manifest_record().await? {
            Some(known) => Some(self.for_this_ledger(known).await?),
            None => None,
        };
        let validity = Validity::lasting(self.agreed_time().await?, limits::MANIFEST_LIFE);
        let (mut version, mut ids) = match &known {
            Some(known) => (known.value.manifest.fields().version, known.value.next_ids),
            None => self.published_elsewhere().await?,
        };
        if let Some(above) = above {
            (version, ids) = (version.max(above), ids.beyond_the_gap());
            self.note_recall_everywhere(&mut changes).await?;
        }
        let prekeys = ManifestPrekeys::generate(self.primitives.as_ref(), SUITES.to_vec(), ids.manifest, validity)?;
        ids.manifest = next(ids.manifest);
        keep(&mut changes, &prekeys.signed);
        keep(&mut changes, &prekeys.sealing);
        if let Some(kem) = &prekeys.last_resort_kem {
            keep(&mut changes, kem);
        }
        let left = match (&known, above) {
            (Some(_), None) => self.staying(self.relay_counts().await?).await?,
            _ => v1::PrekeyCounts::default(),
        };
        self.erase_expired_one_time_keys(&mut changes).await?;
        self.add_one_time_keys(&mut changes, &mut ids, left).await?;
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
        Ok(self.status_of(self.manifest_record().await?.as_ref(), counts).await?)
    }

    /// Does what is due: finishes an upload, refills, rotates weekly, erases what is too old. What the relay refuses keeps
    /// the agent from nothing else: the old keys stay in use, it is told, and the next call tries again.
    pub(crate) async fn tend_prekeys(&self, counts: v1::PrekeyCounts) -> Result<(), PrekeysError> {
        self.tell_if_low(counts).await?;
        match self.do_what_is_due(counts).await {
            // Another process of the agent is at it.
            Err(PrekeysError::State(error)) if error.is_conflict() => Ok(()),
            Err(PrekeysError::Relay(error)) => match error.code() {
                Some(code) => {
                    tracing::warn!(%error, "the relay takes no more prekeys for now");
                    Ok(self.tell_of_refusal(code).await?)
                }
                None => Err(error.into()),
            },
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
            match &error {
                // What comes next meets the same, and says so.
                PrekeysError::Relay(RelayError::Unreachable(_)) => {}
                error => tracing::warn!(%error, "prekeys are not published yet"),
            }
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
        if self.is_old(&known).await? {
            self.rotate_if_old().await?;
        } else if known.value.confirmed.is_none() {
            let _turn = self.turns.take().await?;
            self.upload().await?;
        } else if fewest(counts) < self.refill_below() || self.due_recall().await?.is_some() {
            self.refill().await?;
        }
        Ok(())
    }

    /// Below so many the set is filled up again.
    fn refill_below(&self) -> u64 {
        limits::REFILL_BELOW.min(self.one_time_prekeys as u64 / 2)
    }

    /// Whether its week is over, or was begun by a clock that was ahead: nobody takes such a manifest before that time.
    async fn is_old(&self, known: &Versioned<ManifestRecord>) -> Result<bool, RelayAccessError> {
        let age = self.agreed_time().await?.since(known.value.manifest.fields().created);
        Ok(age >= limits::ROTATION || self.is_dated_ahead(known.value.manifest.fields().created).await?)
    }

    /// Within a turn another process of the agent may turn out to have done it.
    async fn rotate_if_old(&self) -> Result<(), PrekeysError> {
        let _turn = self.turns.take().await?;
        match self.manifest_record().await? {
            Some(known) if self.is_old(&known).await? => self.rotate_with(Changes::default(), None).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Makes what is missing of the set, and publishes it. Within a turn the relay is asked again: another process of the
    /// agent may just have done the same.
    async fn refill(&self) -> Result<(), PrekeysError> {
        let _turn = self.turns.take().await?;
        let counts = self.staying(self.relay_counts().await?).await?;
        let Some(known) = self.manifest_record().await? else { return Ok(()) };
        if fewest(counts) >= self.refill_below() && self.due_recall().await?.is_none() {
            return Ok(());
        }
        let mut next_ids = known.value.next_ids;
        let mut changes = Changes::default();
        self.add_one_time_keys(&mut changes, &mut next_ids, counts).await?;
        changes.replace(&known, &ManifestRecord { next_ids, ..known.value.clone() });
        self.store.commit(changes).await?;
        self.upload().await.map(drop)
    }

    async fn manifest_record(&self) -> Result<Option<Versioned<ManifestRecord>>, StoreAccessError> {
        self.store.find(&[]).await
    }
}

/// Of whichever kind there are fewer.
fn fewest(counts: v1::PrekeyCounts) -> u64 {
    counts.one_time_curve.min(counts.one_time_kem)
}
