//! Whether the store is an old copy of itself that was put back: asked before the first seal, and again whenever the relay
//! was out of reach. What stands in an old copy has been used since; sealing on from there would use keys twice.
//!
//! The relay's word is enough, for it costs an agent its sessions and nothing else.

use std::sync::atomic::Ordering;

use sealpost_api::{convert, v1};
use sealpost_crypto::{Progress, RestoredCopy, Session, check_progress};
use sealpost_protocol::{AgentId, Attempt, MessageId, PrekeyKind, encoding::Encode, limits as wire};

use crate::{
    Agent, Event, SendError, limits,
    records::{
        ComparedRecord, ManifestRecord, OutgoingRecord, SealedControlRecord, SentRecord, SessionRecord, UnsentRecord,
    },
    store::{Changes, StoreAccessError, Versioned},
    sweep,
};

/// How far the store has been compared with what the relay accepted from the agent.
struct Compared {
    known: Option<Versioned<ComparedRecord>>,
    after: u64,
    /// The last message that the relay has and the store does not.
    unknown: Option<MessageId>,
}

impl Agent {
    /// Compares the store with the relay, unless that was done. If it is behind, all sessions are retired and all prekeys
    /// replaced before anything is sealed.
    pub(crate) async fn ensure_current(&self) -> Result<(), SendError> {
        if self.is_current.load(Ordering::Relaxed) {
            return Ok(());
        }
        // One after the other: a call that is given up half-way leaves its failure to the next.
        let published = self.published().await?;
        let standing = self.relay_standing().await?;
        let mut compared = self.compare().await?;
        self.compare_control(standing.last_control, &mut compared).await?;
        let mut changes = Changes::default();
        let receipts = self.compare_receipts(standing.receipt_head, &mut changes).await?;
        let receipt_batch = receipts.as_ref().map_or(0, |receipts| receipts.relay);
        let relay = Progress { receipt_batch, last_send: compared.unknown, ..published };
        let known = compared.known.as_ref().map(|known| &known.value);
        let surplus = |count: Option<u64>| usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX);
        let mut own = self.progress().await?;
        own.receipt_batch = receipts.map_or(0, |receipts| receipts.store);
        let (curve, kem) = (own.one_time_curve, own.one_time_kem);
        own.one_time_curve = curve.saturating_add(surplus(known.map(|known| known.surplus_curve)));
        own.one_time_kem = kem.saturating_add(surplus(known.map(|known| known.surplus_kem)));
        let behind = check_progress(&own, &relay, |_| false);
        let record = ComparedRecord {
            after: compared.after,
            forgiven: known.and_then(|known| known.forgiven).max(compared.unknown),
            surplus_curve: own.one_time_curve.max(relay.one_time_curve).saturating_sub(curve) as u64,
            surplus_kem: own.one_time_kem.max(relay.one_time_kem).saturating_sub(kem) as u64,
        };
        if behind.is_err() || known.map_or(0, |known| known.after) != compared.after {
            changes.upsert(&self.ledger().await?.to_bytes(), compared.known.as_ref(), &record);
        }
        match behind {
            Ok(()) => self.store.commit(changes).await?,
            Err(sign) => self.begin_anew(changes, sign, relay.manifest_version).await?,
        }
        self.is_current.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// One commit, before anything is sealed.
    async fn begin_anew(&self, mut changes: Changes, sign: RestoredCopy, published: u64) -> Result<(), SendError> {
        tracing::warn!(%sign, "the store is an old copy; its sessions are retired and its prekeys replaced");
        let mut after = Vec::new();
        loop {
            let rows = self.store.list::<SessionRecord>(&[], &after, limits::ROWS).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.key);
            for row in &rows {
                let mut session = Session::decode(&row.value.session)?;
                session.retire();
                let used = row.value.used;
                changes.replace(row, &SessionRecord { session: session.encode(), sends: false, used });
            }
        }
        self.outpace_copies(&mut changes).await?;
        self.note(&mut changes, Event::RestoredCopy { sign: sign.to_string() })?;
        self.rotate_with(changes, Some(published)).await?;
        Ok(())
    }

    async fn progress(&self) -> Result<Progress<MessageId>, SendError> {
        let manifest = self.store.find::<ManifestRecord>(&[]).await?;
        Ok(Progress {
            manifest_version: manifest.map_or(0, |known| known.value.manifest.fields().version),
            receipt_batch: 0,
            one_time_curve: self.prekey_rows(PrekeyKind::OneTimeCurve).await?.len(),
            one_time_kem: self.prekey_rows(PrekeyKind::OneTimeKem).await?.len(),
            last_send: None,
        })
    }

    /// What the relay has of the agent's prekeys.
    async fn published(&self) -> Result<Progress<MessageId>, SendError> {
        let manifest = self.published_manifest().await?;
        let counts = self.relay_counts().await?;
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Progress {
            manifest_version: manifest.map_or(0, |manifest| manifest.fields().version),
            one_time_curve: count(counts.one_time_curve),
            one_time_kem: count(counts.one_time_kem),
            ..Progress::default()
        })
    }

    /// Reads on in what the relay accepted from the agent. The comparison goes from where the last one ended.
    async fn compare(&self) -> Result<Compared, SendError> {
        let known = self.store.find::<ComparedRecord>(&self.ledger().await?.to_bytes()).await?;
        let (after, forgiven) = known.as_ref().map_or((0, None), |known| (known.value.after, known.value.forgiven));
        let mut compared = Compared { known, after, unknown: None };
        let (own, now) = (self.id().to_string(), self.agreed_time().await?);
        loop {
            let page = self.relay().await?.changes(v1::ListEventsRequest { after: compared.after }).await?;
            for event in page.events.iter().filter(|event| event.sender == own) {
                let Ok(id) = event.message_id.parse::<MessageId>() else { continue };
                let (Ok(recipient), Ok(attempt)) = (event.recipient.parse(), convert::attempt(event.attempt)) else {
                    continue;
                };
                if Some(id) > forgiven
                    && !sweep::is_forgotten(id.timestamp(), now)
                    && !self.has_sealed(id, recipient, attempt).await?
                {
                    compared.unknown = compared.unknown.max(Some(id));
                }
            }
            let Some(last) = page.events.last() else { return Ok(compared) };
            compared.after = last.seq;
            if page.events.len() < wire::FEED_CHANGES {
                return Ok(compared);
            }
        }
    }

    /// A control message is in no feed; the highest that the relay has accepted must not be above the highest sealed here.
    async fn compare_control(
        &self,
        accepted: Option<MessageId>,
        compared: &mut Compared,
    ) -> Result<(), StoreAccessError> {
        let sealed = self.store.find::<SealedControlRecord>(&[]).await?.map(|sealed| sealed.value.last);
        let forgiven = compared.known.as_ref().and_then(|known| known.value.forgiven);
        if accepted > sealed.max(forgiven) {
            compared.unknown = compared.unknown.max(accepted);
        }
        Ok(())
    }

    /// Whether the store knows an envelope as sealed, whatever became of it: a message may be sealed anew, as its next
    /// attempt.
    async fn has_sealed(&self, id: MessageId, recipient: AgentId, attempt: Attempt) -> Result<bool, StoreAccessError> {
        let key = id.as_bytes();
        if self.store.find::<UnsentRecord>(key).await?.is_some() {
            return Ok(true);
        }
        let mut sealed = Vec::new();
        if let Some(sent) = self.store.find::<SentRecord>(key).await? {
            sealed.extend(sent.value.parts.iter().map(|part| (part.recipient, part.attempt)));
        }
        if let Some(outgoing) = self.store.find::<OutgoingRecord>(key).await? {
            sealed.extend(outgoing.value.parts.iter().map(|part| (part.recipient, part.attempt)));
        }
        Ok(sealed.into_iter().any(|(to, sealed)| to == recipient && sealed >= attempt))
    }
}
