//! Going through all blocks of a content: to let go of them, to shred them, to tell which are needed.

use crate::{
    handle::{BlockHandle, Form},
    limits,
    log::BlockError,
    message_cbl::{Layout, Span},
    reader::ReadError,
    store::{Inner, ShredError},
    tuple::{StoredBlock, Tuple},
};

/// What a walk does with a tuple, and with a CBL that cannot be read.
trait Visit {
    /// Called for every tuple, those below a CBL before its own. `levels` of CBLs lie below it.
    fn tuple(&mut self, tuple: &Tuple, levels: u8) -> Result<(), ReadError>;

    /// Whether to go on without what the CBL lists.
    fn unreadable(&mut self, error: ReadError) -> Result<(), ReadError>;
}

impl Tuple {
    /// The stored blocks that are this tuple's alone.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = StoredBlock> {
        [Some(self.whitened), self.own].into_iter().flatten()
    }
}

impl Inner {
    pub(crate) fn discard(&self, handle: &BlockHandle) -> Result<(), ReadError> {
        let mut discard = Discard(self);
        self.walk(handle, &mut discard)
    }

    /// Lets go of the tuples of an unfinished list, and of what their CBLs list. `stored` bytes were written in all.
    pub(crate) fn discard_unfinished(
        &self,
        form: Form,
        stored: u64,
        levels: u8,
        tuples: &[Tuple],
    ) -> Result<(), ReadError> {
        let layout = Layout::new(form, stored);
        let walk = Walk { inner: self, layout, form };
        tuples
            .iter()
            .zip(layout.unfinished(levels))
            .try_for_each(|(tuple, span)| walk.tuple(tuple, levels, span, &mut Discard(self)))
    }

    /// All blocks that the content needs and no other does.
    pub(crate) fn blocks_of(&self, handle: &BlockHandle, take: &mut dyn FnMut(StoredBlock)) -> Result<(), ReadError> {
        self.walk(handle, &mut Take(take))
    }

    /// Level by level, so that a repetition after a crash still finds what it did not overwrite.
    pub(crate) fn shred(&self, handles: &[BlockHandle]) -> Result<(), ShredError> {
        let mut lost = None;
        let levels = handles.iter().map(|handle| handle.levels).max();
        for level in levels.map_or(0..0, |levels| 0..levels + 1) {
            let mut shred = Shred { inner: self, level, blocks: Vec::new(), lost: None };
            handles
                .iter()
                .filter(|handle| level <= handle.levels)
                .try_for_each(|handle| self.walk(handle, &mut shred))?;
            shred.flush()?;
            lost = lost.or(shred.lost);
        }
        // That they are let go of is durable, too, so that nobody takes what was overwritten for damage.
        self.log.sync().map_err(|error| ReadError::Block(BlockError::Files(error)))?;
        lost.map_or(Ok(()), |error| Err(ShredError(error)))
    }

    fn walk(&self, handle: &BlockHandle, visit: &mut dyn Visit) -> Result<(), ReadError> {
        let layout = Layout::new(handle.form, handle.stored_length);
        let walk = Walk { inner: self, layout, form: handle.form };
        let spans = layout.children(handle.levels, 0, handle.stored_length);
        handle.tuples.iter().zip(spans).try_for_each(|(tuple, span)| walk.tuple(tuple, handle.levels, span, visit))
    }
}

struct Walk<'a> {
    inner: &'a Inner,
    layout: Layout,
    form: Form,
}

impl Walk<'_> {
    fn tuple(&self, tuple: &Tuple, levels: u8, span: Span, visit: &mut dyn Visit) -> Result<(), ReadError> {
        if let Some(below) = levels.checked_sub(1) {
            match self.inner.cbl(self.form, tuple, levels, span) {
                Err(error) => visit.unreadable(error)?,
                Ok(cbl) => {
                    let spans = self.layout.children(below, span.start, span.length);
                    let mut entries = cbl.tuples.iter().zip(spans);
                    entries.try_for_each(|(tuple, span)| self.tuple(tuple, below, span, visit))?;
                }
            }
        }
        visit.tuple(tuple, levels)
    }
}

struct Discard<'a>(&'a Inner);

impl Visit for Discard<'_> {
    fn tuple(&mut self, tuple: &Tuple, _levels: u8) -> Result<(), ReadError> {
        self.0.log.discard(&tuple.blocks().collect::<Vec<_>>())?;
        Ok(())
    }

    /// What it lists are orphans, which the next collection finds.
    fn unreadable(&mut self, error: ReadError) -> Result<(), ReadError> {
        match error {
            ReadError::Block(BlockError::Files(_)) => Err(error),
            _ => Ok(()),
        }
    }
}

struct Take<'a>(&'a mut dyn FnMut(StoredBlock));

impl Visit for Take<'_> {
    fn tuple(&mut self, tuple: &Tuple, _levels: u8) -> Result<(), ReadError> {
        tuple.blocks().for_each(&mut self.0);
        Ok(())
    }

    fn unreadable(&mut self, error: ReadError) -> Result<(), ReadError> {
        Err(error)
    }
}

struct Shred<'a> {
    inner: &'a Inner,
    /// The level that this walk overwrites.
    level: u8,
    blocks: Vec<StoredBlock>,
    /// Why something could not be reached.
    lost: Option<ReadError>,
}

impl Shred<'_> {
    fn flush(&mut self) -> Result<(), ReadError> {
        if self.level > 0 {
            // On the disk before the lists are overwritten: whoever meets what a crash left of one then knows that what it
            // listed is gone.
            self.inner.log.discard(&self.blocks)?;
        }
        self.inner.log.shred(&self.blocks)?;
        self.blocks.clear();
        Ok(())
    }
}

impl Visit for Shred<'_> {
    fn tuple(&mut self, tuple: &Tuple, levels: u8) -> Result<(), ReadError> {
        if levels == self.level {
            self.blocks.extend(tuple.blocks());
        }
        if self.blocks.len() >= limits::SHREDDED_AT_ONCE { self.flush() } else { Ok(()) }
    }

    /// One that is gone was shredded or let go of before, after what it lists.
    fn unreadable(&mut self, error: ReadError) -> Result<(), ReadError> {
        match error {
            ReadError::Block(BlockError::Missing(_)) => {}
            ReadError::Block(BlockError::Files(_)) => return Err(error),
            error => self.lost = self.lost.take().or(Some(error)),
        }
        Ok(())
    }
}
