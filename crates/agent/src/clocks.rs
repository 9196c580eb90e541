//! The two clocks that an agent knows, its own and its relay's, and which of them rules what.
//!
//! | what | by which clock |
//! | --- | --- |
//! | what a message, an event or a row is dated | the agent's own |
//! | erasing, forgetting, refusing for age, ending a life; dating and replacing keys | the earlier of both |
//! | whether a message can go out for its dates | both |
//! | whether a key or a message was dated by a clock that was ahead | the later of both |
//!
//! A clock that is wrong for a while is set right again; what was erased by it does not come back. So what is erased waits until
//! its time has come by both. A relay that tells a time long past keeps old rows from being erased for as long as it does, and
//! gains nothing else.

use sealpost_protocol::{ErrorCode, MessageId, Timestamp, limits as wire};

use crate::{Agent, RelayError, SendError, relay_access::RelayAccessError};

impl Agent {
    /// The earlier of what the two clocks show: until then time has passed, whichever of them is wrong.
    pub(crate) async fn agreed_time(&self) -> Result<Timestamp, RelayAccessError> {
        let relays = self.relay().await?.time().await?;
        Ok(self.clock.now().min(relays))
    }

    /// Whether what is dated so is ahead of both clocks: then the one that it was dated by was wrong.
    pub(crate) async fn is_dated_ahead(&self, dated: Timestamp) -> Result<bool, RelayAccessError> {
        Ok(is_ahead(dated, self.clock.now()) && is_ahead(dated, self.relay().await?.time().await?))
    }

    /// Whether a time has come by both clocks.
    pub(crate) async fn has_come(&self, time: Timestamp) -> Result<bool, RelayAccessError> {
        Ok(time <= self.clock.now() && time <= self.relay().await?.time().await?)
    }

    /// Whether a time that was noted here lies ahead: the clock that it was noted by was, and nothing can be measured by it.
    pub(crate) fn is_ahead_of_now(&self, noted: Timestamp) -> bool {
        is_ahead(noted, self.clock.now())
    }

    /// What no relay would take any more is neither sealed nor uploaded.
    pub(crate) async fn check_life(&self, expires: Timestamp) -> Result<(), SendError> {
        if self.has_come(expires).await? {
            let detail = "the message's life is over".to_owned();
            return Err(RelayError::Refused { code: ErrorCode::Expired, detail }.into());
        }
        Ok(())
    }

    /// Whether the relay would take a message for its dates. One that no relay takes any more has failed: its life is over, or
    /// a clock that was ahead has composed it, and has been set right since. One that this relay does not take because the
    /// clocks differ waits until they agree.
    pub(crate) async fn check_dates(&self, id: MessageId, expires: Timestamp) -> Result<(), SendError> {
        self.check_life(expires).await?;
        let (dated, ours, relays) = (id.timestamp(), self.clock.now(), self.relay().await?.time().await?);
        let is_too_old = dated.saturating_add(wire::MESSAGE_LIFE) < relays;
        match is_ahead(dated, relays) {
            true if is_ahead(dated, ours) => Err(SendError::Misdated { dated }),
            is_ahead if is_ahead || is_too_old => Err(SendError::ClocksDiffer { ours, relays }),
            _ => Ok(()),
        }
    }
}

/// Whether a relay whose clock shows `now` refuses what is dated so.
pub(crate) fn is_ahead(dated: Timestamp, now: Timestamp) -> bool {
    dated > now.saturating_add(wire::CLOCK_AHEAD)
}

/// How far a clock is off, in words: "3 days ahead of", "2 minutes behind".
pub(crate) fn difference(ours: Timestamp, relays: Timestamp) -> String {
    let (way, apart) = if ours >= relays { ("ahead of", ours.since(relays)) } else { ("behind", relays.since(ours)) };
    let seconds = apart.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} {way}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_difference_is_told_in_its_own_unit_and_with_its_direction() {
        let now = Timestamp::from_millis(1_795_351_425_123);
        let cases = [
            (1, "1 second behind"),
            (119, "119 seconds behind"),
            (7_199, "119 minutes behind"),
            (2 * 3_600, "2 hours behind"),
            (40 * 86_400 + 3_600, "40 days behind"),
            (2 * 365 * 86_400, "730 days behind"),
        ];
        for (seconds, words) in cases {
            let other = now.saturating_add(Duration::from_secs(seconds));
            assert_eq!(difference(now, other), words);
            assert_eq!(difference(other, now), words.replace("behind", "ahead of"));
        }
    }
}
