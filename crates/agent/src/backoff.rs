//! Pauses between tries, doubling up to a limit, each shortened at random so that many agents do not come back at once.

use std::time::Duration;

use crate::limits;

/// The pauses after failures in a row.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: limits::BACKOFF.0 }
    }
}

impl Backoff {
    /// The pause after one more failure: between half of the current length and all of it. `random` is the caller's, any
    /// value.
    pub fn pause(&mut self, random: u32) -> Duration {
        let length = self.next;
        self.next = (length * 2).min(limits::BACKOFF.1);
        length / 2 + (length / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// After a success: the next failure is the first again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..10).map(|_| backoff.pause(u32::MAX)).collect();
        assert_eq!(longest[..3], [limits::BACKOFF.0, limits::BACKOFF.0 * 2, limits::BACKOFF.0 * 4]);
        assert_eq!(longest[9], limits::BACKOFF.1);
        backoff.reset();
        assert_eq!(backoff.pause(0), limits::BACKOFF.0 / 2);
    }
}
