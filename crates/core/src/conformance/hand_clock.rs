//! Clocks that only their holder moves.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sealpost_protocol::{Clock, Timestamp};

use super::NOW;
use crate::Monotonic;

/// A wall clock and a monotonic one that stand still until they are turned. The wall clock starts at [`NOW`].
#[derive(Debug)]
pub struct HandClock {
    wall: AtomicU64,
    elapsed: AtomicU64,
}

impl Default for HandClock {
    fn default() -> Self {
        Self { wall: AtomicU64::new(NOW.as_millis()), elapsed: AtomicU64::new(0) }
    }
}

impl HandClock {
    /// Lets time pass, by both.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().saturating_add(duration));
        self.elapsed.fetch_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Sets the wall clock to `time`, backward too: no time has passed.
    pub fn set(&self, time: Timestamp) {
        self.wall.store(time.as_millis(), Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::Relaxed))
    }
}

impl Monotonic for HandClock {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed.load(Ordering::Relaxed))
    }
}
