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

/// Asks transfers to rest once the pieces that are on their way are through.
#[derive(Debug, Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
