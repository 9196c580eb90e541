//! What one connection has shown: tokens whose keys its client holds.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use sealpost_protocol::Timestamp;

use super::Caller;
use crate::{limits, peer::Peer};

/// The tokens proven on one connection.
pub(crate) struct ConnectionTokens {
    /// Where the client is.
    pub(crate) peer: Peer,
    proven: Mutex<HashMap<String, Caller>>,
}

impl ConnectionTokens {
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, proven: Mutex::default() }
    }

    /// Whether one of them is good at this time.
    pub(crate) fn has_good(&self, now: Timestamp) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).values().any(|caller| caller.until > now)
    }

    pub(super) fn caller(&self, token: &str) -> Option<Caller> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).get(token).copied()
    }

    /// At the limit what has expired is forgotten; if nothing has, everything is, and clients prove again.
    pub(super) fn remember(&self, token: &str, caller: Caller, now: Timestamp) {
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if proven.len() >= limits::TOKENS_PER_CONNECTION {
            proven.retain(|_, caller| caller.until > now);
        }
        if proven.len() >= limits::TOKENS_PER_CONNECTION {
            proven.clear();
        }
        proven.insert(token.to_owned(), caller);
    }
}
