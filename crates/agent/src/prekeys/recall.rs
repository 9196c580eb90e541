//! One-time keys that a ledger may hand out and whose private halves are not here. They are called back: with the upload that
//! brings others, the ledger forgets all that it has not handed out.
//!
//! | it is due for a ledger that | because |
//! | --- | --- |
//! | is met for the first time | another copy of the agent may have published there |
//! | is further on than the store | the store is an old copy, and the lost one has published there |
//! | has let a first message come that names a one-time key which was never made here | the store is an old copy and nothing else shows it; or somebody made the key up, so this is done seldom |
//!
//! A key that is named and was made here is no reason, whatever became of it: it was used, and what names it is a repetition.

use sealpost_api::v1;
use sealpost_protocol::{KemPrekeyKind, MessageRef, Opening, encoding::Encode};

use crate::{
    Agent, Event, PrekeysError, limits,
    records::{ComparedRecord, LedgerName, ManifestRecord, PublicationRecord, RecallRecord},
    relay_access::RelayAccessError,
    store::{Changes, StoreAccessError, Versioned},
};

impl Agent {
    /// Has keys called back that are to be, before a refusal goes out: its sender claims the next one at once.
    pub(crate) async fn recall_if_due(&self) -> Result<(), PrekeysError> {
        if self.due_recall().await?.is_none() {
            return Ok(());
        }
        self.tend_prekeys(self.relay_counts().await?).await
    }

    /// What is noted of the relay's ledger of now, if it is still to forget keys.
    pub(super) async fn due_recall(&self) -> Result<Option<Versioned<RecallRecord>>, RelayAccessError> {
        let noted = self.store.find::<RecallRecord>(&self.ledger().await?.to_bytes()).await?;
        Ok(noted.filter(|noted| noted.value.is_due))
    }

    /// How many of the one-time keys at the relay will stay there: none, if it is to forget them.
    pub(super) async fn staying(&self, counts: v1::PrekeyCounts) -> Result<v1::PrekeyCounts, RelayAccessError> {
        Ok(if self.due_recall().await?.is_some() { v1::PrekeyCounts::default() } else { counts })
    }

    /// Notes that a ledger is to forget keys.
    pub(super) async fn note_recall(&self, changes: &mut Changes, ledger: LedgerName) -> Result<(), StoreAccessError> {
        let key = ledger.to_bytes();
        let noted = self.store.find::<RecallRecord>(&key).await?;
        let named = noted.as_ref().and_then(|noted| noted.value.named);
        changes.upsert(&key, noted.as_ref(), &RecallRecord { is_due: true, named });
        Ok(())
    }

    /// Notes what an old copy is to call back: from the relay's ledger of now, and from every other when it comes there, for
    /// what it knows of them is as old as itself.
    pub(super) async fn note_recall_everywhere(&self, changes: &mut Changes) -> Result<(), PrekeysError> {
        self.note_recall(changes, self.ledger().await?).await?;
        let mut after = Vec::new();
        loop {
            let left = self.store.list::<PublicationRecord>(&[], &after, limits::ROWS).await?;
            let Some(last) = left.last() else { return Ok(()) };
            after.clone_from(&last.key);
            for ledger in &left {
                changes.delete(ledger);
            }
        }
    }

    /// A first message names keys that are not here. If a one-time key among them was never made here, all that the ledger
    /// has are called back; but seldom, since who sends it may have made the name up.
    pub(crate) async fn note_unknown_keys(
        &self,
        message: MessageRef,
        opening: &Opening,
        changes: &mut Changes,
    ) -> Result<(), StoreAccessError> {
        let Some(known) = self.manifest_record().await? else { return Ok(()) };
        let (Some(ledger), next) = (known.value.ledger, known.value.next_ids) else { return Ok(()) };
        let kem = opening.kem.as_ref().filter(|kem| kem.kind == KemPrekeyKind::OneTime).map(|kem| kem.id);
        let was_made = opening.one_time_curve.is_none_or(|id| id < next.one_time_curve)
            && kem.is_none_or(|id| id < next.one_time_kem);
        let (key, now) = (ledger.to_bytes(), self.clock.now());
        let noted = self.store.find::<RecallRecord>(&key).await?;
        let rests = noted.as_ref().is_some_and(|noted| {
            noted.value.is_due || noted.value.named.is_some_and(|named| now.since(named) < limits::RECALL_INTERVAL)
        });
        if was_made || rests {
            return Ok(());
        }
        tracing::warn!(id = %message.id, sender = %message.sender, "a one-time key is named that was never made here");
        changes.upsert(&key, noted.as_ref(), &RecallRecord { is_due: true, named: Some(now) });
        changes.replace(&known, &ManifestRecord { next_ids: next.beyond_the_gap(), ..known.value.clone() });
        self.note(changes, Event::PrekeysRecalled { message: message.id, sender: message.sender })
    }

    /// Notes that the ledger has forgotten what it was to. What it has now, beside `uploaded` so many of each kind, says
    /// whether it did: then none of its keys is another copy's.
    pub(super) async fn note_recalled(
        &self,
        changes: &mut Changes,
        due: &Versioned<RecallRecord>,
        uploaded: [usize; 2],
        left: v1::PrekeyCounts,
    ) -> Result<(), StoreAccessError> {
        changes.replace(due, &RecallRecord { is_due: false, ..due.value.clone() });
        let [curve, kem] = uploaded.map(|count| count as u64);
        if left.one_time_curve > curve || left.one_time_kem > kem {
            tracing::warn!("the relay has not forgotten the one-time keys that it was to forget");
            return Ok(());
        }
        if let Some(compared) = self.store.find::<ComparedRecord>(&due.key).await? {
            let none = ComparedRecord { surplus_curve: 0, surplus_kem: 0, ..compared.value.clone() };
            changes.replace(&compared, &none);
        }
        Ok(())
    }
}
