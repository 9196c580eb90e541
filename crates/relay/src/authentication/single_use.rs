//! Remembers names that may be used once, until they expire by themselves.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use sealpost_protocol::Timestamp;

use super::AuthenticationError;
use crate::limits;

type NameHash = [u8; 16];

/// Used names and when each may be forgotten.
#[derive(Default)]
pub(super) struct SingleUse {
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    names: HashMap<NameHash, Timestamp>,
    by_expiry: BTreeSet<(Timestamp, NameHash)>,
}

impl SingleUse {
    /// Uses `name`. Returns whether this was its first use.
    pub(super) fn use_up(&self, name: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, AuthenticationError> {
        let mut hash = NameHash::default();
        for (byte, hashed) in hash.iter_mut().zip(digest(&SHA256, name).as_ref()) {
            *byte = *hashed;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.forget(now);
        if used.names.contains_key(&hash) {
            return Ok(false);
        }
        if used.names.len() >= limits::REMEMBERED_PROOFS {
            return Err(AuthenticationError::Busy);
        }
        used.names.insert(hash, expires);
        used.by_expiry.insert((expires, hash));
        Ok(true)
    }
}

impl Used {
    fn forget(&mut self, now: Timestamp) {
        while let Some((expires, hash)) = self.by_expiry.first().copied().filter(|(expires, _)| *expires <= now) {
            self.by_expiry.remove(&(expires, hash));
            self.names.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_name_is_used_once_and_forgotten_when_it_expires() {
        let names = SingleUse::default();
        assert_eq!(names.use_up(b"a", at(10), at(0)), Ok(true));
        assert_eq!(names.use_up(b"a", at(10), at(9)), Ok(false));
        assert_eq!(names.use_up(b"b", at(20), at(10)), Ok(true));
        assert_eq!(names.used.lock().unwrap().names.len(), 1, "the expired name is gone");
    }

    #[test]
    fn at_the_limit_new_names_are_refused_and_old_ones_kept() {
        let names = SingleUse::default();
        for number in 0..limits::REMEMBERED_PROOFS as u64 {
            assert_eq!(names.use_up(&number.to_be_bytes(), at(10), at(0)), Ok(true));
        }
        assert_eq!(names.use_up(b"one more", at(10), at(0)), Err(AuthenticationError::Busy));
        assert_eq!(names.use_up(&0u64.to_be_bytes(), at(10), at(0)), Ok(false));
        assert_eq!(names.use_up(b"one more", at(20), at(10)), Ok(true));
    }
}
