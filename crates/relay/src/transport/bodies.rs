//! Bodies that know what they take of memory, and pieces of answers that know how long they have waited for their client.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::{
    limits,
    memory::{BrokenOff, Share},
};

/// A request's body: what is read of it counts into `share`. It breaks off if it has not come to its end in time, or falls
/// behind the pace.
pub(super) fn incoming(body: Body, share: Arc<Share>, until: Option<Instant>) -> Body {
    let end = until.map(|until| Box::pin(tokio::time::sleep_until(until)));
    Body::new(Incoming { body, share, end, came: 0, pace: None })
}

struct Incoming {
    body: Body,
    share: Arc<Share>,
    /// When it breaks off.
    end: Option<Pin<Box<Sleep>>>,
    /// Bytes since the pace was last kept.
    came: usize,
    /// The time for more of them, since one first had to wait.
    pace: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    fn note(&mut self, bytes: usize) {
        self.came += bytes;
        if self.came >= limits::BODY_PACE {
            self.came = 0;
            self.pace = None;
        }
    }

    fn is_behind(&mut self, context: &mut Context<'_>) -> bool {
        let pace = self.pace.get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::BODY_PACE_TIME)));
        pace.as_mut().poll(context).is_ready()
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let is_over = self.end.as_mut().is_some_and(|end| end.as_mut().poll(context).is_ready());
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if is_over || (polled.is_pending() && self.is_behind(context)) {
            return Poll::Ready(Some(Err(axum::Error::new(self.share.break_off(BrokenOff::TooSlow)))));
        }
        let frame = match ready!(polled) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        if let Some(data) = frame.data_ref() {
            self.note(data.len());
            if let Err(short) = self.share.grow_by_body(data.len()) {
                return Poll::Ready(Some(Err(axum::Error::new(short))));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body: its request's share lasts as long as it, and each piece counts for itself, until the connection has
/// taken it. Without memory it breaks off.
pub(super) fn outgoing(body: Body, request: Arc<Share>, untaken: Arc<Untaken>) -> Body {
    let untouched = Some(Waiting::new(&untaken));
    Body::new(Outgoing { body, request, untaken, untouched })
}

struct Outgoing {
    body: Body,
    request: Arc<Share>,
    untaken: Arc<Untaken>,
    /// It waits for its client as a whole until its first piece is asked for.
    untouched: Option<Waiting>,
}

impl Outgoing {
    fn piece(&self, data: Bytes) -> Result<Bytes, BrokenOff> {
        let share = self.request.beside();
        share.grow(data.len())?;
        Ok(Bytes::from_owner(Piece { data, _waiting: Waiting::new(&self.untaken), _share: share }))
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        drop(self.untouched.take());
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        Poll::Ready(Some(match frame.into_data() {
            Ok(data) => self.piece(data).map(Frame::data).map_err(axum::Error::new),
            Err(trailers) => Ok(trailers),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The bytes of one piece of an answer. Whoever sends them holds on to this until they are sent.
struct Piece {
    data: Bytes,
    _waiting: Waiting,
    _share: Share,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// One of the [`Untaken`], until this is dropped.
struct Waiting {
    number: u64,
    untaken: Arc<Untaken>,
}

impl Waiting {
    fn new(untaken: &Arc<Untaken>) -> Self {
        Self { number: untaken.add(), untaken: Arc::clone(untaken) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.untaken.remove(self.number);
    }
}

/// Answers, and pieces of them, that one connection has not taken yet, and since when each waits.
#[derive(Debug, Default)]
pub(crate) struct Untaken {
    pieces: Mutex<Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    since: BTreeMap<u64, Instant>,
    next: u64,
}

impl Untaken {
    /// Completes when a piece has waited for too long: the client has stopped reading.
    pub(super) async fn stalled(&self) {
        loop {
            tokio::time::sleep(limits::ANSWER_TIMEOUT / 4).await;
            if self.longest_wait() > limits::ANSWER_TIMEOUT {
                return;
            }
        }
    }

    fn longest_wait(&self) -> Duration {
        let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.since.first_key_value().map(|(_, since)| since.elapsed()).unwrap_or_default()
    }

    fn add(&self) -> u64 {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let number = pieces.next;
        pieces.next += 1;
        pieces.since.insert(number, Instant::now());
        number
    }

    fn remove(&self, number: u64) {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).since.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures::StreamExt;

    use super::*;
    use crate::memory::Memory;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_begins_to_read_keeps_its_request_s_share_and_stalls_its_connection() {
        let (memory, untaken) = (Memory::of(10), Arc::<Untaken>::default());
        let share = Arc::new(memory.share());
        share.grow(8).unwrap();
        let body = outgoing(Body::from("12345678"), share, Arc::clone(&untaken));
        untaken.stalled().await;
        assert!(!memory.has_free(3));
        drop(body);
        assert!(memory.has_free(10));
        assert_eq!(untaken.longest_wait(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_request_s_share_lasts_as_long_as_the_request() {
        let memory = Memory::of(10);
        let share = Arc::new(memory.share());
        let read = to_bytes(incoming(Body::from("12345678"), Arc::clone(&share), None), 100).await;
        assert_eq!(read.unwrap(), "12345678");
        assert!(!memory.has_free(3), "the body is gone, the request is not");
        assert!(to_bytes(incoming(Body::from("123"), Arc::clone(&share), None), 100).await.is_err());
        assert_eq!(share.broken_off(), Some(BrokenOff::MemoryShort));
        drop(share);
        assert!(memory.has_free(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_come_to_its_end_in_time_breaks_off() {
        let (begin, patience) = (Instant::now(), Duration::from_secs(10));
        let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, axum::Error>>());
        let share = Arc::new(Memory::of(10).share());
        assert!(to_bytes(incoming(endless, share, Some(begin + patience)), 100).await.is_err());
        assert_eq!(begin.elapsed(), patience);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_keeps_the_pace_may_take_its_time_and_one_that_does_not_breaks_off() {
        let trickle = |bytes: usize| {
            futures::stream::repeat(bytes).then(async |bytes| {
                tokio::time::sleep(limits::BODY_PACE_TIME / 2).await;
                Ok::<_, axum::Error>(Bytes::from(vec![0; bytes]))
            })
        };
        let share = Arc::new(Memory::of(100 * limits::BODY_PACE).share());
        let fast = Body::from_stream(trickle(limits::BODY_PACE).take(20));
        assert!(to_bytes(incoming(fast, Arc::clone(&share), None), usize::MAX).await.is_ok());

        let begin = Instant::now();
        let slow = Body::from_stream(trickle(limits::BODY_PACE / 8));
        assert!(to_bytes(incoming(slow, Arc::clone(&share), None), usize::MAX).await.is_err());
        assert_eq!(share.broken_off(), Some(BrokenOff::TooSlow));
        assert!(begin.elapsed() <= limits::BODY_PACE_TIME + Duration::from_millis(10), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_of_an_answer_counts_until_its_last_byte_is_taken() {
        let (memory, untaken) = (Memory::of(10), Arc::<Untaken>::default());
        let mut body =
            outgoing(Body::from("12345678"), Arc::new(memory.share()), Arc::clone(&untaken)).into_data_stream();
        let mut piece = body.next().await.unwrap().unwrap();
        assert!(body.next().await.is_none());
        drop(body);
        drop(piece.split_to(7));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!memory.has_free(3));
        assert_eq!(untaken.longest_wait(), Duration::from_secs(1));

        drop(piece);
        assert!(memory.has_free(10));
        assert_eq!(untaken.longest_wait(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_stalled_by_its_oldest_piece_whatever_else_it_takes() {
        let untaken = Untaken::default();
        let (oldest, begin) = (untaken.add(), Instant::now());
        let takes_others = async {
            loop {
                untaken.remove(untaken.add());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = untaken.stalled() => {}
            () = takes_others => {}
        }
        assert!(begin.elapsed() > limits::ANSWER_TIMEOUT && begin.elapsed() <= 2 * limits::ANSWER_TIMEOUT);
        untaken.remove(oldest);
        assert!(tokio::time::timeout(10 * limits::ANSWER_TIMEOUT, untaken.stalled()).await.is_err());
    }

    #[tokio::test]
    async fn an_answer_that_finds_no_memory_breaks_off() {
        let body = outgoing(Body::from("12345678"), Arc::new(Memory::of(7).share()), Arc::default());
        assert!(to_bytes(body, 100).await.is_err());
    }
}
