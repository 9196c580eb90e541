//! Fetching what a file of the spool lacks of a body, and opening it as it comes.
//!
//! Kept: the file has what opened and, behind it, less than a chunk, or what only the hash over all of the body can judge.

use std::{fs::File, ops::Range};

use futures::{StreamExt, stream::FuturesOrdered};
use sealpost_api::v1;
use sealpost_protocol::{BodyDescription, MessageRef, limits as wire};

use super::{
    downloading::Awaited,
    following::{Advanced, Checked, Followed, Following, lock},
    spool::{SpoolFile, blocking},
    transfers::{Stop, Transfer, TransferKind},
};
use crate::{Agent, SyncError, limits};

/// How far a file came.
pub(super) enum Filled {
    /// All of it is there.
    Whole(Checked),
    /// It was asked to rest.
    InPart,
    /// Its content has so many bytes, which are more than are decompressed unasked.
    Larger(u64),
}

/// A body on its way into its file.
struct Filling<'a> {
    agent: &'a Agent,
    awaited: &'a Awaited,
    file: &'a SpoolFile,
    following: Followed,
}

impl Agent {
    /// Fetches what a file lacks of a body, several pieces at a time, and writes them in their order. Of a content that is
    /// compressed at most so many bytes are decompressed.
    pub(super) async fn fill(
        &self,
        awaited: &Awaited,
        file: &SpoolFile,
        most: u64,
        stop: &Stop,
    ) -> Result<Filled, SyncError> {
        let metadata = file.handle().and_then(|file| file.metadata()).map_err(SyncError::Spool)?;
        let kept = self.followings.of(awaited.message).filter(|following| lock(following).fits(&metadata));
        let following = match kept {
            Some(following) => following,
            None => Followed::new(Following::new(&awaited.body, most)?.into()),
        };
        self.followings.keep(awaited.message, Followed::clone(&following));
        let filled = Filling { agent: self, awaited, file, following }.fill(metadata.len(), stop).await;
        if matches!(filled, Ok(Filled::Whole(_) | Filled::Larger(_))) {
            self.followings.remove(awaited.message);
        }
        filled
    }

    /// One piece, as long as it must be.
    pub(super) async fn piece(
        &self,
        message: MessageRef,
        body: BodyDescription,
        place: u64,
    ) -> Result<Vec<u8>, SyncError> {
        let offset = place * wire::BODY_PIECE;
        let request =
            v1::GetBodyRequest { sender: message.sender.to_string(), message_id: message.id.to_string(), offset };
        let answer = self.relay().await?.body(request).await?;
        let is_it = answer.offset == offset
            && answer.length == body.sealed_length
            && Some(answer.body.len() as u64) == body.piece_length(place);
        if is_it { Ok(answer.body) } else { Err(SyncError::OtherBody(message.id)) }
    }
}

