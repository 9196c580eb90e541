//! Places for connections: a bound for all, and one for each peer, so that no single one has them all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{limits, peer::Peer};

/// All places.
#[derive(Debug, Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    by_peer: Arc<Mutex<HashMap<Peer, usize>>>,
}

/// A place among all connections, given back on drop.
#[derive(Debug)]
pub(super) struct FreePlace {
    _permit: OwnedSemaphorePermit,
}

/// A place that a peer's connection has taken, given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    peer: Peer,
    by_peer: Arc<Mutex<HashMap<Peer, usize>>>,
    _free: FreePlace,
}

impl Places {
    pub(super) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(limits::CONNECTIONS)), by_peer: Arc::default() }
    }

    /// Waits for a place, whoever will have it.
    pub(super) async fn next(&self) -> Option<FreePlace> {
        Arc::clone(&self.free).acquire_owned().await.ok().map(|permit| FreePlace { _permit: permit })
    }

    /// Gives it to a connection of `peer`, unless that has its share. Peers on this machine have no bound of their own.
    pub(super) fn give(&self, free: FreePlace, peer: Peer) -> Option<Place> {
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = by_peer.entry(peer).or_default();
        if *taken >= limits::CONNECTIONS_PER_PEER && !peer.is_local() {
            return None;
        }
        *taken += 1;
        Some(Place { peer, by_peer: Arc::clone(&self.by_peer), _free: free })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = by_peer.get_mut(&self.peer) {
            *taken -= 1;
            if *taken == 0 {
                by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    async fn take(places: &Places, address: [u8; 4]) -> Option<Place> {
        places.give(places.next().await.unwrap(), IpAddr::from(address).into())
    }

    #[tokio::test]
    async fn one_peer_has_its_share_of_the_places_and_no_more() {
        let places = Places::new();
        let mut taken = Vec::new();
        for _ in 0..limits::CONNECTIONS_PER_PEER {
            taken.push(take(&places, [192, 0, 2, 1]).await.expect("its share"));
        }
        assert!(take(&places, [192, 0, 2, 1]).await.is_none());
        assert!(take(&places, [192, 0, 2, 2]).await.is_some());
        taken.pop();
        assert!(take(&places, [192, 0, 2, 1]).await.is_some());
        drop(taken);
        assert_eq!(places.free.available_permits(), limits::CONNECTIONS);
        assert!(places.by_peer.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_proxy_on_this_machine_may_have_them_all() {
        let (places, mut taken) = (Places::new(), Vec::new());
        for _ in 0..=limits::CONNECTIONS_PER_PEER {
            taken.push(take(&places, [127, 0, 0, 1]).await.expect("a place"));
        }
    }
}
