//! Ids of outgoing messages: each is greater than the one before, also within a millisecond, for messages go out in the
//! order of their ids. Only behind one that a clock far ahead has dated the next begin anew: it will never go out.

use std::sync::{Mutex, PoisonError};

use sealpost_crypto::{Primitives, PrimitivesError};
use sealpost_protocol::{MessageId, Timestamp};

use crate::{Agent, RelayClient, clocks::is_ahead};

/// Ids within one millisecond: the twelve bits that follow the time in a version 7 UUID.
const PER_MILLISECOND: u16 = 1 << 12;

/// The last id's time and its number within that millisecond.
#[derive(Debug, Default)]
pub(crate) struct MessageIds(Mutex<(Timestamp, u16)>);

impl Agent {
    /// The id of a message that is composed now.
    pub(crate) fn next_message_id(&self) -> Result<MessageId, PrimitivesError> {
        let relays = self.relay.as_ref().and_then(RelayClient::time_as_compared);
        self.message_ids.next(self.clock.now(), relays, self.primitives.as_ref())
    }
}

impl MessageIds {
    /// The next id. Its time is `now`, or that of the last if the clock stands or went back; `relays` is what the relay's clock
    /// shows, where that is known.
    fn next(
        &self,
        now: Timestamp,
        relays: Option<Timestamp>,
        primitives: &dyn Primitives,
    ) -> Result<MessageId, PrimitivesError> {
        let mut random = [0; 10];
        primitives.fill_random(&mut random)?;
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_void = |time| is_ahead(time, now) && relays.is_none_or(|relays| is_ahead(time, relays));
        *last = match *last {
            (time, _) if is_void(time) => (now, 0),
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
    use std::time::Duration;

    use sealpost_crypto::SystemPrimitives;

    use super::*;

    #[test]
    fn ids_ascend_within_a_millisecond_beyond_it_and_when_the_clock_goes_back() {
        let ids = MessageIds::default();
        let clock = [5, 5, 3, 6, 5].into_iter().chain(std::iter::repeat_n(6, 10_000)).chain([7]);
        let made: Vec<_> =
            clock.map(|now| ids.next(Timestamp::from_millis(now), None, &SystemPrimitives).unwrap()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert_eq!(made[0].timestamp().as_millis(), 5);
        assert!(made.last().unwrap().timestamp().as_millis() <= 9, "two milliseconds borrowed, no more");
    }

    #[test]
    fn what_a_clock_far_ahead_has_dated_is_not_gone_on_from_once_it_is_right_but_for_the_relay_s_word() {
        let right = Timestamp::from_millis(1_795_351_425_123);
        let (ahead, behind) =
            (right.saturating_add(Duration::from_secs(86_400)), right.saturating_sub(Duration::from_secs(86_400)));
        for relays in [None, Some(right)] {
            let ids = MessageIds::default();
            let next = |now| ids.next(now, relays, &SystemPrimitives).unwrap().timestamp();
            assert_eq!([next(ahead), next(ahead), next(right)], [ahead, ahead, right]);
            let expected = if relays.is_some() { right } else { behind };
            assert_eq!(next(behind), expected, "whose clock was right, only the relay's tells");
        }
    }
}
