//! The wall clock, as both sides ask for it.

use std::time::SystemTime;

use crate::Timestamp;

/// Tells the time. A trait, so that tests turn it by hand.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    fn now(&self) -> Timestamp {
        Timestamp::from(SystemTime::now())
    }
}
