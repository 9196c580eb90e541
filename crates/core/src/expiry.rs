//! Background sweeps: messages whose life has ended fail, and what has been kept long enough is forgotten.

use std::sync::Arc;

use sealpost_protocol::{Timestamp, limits as wire};

use crate::{
    WakeUps,
    fan_out::FanOutWriter,
    life_clock::LifeClock,
    limits,
    ports::{BackendError, ContentHandle, Contents, Ledger, Prekeys, Revocations},
    release,
};

/// Ends what has lived long enough.
pub struct Expiry {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) contents: Arc<dyn Contents>,
    pub(crate) prekeys: Arc<dyn Prekeys>,
    pub(crate) revocations: Arc<dyn Revocations>,
    pub(crate) clock: Arc<LifeClock>,
    pub(crate) wake_ups: Arc<WakeUps>,
    pub(crate) fan_outs: Arc<FanOutWriter>,
}

/// What one sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpirySweep {
    /// Deliveries' agents to whom it was news.
    pub notified: usize,
    /// Messages, claims, keys, ids of keys and revocations forgotten.
    pub forgotten: usize,
}

impl Expiry {
    /// Goes once through everything, in small steps. `None` while the wall clock cannot be believed: nothing is ended then.
    ///
    /// # Errors
    /// The first [`BackendError`]; a part that fails stops no other, and what was done stays done.
    pub async fn sweep(&self) -> Result<Option<ExpirySweep>, BackendError> {
        // No clock has a part in this.
        let given_back = self.give_back_space().await;
        let Some(now) = self.clock.sweep_time().await? else { return given_back.map(|()| None) };
        let mut swept = ExpirySweep::default();
        let parts = [
            given_back,
            self.ledger.note_sweep(now).await,
            self.expire(now, &mut swept).await,
            self.expire_uploads(now).await,
            self.end_retention(now).await,
            self.expire_control(now).await,
            self.forget_messages(now, &mut swept).await,
            self.forget_prekeys(now, &mut swept).await,
            self.forget_revocations(now, &mut swept).await,
        ];
        parts.into_iter().collect::<Result<(), _>>().map(|()| Some(swept))
    }

    async fn expire(&self, now: Timestamp, swept: &mut ExpirySweep) -> Result<(), BackendError> {
        let mut from = Some(0);
        while let Some(position) = from {
            let step = self.ledger.expire(now, position, limits::SWEEP_ROWS).await?;
            self.wake_ups.ring(&step.agents);
            self.let_go(step.released).await;
            swept.notified += step.agents.len();
            from = step.next;
        }
        Ok(())
    }

    async fn expire_uploads(&self, now: Timestamp) -> Result<(), BackendError> {
        while let Some(released) = self.ledger.expire_upload(now).await? {
            self.let_go(released).await;
        }
        Ok(())
    }

    async fn end_retention(&self, now: Timestamp) -> Result<(), BackendError> {
        loop {
            let ended = self.ledger.end_retention(now, limits::SWEEP_ROWS).await?;
            self.let_go(ended.released).await;
            if ended.messages == 0 {
                return Ok(());
            }
        }
    }

    async fn expire_control(&self, now: Timestamp) -> Result<(), BackendError> {
        loop {
            let released = self.ledger.expire_control(now, limits::SWEEP_ROWS).await?;
            if released.is_empty() {
                return Ok(());
            }
            self.let_go(released).await;
        }
    }

    async fn let_go(&self, released: Vec<ContentHandle>) {
        release::let_go(&*self.ledger, &*self.contents, released).await;
    }

    /// Lets go of what an earlier run did not come to, and takes back a bounded part of the space.
    async fn give_back_space(&self) -> Result<(), BackendError> {
        let unfinished = self.fan_outs.take_turn().await.take_back().await;
        let rest = release::let_go_of_rest(&*self.ledger, &*self.contents).await;
        for _ in 0..limits::COMPACTION_STEPS {
            if !self.contents.compact().await? {
                break;
            }
        }
        unfinished.and(rest)
    }

    async fn forget_messages(&self, now: Timestamp, swept: &mut ExpirySweep) -> Result<(), BackendError> {
        let before = now.saturating_sub(wire::REMEMBERED);
        while add(&mut swept.forgotten, self.ledger.forget(before, limits::SWEEP_ROWS).await?) {}
        Ok(())
    }

    async fn forget_prekeys(&self, now: Timestamp, swept: &mut ExpirySweep) -> Result<(), BackendError> {
        let before = now.saturating_sub(limits::CLAIM_REMEMBERED);
        while add(&mut swept.forgotten, self.prekeys.forget(before, limits::SWEEP_ROWS).await?) {}
        let before = now.saturating_sub(limits::KEY_ID_REMEMBERED);
        while add(&mut swept.forgotten, self.prekeys.forget_ids(before, limits::SWEEP_ROWS).await?) {}
        Ok(())
    }

    async fn forget_revocations(&self, now: Timestamp, swept: &mut ExpirySweep) -> Result<(), BackendError> {
        let before = now.saturating_sub(limits::REVOCATION_REMEMBERED);
        while add(&mut swept.forgotten, self.revocations.forget(before, limits::SWEEP_ROWS).await?) {}
        Ok(())
    }
}

/// Adds up rows; returns whether there may be more.
fn add(total: &mut usize, rows: usize) -> bool {
    *total += rows;
    rows > 0
}
