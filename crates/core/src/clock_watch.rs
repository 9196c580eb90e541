//! Whether the wall clock can be believed before anything is ended by it.
//!
//! A wall clock jumps: by hand, by a dead battery, by a machine that was put back from a snapshot. The monotonic clock does
//! not. What both say since the wall clock was last believed must agree, or ending lives pauses: waiting costs space,
//! and mail that has been ended does not come back.

use std::time::Duration;

use sealpost_protocol::Timestamp;

use crate::limits;

/// Both clocks, read together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    /// The wall clock.
    pub(crate) wall: Timestamp,
    /// The monotonic clock: the time since some fixed moment.
    pub(crate) monotonic: Duration,
}

/// Compares the clocks from look to look.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    believed: Sight,
    /// The first look after a jump.
    doubted: Option<Sight>,
}

impl ClockWatch {
    /// Begins with the wall clock that was believed last, in an earlier run; with none there is nothing to doubt it by.
    pub(crate) fn new(believed: Option<Timestamp>, sight: Sight) -> Self {
        Self { believed: Sight { wall: believed.unwrap_or(sight.wall), ..sight }, doubted: None }
    }

    /// Whether the wall clock has gone along with the monotonic one since it was last believed. After a jump only
    /// [`ClockWatch::believes`] finds that a new time has lasted.
    pub(crate) fn trusts(&self, sight: Sight) -> bool {
        sight.agrees_with(self.believed)
    }

    /// Whether the wall clock can be believed now: it has gone along with the monotonic one since it was last believed, or
    /// for long enough since it jumped.
    pub(crate) fn believes(&mut self, sight: Sight) -> bool {
        let believes = sight.agrees_with(self.believed)
            || self.doubted.is_some_and(|doubted| {
                sight.agrees_with(doubted) && sight.monotonic.saturating_sub(doubted.monotonic) >= limits::CLOCK_DOUBT
            });
        if believes {
            *self = Self { believed: sight, doubted: None };
        } else if !self.doubted.is_some_and(|doubted| sight.agrees_with(doubted)) {
            tracing::warn!(
                believed = %self.believed.now(sight), now = %sight.wall, hours = limits::CLOCK_DOUBT.as_secs() / 3_600,
                "the wall clock has jumped, or the relay was down: nothing expires until it is right again, or has run on steadily for these hours"
            );
            self.doubted = Some(sight);
        }
        believes
    }
}

impl Sight {
    /// What the wall clock should say at `later`, if it went along with the monotonic one.
    fn now(self, later: Self) -> Timestamp {
        self.wall.saturating_add(later.monotonic.saturating_sub(self.monotonic))
    }

    fn agrees_with(self, earlier: Self) -> bool {
        let expected = earlier.now(self);
        self.wall.since(expected).max(expected.since(self.wall)) <= limits::CLOCK_JUMP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_351_425_123);
    const MINUTE: Duration = Duration::from_secs(60);

    fn sight(wall: Timestamp, monotonic: Duration) -> Sight {
        Sight { wall, monotonic }
    }

    fn steady(monotonic: Duration) -> Sight {
        sight(START.saturating_add(monotonic), monotonic)
    }

    #[test]
    fn a_clock_that_drifts_slowly_is_believed_for_ever() {
        let mut watch = ClockWatch::new(None, steady(Duration::ZERO));
        for look in 1..100 {
            assert!(watch.believes(sight(START.saturating_add(look * 5 * MINUTE), look * 2 * MINUTE)));
        }
    }

    #[test]
    fn a_jump_either_way_is_doubted_until_the_clock_is_back() {
        let jump = limits::CLOCK_JUMP + Duration::from_millis(1);
        for jumped in [START.saturating_add(jump), START.saturating_sub(jump)] {
            let mut watch = ClockWatch::new(None, steady(Duration::ZERO));
            assert!(!watch.believes(sight(jumped, Duration::ZERO)));
            assert!(!watch.believes(sight(jumped.saturating_add(MINUTE), MINUTE)));
            assert!(watch.believes(steady(2 * MINUTE)));
        }
    }

    #[test]
    fn a_new_time_is_believed_once_it_has_lasted() {
        let (mut watch, jump) = (ClockWatch::new(None, steady(Duration::ZERO)), 90 * limits::CLOCK_DOUBT);
        let jumped = |monotonic: Duration| sight(START.saturating_add(jump + monotonic), monotonic);
        assert!(!watch.believes(jumped(MINUTE)));
        assert!(!watch.believes(jumped(limits::CLOCK_DOUBT)));
        assert!(watch.believes(jumped(limits::CLOCK_DOUBT + MINUTE)));
    }

    #[test]
    fn each_further_jump_is_doubted_anew() {
        let (mut watch, jump) = (ClockWatch::new(None, steady(Duration::ZERO)), 90 * limits::CLOCK_DOUBT);
        assert!(!watch.believes(sight(START.saturating_add(jump), MINUTE)));
        assert!(!watch.believes(sight(START.saturating_add(2 * jump), limits::CLOCK_DOUBT)));
        assert!(!watch.believes(sight(START.saturating_add(2 * jump + MINUTE), limits::CLOCK_DOUBT + MINUTE)));
    }

    #[test]
    fn a_start_is_measured_by_the_last_run() {
        assert!(ClockWatch::new(Some(START), steady(MINUTE)).believes(steady(MINUTE)));
        let far = START.saturating_sub(2 * limits::CLOCK_JUMP);
        assert!(!ClockWatch::new(Some(far), steady(Duration::ZERO)).believes(steady(Duration::ZERO)));
    }
}
