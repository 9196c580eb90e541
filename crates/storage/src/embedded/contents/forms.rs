//! What a handle tells of its content, in the words of the ports.

use sealpost_blocks::{BlockHandle, WhiteningPolicy};
use sealpost_core::ports::{ContentForm, ContentPolicy};

pub(super) fn form(handle: &BlockHandle) -> ContentForm {
    ContentForm {
        length: handle.length(),
        padded_length: handle.padded_length(),
        policy: match handle.policy() {
            WhiteningPolicy::Pooled => ContentPolicy::Pooled,
            WhiteningPolicy::Fresh => ContentPolicy::Fresh,
        },
        block_size: u32::try_from(handle.block_size().bytes()).unwrap_or(u32::MAX),
        tuple_size: handle.tuple_size().get(),
        is_cbl: handle.is_cbl(),
        block_ids: handle.block_ids().map(|id| id.0).collect(),
    }
}

/// How the blocks of contents under a policy are whitened.
pub(super) fn whitening(policy: ContentPolicy) -> WhiteningPolicy {
    match policy {
        ContentPolicy::Pooled => WhiteningPolicy::Pooled,
        ContentPolicy::Fresh => WhiteningPolicy::Fresh,
    }
}
