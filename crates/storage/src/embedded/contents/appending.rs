//! Storing contents: a group of callers, one flush.

use std::sync::Arc;

use sealpost_blocks::{BlockHandle, BlockStore, ContentOptions, WriteError};
use sealpost_core::ports::{BackendError, ContentHandle, ContentPolicy, StoredContents};
use sealpost_protocol::Clock;
use tokio::sync::oneshot;

use super::{
    Shared,
    blocks::{Blocks, contents_mark},
    forms::whitening,
};

/// Contents of one caller.
pub(super) struct Append {
    pub(super) policy: ContentPolicy,
    pub(super) contents: Vec<Vec<u8>>,
    pub(super) answer: oneshot::Sender<Result<StoredContents, BackendError>>,
}

type Stored = Result<Vec<BlockHandle>, WriteError>;

/// Stores the contents of all, flushes once, and answers them.
pub(super) fn append_group(blocks: &Arc<Blocks>, clock: &dyn Clock, group: &mut Vec<Append>) {
    let hold = blocks.hold();
    let created = clock.now().as_millis();
    let stored = blocks.with(|store| {
        let stored: Vec<Stored> = group.iter().map(|job| append(store, job, created)).collect();
        (stored, blocks.sync(store))
    });
    let (stored, mark) = match stored {
        Ok((stored, Ok(mark))) => (stored, mark),
        Ok((_, Err(error))) => return refuse(group, &Shared::new(error)),
        Err(error) => return refuse(group, &Shared::new(error)),
    };
    for (job, stored) in group.drain(..).zip(stored) {
        let answer = stored.map_err(BackendError::new).map(|handles| StoredContents {
            handles: handles.iter().map(|handle| ContentHandle(handle.to_bytes())).collect(),
            mark: contents_mark(mark, Arc::clone(&hold)),
        });
        // A caller who has gone left orphans.
        drop(job.answer.send(answer));
    }
}

fn append(store: &BlockStore, job: &Append, created: u64) -> Stored {
    let options = ContentOptions::new(whitening(job.policy), created);
    let mut handles = Vec::with_capacity(job.contents.len());
    for content in &job.contents {
        match store.append(content, options) {
            Ok(handle) => handles.push(handle),
            Err(error) => {
                for handle in &handles {
                    // What cannot be let go of now is an orphan.
                    _ = store.discard(handle);
                }
                return Err(error);
            }
        }
    }
    Ok(handles)
}

fn refuse(group: &mut Vec<Append>, error: &Shared) {
    tracing::error!(%error, contents = group.len(), "contents were not stored");
    for job in group.drain(..) {
        drop(job.answer.send(Err(BackendError::new(error.clone()))));
    }
}
