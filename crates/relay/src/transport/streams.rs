//! Streams of mail and of events. They end with a refusal: at the token's end or its revocation, when the relay stops, or
//! when the store fails; a client then comes back and goes on where it was.

use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use prost::Message;
use sealpost_api::v1;
use sealpost_core::PageRequest;
use sealpost_protocol::{ErrorCode, Right, limits as wire};

use tonic::Status;

use super::{
    endpoints::{self, event_message, page_message},
    refusal::Refusal,
    uploads,
};
use crate::{app::App, authentication::Caller, memory::Share};

/// The caller's mailbox after `after`, and what arrives.
pub(crate) fn mail(
    app: Arc<App>,
    caller: Caller,
    after: u64,
) -> Result<impl Stream<Item = Result<v1::ReceiveResponse, Refusal>>, Refusal> {
    let reader = caller.may(Right::Read)?;
    let state = (Arc::clone(&app), after);
    let pages = stream::try_unfold(state, move |(app, after)| async move {
        let request = PageRequest { after, wait: wire::RECEIVE_WAIT, ..PageRequest::default() };
        loop {
            let share = app.memory.share_of(Some(caller.agent()));
            let page = app.services.mailboxes.receive(&reader, request, &share).await?;
            if let Some(last) = page.entries.last() {
                let after = last.mailbox_seq;
                return Ok(Some((page_message(page), (app, after))));
            }
        }
    });
    Ok(until_over(app, caller, pages))
}

/// Changes that concern the caller, after `after`.
pub(crate) fn events(
    app: &Arc<App>,
    caller: Caller,
    after: u64,
) -> Result<impl Stream<Item = Result<v1::Event, Refusal>> + use<>, Refusal> {
    let feed = app.services.message_query.feed(&caller.may(Right::Read)?, after);
    let pages = stream::try_unfold(feed, async |mut feed| {
        let changes = feed.next().await?;
        let events: Vec<Result<v1::Event, Refusal>> = changes.iter().map(|change| Ok(event_message(change))).collect();
        Ok(Some((stream::iter(events), feed)))
    });
    let events = pages.flat_map(|page: Result<_, Refusal>| match page {
        Ok(events) => events.left_stream(),
        Err(refusal) => stream::iter([Err(refusal)]).right_stream(),
    });
    Ok(until_over(Arc::clone(app), caller, events))
}

/// A message's body from the place that the request names to its end, piece by piece.
pub(crate) fn body(
    app: Arc<App>,
    caller: Caller,
    request: v1::GetBodyRequest,
) -> Result<impl Stream<Item = Result<v1::GetBodyResponse, Refusal>>, Refusal> {
    caller.may(Right::Read)?;
    let state = (Arc::clone(&app), request);
    let pieces = stream::try_unfold(state, move |(app, mut request)| async move {
        let share = app.memory.share_of(Some(caller.agent()));
        let piece = endpoints::get_body(&app, caller, &share, request.clone()).await?;
        request.offset += piece.body.len() as u64;
        Ok((!piece.body.is_empty()).then_some((piece, (app, request))))
    });
    Ok(until_over(app, caller, pieces))
}

/// An answer for each piece that comes, in turn; the first that is refused ends the stream. What a piece took of the
/// request's share is given back when it is stored.
pub(crate) fn pieces(
    app: Arc<App>,
    caller: Caller,
    share: Arc<Share>,
    pieces: impl Stream<Item = Result<v1::AppendRequest, Status>> + Send + Unpin,
) -> Result<impl Stream<Item = Result<v1::AppendResponse, Refusal>>, Refusal> {
    caller.may(Right::Send)?;
    let state = (Arc::clone(&app), share, pieces);
    let answers = stream::try_unfold(state, move |(app, share, mut pieces)| async move {
        let Some(piece) = pieces.next().await else { return Ok(None) };
        let piece = piece.map_err(|status| match share.broken_off() {
            Some(why) => Refusal::from(why),
            None => Refusal::new(ErrorCode::Malformed, status.message()),
        })?;
        let bytes = piece.encoded_len();
        let answer = uploads::append(&app, caller, Arc::clone(&share), piece).await?;
        share.shrink_by_body(bytes);
        Ok(Some((answer, (app, share, pieces))))
    });
    Ok(until_over(app, caller, answers))
}

/// Ends `items` after the first refusal, its own or that the caller's time or the relay's is over.
fn until_over<T, S>(app: Arc<App>, caller: Caller, items: S) -> impl Stream<Item = Result<T, Refusal>> + use<T, S>
where
    S: Stream<Item = Result<T, Refusal>>,
{
    let over = async move {
        tokio::select! {
            () = app.tasks.stopping().cancelled() => Refusal::stopping(),
            over = app.over(caller) => over,
        }
    };
    stream::unfold(Some((Box::pin(items), Box::pin(over))), |open| async move {
        let (mut items, mut over) = open?;
        tokio::select! {
            refusal = &mut over => Some((Err(refusal), None)),
            item = items.next() => {
                let item = item?;
                let rest = item.is_ok().then_some((items, over));
                Some((item, rest))
            }
        }
    })
}
