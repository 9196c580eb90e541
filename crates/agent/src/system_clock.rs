//! The wall clock of the operating system.

use std::time::SystemTime;

use sealpost_protocol::{Clock, Timestamp};

/// Asks the operating system for the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place on this side that asks the system for the time")]
    fn now(&self) -> Timestamp {
        Timestamp::from(SystemTime::now())
    }
}
