//! How a message is stored, as it travels (`docs/protocol.md`, section 15).

use sealpost_api::v1;
use sealpost_core::{BodyContent, MessageContent, ports::ContentForm};

/// What there is; `None` if there is nothing.
pub(super) fn content_message(content: &MessageContent) -> Option<v1::MessageContent> {
    let MessageContent { body, part } = content;
    let is_there = body.is_some() || part.is_some();
    is_there
        .then(|| v1::MessageContent { body: body.as_ref().map(body_message), part: part.as_ref().map(stored_message) })
}

fn body_message(body: &BodyContent) -> v1::StoredBody {
    let contents = body.first.iter().map(stored_message).collect();
    v1::StoredBody { length: body.length, pieces: body.pieces, contents }
}

fn stored_message(form: &ContentForm) -> v1::StoredContent {
    v1::StoredContent {
        length: form.length,
        padded_length: form.padded_length,
        block_size: form.block_size,
        tuple_size: form.tuple_size.into(),
        policy: form.policy.as_str().to_owned(),
        is_cbl: form.is_cbl,
        block_ids: form.block_ids.iter().map(|id| id.to_vec()).collect(),
    }
}
