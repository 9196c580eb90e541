//! Remembers names that may be used once, until they expire by themselves.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use sealpost_protocol::Timestamp;

use super::AuthenticationError;
use crate::{limits, peer::Peer};

type NameHash = [u8; 16];

/// Used names and when each may be forgotten.
#[derive(Default)]
pub(super) struct SingleUse {
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    names: HashMap<NameHash, Peer>,
    by_expiry: BTreeSet<(Timestamp, NameHash)>,
    by_peer: HashMap<Peer, usize>,
}

impl SingleUse {
    /// Uses `name` for `peer`. Returns whether this was its first use.
    pub(super) fn use_up(
        &self,
        peer: Peer,
        name: &[u8],
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, AuthenticationError> {
        let mut hash = NameHash::default();
        for (byte, hashed) in hash.iter_mut().zip(digest(&SHA256, name).as_ref()) {
            *byte = *hashed;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.forget(now);
        if used.names.contains_key(&hash) {
            return Ok(false);
        }
        let of_peer = used.by_peer.get(&peer).copied().unwrap_or_default();
        if of_peer >= limits::REMEMBERED_PROOFS_PER_PEER || used.names.len() >= limits::REMEMBERED_PROOFS {
            return Err(AuthenticationError::Busy);
        }
        used.names.insert(hash, peer);
        used.by_peer.insert(peer, of_peer + 1);
        used.by_expiry.insert((expires, hash));
        Ok(true)
    }
}

impl Used {
    fn forget(&mut self, now: Timestamp) {
        while let Some((expires, hash)) = self.by_expiry.first().copied().filter(|(expires, _)| *expires <= now) {
            self.by_expiry.remove(&(expires, hash));
            if let Some(peer) = self.names.remove(&hash)
                && let Some(of_peer) = self.by_peer.get_mut(&peer)
            {
                *of_peer -= 1;
                if *of_peer == 0 {
                    self.by_peer.remove(&peer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn peer(number: u16) -> Peer {
        let [high, low] = number.to_be_bytes();
        Peer::from(IpAddr::from([198, 18, high, low]))
    }

    #[test]
    fn a_name_is_used_once_and_forgotten_when_it_expires() {
        let names = SingleUse::default();
        assert_eq!(names.use_up(peer(1), b"a", at(10), at(0)), Ok(true));
        assert_eq!(names.use_up(peer(2), b"a", at(10), at(9)), Ok(false));
        assert_eq!(names.use_up(peer(2), b"b", at(20), at(10)), Ok(true));
        let used = names.used.lock().unwrap();
        assert_eq!((used.names.len(), used.by_peer.len()), (1, 1), "the expired name is gone");
    }

    #[test]
    fn at_the_limit_new_names_are_refused_and_old_ones_kept() {
        let names = SingleUse::default();
        let share = limits::REMEMBERED_PROOFS_PER_PEER as u64;
        for number in 0..limits::REMEMBERED_PROOFS as u64 {
            let peer = peer(u16::try_from(number / share).unwrap());
            assert_eq!(names.use_up(peer, &number.to_be_bytes(), at(10), at(0)), Ok(true));
        }
        assert_eq!(names.use_up(peer(999), b"one more", at(10), at(0)), Err(AuthenticationError::Busy));
        assert_eq!(names.use_up(peer(999), &0u64.to_be_bytes(), at(10), at(0)), Ok(false));
        assert_eq!(names.use_up(peer(999), b"one more", at(20), at(10)), Ok(true));
    }

    #[test]
    fn a_peer_that_uses_up_its_share_is_in_nobody_else_s_way() {
        let names = SingleUse::default();
        for number in 0..limits::REMEMBERED_PROOFS_PER_PEER as u64 {
            assert_eq!(names.use_up(peer(1), &number.to_be_bytes(), at(10), at(0)), Ok(true));
        }
        assert_eq!(names.use_up(peer(1), b"one more", at(10), at(0)), Err(AuthenticationError::Busy));
        assert_eq!(names.use_up(peer(2), b"one more", at(10), at(0)), Ok(true));
        assert_eq!(names.use_up(peer(1), b"another", at(20), at(10)), Ok(true), "it expires, and there is room again");
    }
}
