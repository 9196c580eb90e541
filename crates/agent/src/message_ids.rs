//! Ids of outgoing messages: each is greater than the one before, also within a millisecond, for messages go out in the
//! order of their ids.

use std::sync::{Mutex, PoisonError};

use sealpost_crypto::{Primitives, PrimitivesError};
use sealpost_protocol::{MessageId, Timestamp};

/// Ids within one millisecond: the twelve bits that follow the time in a version 7 UUID.
const PER_MILLISECOND: u16 = 1 << 12;

/// The last id's time and its number within that millisecond.
#[derive(Debug, Default)]
pub(crate) struct MessageIds(Mutex<(Timestamp, u16)>);

impl MessageIds {
    /// The next id. Its time is `now`, or a little later if the clock stands or went back.
    pub(crate) fn next(&self, now: Timestamp, primitives: &dyn Primitives) -> Result<MessageId, PrimitivesError> {
        let mut random = [0; 10];
        primitives.fill_random(&mut random)?;
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = match *last {
            (time, number) if now > time || number == PER_MILLISECOND => {
                (now.max(Timestamp::from_millis(time.as_millis() + 1)), 0)
            }
            (time, number) => (time, number),
        };
        let (time, number) = *last;
        let [high, low, ..] = &mut random;
        [*high, *low] = number.to_be_bytes();
        last.1 += 1;
        Ok(MessageId::new(time, random))
    }
}

#[cfg(test)]
mod tests {
    use sealpost_crypto::SystemPrimitives;

    use super::*;

    #[test]
    fn ids_ascend_within_a_millisecond_beyond_it_and_when_the_clock_goes_back() {
        let ids = MessageIds::default();
        let clock = [5, 5, 3, 6, 5].into_iter().chain(std::iter::repeat_n(6, 10_000)).chain([7]);
        let made: Vec<_> = clock.map(|now| ids.next(Timestamp::from_millis(now), &SystemPrimitives).unwrap()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert_eq!(made[0].timestamp().as_millis(), 5);
        assert!(made.last().unwrap().timestamp().as_millis() <= 9, "two milliseconds borrowed, no more");
    }
}
