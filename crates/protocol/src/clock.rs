//! The wall clock, as both sides ask for it.

use crate::Timestamp;

/// Tells the time. A trait, so that tests turn it by hand.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}
