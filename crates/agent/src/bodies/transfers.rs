//! What is on its way to or from a relay now, for whoever shows it; and the sign to let a transfer rest.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use sealpost_protocol::MessageId;
use tokio::sync::watch;

/// How far the body of a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The message.
    pub message: MessageId,
    /// Bytes that are through.
    pub done: u64,
    /// Bytes in all: of the sealed body, or of the content that is sealed.
    pub length: u64,
    /// What is done.
    pub kind: TransferKind,
}

/// What is done with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferKind {
    /// It is sealed into the spool.
    Sealing,
    /// It goes to the relay.
    Upload,
    /// It comes from the relay.
    Download,
}

/// The transfer of now, for any number of watchers.
pub(crate) struct Transfers(watch::Sender<Option<Transfer>>);

impl Default for Transfers {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl fmt::Debug for Transfers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Transfers")
    }
}

impl Transfers {
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Transfer>> {
        self.0.subscribe()
    }

    pub(crate) fn show(&self, transfer: Transfer) {
        self.0.send_replace(Some(transfer));
    }

    pub(crate) fn end(&self) {
        self.0.send_replace(None);
    }
}

/// Asks transfers of one direction to rest once the pieces that are on their way are through. Something moves all the same:
/// where there is mail at every turn, a transfer that rested before its first piece would never come to an end.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_asked: AtomicBool,
    has_moved: AtomicBool,
}

impl Stop {
    pub(crate) fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
    }

    /// Notes that a step was done that need not be done again.
    pub(crate) fn moved(&self) {
        self.has_moved.store(true, Ordering::Relaxed);
    }

    /// Whether it is to rest now.
    pub(crate) fn rests(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed) && self.has_moved.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Stop;

    #[test]
    fn what_is_asked_to_rest_moves_first() {
        let stop = Stop::default();
        stop.ask();
        assert!(!stop.rests(), "nothing has moved");
        stop.moved();
        assert!(stop.rests());
    }

    #[test]
    fn what_moves_goes_on_unasked() {
        let stop = Stop::default();
        stop.moved();
        assert!(!stop.rests());
        stop.ask();
        assert!(stop.rests());
    }
}
