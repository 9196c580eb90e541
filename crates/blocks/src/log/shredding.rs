//! Overwriting blocks so that what they belonged to cannot be put together again.

use std::{collections::BTreeSet, io};

use super::{BlockError, Log, discarding, segment_name};
use crate::{
    block_id::BlockId,
    record::{HEADER, Kind, Record, UNIT},
    table::Placed,
    tuple::StoredBlock,
};

impl Log {
    /// Overwrites blocks where they are, flushes that, and lets go of them. Returns how many there were; those that are
    /// not there, or are others, are left alone.
    ///
    /// What the medium or a snapshot below the file keeps of the old bytes is out of reach.
    pub(crate) fn shred(&self, blocks: &[StoredBlock]) -> Result<u64, BlockError> {
        let _held = self.maintenance();
        // Bytes on their way to the file would land on what overwrites them.
        self.sync().map_err(BlockError::Files)?;
        let (mut touched, mut shredded) = (BTreeSet::new(), Vec::new());
        for block in blocks {
            let record = match self.record(block.address) {
                Ok(record) => record.filter(|record| discarding::is_this(record, block)),
                Err(BlockError::Missing(_) | BlockError::Damaged(_)) => None,
                Err(error) => return Err(error),
            };
            if let Some(record) = record {
                touched.extend(self.overwrite(&record)?);
                shredded.push(record);
            }
        }
        for name in &touched {
            self.files.sync(name).map_err(BlockError::Files)?;
        }
        let mut state = self.state();
        Ok(shredded.iter().map(|record| self.bury(&mut state, record) as u64).sum())
    }

    /// The block first: a header that already says "void" over a block that is still there would hide it.
    fn overwrite(&self, record: &Record) -> Result<Option<String>, BlockError> {
        let Some(location) = self.position(record.address)? else { return Ok(None) };
        let (generation, position) = location;
        let name = segment_name(record.address.segment, generation);
        let act = || -> io::Result<()> {
            self.overwrite_block(&name, &Placed { record: *record, position })?;
            let void = Record { kind: Kind::Void, id: BlockId([0; HEADER / 2]), ..*record };
            self.files.overwrite(&name, u64::from(position) * UNIT, &void.encode(self.store))
        };
        act().map_err(BlockError::Files)?;
        Ok(Some(name))
    }
}
