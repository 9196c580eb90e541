//! Challenges: random, marked by the node, good once. Nothing is kept of one until a claim over it has verified, so asking
//! for challenges costs the node no memory.

use aws_lc_rs::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use sealpost_protocol::Timestamp;

use super::{AuthenticationError, Issued, single_use::SingleUse};
use crate::{limits, peer::Peer};

const RANDOM: usize = 16;
const TIME: usize = 8;

/// Makes challenges and recognises them.
pub(super) struct Challenges {
    marking: hmac::Key,
    used: SingleUse,
}

/// A challenge that this node made and whose time is not over.
pub(super) struct FreshChallenge {
    random: [u8; RANDOM],
    expires: Timestamp,
}

impl Challenges {
    pub(super) fn new(marking: hmac::Key) -> Self {
        Self { marking, used: SingleUse::default() }
    }

    /// `random ‖ expiry ‖ HMAC(random ‖ expiry)`.
    pub(super) fn issue(&self, now: Timestamp) -> Result<Issued<Vec<u8>>, AuthenticationError> {
        let expires = now.saturating_add(limits::CHALLENGE_LIFE);
        let mut random = [0; RANDOM];
        SystemRandom::new().fill(&mut random).map_err(|_| AuthenticationError::Internal)?;
        let mut value = [random.as_slice(), &expires.as_millis().to_be_bytes()].concat();
        let mark = hmac::sign(&self.marking, &value);
        value.extend_from_slice(mark.as_ref());
        Ok(Issued { value, expires })
    }

    pub(super) fn check(&self, challenge: &[u8], now: Timestamp) -> Result<FreshChallenge, AuthenticationError> {
        let (marked, mark) = challenge.split_at_checked(RANDOM + TIME).ok_or(AuthenticationError::Challenge)?;
        hmac::verify(&self.marking, marked, mark).map_err(|_| AuthenticationError::Challenge)?;
        let (random, time) = marked.split_first_chunk::<RANDOM>().ok_or(AuthenticationError::Challenge)?;
        let time: [u8; TIME] = time.try_into().map_err(|_| AuthenticationError::Challenge)?;
        let expires = Timestamp::from_millis(u64::from_be_bytes(time));
        if expires <= now {
            Err(AuthenticationError::Challenge)
        } else {
            Ok(FreshChallenge { random: *random, expires })
        }
    }

    pub(super) fn use_up(
        &self,
        peer: Peer,
        challenge: FreshChallenge,
        now: Timestamp,
    ) -> Result<(), AuthenticationError> {
        match self.used.use_up(peer, &challenge.random, challenge.expires, now) {
            Ok(true) => Ok(()),
            Ok(false) => Err(AuthenticationError::Challenge),
            Err(error) => Err(error),
        }
    }
}
