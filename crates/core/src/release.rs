//! Letting go of contents: the ledger first, then the space.
//!
//! What the ledger has released stays noted there until it is discarded, so a crash or a failure in between leaves nothing
//! behind that the next sweep does not find.

use crate::{
    limits,
    ports::{BackendError, ContentHandle, Contents, Ledger},
};

/// Discards what the ledger has just released. What fails now is left to the next sweep.
pub(crate) async fn let_go(ledger: &dyn Ledger, contents: &dyn Contents, released: Vec<ContentHandle>) {
    if !released.is_empty()
        && let Err(error) = discard(ledger, contents, released).await
    {
        tracing::warn!(%error, "contents not discarded: the next sweep tries again");
    }
}

/// Discards contents that the ledger never had. One that cannot be discarded now costs space until the next collection,
/// and no message.
pub(crate) async fn drop_unrecorded(contents: &dyn Contents, handles: Vec<ContentHandle>) {
    if !handles.is_empty()
        && let Err(error) = contents.discard(handles).await
    {
        tracing::warn!(%error, "contents that no message needs were not discarded");
    }
}

/// Discards everything that was released and is still noted.
pub(crate) async fn let_go_of_rest(ledger: &dyn Ledger, contents: &dyn Contents) -> Result<(), BackendError> {
    loop {
        let released = ledger.released(limits::SWEEP_ROWS).await?;
        let count = released.len();
        if count > 0 {
            discard(ledger, contents, released).await?;
        }
        if count < limits::SWEEP_ROWS {
            return Ok(());
        }
    }
}

async fn discard(
    ledger: &dyn Ledger,
    contents: &dyn Contents,
    released: Vec<ContentHandle>,
) -> Result<(), BackendError> {
    contents.discard(released.clone()).await?;
    ledger.discarded(released).await
}
