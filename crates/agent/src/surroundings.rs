//! What an agent has from outside, and what it may take.

use std::sync::Arc;

use sealpost_crypto::{Primitives, SystemPrimitives};
use sealpost_protocol::Clock;

use crate::{bodies::ReceivingLimits, limits, system_clock::SystemClock};

/// What an agent has from outside: the time and randomness; and its limits.
#[derive(Clone)]
pub struct Surroundings {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, and what is computed with it.
    pub primitives: Arc<dyn Primitives>,
    /// One-time prekeys of each kind that a full set has: fewer for an agent that few strangers write to.
    pub one_time_prekeys: usize,
    /// What is fetched unasked.
    pub receiving: ReceivingLimits,
}

impl Default for Surroundings {
    /// The operating system's.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            primitives: Arc::new(SystemPrimitives),
            one_time_prekeys: limits::ONE_TIME_PREKEYS,
            receiving: ReceivingLimits::default(),
        }
    }
}
