//! Letting go of contents: those with random blocks of their own are overwritten, the others' blocks marked as dead. Both
//! are durable before anyone hears of it.

use sealpost_blocks::{BlockHandle, BlockStore, ShredError, WhiteningPolicy};
use sealpost_core::ports::{BackendError, ContentHandle};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{Shared, blocks::Blocks, is_passing};

/// Contents of one caller.
pub(super) struct Discard {
    pub(super) handles: Vec<ContentHandle>,
    pub(super) answer: oneshot::Sender<Result<(), BackendError>>,
}

/// A backup is being made.
#[derive(Debug, Error)]
#[error("nothing is taken away while a backup is made")]
struct Kept;

/// Lets go of the contents of all, flushes, and answers them.
pub(super) fn discard_group(blocks: &Blocks, group: &mut Vec<Discard>) {
    let result = discard_all(blocks, group);
    for job in group.drain(..) {
        drop(job.answer.send(result.clone().map_err(BackendError::new)));
    }
}

fn discard_all(blocks: &Blocks, group: &[Discard]) -> Result<(), Shared> {
    let Ok(_kept) = blocks.keeping.try_read() else { return Err(Shared::new(Kept)) };
    let handles = group.iter().flat_map(|job| &job.handles);
    // What is no handle leads to no blocks.
    let handles = handles.filter_map(|handle| BlockHandle::from_bytes(&handle.0).ok());
    let (fresh, pooled): (Vec<_>, Vec<_>) = handles.partition(|handle| handle.policy() == WhiteningPolicy::Fresh);
    blocks
        .with(|store| {
            pooled.iter().try_for_each(|handle| store.discard(handle)).map_err(Shared::new)?;
            if !fresh.is_empty() {
                shred(store, &fresh)?;
            }
            blocks.sync(store).map(drop).map_err(Shared::new)
        })
        .map_err(Shared::new)?
}

/// What a damaged block list hides cannot be overwritten, now or later; the rest is.
fn shred(store: &BlockStore, handles: &[BlockHandle]) -> Result<(), Shared> {
    match store.shred_all(handles) {
        Err(ShredError(error)) if !is_passing(&error) => {
            tracing::error!(%error, "blocks that a damaged list hides were not overwritten");
            Ok(())
        }
        other => other.map_err(Shared::new),
    }
}
