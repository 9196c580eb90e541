//! The time by which lives end: one rule for the sweep and for whoever asks in between, so that no answer is taken back.

use std::{sync::Arc, time::Duration};

use sealpost_protocol::{Clock, Timestamp};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    clock_watch::{ClockWatch, Sight},
    ports::{BackendError, Ledger},
};

/// A clock that does not jump. A trait, so that tests turn it by hand.
pub trait Monotonic: Send + Sync {
    /// The time since some fixed moment of this run.
    fn elapsed(&self) -> Duration;
}

/// How long this run lasts.
#[derive(Debug, Clone, Copy)]
pub struct Uptime(Instant);

impl Default for Uptime {
    /// From now on.
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Monotonic for Uptime {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The wall clock, as far as it can be believed.
pub(crate) struct LifeClock {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monotonic: Arc<dyn Monotonic>,
    pub(crate) watch: Mutex<Option<ClockWatch>>,
}

impl LifeClock {
    /// The time by which lives have ended; `None` while the wall clock is in doubt, when none ends.
    pub(crate) async fn now(&self) -> Result<Option<Timestamp>, BackendError> {
        self.look(|watch, sight| watch.trusts(sight)).await
    }

    /// The time by which something is read: while the wall clock is in doubt no life ends, and none is said to have ended.
    pub(crate) async fn reading_time(&self) -> Result<Timestamp, BackendError> {
        Ok(self.now().await?.unwrap_or_default())
    }

    /// As [`Self::now`], for the sweep, whose looks are what the next ones are measured by.
    pub(crate) async fn sweep_time(&self) -> Result<Option<Timestamp>, BackendError> {
        self.look(ClockWatch::believes).await
    }

    async fn look(
        &self,
        believes: impl FnOnce(&mut ClockWatch, Sight) -> bool,
    ) -> Result<Option<Timestamp>, BackendError> {
        let mut watch = self.watch.lock().await;
        let sight = Sight { wall: self.clock.now(), monotonic: self.monotonic.elapsed() };
        let watch = match &mut *watch {
            Some(watch) => watch,
            none => none.insert(ClockWatch::new(self.ledger.swept_at().await?, sight)),
        };
        Ok(believes(watch, sight).then_some(sight.wall))
    }
}
