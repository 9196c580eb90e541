//! Whether a store is an old copy of itself, put back from a backup.
//!
//! An agent commits what it does before it tells the relay, so a relay that is further on than the store saw the work of
//! a store that is lost. What stands in the old copy has been used since: a ratchet that went on from there would use
//! keys twice. So before its first seal, and whenever it has reached its relay again, a runtime compares; if it is behind,
//! it [retires](crate::Session::retire) every session and replaces its prekeys, in one commit, before it seals anything.
//! A relay that lies can cost an agent its sessions that way, and nothing else.

use thiserror::Error;

/// How far an agent has come, as its store or its relay has it; zeros before the beginning. An `Envelope` is whatever
/// names one: its part hash, or message, recipient and attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<Envelope> {
    /// The version of its newest manifest.
    pub manifest_version: u64,
    /// The number of its newest batch of receipts.
    pub receipt_batch: u64,
    /// One-time curve keys: the private halves that the store has, or the public halves that the relay has left.
    pub one_time_curve: usize,
    /// The same of one-time KEM keys.
    pub one_time_kem: usize,
    /// The last envelope, of whatever class, that the relay accepted from the agent. The store's own word is not asked for:
    /// it may have sealed others since. A message's id would not do, for a message may be sealed anew.
    pub last_send: Option<Envelope>,
}

impl<Envelope> Default for Progress<Envelope> {
    fn default() -> Self {
        Self { manifest_version: 0, receipt_batch: 0, one_time_curve: 0, one_time_kem: 0, last_send: None }
    }
}

/// The store is an old copy; this is what gave it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoredCopy {
    /// The relay has a newer manifest.
    #[error("the relay has version {relay} of the manifest, and the store version {store}")]
    Manifest {
        /// The store's version.
        store: u64,
        /// The relay's.
        relay: u64,
    },
    /// The relay has receipts that the store does not know of.
    #[error("the relay has {relay} batches of receipts, and the store {store}")]
    Receipts {
        /// The store's last number.
        store: u64,
        /// The relay's.
        relay: u64,
    },
    /// The relay hands out keys whose private halves the store does not have.
    #[error("the relay has more one-time keys than the store")]
    OneTimeKeys,
    /// The relay has accepted an envelope that the store does not know of.
    #[error("the relay has accepted an envelope that the store does not know")]
    Send,
}

/// Compares the store's progress with the relay's. `has_sealed` tells whether the store knows an envelope as
/// sealed, whatever became of it.
///
/// # Errors
/// [`RestoredCopy`] if the relay is further on.
pub fn check_progress<Envelope>(
    store: &Progress<Envelope>,
    relay: &Progress<Envelope>,
    has_sealed: impl Fn(&Envelope) -> bool,
) -> Result<(), RestoredCopy> {
    if relay.manifest_version > store.manifest_version {
        return Err(RestoredCopy::Manifest { store: store.manifest_version, relay: relay.manifest_version });
    }
    if relay.receipt_batch > store.receipt_batch {
        return Err(RestoredCopy::Receipts { store: store.receipt_batch, relay: relay.receipt_batch });
    }
    if relay.one_time_curve > store.one_time_curve || relay.one_time_kem > store.one_time_kem {
        return Err(RestoredCopy::OneTimeKeys);
    }
    match &relay.last_send {
        Some(envelope) if !has_sealed(envelope) => Err(RestoredCopy::Send),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sealpost_protocol::PartHash;

    use super::*;

    fn store() -> Progress<PartHash> {
        Progress { manifest_version: 3, receipt_batch: 40, one_time_curve: 100, one_time_kem: 90, last_send: None }
    }

    fn envelope(byte: u8) -> PartHash {
        PartHash([byte; 32])
    }

    #[test]
    fn a_relay_that_knows_no_more_than_the_store_gives_nothing_away() {
        let known = envelope(1);
        let behind = Progress { manifest_version: 2, receipt_batch: 38, one_time_curve: 50, ..Progress::default() };
        for relay in [store(), behind, Progress::default(), Progress { last_send: Some(known), ..store() }] {
            assert_eq!(check_progress(&store(), &relay, |sent| *sent == known), Ok(()));
        }
    }

    #[test]
    fn whatever_the_relay_is_ahead_in_gives_an_old_copy_away() {
        let cases = [
            Progress { manifest_version: 4, ..store() },
            Progress { receipt_batch: 41, ..store() },
            Progress { one_time_curve: 101, ..store() },
            Progress { one_time_kem: 91, ..store() },
            Progress { last_send: Some(envelope(2)), ..store() },
        ];
        let found: Vec<String> = cases
            .iter()
            .map(|relay| check_progress(&store(), relay, |sent| *sent == envelope(1)).unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(found.join("\n"), @"
        the relay has version 4 of the manifest, and the store version 3
        the relay has 41 batches of receipts, and the store 40
        the relay has more one-time keys than the store
        the relay has more one-time keys than the store
        the relay has accepted an envelope that the store does not know
        ");
    }
}
