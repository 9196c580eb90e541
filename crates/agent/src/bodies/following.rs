//! Opening a body while it comes: each chunk once, and what it hashes to with it, so that a damaged piece is found when it
//! comes, and nothing is left to be read when the last one has come.
//!
//! A chunk that opens was sealed by one who has the body's key, in its place. One that does not may be the relay's fault or
//! the sender's: fetching its pieces again tells, if they are other bytes then. If they are the same, only the hash over all
//! of the body can. A body of the scheme `none` has no tags: what is wrong with it the hash tells, at the end.

use std::{
    collections::VecDeque,
    fs::{File, Metadata},
    io::{self, Seek, SeekFrom, Write},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use sealpost_crypto::{BodyError, BodyOpener};
use sealpost_protocol::{BodyHasher, MessageRef, MessageType};

use super::{checking::Frame, uploading::read_at};
use crate::{SyncError, limits, records::BodyRecord};

/// How far a body that is on its way has been opened and hashed.
pub(super) struct Following {
    /// None for a length that no body has.
    opener: Option<BodyOpener>,
    frame: Frame,
    hasher: BodyHasher,
    /// Bytes from the beginning that were hashed; while it opens, they end with a chunk.
    hashed: u64,
    mode: Mode,
    /// Bytes of a content that is decompressed, to see whether it is one.
    most: u64,
    /// The file as it was when this was last at work on it: another process may have been since.
    left: Option<FileState>,
}

enum Mode {
    /// Each chunk is opened.
    Opening,
    /// What comes is hashed alone: the hash tells whose fault it is that it does not open.
    Hashing {
        /// Where the first chunk lies that does not open, and the hash of what is before it; none if it does open and its
        /// sender has sealed what is no content.
        from: Option<Box<(u64, BodyHasher)>>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct FileState {
    length: u64,
    modified: Option<SystemTime>,
}

/// What came of opening what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Advanced {
    /// It is open.
    Opened,
    /// The chunk that lies there does not open. It is looked at again the next time.
    Damaged(Range<u64>),
    /// Its content is compressed, and has so many bytes, which are more than are decompressed unasked.
    Larger(u64),
}

/// What a body that is whole is.
pub(super) enum Checked {
    /// It opens; of this type.
    Opens(Option<MessageType>),
    /// Not the one that the header describes. Of what came, so many bytes from the beginning open.
    Other(u64),
    /// The one that the header describes, and it does not open.
    Unreadable,
}

impl Following {
    /// Begins with a body, of whose content at most so many bytes are decompressed.
    pub(super) fn new(body: &BodyRecord, most: u64) -> Result<Self, SyncError> {
        let opener = match BodyOpener::new(&body.key.seal(), body.description.sealed_length) {
            Err(BodyError::Primitives(error)) => return Err(error.into()),
            opener => opener.ok(),
        };
        let mode = if opener.is_some() { Mode::Opening } else { Mode::Hashing { from: None } };
        let (frame, hasher) = (Frame::default(), BodyHasher::default());
        Ok(Self { opener, frame, hasher, hashed: 0, mode, most, left: None })
    }

    /// Bytes from the beginning that need not come again.
    pub(super) fn followed(&self) -> u64 {
        self.hashed
    }

    /// Whether the file is as it was left.
    pub(super) fn fits(&self, file: &Metadata) -> bool {
        self.left.is_none_or(|left| left == FileState::of(file))
    }

    /// Writes the next bytes into the file, after which nothing follows, and opens what is there.
    pub(super) fn write(&mut self, mut file: &File, at: u64, bytes: &[u8]) -> Result<Advanced, SyncError> {
        let mut write = || {
            file.set_len(at)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)
        };
        write().map_err(SyncError::Spool)?;
        self.open_up_to(file, at.saturating_add(bytes.len() as u64))
    }

    /// Puts `bytes`, which begin at `at`, in the place of those that are there from the damaged chunk on, unless they are the
    /// same in it, and opens what is there up to `end`. Returns nothing if they are the same.
    pub(super) fn replace(
        &mut self,
        mut file: &File,
        damaged: &Range<u64>,
        (at, bytes): (u64, &[u8]),
        end: u64,
    ) -> Result<Option<Advanced>, SyncError> {
        let from = damaged.start.max(at);
        let skipped = usize::try_from(from - at).unwrap_or(usize::MAX);
        let new = bytes.get(skipped..).unwrap_or_default();
        let to = damaged.end.min(at.saturating_add(bytes.len() as u64)).min(end);
        let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let old = read_at(file, from, length).map_err(SyncError::Spool)?;
        if new.get(..length) == Some(old.as_slice()) {
            return Ok(None);
        }
        let mut write = || {
            file.seek(SeekFrom::Start(from))?;
            file.write_all(new)
        };
        write().map_err(SyncError::Spool)?;
        self.open_up_to(file, end).map(Some)
    }

    /// Opens and hashes what has come, up to `end` of the file.
    pub(super) fn open_up_to(&mut self, file: &File, end: u64) -> Result<Advanced, SyncError> {
        let advanced = self.advance(file, end);
        self.left = Some(FileState::of(&file.metadata().map_err(SyncError::Spool)?));
        advanced
    }

    fn advance(&mut self, file: &File, end: u64) -> Result<Advanced, SyncError> {
        loop {
            let left = end.saturating_sub(self.hashed);
            let needed = match (&self.mode, &self.opener) {
                (Mode::Opening, Some(opener)) => opener.needed(),
                _ => usize::try_from(left).unwrap_or(usize::MAX).min(limits::SPOOL_BUFFER),
            };
            if needed == 0 || needed as u64 > left {
                return Ok(Advanced::Opened);
            }
            let sealed = read_at(file, self.hashed, needed).map_err(SyncError::Spool)?;
            match self.open(&sealed)? {
                Advanced::Opened => {}
                advanced => return Ok(advanced),
            }
            self.hasher.update(&sealed);
            self.hashed += needed as u64;
        }
    }

    fn open(&mut self, sealed: &[u8]) -> Result<Advanced, SyncError> {
        let (Mode::Opening, Some(opener)) = (&self.mode, &mut self.opener) else { return Ok(Advanced::Opened) };
        let content = match opener.open(sealed) {
            Ok(content) => content,
            Err(BodyError::Primitives(error)) => return Err(error.into()),
            Err(_) => return Ok(Advanced::Damaged(self.hashed..self.hashed + sealed.len() as u64)),
        };
        let compressed = opener.prelude().filter(|prelude| prelude.compressed_length.is_some());
        let is_larger = |length: &u64| *length > self.most && *length <= limits::BODY_CONTENT;
        if let Some(length) = compressed.map(|prelude| prelude.content_length).filter(is_larger) {
            return Ok(Advanced::Larger(length));
        }
        if self.frame.check(opener, &content).is_err() {
            self.mode = Mode::Hashing { from: None };
        }
        Ok(Advanced::Opened)
    }

    /// Hashes what comes from here on without opening it.
    pub(super) fn leave_to_the_hash(&mut self) {
        self.mode = Mode::Hashing { from: Some(Box::new((self.hashed, self.hasher.clone()))) };
    }

    /// What the body is, once all of it was hashed. Of another one than the header's, what opened is kept: it goes on there.
    pub(super) fn finish(&mut self, body: &BodyRecord) -> Checked {
        let is_it = self.hasher.description() == body.description;
        match (&mut self.mode, &self.opener) {
            (Mode::Opening, Some(opener)) if is_it && opener.needed() == 0 && self.frame.finish().is_ok() => {
                Checked::Opens(opener.prelude().and_then(|prelude| prelude.message_type.clone()))
            }
            _ if is_it => Checked::Unreadable,
            (Mode::Hashing { from: Some(from) }, _) => {
                (self.hashed, self.hasher) = (**from).clone();
                self.mode = Mode::Opening;
                Checked::Other(self.hashed)
            }
            _ => Checked::Other(0),
        }
    }

    /// Cuts what is behind what opened.
    pub(super) fn cut(&mut self, file: &File) -> io::Result<()> {
        file.set_len(self.hashed)?;
        self.left = Some(FileState::of(&file.metadata()?));
        Ok(())
    }
}

impl FileState {
    fn of(file: &Metadata) -> Self {
        Self { length: file.len(), modified: file.modified().ok() }
    }
}

/// A body that is followed, for whoever is at work on it: a call that is dropped leaves it as far as it got.
pub(super) type Followed = Arc<Mutex<Following>>;

/// Nothing that panics is done with it: what it holds is as good after a panic as before.
pub(super) fn lock(following: &Followed) -> MutexGuard<'_, Following> {
    following.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is at hand of bodies that were fetched in part, those of last first: the next slice goes on where one ended. What is
/// not at hand any more is made again of what is in the spool.
#[derive(Default)]
pub(crate) struct Followings(Mutex<VecDeque<(MessageRef, Followed)>>);

impl Followings {
    pub(super) fn of(&self, message: MessageRef) -> Option<Followed> {
        let followings = self.lock();
        followings.iter().find(|(of, _)| *of == message).map(|(_, following)| Arc::clone(following))
    }

    pub(super) fn keep(&self, message: MessageRef, following: Followed) {
        let mut followings = self.lock();
        followings.retain(|(of, _)| *of != message);
        followings.push_front((message, following));
        followings.truncate(limits::FOLLOWED_BODIES);
    }

    pub(super) fn remove(&self, message: MessageRef) {
        self.lock().retain(|(of, _)| *of != message);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(MessageRef, Followed)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
