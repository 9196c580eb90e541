//! Opening a body while it comes, to find a damaged piece when it comes and not at the end.
//!
//! A chunk that opens was sealed by one who has the body's key, in its place. One that does not may be the relay's fault or
//! the sender's: fetching its pieces again tells, if they are other bytes then. If they are the same, only the hash over all
//! of the body can. A body of the scheme `none` has no tags: what is wrong with it the hash tells, at the end.

use std::{fs::File, io, ops::Range};

use sealpost_crypto::{BodyError, BodyOpener};

use super::{spool::SpoolFile, uploading::read_at};
use crate::{SyncError, records::BodyRecord};

/// How far a body that is on its way has been opened.
pub(super) struct Following {
    /// None once it has been given up.
    opener: Option<BodyOpener>,
    opened: u64,
    is_suspect: bool,
}

impl Following {
    pub(super) fn new(body: &BodyRecord) -> Result<Self, SyncError> {
        let opener = match BodyOpener::new(&body.key.seal(), body.description.sealed_length) {
            Err(BodyError::Primitives(error)) => return Err(error.into()),
            opener => opener.ok(),
        };
        Ok(Self { opener, opened: 0, is_suspect: false })
    }

    /// Opens the chunks that end at `end` of the file at the latest. Returns where the first lies that does not open, if one
    /// does not: it is looked at again the next time.
    pub(super) async fn open_up_to(&mut self, file: &SpoolFile, end: u64) -> Result<Option<Range<u64>>, SyncError> {
        let Some(opener) = self.opener.take() else { return Ok(None) };
        let (handle, from) = (file.handle().map_err(SyncError::Spool)?, self.opened);
        let opening = tokio::task::spawn_blocking(move || open(opener, &handle, from..end)).await;
        let opened = opening.map_err(|error| SyncError::Spool(io::Error::other(error)))??;
        (self.opener, self.opened) = (Some(opened.opener), opened.end);
        Ok(opened.bad)
    }

    /// Leaves the rest to the hash.
    pub(super) fn give_up(&mut self) {
        (self.opener, self.is_suspect) = (None, true);
    }

    /// Up to where the body is good, if something behind that was found to be bad.
    pub(super) fn good(&self) -> Option<u64> {
        self.is_suspect.then_some(self.opened)
    }
}

struct Opened {
    opener: BodyOpener,
    end: u64,
    bad: Option<Range<u64>>,
}

fn open(mut opener: BodyOpener, file: &File, range: Range<u64>) -> Result<Opened, SyncError> {
    let mut at = range.start;
    loop {
        let needed = opener.needed();
        let end = at.saturating_add(needed as u64);
        if needed == 0 || end > range.end {
            return Ok(Opened { opener, end: at, bad: None });
        }
        let chunk = read_at(file, at, needed).map_err(SyncError::Spool)?;
        match opener.open(&chunk) {
            Ok(_) => at = end,
            Err(BodyError::Primitives(error)) => return Err(error.into()),
            Err(_) => return Ok(Opened { opener, end: at, bad: Some(at..end) }),
        }
    }
}
