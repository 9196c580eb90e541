//! Receipts: the recipient's signed word moves a status and lets the content go.

mod advice;

use std::sync::Arc;

use sealpost_protocol::{Clock, ErrorCode, ReceiptBatch, ReceiptError, Signature, Signer};
use thiserror::Error;

pub(crate) use self::advice::Advice;
use self::advice::Saying;

use crate::{
    Principal, WakeUps,
    ports::{BackendError, Contents, Ledger, Prekeys, ReceiptRefusal, RecordReceiptsError, RefusedReceipt},
    release,
};

/// Records receipts.
pub struct Receipts {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) contents: Arc<dyn Contents>,
    pub(crate) prekeys: Arc<dyn Prekeys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wake_ups: Arc<WakeUps>,
    pub(crate) node: Arc<dyn Signer + Send + Sync>,
    pub(crate) advice: Advice,
}

/// The node's signature over the batch's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Countersigned {
    /// The batch's number.
    pub number: u64,
    /// Over the batch's head.
    pub signature: Signature,
    /// Receipts of the batch that were not taken; the others are recorded.
    pub refused: Vec<RefusedReceipt>,
}

impl RefusedReceipt {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self.reason {
            ReceiptRefusal::UnknownMessage => ErrorCode::NotFound,
            ReceiptRefusal::Conflict(_) => ErrorCode::Conflict,
        }
    }
}

/// Why receipts were not recorded; nothing has changed then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReceiptsError {
    /// The head names another recipient than the caller, or the caller has published no identity here.
    #[error("the receipts are not the caller's own")]
    NotTheRecipient,
    /// The signature does not verify.
    #[error(transparent)]
    Invalid(#[from] ReceiptError),
    /// The ledger refused them.
    #[error(transparent)]
    Ledger(#[from] RecordReceiptsError),
}

impl ReceiptsError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotTheRecipient => ErrorCode::Forbidden,
            Self::Invalid(ReceiptError::Signature) => ErrorCode::BadSignature,
            Self::Invalid(_) => ErrorCode::Malformed,
            Self::Ledger(RecordReceiptsError::OutOfSequence { .. }) => ErrorCode::ReceiptsOutOfSequence,
            Self::Ledger(RecordReceiptsError::Backend(_)) => ErrorCode::Unavailable,
        }
    }
}

impl From<BackendError> for ReceiptsError {
    fn from(error: BackendError) -> Self {
        Self::Ledger(RecordReceiptsError::Backend(error))
    }
}

impl Receipts {
    /// Records the caller's receipts and countersigns their head. What cannot be recorded of them is named; the head stands
    /// all the same, so that its recipient never signs another under its number. The last batch again gets the same answer.
    ///
    /// # Errors
    /// [`ReceiptsError`].
    pub async fn record(&self, caller: &Principal, batch: ReceiptBatch) -> Result<Countersigned, ReceiptsError> {
        let recipient = caller.agent();
        let head = batch.signed_head().head;
        if head.recipient != recipient {
            return Err(ReceiptsError::NotTheRecipient);
        }
        let manifest = self.prekeys.manifest(recipient).await?.ok_or(ReceiptsError::NotTheRecipient)?;
        batch.verify(&manifest.fields().identity)?;
        let signature = head.countersign(self.node.as_ref());
        let now = self.clock.now();
        let recorded = self.ledger.record_receipts(batch, signature, now).await;
        if let Err(RecordReceiptsError::OutOfSequence { number, .. }) = &recorded
            && *number < head.number
        {
            match self.advice.on(recipient, now) {
                Saying::Of(recipient) => tracing::warn!(%recipient, found = head.number, expected = number,
                    "receipts are further on than the ledger: if it was put back from a copy, say so with --restored; \
                     nothing more is said of this agent for an hour"),
                Saying::OfMany => tracing::warn!(
                    "receipts of many agents are further on than the ledger: if it was put back from a copy, say so with \
                     --restored; no more of them are named for an hour"
                ),
                Saying::Nothing => {}
            }
        }
        let recorded = recorded?;
        self.wake_ups.ring(&recorded.senders);
        release::let_go(&*self.ledger, &*self.contents, recorded.released).await;
        Ok(Countersigned { number: head.number, signature, refused: recorded.refused })
    }
}