impl Filling<'_> {
    async fn fill(&self, here: u64, stop: &Stop) -> Result<Filled, SyncError> {
        let Awaited { message, body, .. } = self.awaited;
        let (description, length) = (body.description, body.description.sealed_length);
        let begin = self.begin(here);
        let kind = TransferKind::Download;
        let mut transfer = Transfer { message: message.id, done: begin, length, kind };
        self.agent.transfers.show(transfer);
        match self.look_through(begin, stop).await? {
            Some(Advanced::Larger(length)) => return Ok(Filled::Larger(length)),
            Some(_) => {}
            None => return Ok(Filled::InPart),
        }
        let first = if begin == length { description.pieces() } else { begin / wire::BODY_PIECE };
        let mut places = first..description.pieces();
        let mut on_their_way = FuturesOrdered::new();
        let mut place = first;
        loop {
            while on_their_way.len() < limits::PIECES_AT_A_TIME
                && !stop.rests()
                && let Some(place) = places.next()
            {
                on_their_way.push_back(self.agent.piece(*message, description, place));
            }
            let Some(piece) = on_their_way.next().await else { break };
            let (mut piece, at) = (piece?, transfer.done);
            // Of the first one, a part may be here.
            piece.drain(..usize::try_from(at - place * wire::BODY_PIECE).unwrap_or_default());
            (transfer.done, place) = (at + piece.len() as u64, place + 1);
            let advanced = self.at_work(move |following, file| following.write(file, at, &piece)).await?;
            if let Advanced::Larger(length) = self.mend(advanced, transfer.done).await? {
                return Ok(Filled::Larger(length));
            }
            stop.moved();
            self.agent.transfers.show(transfer);
        }
        if transfer.done < length {
            return Ok(Filled::InPart);
        }
        self.file.sync().await.map_err(SyncError::Spool)?;
        let checked = lock(&self.following).finish(body);
        if let Checked::Other(1..) = checked {
            self.cut().await?;
            return Err(SyncError::OtherBody(message.id));
        }
        Ok(Filled::Whole(checked))
    }

    /// Where to go on in a file that has so many bytes: behind its whole pieces, of which a process that was killed may have
    /// left one in part, or behind what has opened.
    fn begin(&self, here: u64) -> u64 {
        let length = self.awaited.body.description.sealed_length;
        let whole = match here {
            here if here > length => 0,
            here if here == length => length,
            here => here / wire::BODY_PIECE * wire::BODY_PIECE,
        };
        whole.max(lock(&self.following).followed().min(here).min(length))
    }

    /// Opens what is in the file up to `end`, a part at a time. Returns nothing if it was asked to rest before.
    async fn look_through(&self, end: u64, stop: &Stop) -> Result<Option<Advanced>, SyncError> {
        let mut at = lock(&self.following).followed();
        while at < end {
            if stop.rests() {
                return Ok(None);
            }
            at = at.saturating_add(limits::READ_AT_A_TIME).min(end);
            let advanced = self.at_work(move |following, file| following.open_up_to(file, at)).await?;
            if let larger @ Advanced::Larger(_) = self.mend(advanced, at).await? {
                return Ok(Some(larger));
            }
            stop.moved();
        }
        Ok(Some(Advanced::Opened))
    }

    /// Fetches the pieces again in which chunks lie that do not open, until what is there up to `end` is open.
    async fn mend(&self, mut advanced: Advanced, end: u64) -> Result<Advanced, SyncError> {
        let Awaited { message, failed_at, .. } = self.awaited;
        let (mut at, mut repetitions) = (None, 0);
        while let Advanced::Damaged(damaged) = advanced {
            if at.replace(damaged.start) != Some(damaged.start) {
                repetitions = 0;
            }
            repetitions += 1;
            // Other bytes each time, and none that open; or the same as before, which were not the header's: it is the relay.
            let is_over = repetitions > limits::PIECE_REPETITIONS;
            let again = if is_over { None } else { self.fetch_again(&damaged, end).await? };
            advanced = match again {
                Some(advanced) => advanced,
                None if is_over || *failed_at == Some(damaged.start) => {
                    self.cut().await?;
                    return Err(SyncError::OtherBody(message.id));
                }
                None => {
                    let go_on = move |following: &mut Following, file: &File| {
                        following.leave_to_the_hash();
                        following.open_up_to(file, end)
                    };
                    self.at_work(go_on).await?
                }
            };
        }
        Ok(advanced)
    }

    /// Fetches the pieces in which a chunk lies, one after the other, until one is another than before; nothing if none is.
    async fn fetch_again(&self, damaged: &Range<u64>, end: u64) -> Result<Option<Advanced>, SyncError> {
        let Awaited { message, body, .. } = self.awaited;
        tracing::warn!(id = %message.id, at = damaged.start, "a piece of a body is damaged; it is fetched again");
        for place in damaged.start / wire::BODY_PIECE..damaged.end.min(end).div_ceil(wire::BODY_PIECE) {
            let piece = self.agent.piece(*message, body.description, place).await?;
            let (damaged, at) = (damaged.clone(), place * wire::BODY_PIECE);
            let replace =
                move |following: &mut Following, file: &File| following.replace(file, &damaged, (at, &piece), end);
            if let Some(advanced) = self.at_work(replace).await? {
                return Ok(Some(advanced));
            }
        }
        Ok(None)
    }

    async fn cut(&self) -> Result<(), SyncError> {
        self.at_work(|following, file| following.cut(file).map_err(SyncError::Spool)).await
    }

    /// Works on the file off the threads that serve others.
    async fn at_work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Following, &File) -> Result<T, SyncError> + Send + 'static,
    ) -> Result<T, SyncError> {
        let (following, file) = (Followed::clone(&self.following), self.file.handle().map_err(SyncError::Spool)?);
        blocking(move || Ok(work(&mut lock(&following), &file))).await.map_err(SyncError::Spool)?
    }
}
