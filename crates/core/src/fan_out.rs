//! Writing a message to many in chunks, so that messages to few are accepted in between.
//!
//! Kept: nobody sees anything of it before its last chunk is committed, and then everybody sees all of it. One is written at
//! a time: two would take twice as long each, and hold back twice as much of what comes to the same mailboxes meanwhile. So
//! whoever has the turn knows that what has begun and not ended was left by a failure or a crash.

use std::sync::Arc;

use sealpost_protocol::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    Submission, WakeUps,
    acceptance::{drop_refused, store_contents},
    limits,
    ports::{AcceptError, AcceptanceOutcome, BackendError, Contents, Ledger},
    release,
};

/// Where messages to many are written.
pub(crate) struct FanOutWriter {
    ledger: Arc<dyn Ledger>,
    contents: Arc<dyn Contents>,
    wake_ups: Arc<WakeUps>,
    turn: Mutex<()>,
}

/// The right to write one, or to take back what is left of one.
pub(crate) struct FanOutTurn<'a> {
    writer: &'a FanOutWriter,
    _guard: MutexGuard<'a, ()>,
}

impl FanOutWriter {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, contents: Arc<dyn Contents>, wake_ups: Arc<WakeUps>) -> Self {
        Self { ledger, contents, wake_ups, turn: Mutex::default() }
    }

    /// In the order of asking.
    pub(crate) async fn take_turn(&self) -> FanOutTurn<'_> {
        FanOutTurn { writer: self, _guard: self.turn.lock().await }
    }
}

impl FanOutTurn<'_> {
    /// Writes a message that the ledger does not know; what is not accepted leaves nothing.
    pub(crate) async fn write(&self, submission: &Submission, at: Timestamp) -> Result<AcceptanceOutcome, AcceptError> {
        self.take_back().await?;
        let written = self.write_chunks(submission, at).await;
        if written.is_err()
            && let Err(error) = self.take_back().await
        {
            tracing::warn!(%error, "a message to many that was not accepted still holds its room: the next sweep tries again");
        }
        written
    }

    /// Takes back what has begun and not ended.
    pub(crate) async fn take_back(&self) -> Result<(), BackendError> {
        let FanOutWriter { ledger, contents, wake_ups, .. } = self.writer;
        while let Some(step) = ledger.abandon_fan_out(limits::FAN_OUT_PARTS).await? {
            release::let_go(&**ledger, &**contents, step.released).await;
            wake_ups.ring(&step.agents);
        }
        Ok(())
    }

    async fn write_chunks(&self, submission: &Submission, at: Timestamp) -> Result<AcceptanceOutcome, AcceptError> {
        let FanOutWriter { ledger, contents, .. } = self.writer;
        let (all, mut from, mut begun) = (submission.parts().len(), 0, None);
        loop {
            let to = all.min(from + limits::FAN_OUT_PARTS);
            let (chunk, handles) = store_contents(&**contents, submission, from..to, at).await?;
            let written = match begun {
                None => ledger.begin_fan_out(chunk).await.map(|id| {
                    begun = Some(id);
                    None
                }),
                Some(id) if to < all => ledger.continue_fan_out(id, chunk).await.map(|()| None),
                Some(id) => ledger.finish_fan_out(id, chunk).await.map(Some),
            };
            match written {
                Ok(None) => from = to,
                Ok(Some(outcome)) => return Ok(outcome),
                Err(error) => {
                    drop_refused(&**contents, &error, handles).await;
                    return Err(error);
                }
            }
        }
    }
}
