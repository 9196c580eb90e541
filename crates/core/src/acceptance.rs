//! What the ledger is asked to accept of a submission: its contents are stored first, and let go of if it refuses.

use std::ops::Range;

use sealpost_protocol::Timestamp;

use crate::{
    Submission, SubmittedBody,
    ports::{
        AcceptError, Acceptance, AcceptedBody, BackendError, ContentHandle, ContentPolicy, Contents, StoredContents,
        StoredPart,
    },
    release, uploads,
};

/// Stores the contents of these parts of a submission, and with the last one those of its body. Returns what the ledger is to
/// record, and the handles in it.
pub(crate) async fn store_contents(
    contents: &dyn Contents,
    submission: &Submission,
    parts: Range<usize>,
    at: Timestamp,
) -> Result<(Acceptance, Vec<ContentHandle>), BackendError> {
    let is_last = parts.end == submission.parts().len();
    let (inline, uploaded) = match submission.body().filter(|_| is_last) {
        None => (None, None),
        Some(SubmittedBody::Inline(body)) => (Some(body.clone()), None),
        Some(SubmittedBody::Uploaded(id)) => (None, Some(AcceptedBody::Uploaded(*id))),
    };
    let parts = submission.parts().get(parts).unwrap_or_default();
    let (bytes, has_inline) = (parts.iter().map(|part| part.content.clone()), inline.is_some());
    let policy = ContentPolicy::of(submission.header().fields().scheme);
    let StoredContents { handles, mark } = contents.append(policy, bytes.chain(inline).collect()).await?;
    let inline = handles.last().filter(|_| has_inline).cloned().map(AcceptedBody::Inline);
    let stored = parts.iter().zip(handles.iter().cloned()).map(|(part, content)| StoredPart {
        recipient: part.recipient,
        attempt: part.attempt,
        hash: part.hash,
        length: (submission.header().as_bytes().len() + part.content.len()) as u64,
        content,
    });
    let acceptance = Acceptance {
        header: submission.header().clone(),
        body: inline.or(uploaded),
        quota: uploads::QUOTA,
        parts: stored.collect(),
        retention: submission.retention(),
        mark,
        is_complete: submission.is_complete(),
        at,
    };
    Ok((acceptance, handles))
}

/// A store that failed may have recorded the message all the same: only a refusal frees its contents.
pub(crate) async fn drop_refused(contents: &dyn Contents, error: &AcceptError, handles: Vec<ContentHandle>) {
    if !matches!(error, AcceptError::Backend(_)) {
        release::drop_unrecorded(contents, handles).await;
    }
}
