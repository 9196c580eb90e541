//! What an agent ought to know of its prekeys: that the relay refuses new ones, or has hardly any left.
//!
//! Either is told as an event when it begins, and once a day while it lasts; [`Agent::prekey_status`] shows it at any time.

use sealpost_api::v1;
use sealpost_protocol::{ErrorCode, Timestamp, encoding::Encode};

use super::{PrekeyStatus, fewest};
use crate::{
    Agent, Event, PrekeysError,
    agent::ignore_conflict,
    limits,
    records::{ManifestRecord, PrekeyWarningRecord, RecallRecord},
    store::{Changes, StoreAccessError, Versioned},
};

impl Agent {
    /// Below so many the agent is told; a set that is smaller by choice is not short.
    fn warn_below(&self) -> u64 {
        limits::WARN_BELOW.min(self.refill_below())
    }

    /// Tells that one-time keys are nearly out, whatever becomes of what is done about it. A relay that never had a set, or
    /// is given the first in its ledger, has not run out of it.
    pub(super) async fn tell_if_low(&self, counts: v1::PrekeyCounts) -> Result<(), PrekeysError> {
        let is_low = fewest(counts) < self.warn_below();
        let told = self.prekey_warning().await?;
        let told_at = told.as_ref().and_then(|told| told.value.low_at);
        if !is_low {
            if let Some(told) = told.filter(|_| told_at.is_some()) {
                self.keep_warning(Some(&told), PrekeyWarningRecord { low_at: None, ..told.value.clone() }).await?;
            }
            return Ok(());
        }
        let Some(known) = self.manifest_record().await? else { return Ok(()) };
        let is_first = known.value.confirmed.is_none() && known.value.manifest.fields().version == 1;
        if is_first || known.value.ledger != Some(self.ledger().await?) || !self.is_due(told_at) {
            return Ok(());
        }
        let (one_time_curve, one_time_kem) = (counts.one_time_curve, counts.one_time_kem);
        tracing::warn!(one_time_curve, one_time_kem, "one-time prekeys are nearly out");
        let warning = told.as_ref().map(|told| told.value.clone()).unwrap_or_default();
        let warning = PrekeyWarningRecord { low_at: Some(self.clock.now()), ..warning };
        let event = Event::PrekeysLow { one_time_curve, one_time_kem };
        Ok(self.tell_and_keep(told.as_ref(), warning, event).await?)
    }

    /// Tells that the relay refuses new prekeys. That it has too many of them, or is busy, is nothing to act upon.
    pub(super) async fn tell_of_refusal(&self, code: ErrorCode) -> Result<(), StoreAccessError> {
        if code == ErrorCode::TooLarge || code.is_retryable() {
            return Ok(());
        }
        let told = self.prekey_warning().await?;
        let warning = told.as_ref().map(|told| told.value.clone()).unwrap_or_default();
        if warning.refused == code.as_str() && !self.is_due(warning.refused_at) {
            return Ok(());
        }
        let event = Event::PrekeysRefused { code: code.as_str().to_owned() };
        let warning =
            PrekeyWarningRecord { refused: code.as_str().to_owned(), refused_at: Some(self.clock.now()), ..warning };
        self.tell_and_keep(told.as_ref(), warning, event).await
    }

    /// The relay has taken keys: what it refuses from now on is told anew.
    pub(super) async fn forget_refusal(&self) -> Result<(), StoreAccessError> {
        let Some(told) = self.prekey_warning().await?.filter(|told| !told.value.refused.is_empty()) else {
            return Ok(());
        };
        let low_at = told.value.low_at;
        self.keep_warning(Some(&told), PrekeyWarningRecord { low_at, ..PrekeyWarningRecord::default() }).await
    }

    pub(super) async fn status_of(
        &self,
        known: Option<&Versioned<ManifestRecord>>,
        counts: v1::PrekeyCounts,
    ) -> Result<PrekeyStatus, StoreAccessError> {
        let fields = known.map(|known| known.value.manifest.fields());
        let refused = self.prekey_warning().await?.map(|told| told.value.refused);
        let recall = match known.and_then(|known| known.value.ledger) {
            Some(ledger) => self.store.find::<RecallRecord>(&ledger.to_bytes()).await?,
            None => None,
        };
        Ok(PrekeyStatus {
            version: fields.map_or(0, |fields| fields.version),
            created: fields.map(|fields| fields.created),
            expires: fields.map(|fields| fields.expires),
            confirmed: known.and_then(|known| known.value.confirmed),
            one_time_curve: counts.one_time_curve,
            one_time_kem: counts.one_time_kem,
            is_low: fewest(counts) < self.warn_below(),
            refused: refused.filter(|code| !code.is_empty()),
            recall_due: recall.is_some_and(|recall| recall.value.is_due),
        })
    }

    fn is_due(&self, told: Option<Timestamp>) -> bool {
        told.is_none_or(|told| {
            self.is_ahead_of_now(told) || self.clock.now().since(told) >= limits::PREKEY_WARNING_INTERVAL
        })
    }

    async fn prekey_warning(&self) -> Result<Option<Versioned<PrekeyWarningRecord>>, StoreAccessError> {
        self.store.find(&[]).await
    }

    async fn tell_and_keep(
        &self,
        told: Option<&Versioned<PrekeyWarningRecord>>,
        warning: PrekeyWarningRecord,
        event: Event,
    ) -> Result<(), StoreAccessError> {
        let mut changes = Changes::default();
        self.note(&mut changes, event)?;
        changes.upsert(&[], told, &warning);
        // Another process of the agent that was faster has told it.
        ignore_conflict(self.store.commit(changes).await)
    }

    async fn keep_warning(
        &self,
        told: Option<&Versioned<PrekeyWarningRecord>>,
        warning: PrekeyWarningRecord,
    ) -> Result<(), StoreAccessError> {
        let mut changes = Changes::default();
        changes.upsert(&[], told, &warning);
        ignore_conflict(self.store.commit(changes).await)
    }
}
