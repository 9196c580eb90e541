//! A clock that only its holder moves.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sealpost_protocol::{Clock, Timestamp};

use super::NOW;

/// Stands still until it is turned. Starts at [`NOW`].
#[derive(Debug)]
pub struct HandClock(AtomicU64);

impl Default for HandClock {
    fn default() -> Self {
        Self(AtomicU64::new(NOW.as_millis()))
    }
}

impl HandClock {
    /// Turns it forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().saturating_add(duration));
    }

    /// Turns it to `time`, backward too.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.as_millis(), Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}
